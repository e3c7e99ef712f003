#!/usr/bin/env bash
# How much one io_uring_enter carries: submissions handed over and completions found, by io_uring's tracepoints.
source "$(dirname "$0")/common.sh"
[[ "${1:-}" == --help ]] && usage_and_exit "Batch sizes of io_uring: submissions and completions per io_uring_enter."
need bpftrace bpftrace
[[ $EUID -eq 0 ]] || skip "bpftrace needs root"
attach "${1:-}"
out="$(mktemp)"
temporary+=("$out")
program='
    tracepoint:syscalls:sys_enter_io_uring_enter /pid == '"$pid"'/ {
        @enters = count(); @submitted_per_enter = lhist(args->to_submit, 0, 64, 4);
        @completed_before[tid] = @done[tid]; }
    tracepoint:io_uring:io_uring_complete /pid == '"$pid"'/ { @completions = count(); @done[tid]++; }
    tracepoint:syscalls:sys_exit_io_uring_enter /pid == '"$pid"'/ {
        @completed_per_enter = lhist(@done[tid] - @completed_before[tid], 0, 64, 4); }
    interval:s:'"$seconds"' { clear(@done); clear(@completed_before); exit(); }'
trace_uring() {
    timeout $((seconds + 60)) bpftrace -e "$program" >"$out" 2>&1 && ! grep -q '^.*ERROR:' "$out"
}
if ! count_requests trace_uring; then
    skip "bpftrace can't trace io_uring here: $(bpftrace_fault "$out")"
fi
echo "requests: ${requests:-unknown} in $seconds s"
grep -v '^Attaching' "$out"
