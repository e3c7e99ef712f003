#!/usr/bin/env bash
# What one request costs the CPU: perf's counters of the whole process, divided by requests.
source "$(dirname "$0")/common.sh"
[[ "${1:-}" == --help ]] && usage_and_exit "CPU time, cycles, instructions and switches per request."
attach "${1:-}"

ticks() { # CPU time of all threads of the process, user and system, in clock ticks
    awk '{ print $14, $15 }' "/proc/$pid/stat"
}

# Ticks are read within what counts requests, so that both are about the same time.
run_counted() {
    read -r user_before system_before < <(ticks)
    "$@"
    read -r user_after system_after < <(ticks)
}

if command -v perf >/dev/null; then
    events=task-clock,context-switches,cpu-migrations,page-faults,cycles,instructions,branches,branch-misses
    counters="$(mktemp)"
    temporary+=("$counters")
    count_requests run_counted perf stat -x, -e "$events" -p "$pid" -o "$counters" -- sleep "$seconds"
else
    echo "perf is missing: install it with \`apt-get install linux-perf\`; CPU time comes from /proc alone"
    counters=/dev/null
    count_requests run_counted sleep "$seconds"
fi

echo "requests: ${requests:-unknown} in $seconds s"
micros=$((1000000 / $(getconf CLK_TCK)))
per_request $(((user_after - user_before) * micros)) "us user"
per_request $(((system_after - system_before) * micros)) "us system"
while IFS=, read -r value unit event _; do
    case "$value" in
        '' | \#*) ;;
        *counted* | *supported*) echo "NOT MEASURED: $event: this CPU (or virtual machine) does not show it" ;;
        *)
            # task-clock comes in milliseconds.
            [[ "$event" == task-clock* ]] && value="$(awk -v v="$value" 'BEGIN { print v * 1000 }')" && unit=us
            per_request "$value" "$event${unit:+, $unit}"
            ;;
    esac
done <"$counters"
