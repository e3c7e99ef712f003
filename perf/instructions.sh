#!/usr/bin/env bash
# Counts instructions of each piece of work under valgrind, which needs no counters of the CPU and repeats to the
# instruction, and holds them against benches/instructions.tsv.
#
#   perf/instructions.sh            fails when anything takes over 3 % more than the baseline
#   perf/instructions.sh --accept   writes the baseline anew: commit it with the change that moved it, and say why
#   perf/instructions.sh --top NAME the functions that one piece of work spends its instructions in
source "$(dirname "$0")/common.sh"
if [[ "${1:-}" == --help ]]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 0
fi
need valgrind valgrind
cd "$project_dir"
baseline=benches/instructions.tsv
rise_max_percent=3

build() {
    cargo bench --locked --no-run --bench instructions --message-format=json 2>/dev/null |
        sed -n 's/.*"executable":"\([^"]*instructions-[^"]*\)".*/\1/p' | tail -1
}

# WORK_BINARY: one that is built already.
binary="${WORK_BINARY:-}"
if [[ -z "$binary" ]]; then
    echo "building (release, whole-program optimisation: a minute or more)" >&2
    binary="$(build)"
fi
[[ -x "$binary" ]] || fail "the bench does not build: cargo bench --no-run --bench instructions"
out="$(mktemp -d)"
temporary+=("$out")

# count NAME: prints instructions per operation
count() {
    local operations
    operations="$(valgrind --tool=callgrind --callgrind-out-file="$out/callgrind" --toggle-collect='*measured_work*' \
        "$binary" "=$1" 2>"$out/log" | awk '{ print $2 }')"
    [[ -n "$operations" ]] || fail "$1 did not run: $(tail -3 "$out/log")"
    awk -v operations="$operations" '/^summary:/ { printf "%d\n", $2 / operations + 0.5 }' "$out/callgrind"
}

if [[ "${1:-}" == --top ]]; then
    count "${2:?which piece of work?}"
    callgrind_annotate --threshold=95 "$out/callgrind" | sed -n '/Ir/,$p' | sed -n '1,60p' | cut -c-160
    exit 0
fi

names="$("$binary" --names)"
count_all() {
    for name in $names; do
        printf '%s\t%s\n' "$name" "$(count "$name")"
    done
}
count_all >"$out/found"

if [[ "${1:-}" == --accept ]]; then
    {
        printf '# Instructions per operation, counted by perf/instructions.sh, which compares them with these.\n'
        cat "$out/found"
    } >"$baseline"
    echo "wrote $baseline"
fi

awk -F'\t' -v rise_max="$rise_max_percent" '
    /^#/ { next }
    FNR == NR { before[$1] = $2; next }
    {
        seen[$1] = 1
        if (!($1 in before)) { verdict = "FAIL: not in the baseline"; change = ""; failed = 1 }
        else {
            rise = before[$1] ? 100 * ($2 - before[$1]) / before[$1] : 0
            change = sprintf("%+.1f %%", rise)
            verdict = rise > rise_max ? "FAIL" : "ok"
            failed = failed || rise > rise_max
        }
        printf "%-32s %10d %10d %9s  %s\n", $1, before[$1], $2, change, verdict
    }
    BEGIN { printf "%-32s %10s %10s %9s\n", "instructions per operation", "baseline", "now", "change" }
    END {
        for (name in before) if (!(name in seen)) { printf "%-32s FAIL: in the baseline only\n", name; failed = 1 }
        if (failed) print "A rise is a choice: take it back, or run perf/instructions.sh --accept and say why."
        exit failed
    }' "$baseline" "$out/found"
