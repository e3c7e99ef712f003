#!/usr/bin/env bash
# Runs all scripts beside it against one running server and writes one page.
#   perf/report.sh [PID] [PAGE]     PAGE is perf/report.md if not said
source "$(dirname "$0")/common.sh"
[[ "${1:-}" == --help ]] && usage_and_exit "Everything that perf/ measures, on one page (second argument: its path)."
page="${2:-$perf_dir/report.md}"
attach "${1:-}"

section() { # TITLE SCRIPT
    echo "measuring: $1" >&2
    printf '\n## %s\n\n```text\n' "$1"
    "$perf_dir/$2" "$pid" 2>&1 || echo "(perf/$2 ended with code $?)"
    printf '```\n'
}

{
    printf '# Measured at a running pinion\n\n'
    printf -- '- commit %s\n' "$(git -C "$project_dir" rev-parse --short HEAD 2>/dev/null || echo unknown)"
    printf -- '- kernel %s, %s cores\n' "$(uname -r)" "$(nproc)"
    printf -- '- CPU%s\n' "$(awk -F: '/^model name/ { print $2; exit }' /proc/cpuinfo)"
    printf -- '- load average %s (load and server share the machine)\n' "$(cut -d' ' -f1 /proc/loadavg)"
    printf -- '- %s connections%s, %s s for each section\n' "$connections" "${url:+ of wrk on $url}" "$seconds"
    section "CPU per request" stat.sh
    section "System calls" syscalls.sh
    section "io_uring batches" depth.sh
    section "Allocations" allocations.sh
    section "Cache misses" cache.sh
    section "Scheduler" sched.sh
    section "Flame graphs" flamegraph.sh
    printf '\nInstructions of each piece of work: `perf/instructions.sh`.\n'
} >"$page"
echo "wrote $page"
