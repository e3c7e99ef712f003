//! A step's table.

use std::fmt::Write as _;

use super::goals::factor;
use super::{ADDED, CPU, LOOKUPS, Measure, P50, P99, RATE, Results, Spread};
use crate::verdict::format_ns;

/// What a step's variants are compared with.
enum Beside {
    /// The first one, each of the others for it.
    First,
    /// The first one, it for each of the others.
    Others,
    Nothing,
}

pub(super) fn of(results: &Results, folder: &str) -> String {
    let mut text = String::new();
    if !results.turns.is_empty() {
        table(&mut text, results);
    }
    if !results.counts.is_empty() {
        text.push_str("\n| what | count |\n|---|---:|\n");
        for (name, count) in &results.counts {
            let digits = if count.fract() == 0.0 { 0 } else { 3 };
            let _ = writeln!(text, "| {name} | {count:.digits$} |");
        }
    }
    for missing in &results.missing {
        let _ = writeln!(text, "\nNot measured: {missing}.");
    }
    if super::plots::of(results).is_some() {
        let _ = writeln!(text, "\n![{0}: CPU per request and latency]({folder}/{0}.svg)", results.step);
    }
    let _ = writeln!(text, "\nCommit {}, {}.", results.host.commit, results.host.date);
    text
}

fn table(text: &mut String, results: &Results) {
    let variants = results.variants();
    let first = variants[0];
    let beside = match results.step.as_str() {
        "saturation" | "pixel" | "lookup" => Beside::Others,
        "ablation" | "rules" | "visitors" | "connections" | "shards" => Beside::First,
        _ => Beside::Nothing,
    };
    let has_lookups = results.turns.iter().any(|turn| turn.lookups_per_request > 0.0);
    let has_added = variants.iter().any(|variant| results.value(variant, ADDED).is_some());
    let has_closed = results.turns.iter().any(|turn| turn.is_closed);
    let compared = match beside {
        Beside::First => [format!("CPU beside {first}"), format!("p99 beside {first}")].to_vec(),
        Beside::Others => [format!("{first}'s CPU beside it"), format!("{first}'s p99 beside it")].to_vec(),
        Beside::Nothing => Vec::new(),
    };
    let mut heads = vec!["", "answered", "CPU per request", "p50", "p99"];
    heads.extend(has_lookups.then_some("lookups a request"));
    heads.extend(has_added.then_some("added, p99"));
    heads.extend(compared.iter().map(String::as_str));
    heads.push("turns");
    let _ = writeln!(text, "\n| {} |\n|---{}|", heads.join(" | "), "|---:".repeat(heads.len() - 1));
    for variant in &variants {
        let mut cells = vec![(*variant).to_owned()];
        cells.push(results.value(variant, RATE).map_or("-".to_owned(), |rate| format!("{:.0}/s", rate.median)));
        cells.extend([CPU, P50, P99].map(|measure| time(results.value(variant, measure))));
        let lookups = results.value(variant, LOOKUPS).map_or(0.0, |lookups| lookups.median);
        cells.extend(has_lookups.then(|| format!("{lookups:.2}")));
        cells.extend(has_added.then(|| time(results.value(variant, ADDED))));
        let ratio = |measure: Measure| {
            let sides = if matches!(beside, Beside::First) { (*variant, first) } else { (first, *variant) };
            let spread = results.ratio(sides.0, sides.1, measure).filter(|_| *variant != first);
            spread.map_or("-".to_owned(), factor)
        };
        if !compared.is_empty() {
            cells.extend([CPU, P99].map(ratio));
        }
        cells.push(turns(results, variant));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    if has_closed {
        text.push_str(
            "\nSaturated turns are a closed loop: a request leaves when a connection is free. Their latencies say how \
             many connections\nthere were, and nothing about visitors.\n",
        );
    }
}

/// How many there were, and how many of them count.
fn turns(results: &Results, variant: &str) -> String {
    let all: Vec<_> = results.turns.iter().filter(|turn| turn.variant == variant).collect();
    let sound = all.iter().filter(|turn| turn.counts(true)).count();
    let disturbed = all.len() - sound;
    if disturbed == 0 { format!("{sound}") } else { format!("{}, {disturbed} of them disturbed", all.len()) }
}

fn time(spread: Option<Spread>) -> String {
    spread.map_or("-".to_owned(), |spread| format_ns(spread.median))
}

#[cfg(test)]
mod tests {
    use super::super::tests::turn;
    use super::*;

    #[test]
    fn a_table_compares_with_its_first_variant() {
        let turns = vec![turn("pinion", 1, 10_000.0, true), turn("without-multishot", 1, 12_000.0, true)];
        let results = Results { step: "ablation".to_owned(), turns, ..Results::default() };
        let text = of(&results, "benchmarks");
        assert!(text.contains("| without-multishot | 10000/s | 12.0 us |"), "{text}");
        assert!(text.contains("| 1.20 x (1.20 to 1.20) | 1.00 x (1.00 to 1.00) | 1 |"), "{text}");
        let columns: Vec<usize> =
            text.lines().filter(|line| line.starts_with('|')).map(|line| line.matches('|').count()).collect();
        assert!(columns.iter().all(|count| *count == columns[0]), "{text}");
    }
}
