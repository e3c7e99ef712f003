//! A run as JSON, for programs that compare runs.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::histograms::all;
use crate::run::Run;

pub fn result(run: &Run) -> String {
    let mut text = serde_json::to_string_pretty(&value(run)).expect("values of ours have string keys");
    text.push('\n');
    text
}

pub fn value(run: &Run) -> Value {
    let outcome = &run.outcome;
    let times: serde_json::Map<String, Value> =
        all(outcome).iter().map(|(name, histogram)| (name.replace('-', "_"), times(histogram))).collect();
    json!({
        "verdict": run.verdict.word(),
        "budgets": run.verdict.lines,
        "saturated": run.verdict.saturated,
        "target": run.target,
        "times_ns": times,
        "due": outcome.due,
        "achieved": outcome.achieved,
        "achieved_per_s": run.achieved_rate(),
        "answered_in_all": outcome.answered_total,
        "errors": outcome.faults,
        "reconnects": outcome.reconnects,
        "connections_all_taken": outcome.crowded,
        "lookups": outcome.lookups,
        "lookup_hits": outcome.lookup_hits,
        "cpu_per_request_ns": run.evidence.cpu_per_request_ns,
        "generator_alone_per_s": run.evidence.generator_rate,
        "disturbance": run.evidence.disturbance,
        "memory_bytes": run.evidence.memory_bytes,
        "stalled": run.stall.is_some(),
        "load_and_server_share_a_machine": true,
        "host": run.host,
        "scenario": run.scenario,
    })
}

fn times(histogram: &Histogram<u64>) -> Value {
    let at = |quantile| histogram.value_at_quantile(quantile);
    json!({
        "samples": histogram.len(),
        "mean": histogram.mean(),
        "p50": at(0.5),
        "p90": at(0.9),
        "p99": at(0.99),
        "p99.9": at(0.999),
        "max": histogram.max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::example;

    #[test]
    fn a_result_says_what_and_where() {
        let read: Value = serde_json::from_str(&result(&example())).unwrap();
        assert_eq!(read["verdict"], "SATURATED");
        assert_eq!(read["times_ns"]["response"]["samples"], 20_000);
        assert!(read["host"]["kernel"].is_string() && read["scenario"]["seed"].is_number());
        assert!(read["budgets"][0]["passes"].is_boolean());
    }
}
