//! The highest rate at which all budgets hold: doubled until one fails, then bisected. A rate that failed is tried
//! again before it counts as too high, since the machine can spoil a run but can't make a slow server fast.

use std::path::Path;

use serde::Serialize;

use crate::report::plot::RatePoint;
use crate::run::Run;
use crate::scenario::Scenario;

/// Bisection ends when the bracket is this narrow.
const PRECISION: f64 = 0.05;
const DOUBLINGS_MAX: u32 = 10;
/// Tries of one rate.
const TRIES: u32 = 2;
/// What a run must have been asked for so that p99 is allowed, with a little more for Poisson's sake.
const REQUESTS_MIN: f64 = 11_000.0;
const SECONDS_MIN: f64 = 4.0;

#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// 0: not even the lowest rate that was tried.
    pub rate_max: f64,
    /// What kept the next higher rate from passing.
    pub limit: String,
    pub points: Vec<Point>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Point {
    pub rate: f64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub verdict: &'static str,
    pub cpu_per_request_ns: Option<f64>,
}

/// Tries rates by `run`, beginning with the scenario's own.
///
/// # Errors
/// Those of a run.
pub fn find(
    scenario: &Scenario,
    mut run: impl FnMut(&Scenario) -> Result<Run, String>,
    mut tell: impl FnMut(&Point),
) -> Result<Curve, String> {
    let mut curve = Curve { rate_max: 0.0, limit: String::new(), points: Vec::new() };
    let mut passes = |rate: f64, curve: &mut Curve| -> Result<bool, String> {
        for _ in 0..TRIES {
            let done = run(&at_rate(scenario, rate))?;
            let point = point(rate, &done);
            tell(&point);
            curve.points.push(point);
            if done.verdict.passes() {
                return Ok(true);
            }
            curve.limit = limit(&done);
        }
        Ok(false)
    };
    let (mut low, mut high) = (0.0, scenario.rate);
    for _ in 0..DOUBLINGS_MAX {
        if !passes(high, &mut curve)? {
            break;
        }
        (low, high) = (high, 2.0 * high);
    }
    // Below a sixteenth of the scenario's own rate there is nothing to find.
    while high - low > PRECISION * high && high > scenario.rate / 16.0 {
        let middle = (low + high) / 2.0;
        if passes(middle, &mut curve)? { low = middle } else { high = middle }
    }
    curve.rate_max = low;
    Ok(curve)
}

/// The same job at another rate, as long as percentiles need.
fn at_rate(scenario: &Scenario, rate: f64) -> Scenario {
    let mut scenario = Scenario { rate, ..scenario.clone() };
    scenario.stretch((REQUESTS_MIN / rate).max(SECONDS_MIN));
    scenario
}

fn point(rate: f64, run: &Run) -> Point {
    let response = &run.outcome.response;
    Point {
        rate,
        p50_ns: response.value_at_quantile(0.5),
        p99_ns: response.value_at_quantile(0.99),
        verdict: run.verdict.word(),
        cpu_per_request_ns: run.evidence.cpu_per_request_ns,
    }
}

fn limit(run: &Run) -> String {
    let failed = run.verdict.lines.iter().find(|line| !line.passes);
    match (run.verdict.saturated.first(), failed) {
        (Some(reason), _) => reason.text.clone(),
        (None, Some(line)) => format!("{}: {}", line.budget.text, line.measured),
        (None, None) => String::new(),
    }
}

impl Curve {
    pub fn plot_points(&self) -> Vec<RatePoint> {
        let point = |point: &Point| RatePoint {
            rate: point.rate,
            p50_ns: point.p50_ns as f64,
            p99_ns: point.p99_ns as f64,
            passes: point.verdict == "PASS",
        };
        self.points.iter().map(point).collect()
    }

    /// # Errors
    /// What could not be written.
    pub fn write(&self, scenario: &Scenario, folder: &Path) -> Result<(), String> {
        let json = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        crate::report::put(folder, "find-max.json", json.as_bytes())?;
        let svg = crate::report::plot::against_rate(&scenario.name, &self.plot_points(), &scenario.budgets);
        crate::report::put(folder, "against-rate.svg", svg.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary;

    fn search(limit: f64) -> Curve {
        let scenario = Scenario { rate: 1_000.0, ..Scenario::load("smoke").unwrap() };
        let run = |scenario: &Scenario| {
            let mut run = summary::example();
            run.verdict.saturated.clear();
            run.verdict.lines.truncate(1);
            run.verdict.lines[0].passes = scenario.rate <= limit;
            assert!(scenario.rate * scenario.seconds() >= 10_000.0);
            Ok(run)
        };
        find(&scenario, run, |_| ()).unwrap()
    }

    #[test]
    fn the_highest_rate_is_found_from_both_sides() {
        for limit in [300.0, 1_000.0, 7_300.0, 100_000.0] {
            let curve = search(limit);
            assert!(curve.rate_max <= limit && curve.rate_max >= limit * 0.94, "{limit}: {}", curve.rate_max);
            assert!(!curve.limit.is_empty());
        }
        assert_eq!(search(1.0).rate_max, 0.0);
    }
}
