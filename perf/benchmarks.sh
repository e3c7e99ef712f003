#!/usr/bin/env bash
# Measures what docs/benchmarks.md shows and writes that page anew, step after step. Leave the machine alone meanwhile.
#
#   perf/benchmarks.sh              all steps, about 25 minutes; those that this commit was measured with are left out
#   perf/benchmarks.sh STEP...      these steps, measured already or not
#   perf/benchmarks.sh --list       what steps there are, and how long each takes
#
# ROUNDS (3), SECONDS_MEASURED (5) and WARM_SECONDS (1.5) say how often and how long; INTO says where to, instead of
# docs/benchmarks. What a machine lacks is left out of the page with a word about what to install.
source "$(dirname "$0")/common.sh"
if [[ "${1:-}" == --help ]]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit 0
fi
cd "$project_dir"
# Needs no optimised program.
[[ "${1:-}" == --list ]] && exec cargo run --quiet --locked -p loadtest -- bench --list

# Rust programs alone are needed; the others make rows of the page.
for pair in nginx:nginx strace:strace bpftrace:bpftrace taskset:util-linux; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || [[ -x "/usr/sbin/${pair%%:*}" ]] ||
        echo "${pair%%:*} is missing, what needs it is left out: install it with \`apt-get install ${pair##*:}\`" >&2
done

echo "building (release, whole-program optimisation: some minutes the first time)" >&2
cargo build --release --locked --bin pinion
cargo build --release --locked -p loadtest
program=target/release/loadtest
arguments=(--rounds "${ROUNDS:-3}" --seconds "$seconds" --warm-seconds "${WARM_SECONDS:-1.5}")
[[ -z "${INTO:-}" ]] || arguments+=(--into "$INTO")
[[ $# -gt 0 ]] || arguments+=(--resume)
"$program" bench "${arguments[@]}" "$@"
