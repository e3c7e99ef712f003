#!/usr/bin/env bash
# Allocations of shard threads under load, by probes on the C library's allocator, with the stacks that made them. None
# is expected after start.
source "$(dirname "$0")/common.sh"
[[ "${1:-}" == --help ]] && usage_and_exit "Allocations of shard threads: none is expected."
need bpftrace bpftrace
[[ $EUID -eq 0 ]] || skip "bpftrace needs root"
attach "${1:-}"
libc="$(awk '/libc\.so|libc-[0-9.]*\.so/ { print $6; exit }' "/proc/$pid/maps")"
[[ -n "$libc" ]] || skip "the process uses no shared C library, so its allocator can't be probed"
out="$(mktemp)"
temporary+=("$out")
condition="/pid == $pid && strncmp(comm, \"shard\", 5) == 0/"
program=""
for function in malloc calloc realloc posix_memalign aligned_alloc free; do
    program+="uprobe:$libc:$function $condition { @calls[\"$function\"] = count(); @stacks[ustack(8)] = count(); } "
done
program+="interval:s:$seconds { exit(); }"
trace_allocations() {
    timeout $((seconds + 60)) bpftrace -e "$program" >"$out" 2>&1 && ! grep -q '^.*ERROR:' "$out"
}
if ! count_requests trace_allocations; then
    skip "bpftrace can't probe $libc here: $(bpftrace_fault "$out")"
fi
echo "requests: ${requests:-unknown} in $seconds s"
if grep -q '^@' "$out"; then
    grep -v '^Attaching' "$out"
    echo "FAIL: shard threads allocate"
    exit 1
fi
echo "PASS: no allocation and no free on shard threads"
