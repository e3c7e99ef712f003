#!/usr/bin/env bash
# Where shard threads spend their time: on the CPU by perf's samples, off it by bpftrace. Folded stacks are printed by
# weight; with inferno-flamegraph or FlameGraph's flamegraph.pl in PATH they also become SVG files.
source "$(dirname "$0")/common.sh"
[[ "${1:-}" == --help ]] && usage_and_exit "Flame graphs of shard threads, on and off the CPU."
need perf linux-perf
attach "${1:-}"
out="${OUT:-$(mktemp -d)}"
threads="$(shard_threads_joined)"

draw() { # FOLDED TITLE
    local svg="${1%.folded}.svg"
    if command -v inferno-flamegraph >/dev/null; then
        inferno-flamegraph --title "$2" <"$1" >"$svg" && echo "flame graph: $svg"
    elif command -v flamegraph.pl >/dev/null; then
        flamegraph.pl --title "$2" <"$1" >"$svg" && echo "flame graph: $svg"
    else
        echo "folded stacks: $1 (for an SVG: \`cargo install inferno\`)"
    fi
}

fold_perf() { # perf script's samples become one line for each stack: outermost;...;innermost count
    awk '
        /^[^ \t#].*:$/ || /^[^ \t#].*: *[0-9]* *[a-z:-]+: *$/ { in_stack = 1; depth = 0; next }
        in_stack && /^[ \t]+[0-9a-f]+ / {
            name = $0
            sub(/^[ \t]+[0-9a-f]+ /, "", name); sub(/ \([^()]*\)$/, "", name); sub(/\+0x[0-9a-f]+$/, "", name)
            gsub(/;/, ":", name); gsub(/ /, "_", name)
            stack[depth++] = name; next
        }
        /^$/ && depth > 0 {
            line = stack[depth - 1]
            for (i = depth - 2; i >= 0; i--) line = line ";" stack[i]
            count[line]++; depth = 0; in_stack = 0
        }
        END { for (line in count) print line, count[line] }'
}

echo "== on the CPU, $seconds s"
event=cycles
perf stat -e cycles -x, true 2>&1 | grep -q 'not supported' && event=cpu-clock
if perf record -q -e "$event" -F 999 -g -t "$threads" -o "$out/on.data" -- sleep "$seconds" >"$out/perf.log" 2>&1; then
    perf script -i "$out/on.data" 2>/dev/null | fold_perf >"$out/on.folded"
    echo "by $event; the functions that were running, in percent of samples:"
    awk '{ count = $NF; $NF = ""; n = split($0, frames, ";"); own[frames[n]] += count; all += count }
        END { for (name in own) printf "%6.2f %s\n", 100 * own[name] / all, name }' "$out/on.folded" |
        sort -rn | sed -n '1,20p' | cut -c-110
    draw "$out/on.folded" "pinion, on the CPU"
else
    echo "NOT MEASURED: perf record failed: $(tail -1 "$out/perf.log") (kernel.perf_event_paranoid must be 1 or less)"
fi

echo "== off the CPU, $seconds s"
if ! command -v bpftrace >/dev/null; then
    echo "NOT MEASURED: bpftrace is missing: install it with \`apt-get install bpftrace\`"
elif [[ $EUID -ne 0 ]]; then
    echo "NOT MEASURED: bpftrace needs root"
elif timeout $((seconds + 60)) bpftrace -e '
        tracepoint:sched:sched_switch /args->prev_pid != 0/ { @left[args->prev_pid] = nsecs; }
        tracepoint:sched:sched_switch /@left[args->next_pid] && strncmp(args->next_comm, "shard", 5) == 0/ {
            @off_us[args->next_comm] = hist((nsecs - @left[args->next_pid]) / 1000); delete(@left[args->next_pid]); }
        interval:s:'"$seconds"' { clear(@left); exit(); }' >"$out/off.txt" 2>&1; then
    grep -v '^Attaching' "$out/off.txt"
    echo "microseconds that a shard's thread was off the CPU, each time: waiting for events, or for its turn"
else
    echo "NOT MEASURED: bpftrace can't trace sched_switch here: $(bpftrace_fault "$out/off.txt")"
fi
