//! Plots of the steps that vary a number.

use super::{CPU, P50, P99, Results};
use crate::report::plot::{SizePoint, against_size};

/// `None`: nothing that a plot could show.
pub(super) fn of(results: &Results) -> Option<String> {
    let (label, title) = match results.step.as_str() {
        "rules" => ("rules", "Cost of an event against the number of rules"),
        "visitors" => ("visitors in the table", "Cost of an event against the number of visitors"),
        "connections" => ("connections", "Cost of an event against the number of connections"),
        _ => return None,
    };
    let mut points = Vec::new();
    for variant in results.variants() {
        let x = results.turns.iter().find(|turn| turn.variant == variant)?.x?;
        let value = |measure| results.value(variant, measure).map(|spread| spread.median);
        points.push(SizePoint { x, cpu_ns: value(CPU), p50_ns: value(P50), p99_ns: value(P99) });
    }
    let rate = results.turns.first()?.asked_per_s;
    Some(against_size(&format!("{title}, {rate:.0}/s"), label, &points))
}
