#!/usr/bin/env bash
# How long shard threads wait for a core once they could run, and how often they are taken off it.
source "$(dirname "$0")/common.sh"
[[ "${1:-}" == --help ]] && usage_and_exit "Scheduler latency of shard threads."
attach "${1:-}"
threads="$(shard_threads)"
[[ -n "$threads" ]] || fail "process $pid has no thread whose name begins with 'shard'"

snapshot() { # thread: nanoseconds on the CPU and waiting for it, turns there, switches it asked for and did not
    local thread
    for thread in $threads; do
        paste -d' ' <(echo "$thread") <(cat "/proc/$pid/task/$thread/schedstat") \
            <(awk '/ctxt_switches/ { printf "%s ", $2 }' "/proc/$pid/task/$thread/status")
    done
}
before="$(snapshot)"
sleep "$seconds"
after="$(snapshot)"
echo "$seconds s, by /proc/PID/task/TID/schedstat:"
paste -d' ' <(echo "$before") <(echo "$after") | awk -v seconds="$seconds" '{
    turns = $10 - $4
    printf "thread %s: on the CPU %.1f %%, waiting for it %.2f %% (%.1f us each of %d times), ", $1,
        ($8 - $2) / seconds / 1e7, ($9 - $3) / seconds / 1e7, turns ? ($9 - $3) / turns / 1000 : 0, turns
    printf "%d switches of its own, %d forced\n", $11 - $5, $12 - $6 }'

if ! command -v bpftrace >/dev/null; then
    echo "no distribution: install bpftrace with \`apt-get install bpftrace\`"
    exit 0
fi
[[ $EUID -eq 0 ]] || { echo "no distribution: bpftrace needs root"; exit 0; }
out="$(mktemp)"
temporary+=("$out")
if timeout $((seconds + 60)) bpftrace -e '
        tracepoint:sched:sched_wakeup /strncmp(args->comm, "shard", 5) == 0/ { @woken[args->pid] = nsecs; }
        tracepoint:sched:sched_switch /@woken[args->next_pid]/ {
            @wait_us = hist((nsecs - @woken[args->next_pid]) / 1000); delete(@woken[args->next_pid]); }
        interval:s:'"$seconds"' { clear(@woken); exit(); }' >"$out" 2>&1; then
    echo "microseconds from being woken to running:"
    grep -v '^Attaching' "$out"
else
    echo "no distribution: bpftrace can't trace the scheduler: $(bpftrace_fault "$out")"
fi
