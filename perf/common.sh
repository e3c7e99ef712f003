# Sourced by the scripts beside it: what they need to find, start and stop. Nothing here is measured.
# shellcheck shell=bash
set -euo pipefail

perf_dir="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
project_dir="$(dirname "$perf_dir")"

seconds="${SECONDS_MEASURED:-5}"
connections="${CONNECTIONS:-64}"
own_pids=()
temporary=()

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# One clear line, and no failure: a report goes on without what a machine lacks.
skip() {
    echo "SKIPPED $(basename "$0"): $*"
    exit 0
}

# need COMMAND PACKAGE
need() {
    command -v "$1" >/dev/null 2>&1 || skip "$1 is missing: install it with \`apt-get install $2\`"
}

usage_and_exit() {
    cat <<TEXT
$1

usage: perf/$(basename "$0") [PID]
PID is a running pinion under load. Without it the release binary (PINION, else target/release/pinion) serves
perf/load.toml on a free port, and wrk makes the load.
SECONDS_MEASURED (5), CONNECTIONS (64) and URL say how long and how much.
TEXT
    exit 0
}

stop_own() {
    for own in "${own_pids[@]}"; do
        kill "$own" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    [[ ${#temporary[@]} -eq 0 ]] || rm -rf "${temporary[@]}"
}
trap stop_own EXIT

# Sets `pid`, and `url` when the load is ours to make.
attach() {
    url="${URL:-}"
    if [[ -n "${1:-}" ]]; then
        pid="$1"
        [[ -d "/proc/$pid" ]] || fail "no process has the id $pid"
        return
    fi
    local binary="${PINION:-$project_dir/target/release/pinion}"
    [[ -x "$binary" ]] || skip "no release binary: \`cargo build --release\`, or say PINION=path or a PID"
    local folder address
    folder="$(mktemp -d)"
    temporary+=("$folder")
    # The kernel chooses ports that are free.
    sed -e 's/^listen = .*/listen = ["127.0.0.1:0"]/' -e 's/^admin = .*/admin = "127.0.0.1:0"/' \
        -e "s|^data_dir = .*|data_dir = \"$folder\"|" "$perf_dir/load.toml" >"$folder/pinion.toml"
    "$binary" serve --config "$folder/pinion.toml" >"$folder/log" 2>&1 &
    pid=$!
    own_pids+=("$pid")
    metrics_address=""
    for _ in $(seq 100); do
        # The admin port is told last.
        metrics_address="$(sed -n 's|^admin  *http://\([^/]*\)/.*|\1|p' "$folder/log")"
        [[ -z "$metrics_address" ]] || break
        kill -0 "$pid" 2>/dev/null || fail "pinion ended at once: $(tail -1 "$folder/log")"
        sleep 0.1
    done
    [[ -n "$metrics_address" ]] || fail "pinion did not start within 10 s: $(tail -1 "$folder/log")"
    address="$(sed -n 's|^serving http://\([^/]*\)/.*|\1|p' "$folder/log" | head -1)"
    url="${url:-http://$address/event?d_rtbd=json&d_cts=2&c_page=home&c_product=camera&c_price=120}"
    command -v wrk >/dev/null 2>&1 ||
        skip "wrk is missing: install it with \`apt-get install wrk\`, or give the PID of a server under load"
    wrk -t1 -c"$connections" -d3600s "$url" >/dev/null 2>&1 &
    own_pids+=("$!")
    sleep 1
}

# The threads that serve, by their names.
shard_threads() {
    local task
    for task in /proc/"$pid"/task/*; do
        case "$(cat "$task/comm" 2>/dev/null)" in
            shard*) basename "$task" ;;
        esac
    done
}

# thread ids joined by commas
shard_threads_joined() {
    local joined
    joined="$(shard_threads | paste -sd, -)"
    [[ -n "$joined" ]] || fail "process $pid has no thread whose name begins with 'shard'"
    echo "$joined"
}

# Addresses that the process listens on. The one that answers /metrics is the admin server's.
admin_addresses() {
    local inode port
    for inode in $(find "/proc/$pid/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null | tr -dc '0-9\n'); do
        port="$(awk -v inode="$inode" '$10 == inode && $4 == "0A" { split($2, at, ":"); print at[2] }' \
            "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6")"
        [[ -n "$port" ]] && echo "127.0.0.1:$((16#$port))"
    done | sort -u
}

# Prints the body of GET http://$1/metrics.
metrics_of() {
    # In a subshell: bash ends whoever fails to open a connection.
    (
        exec 3<>"/dev/tcp/${1%:*}/${1##*:}" || exit 1
        printf 'GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" >&3
        timeout 2 cat <&3
    ) 2>/dev/null | tr -d '\r'
}

find_metrics() {
    local address
    for address in ${ADMIN:-} $(admin_addresses); do
        if metrics_of "$address" | grep -c '^pinion_requests_total' >/dev/null; then
            metrics_address="$address"
            return
        fi
    done
    metrics_address=""
}

requests_answered() {
    [[ -n "$metrics_address" ]] || return 0
    metrics_of "$metrics_address" | awk '/^pinion_requests_total/ { sum += $NF } END { printf "%d\n", sum }'
}

# Runs a command and sets `requests` to how many requests were answered meanwhile. Returns what the command did.
count_requests() {
    local before after code=0
    [[ -n "${metrics_address+set}" ]] || find_metrics
    before="$(requests_answered || true)"
    "$@" || code=$?
    after="$(requests_answered || true)"
    requests=""
    if [[ -n "$before" && -n "$after" && "$after" -gt "$before" ]]; then
        requests=$((after - before))
    fi
    return "$code"
}

# per_request COUNT NAME
per_request() {
    if [[ -n "$requests" ]]; then
        awk -v count="$1" -v requests="$requests" -v name="$2" \
            'BEGIN { printf "%14.3f %s per request\n", count / requests, name }'
    else
        printf '%14s %s (no admin port answers: say ADMIN=address:port)\n' "$1" "$2"
    fi
}

# Why bpftrace failed: the line that is about the program, rather than its warnings.
bpftrace_fault() {
    grep -iE 'not found|denied|not permitted|no such|unknown' "$1" | grep -v RLIMIT | sed -n 1p | grep . || tail -1 "$1"
}
