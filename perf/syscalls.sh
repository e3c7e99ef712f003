#!/usr/bin/env bash
# System calls of shard threads under load: io_uring_enter alone is expected, and fewer of them than requests.
# Exit code 1 when there are others. strace slows what it watches; so calls are batched more than without it.
source "$(dirname "$0")/common.sh"
[[ "${1:-}" == --help ]] && usage_and_exit "System calls of shard threads, per request."
need strace strace
attach "${1:-}"
table="$(mktemp)"
temporary+=("$table")
arguments=()
for thread in $(shard_threads); do
    arguments+=(-p "$thread")
done
[[ ${#arguments[@]} -gt 0 ]] || fail "process $pid has no thread whose name begins with 'shard'"

watch_calls() {
    timeout --signal=INT "$seconds" strace -c -U calls,name "${arguments[@]}" 2>"$table" || true
}
count_requests watch_calls
if grep -qiE 'not permitted|ptrace' "$table"; then
    skip "strace may not attach: run as root, or set kernel.yama.ptrace_scope to 0"
fi

echo "requests: ${requests:-unknown} in $seconds s, watched by strace"
rows="$(awk '$1 ~ /^[0-9]+$/ && $2 ~ /^[a-z_0-9]+$/ && $2 != "total"' "$table")"
[[ -n "$rows" ]] || fail "strace saw no system call: is there load?"
while read -r calls name; do
    per_request "$calls" "$name"
done <<<"$rows"
others="$(awk '$2 != "io_uring_enter" && $2 != "restart_syscall" { print $2 }' <<<"$rows")"
if [[ -n "$others" ]]; then
    echo "FAIL: other system calls than io_uring_enter: $(paste -sd' ' - <<<"$others")"
    exit 1
fi
if [[ -n "$requests" ]]; then
    awk -v requests="$requests" '$2 == "io_uring_enter" { exit !($1 < requests) }' <<<"$rows" ||
        { echo "FAIL: not fewer io_uring_enter than requests (is the load high enough to batch?)"; exit 1; }
fi
echo "PASS: io_uring_enter alone"
