#!/usr/bin/env bash
# Cache and TLB misses per request, by the CPU's counters where there are any, and otherwise by a simulated cache over
# one event (valgrind), which knows no neighbours but repeats exactly.
source "$(dirname "$0")/common.sh"
[[ "${1:-}" == --help ]] && usage_and_exit "Cache and TLB misses per request."
if command -v perf >/dev/null && ! perf stat -x, -e cache-misses true 2>&1 | grep -qE 'not supported|not counted'; then
    attach "${1:-}"
    counters="$(mktemp)"
    temporary+=("$counters")
    events=cache-references,cache-misses,L1-dcache-load-misses,dTLB-load-misses,iTLB-load-misses
    count_requests perf stat -x, -e "$events" -p "$pid" -o "$counters" -- sleep "$seconds"
    echo "requests: ${requests:-unknown} in $seconds s"
    while IFS=, read -r value _ event _; do
        case "$value" in
            '' | \#* | *counted* | *supported*) ;;
            *) per_request "$value" "$event" ;;
        esac
    done <"$counters"
    exit 0
fi
if command -v perf >/dev/null; then
    echo "this machine (a virtual one?) shows no cache counters"
else
    echo "perf is missing: install it with \`apt-get install linux-perf\`"
fi
need valgrind valgrind
binary="${WORK_BINARY:-}"
if [[ -z "$binary" ]]; then
    binary="$(find "$project_dir/target/release/deps" -maxdepth 1 -name 'instructions-*' -perm -u+x -type f \
    -printf '%T@ %p\n' 2>/dev/null |
        sort -rn | awk 'NR == 1 { print $2 }')"
fi
[[ -n "$binary" ]] || skip "build the work first: cargo bench --no-run --bench instructions"
out="$(mktemp)"
temporary+=("$out")
operations="$(valgrind --tool=callgrind --cache-sim=yes --callgrind-out-file="$out" --toggle-collect='*measured_work*' \
    "$binary" =shard/event_10k_rules 2>/dev/null | awk '{ print $2 }')"
echo "simulated, per whole event (10,000 rules, no kernel):"
awk -v operations="$operations" '
    /^events:/ { for (i = 2; i <= NF; i++) name[i] = $i }
    /^summary:/ { for (i = 2; i <= NF; i++) printf "%10.1f %s\n", $i / operations, name[i] }' "$out"
echo "Ir instructions, Dr/Dw data reads and writes; 1m misses of the first level, Lm of the last (i code, d data)"
