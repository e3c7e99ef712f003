//! What was to be reached, and what was: one row for each goal, from the kept figures alone.

use std::fmt::Write as _;

use super::document::Kept;
use super::{ADDED, CPU, Measure, P99, Spread};
use crate::verdict::format_ns;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// By which notes refer to it.
    pub key: &'static str,
    pub what: &'static str,
    pub goal: &'static str,
    pub measured: String,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Missed,
    /// Not decided: not measured, or held in disturbed turns only.
    Open,
}

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Missed => "**MISSED**",
            Verdict::Open => "OPEN",
        }
    }

    /// A goal that is held in disturbed turns alone is not held yet; one that is missed in them is missed.
    fn of(holds: bool, is_disturbed: bool) -> Verdict {
        match (holds, is_disturbed) {
            (true, true) => Verdict::Open,
            (true, false) => Verdict::Pass,
            (false, _) => Verdict::Missed,
        }
    }
}

/// A goal for the ratio of two variants of one step.
struct Ratio {
    key: &'static str,
    what: &'static str,
    goal: &'static str,
    step: &'static str,
    sides: (&'static str, &'static str),
    measure: Measure,
    holds: fn(f64) -> bool,
}

pub(super) fn rows(kept: &Kept) -> Vec<Row> {
    let ratio = |ratio: &Ratio| ratio_row(kept, ratio);
    let mut rows: Vec<Row> = BESIDE_OTHERS.iter().map(ratio).collect();
    rows.extend(LATENCY.iter().map(ratio));
    rows.push(added(kept));
    rows.extend([allocations(kept), system_calls(kept)]);
    for (key, step) in [("rules", "rules"), ("visitors", "visitors")] {
        rows.extend(growth(kept, key, step));
    }
    rows.push(shards(kept));
    rows.extend(TIMES.iter().map(|time| time_row(kept, time)));
    rows.push(memory(kept));
    rows.push(open("log", "log on beside log off", "<= 5 % CPU", "not built yet"));
    rows.push(open("tls", "TLS", "no figure is set", "not built yet"));
    rows
}

const BESIDE_OTHERS: &[Ratio] = &[
    Ratio {
        key: "cpu-saturation",
        what: "CPU per request without lookups, at saturation, beside nginx `empty_gif`",
        goal: "<= 1 x",
        step: "saturation",
        sides: ("pinion", "nginx-empty-gif"),
        measure: CPU,
        holds: |ratio| ratio <= 1.0,
    },
    Ratio {
        key: "cpu-half",
        what: "the same at half of the highest rate",
        goal: "<= 1 x",
        step: "pixel",
        sides: ("pinion", "nginx-empty-gif"),
        measure: CPU,
        holds: |ratio| ratio <= 1.0,
    },
    Ratio {
        key: "moonshot",
        what: "the same beside the bare reactor with the matcher alone",
        goal: "<= 1.15 x",
        step: "pixel",
        sides: ("pinion", "bare-matcher"),
        measure: CPU,
        holds: |ratio| ratio <= 1.15,
    },
];

const LATENCY: &[Ratio] = &[
    Ratio {
        key: "p99-bare",
        what: "p99 at half of the highest rate, beside the bare reactor",
        goal: "<= 1.5 x",
        step: "pixel",
        sides: ("pinion", "bare"),
        measure: P99,
        holds: |ratio| ratio <= 1.5,
    },
    Ratio {
        key: "p99-nginx",
        what: "p99 at half of the highest rate, beside nginx `empty_gif`",
        goal: "< 1 x",
        step: "pixel",
        sides: ("pinion", "nginx-empty-gif"),
        measure: P99,
        holds: |ratio| ratio < 1.0,
    },
    Ratio {
        key: "lookup",
        what: "CPU per event with a lookup of one partner, beside nginx + lua",
        goal: "<= 0.33 x (moonshot: 0.25 x)",
        step: "lookup",
        sides: ("pinion", "nginx-lua"),
        measure: CPU,
        holds: |ratio| ratio <= 1.0 / 3.0,
    },
    Ratio {
        key: "glommio",
        what: "requests for each second of CPU, without lookups, beside the same shard on glommio",
        goal: ">= 1.5 x",
        step: "saturation",
        // What one request costs there for what it costs here is how many more are done here.
        sides: ("glommio", "pinion"),
        measure: CPU,
        holds: |ratio| ratio >= 1.5,
    },
    Ratio {
        key: "glommio-lookups",
        what: "the same with the three partners of the standard job",
        goal: ">= 1.5 x",
        step: "standard",
        sides: ("glommio, saturated", "pinion, saturated"),
        measure: CPU,
        holds: |ratio| ratio >= 1.5,
    },
];

fn ratio_row(kept: &Kept, ratio: &Ratio) -> Row {
    let Ratio { key, what, goal, step, sides, measure, holds } = *ratio;
    let Some(results) = kept.step(step) else { return open(key, what, goal, "not measured") };
    let (Some(spread), Some(ours), Some(theirs)) =
        (results.ratio(sides.0, sides.1, measure), results.value(sides.0, measure), results.value(sides.1, measure))
    else {
        let missing = results.missing.join("; ");
        let reason = if missing.is_empty() { "too few samples".to_owned() } else { missing };
        return open(key, what, goal, &format!("not measured: {reason}"));
    };
    let measured = format!("{}: {} beside {}", factor(spread), format_ns(ours.median), format_ns(theirs.median));
    Row { key, what, goal, measured, verdict: Verdict::of(holds(spread.median), spread.is_disturbed) }
}

fn added(kept: &Kept) -> Row {
    let (key, goal) = ("added", "<= 200 us");
    let what = "added by us to the slowest awaited partner's answer, p99 at half of the highest rate";
    let spread = kept.step("standard").and_then(|results| results.value("pinion, half load", ADDED));
    let Some(spread) = spread else { return open(key, what, goal, "not measured") };
    let Spread { median, least, most, is_disturbed } = spread;
    let mut measured = format!("{} ({} to {})", format_ns(median), format_ns(least), format_ns(most));
    measured.push_str(disturbed(is_disturbed));
    Row { key, what, goal, measured, verdict: Verdict::of(median <= 200_000.0, is_disturbed) }
}

/// By probes under load; where the kernel has none, by the tests, whose allocator counts.
fn allocations(kept: &Kept) -> Row {
    let (key, what, goal) = ("allocations", "allocations and frees of a shard's thread from `ready` on", "0");
    let tests = ["passed", "failed"].map(|word| kept.count(&format!("allocations: tests {word}")));
    let (measured, faults) = match (kept.count("allocations: faults"), tests) {
        (Some(faults), _) => ("under load, by probes", faults),
        (None, [Some(_), Some(failed)]) => ("while all kinds of requests are answered, by test `allocations`", failed),
        _ => return open(key, what, goal, &format!("not measured{}", kept.missing("counts"))),
    };
    let found = if faults == 0.0 { "0" } else { "some" };
    let measured = format!("{found} {measured}");
    Row { key, what, goal, measured, verdict: Verdict::of(faults == 0.0, false) }
}

/// A lock that is waited for is a system call, so that these are counted with them.
fn system_calls(kept: &Kept) -> Row {
    let (key, what) = ("system-calls", "system calls of a shard's thread under load, waiting for locks included");
    let goal = "io_uring_enter alone, fewer than one per request";
    let Some(faults) = kept.count("syscalls: faults") else { return open(key, what, goal, "not measured") };
    let mut measured = String::new();
    for (name, count) in kept.step("counts").into_iter().flat_map(|results| &results.counts) {
        if let Some(call) = name.strip_prefix("syscalls: ").and_then(|name| name.strip_suffix(" per request")) {
            let _ = write!(measured, "{}{count:.3} {call}", if measured.is_empty() { "" } else { ", " });
        }
    }
    Row { key, what, goal, measured: measured + " per request", verdict: Verdict::of(faults == 0.0, false) }
}

/// From a sweep's first variant to its last.
fn growth(kept: &Kept, key: &'static str, step: &'static str) -> Vec<Row> {
    let names: [(&str, &str, Measure); 2] = match key {
        "rules" => [
            ("rules", "CPU per event, from 100 rules to 100,000", CPU),
            ("rules-p99", "p99, from 100 rules to 100,000", P99),
        ],
        _ => [
            ("visitors", "CPU per event, from 10,000 visitors to 10,000,000", CPU),
            ("visitors-p99", "p99, from 10,000 visitors to 10,000,000", P99),
        ],
    };
    let row = |(key, what, measure): (&'static str, &'static str, Measure)| {
        let Some(results) = kept.step(step) else { return open(key, what, "< 2 x", "not measured") };
        let variants = results.variants();
        let (Some(first), Some(last)) = (variants.first(), variants.last()) else {
            return open(key, what, "< 2 x", "not measured");
        };
        let Some(spread) = results.ratio(last, first, measure) else {
            return open(key, what, "< 2 x", "not measured: too few samples");
        };
        let is_whole = results.missing.is_empty();
        let measured = format!("{} from {first} to {last}", factor(spread));
        let verdict = Verdict::of(spread.median < 2.0, spread.is_disturbed || !is_whole);
        Row { key, what, goal: "< 2 x", measured, verdict }
    };
    names.map(row).into()
}

/// Counted without a kernel, where nothing else is in the figure.
fn shards(kept: &Kept) -> Row {
    let (key, goal) = ("shards", "<= 1.15 x");
    let what = "instructions per event of two shards beside one, half of the calls away from home";
    let counts = ["shard/event_half_away", "shard/event_10k_rules"].map(|name| kept.instructions(name));
    let [Some(two), Some(one)] = counts else { return open(key, what, goal, "not measured") };
    let measured = format!("{:.3} x: {two:.0} beside {one:.0}", two / one);
    Row { key, what, goal, measured, verdict: Verdict::of(two / one <= 1.15, false) }
}

/// A time of ours alone, without a kernel and beside nothing else.
struct Time {
    key: &'static str,
    what: &'static str,
    goal: &'static str,
    count: &'static str,
    most_ns: f64,
}

const TIMES: &[Time] = &[
    Time {
        key: "hop",
        what: "CPU of a hop: what a call away from home takes longer",
        goal: "<= 1 us",
        count: "nanoseconds of a hop",
        most_ns: 1e3,
    },
    Time {
        key: "matching",
        what: "matching a call of 20 signals against 10,000 rules",
        goal: "< 2 us",
        count: "nanoseconds to match 10000 rules",
        most_ns: 2e3,
    },
    Time {
        key: "matching-100k",
        what: "the same against 100,000 rules",
        goal: "< 5 us",
        count: "nanoseconds to match 100000 rules",
        most_ns: 5e3,
    },
];

fn time_row(kept: &Kept, time: &Time) -> Row {
    let Time { key, what, goal, count, most_ns } = *time;
    let Some(ns) = kept.count(count) else { return open(key, what, goal, "not measured") };
    Row { key, what, goal, measured: format_ns(ns), verdict: Verdict::of(ns <= most_ns, false) }
}

fn memory(kept: &Kept) -> Row {
    let (key, goal) = ("memory", "<= 160 bytes");
    let what = "memory of a visitor with 8 traits, 3 segments and 1 partner, index included";
    let counts = [1_000_000, 10_000_000].map(|count| kept.count(&format!("bytes of a visitor among {count}")));
    let [Some(one), Some(ten)] = counts else { return open(key, what, goal, "not measured") };
    let measured = format!("{one:.1} bytes among 1,000,000, {ten:.1} among 10,000,000");
    Row { key, what, goal, measured, verdict: Verdict::of(one.max(ten) <= 160.0, false) }
}

fn open(key: &'static str, what: &'static str, goal: &'static str, reason: &str) -> Row {
    Row { key, what, goal, measured: reason.to_owned(), verdict: Verdict::Open }
}

pub(super) fn factor(spread: Spread) -> String {
    let Spread { median, least, most, is_disturbed } = spread;
    format!("{median:.2} x ({least:.2} to {most:.2}){}", disturbed(is_disturbed))
}

fn disturbed(is_disturbed: bool) -> &'static str {
    if is_disturbed { ", disturbed" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::super::{Results, tests::turn};
    use super::*;

    fn verdict_of(ours_ns: f64, counts: bool) -> (Verdict, String) {
        let turns = vec![turn("pinion", 1, ours_ns, counts), turn("nginx-empty-gif", 1, 10_000.0, true)];
        let kept = Kept::of(vec![Results { step: "saturation".to_owned(), turns, ..Results::default() }]);
        let row = rows(&kept).into_iter().find(|row| row.key == "cpu-saturation").unwrap();
        (row.verdict, row.measured)
    }

    #[test]
    fn goals_are_passed_missed_or_open() {
        assert_eq!(verdict_of(9_000.0, true), (Verdict::Pass, "0.90 x (0.90 to 0.90): 9.0 us beside 10.0 us".into()));
        assert_eq!(verdict_of(12_000.0, true).0, Verdict::Missed);
        assert_eq!(verdict_of(9_000.0, false).0, Verdict::Open);
        assert_eq!(verdict_of(12_000.0, false).0, Verdict::Missed);
        assert!(rows(&Kept::of(Vec::new())).iter().all(|row| row.verdict == Verdict::Open));
    }

    #[test]
    fn calls_are_counted_by_name() {
        let mut results = Results { step: "counts".to_owned(), ..Results::default() };
        results.counts.insert("syscalls: io_uring_enter per request".to_owned(), 0.25);
        results.counts.insert("syscalls: faults".to_owned(), 0.0);
        let row = system_calls(&Kept::of(vec![results]));
        assert_eq!((row.verdict, row.measured.as_str()), (Verdict::Pass, "0.250 io_uring_enter per request"));
    }
}
