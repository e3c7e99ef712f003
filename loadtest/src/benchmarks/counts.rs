//! What needs no load from outside. System calls and allocations are counted by the scripts of perf/, which watch the
//! server from outside; bytes of a visitor by a table that is filled here; matching and a hop between shards are timed
//! without a kernel.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use pinion::clock::Now;
use pinion::identity::{Secret, Uuid};
use pinion::ids::{AccountIndex, PartnerId, SegmentId, TraitId};
use pinion::profile::{PartnerOutcome, Profile, ProfileTable, TraitCatalog, TraitInfo};

use super::bench::{Bench, Variant};
use super::steps::job_without_lookups;
use crate::engine::Pace;
use crate::peers::matching::Matching;
use crate::run;
use crate::scenario::{Phase, PhaseKind};

const SCRIPT_SECONDS: u32 = 3;
/// Longer than both scripts take.
const LOAD_SECONDS: f64 = 30.0;

pub(super) fn measure(bench: &mut Bench, _: &Path) -> Result<(), String> {
    let mut scenario = job_without_lookups()?;
    let steady = Phase { kind: PhaseKind::Steady, seconds: LOAD_SECONDS, share: 1.0, from: 0.0, partner: None };
    scenario.phases = vec![steady];
    let target = bench.start(&Variant::new("pinion", "pinion", &scenario)?)?;
    let (address, core, pid) = (target.address, bench.cores.generator, target.pids[0]);
    // As much as it takes: a server with time to spare answers each request in a turn of its own.
    let pace = Pace::Closed { ns: (LOAD_SECONDS * 1e9) as u64 };
    let load = thread::spawn(move || run::offer(&scenario, address, pace, core));
    thread::sleep(std::time::Duration::from_secs(2));
    for script in ["syscalls.sh", "allocations.sh"] {
        watch(bench, script, pid)?;
    }
    // The load ends with the server, and what became of it says nothing.
    drop(target);
    let _ = load.join();
    test_allocations(bench);
    for count in [1_000_000, 10_000_000] {
        bench.count(&format!("bytes of a visitor among {count}"), bytes_per_visitor(count));
    }
    for count in [10_000, 100_000] {
        bench.count(&format!("nanoseconds to match {count} rules"), matching_ns(count)?);
    }
    time_hop(bench);
    Ok(())
}

/// The median of some rounds over thousands of calls of the standard job, each with its own values.
fn matching_ns(rules: u32) -> Result<f64, String> {
    const ROUNDS: usize = 9;
    const CALLS: u32 = 20_000;
    let mut matching = Matching::with_rules(rules)?;
    let mut round = || {
        let start = Instant::now();
        (0..CALLS).for_each(|_| matching.evaluate());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[ROUNDS / 2])
}

/// What a call that is away from home takes longer, by the benches: half of the calls of one of them are.
fn time_hop(bench: &mut Bench) {
    let names = ["shard/event_10k_rules", "shard/event_half_away"];
    let mut cargo = Command::new("cargo");
    cargo.args(["bench", "--locked", "--bench", "time", "--", "shard/event_(10k_rules|half_away)"]);
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let said = cargo.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    match names.map(|name| timed_ns(&said, name)) {
        [Some(home), Some(half_away)] => bench.count("nanoseconds of a hop", 2.0 * (half_away - home)),
        _ => bench.miss("the benches of a hop did not run: they need cargo"),
    }
}

/// The middle one of `time:   [1.0 us 1.1 us 1.2 us]`, on the line of the name or on the next.
fn timed_ns(said: &str, name: &str) -> Option<f64> {
    let mut lines = said.lines().skip_while(|line| line.split_whitespace().next() != Some(name));
    let times = lines.find_map(|line| line.split_once("time:"))?.1.trim().trim_matches(['[', ']']);
    let mut words = times.split_whitespace().skip(2);
    let number: f64 = words.next()?.parse().ok()?;
    let scale = match words.next()? {
        "ns" => 1.0,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
        "ms" => 1e6,
        _ => return None,
    };
    Some(number * scale)
}

/// Takes what a script says in lines such as `0.042 io_uring_enter per request`, and whether it found a fault.
fn watch(bench: &mut Bench, script: &str, pid: u32) -> Result<(), String> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../perf").join(script);
    let output = Command::new(&path)
        .arg(pid.to_string())
        .env("SECONDS_MEASURED", SCRIPT_SECONDS.to_string())
        .output()
        .map_err(|error| format!("perf/{script}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = said.lines().find(|line| line.starts_with("SKIPPED")) {
        bench.miss(line);
        return Ok(());
    }
    let name = script.trim_end_matches(".sh");
    for (count, what) in said.lines().filter_map(per_request) {
        bench.count(&format!("{name}: {what} per request"), count);
    }
    let faults = said.lines().filter(|line| line.starts_with("FAIL")).count();
    let is_told = faults > 0 || said.lines().any(|line| line.starts_with("PASS"));
    if !is_told {
        return Err(format!("perf/{script} said neither PASS nor FAIL: {}", String::from_utf8_lossy(&output.stderr)));
    }
    bench.count(&format!("{name}: faults"), faults as f64);
    Ok(())
}

/// Probes in the C library need a kernel that has them; the tests' own allocator needs nothing.
fn test_allocations(bench: &mut Bench) {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--locked", "--test", "it", "allocations::"]);
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    match cargo.output().map(|output| passed(&String::from_utf8_lossy(&output.stdout))) {
        Ok(Some((passed, failed))) => {
            bench.count("allocations: tests passed", passed);
            bench.count("allocations: tests failed", failed);
        }
        _ => bench.miss("the tests of allocations did not run: they need cargo"),
    }
}

/// Reads `test result: ok. 3 passed; 0 failed; ...`.
fn passed(said: &str) -> Option<(f64, f64)> {
    let line = said.lines().find_map(|line| line.strip_prefix("test result: "))?;
    let (_, counts) = line.split_once(". ")?;
    let mut counts = counts.split("; ").map(|part| part.split_once(' ').and_then(|(count, _)| count.parse().ok()));
    Some((counts.next()??, counts.next()??)).filter(|(passed, failed): &(f64, f64)| passed + failed > 0.0)
}

fn per_request(line: &str) -> Option<(f64, &str)> {
    let (count, what) = line.trim().strip_suffix(" per request")?.split_once(' ')?;
    Some((count.parse().ok()?, what))
}

/// A visitor with eight traits of the last month, three segments and what one partner said; her share of the index
/// included. The table is made large enough for all, and no larger than needed.
fn bytes_per_visitor(count: u64) -> f64 {
    const BYTES_MAX: u64 = 160;
    const NOW: Now = Now { mono_ns: 0, wall_ms: 1_795_289_301_558 };
    let info = TraitInfo { account: AccountIndex(0), ttl_days: 120, window_days: 30, minutes_kept: 0 };
    let catalog = TraitCatalog::new((1..=10_000).map(|id| (TraitId(id), info)));
    let mut table = ProfileTable::new((count * BYTES_MAX) as usize, Secret::from_bytes([9; 32]).table_hash());
    let mut profile = Profile::new();
    for n in 0..8_u16 {
        let id = TraitId(1 + u32::from(n) * 1_237);
        profile.realise(&[id], |id| catalog.keeping(id), NOW.day() - n * 3, NOW.minute());
    }
    profile.set_segments_of_account(
        |_| true,
        &[SegmentId(1_000), SegmentId(1_017), SegmentId(1_034)],
        &mut Vec::new(),
        &mut Vec::new(),
    );
    let asked_s = (NOW.wall_ms / 1_000) as u32;
    let names = [&b"sport-17"[..], b"cars-5"];
    profile.set_partner(PartnerId(1), PartnerOutcome::Segments, asked_s, asked_s + 3_600, names);
    profile.last_seen = NOW.minute();
    for number in 0..count {
        let (high, low) = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15), number.wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ 1);
        profile.uuid = Uuid::from_bits(high, low);
        table.store(&profile, NOW.minute());
    }
    table.memory().bytes_per_profile()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_what_scripts_say() {
        assert_eq!(per_request("         0.042 io_uring_enter per request"), Some((0.042, "io_uring_enter")));
        let said = "running 2 tests\n\ntest result: FAILED. 1 passed; 2 failed; 0 ignored; finished in 1.93s\n";
        assert_eq!(passed(said), Some((1.0, 2.0)));
        assert_eq!(passed("test result: ok. 0 passed; 0 failed; 9 filtered out"), None);
        assert_eq!(per_request("requests: 12 in 3 s, watched by strace"), None);
    }

    #[test]
    fn times_are_read_from_what_benches_say() {
        let said = "shard/a: results have the hash 1\n\
                    shard/a         time:   [1.0000 \u{b5}s 1.2500 \u{b5}s 2.0 \u{b5}s]\n\
                    shard/event_half_away\n                time:   [900.00 ns 950.50 ns 1.0 \u{b5}s]\n";
        assert_eq!((timed_ns(said, "shard/a"), timed_ns(said, "shard/event_half_away")), (Some(1_250.0), Some(950.5)));
        assert_eq!(timed_ns(said, "shard/b"), None);
    }

    #[test]
    fn a_visitor_has_a_size() {
        let bytes = bytes_per_visitor(20_000);
        assert!((100.0..=160.0).contains(&bytes), "{bytes}");
    }
}
