//! What must hold, and whether it did.
//!
//! A budget is a line such as `p99 <= 1.0 ms`, `service p99.9 <= 3 ms`, `added_by_server p99 <= 200 us`,
//! `errors == 0`, `errors <= 0.1 %`, `achieved >= 99 %`, `cpu <= 20 us` (the server's, for each request) or
//! `memory_growth <= 2 %` (of its resident memory, from the first measured request to the last). A bare percentile is
//! one of the response time. A percentile of too few samples is refused, which is a FAIL.
//!
//! A run that the machine or the generator itself disturbed proves nothing: it is SATURATED and fails as well.

use std::fmt;
use std::str::FromStr;

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::engine::Outcome;
use crate::host::Disturbance;

#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    pub text: String,
    pub metric: Metric,
    pub relation: Relation,
    /// Nanoseconds, a share, or a count.
    pub limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    Time(Times, Statistic),
    ErrorCount,
    ErrorShare,
    Achieved,
    CpuPerRequest,
    MemoryGrowth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    Response,
    Service,
    SendLag,
    AddedByServer,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    Percentile(f64),
    Mean,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    AtMost,
    AtLeast,
    Equal,
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Budget, String> {
        let fault = |what: &str| format!("budget `{text}`: {what}");
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|word| ["<=", ">=", "=="].contains(word));
        let at = at.ok_or_else(|| fault("needs `<=`, `>=` or `==` between spaces"))?;
        let relation = match words[at] {
            "<=" => Relation::AtMost,
            ">=" => Relation::AtLeast,
            _ => Relation::Equal,
        };
        let value = words[at + 1..].concat();
        let end = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
        let (digits, unit) = value.split_at(end);
        let number: f64 = digits.parse().map_err(|_| fault("needs a number behind its relation"))?;
        let metric = match (&words[..at], unit) {
            (["errors"], "") => Metric::ErrorCount,
            (["errors"], "%") => Metric::ErrorShare,
            (["achieved"], "%") => Metric::Achieved,
            (["memory_growth"], "%") => Metric::MemoryGrowth,
            (["cpu"], _) => Metric::CpuPerRequest,
            ([name], _) => Metric::Time(Times::Response, statistic(name).ok_or_else(|| fault(NAMES))?),
            ([times, name], _) => {
                let times = match *times {
                    "response" => Times::Response,
                    "service" => Times::Service,
                    "send_lag" => Times::SendLag,
                    "added_by_server" => Times::AddedByServer,
                    _ => return Err(fault(NAMES)),
                };
                Metric::Time(times, statistic(name).ok_or_else(|| fault(NAMES))?)
            }
            _ => return Err(fault(NAMES)),
        };
        let scale = match (metric, unit) {
            (Metric::ErrorCount, "") => 1.0,
            (Metric::ErrorShare | Metric::Achieved | Metric::MemoryGrowth, "%") => 0.01,
            (Metric::Time(..) | Metric::CpuPerRequest, "ns") => 1.0,
            (Metric::Time(..) | Metric::CpuPerRequest, "us") => 1e3,
            (Metric::Time(..) | Metric::CpuPerRequest, "ms") => 1e6,
            (Metric::Time(..) | Metric::CpuPerRequest, "s") => 1e9,
            _ => {
                return Err(fault(
                    "times need ns, us, ms or s; `achieved` and `memory_growth` need %; `errors` takes % or nothing",
                ));
            }
        };
        Ok(Budget { text: text.to_owned(), metric, relation, limit: number * scale })
    }
}

const NAMES: &str = "a percentile (`p99`), `mean` or `max`, perhaps after `response`, `service`, `send_lag` or \
                     `added_by_server`; or `errors`, `achieved`, `cpu`, `memory_growth`";

fn statistic(name: &str) -> Option<Statistic> {
    match name {
        "mean" => Some(Statistic::Mean),
        "max" => Some(Statistic::Max),
        _ => {
            let percent: f64 = name.strip_prefix('p')?.parse().ok()?;
            (0.0..100.0).contains(&percent).then_some(Statistic::Percentile(percent))
        }
    }
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Budget, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Budget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub lines: Vec<Line>,
    /// Why the run proves nothing, if so.
    pub saturated: Vec<Reason>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub budget: Budget,
    pub passes: bool,
    /// In words.
    pub measured: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Reason {
    pub text: String,
    /// The machine's doing, so that another try may go better.
    pub is_passing: bool,
}

/// What a run is judged by, beside its books.
#[derive(Clone, Copy, Debug)]
pub struct Evidence {
    pub rate: f64,
    /// The highest rate of the generator itself on this machine; `None`: not measured.
    pub generator_rate: Option<f64>,
    pub disturbance: Disturbance,
    /// Of the server, over all requests.
    pub cpu_per_request_ns: Option<f64>,
    /// Resident memory of the server when the first and the last request were measured.
    pub memory_bytes: Option<(u64, u64)>,
}

impl Verdict {
    pub fn of(budgets: &[Budget], outcome: &Outcome, evidence: &Evidence) -> Verdict {
        let lines = budgets.iter().map(|budget| judge(budget, outcome, evidence)).collect();
        Verdict { lines, saturated: saturation(budgets, outcome, evidence) }
    }

    pub fn passes(&self) -> bool {
        self.saturated.is_empty() && self.lines.iter().all(|line| line.passes)
    }

    /// Another try may go better: the machine itself was in the way.
    pub fn is_worth_a_retry(&self) -> bool {
        self.saturated.iter().any(|reason| reason.is_passing)
    }

    /// In one word.
    pub fn word(&self) -> &'static str {
        match (self.saturated.is_empty(), self.passes()) {
            (false, _) => "SATURATED",
            (true, true) => "PASS",
            (true, false) => "FAIL",
        }
    }
}

fn judge(budget: &Budget, outcome: &Outcome, evidence: &Evidence) -> Line {
    let line = |passes, measured| Line { budget: budget.clone(), passes, measured };
    let holds = |value: f64| match budget.relation {
        Relation::AtMost => value <= budget.limit,
        Relation::AtLeast => value >= budget.limit,
        Relation::Equal => value == budget.limit,
    };
    match budget.metric {
        Metric::Time(times, statistic) => {
            let histogram = times.of(outcome);
            let needed = samples_needed(statistic);
            if histogram.len() < needed {
                return line(false, format!("refused: {} samples, {needed} are needed", histogram.len()));
            }
            let ns = value_of(histogram, statistic);
            line(holds(ns), format_ns(ns))
        }
        Metric::ErrorCount => {
            let count = outcome.faults.total();
            line(holds(count as f64), count.to_string())
        }
        Metric::ErrorShare => {
            let share = outcome.faults.total() as f64 / outcome.answered_total.max(1) as f64;
            line(holds(share), format!("{:.3} %", share * 100.0))
        }
        Metric::Achieved => {
            let share = achieved(outcome);
            line(holds(share), format!("{:.2} %", share * 100.0))
        }
        Metric::CpuPerRequest => match evidence.cpu_per_request_ns {
            Some(ns) => line(holds(ns), format_ns(ns)),
            None => line(false, NOT_OURS.to_owned()),
        },
        Metric::MemoryGrowth => match evidence.memory_bytes {
            Some((first, last)) => {
                let growth = (last as f64 - first as f64) / first as f64;
                line(holds(growth), format!("{:.2} %", growth * 100.0))
            }
            None => line(false, NOT_OURS.to_owned()),
        },
    }
}

const NOT_OURS: &str = "refused: the server is not a process of ours";

impl Times {
    pub fn of(self, outcome: &Outcome) -> &Histogram<u64> {
        match self {
            Times::Response => &outcome.response,
            Times::Service => &outcome.service,
            Times::SendLag => &outcome.send_lag,
            Times::AddedByServer => &outcome.added,
        }
    }
}

/// The share of what was due that was answered in time to count.
pub fn achieved(outcome: &Outcome) -> f64 {
    if outcome.due == 0 { 0.0 } else { outcome.achieved as f64 / outcome.due as f64 }
}

fn value_of(histogram: &Histogram<u64>, statistic: Statistic) -> f64 {
    match statistic {
        Statistic::Percentile(percent) => histogram.value_at_quantile(percent / 100.0) as f64,
        Statistic::Mean => histogram.mean(),
        Statistic::Max => histogram.max() as f64,
    }
}

/// A hundred samples must lie beyond a percentile: 10,000 for p99, 100,000 for p99.9.
pub fn samples_needed(statistic: Statistic) -> u64 {
    match statistic {
        Statistic::Percentile(percent) => (100.0 / (1.0 - percent / 100.0)).round() as u64,
        Statistic::Mean | Statistic::Max => 1,
    }
}

/// A reason that concerns times alone: what a request costs the server is the same.
pub const LATE: &str = "the generator sent late";

const ACHIEVED_MIN: f64 = 0.99;
const LAG_MIN_NS: f64 = 100_000.0;
const LAG_SHARE: f64 = 0.1;
const GENERATOR_SHARE: f64 = 0.5;
const CROWDED_MAX: f64 = 0.01;
const STEAL_MAX: f64 = 0.01;

fn saturation(budgets: &[Budget], outcome: &Outcome, evidence: &Evidence) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut say = |is_passing, text| reasons.push(Reason { text, is_passing });
    let share = achieved(outcome);
    if share < ACHIEVED_MIN {
        say(false, format!("{:.2} % of the asked rate was achieved, 99 % is needed", share * 100.0));
    }
    let times = budgets.iter().filter(|budget| matches!(budget.metric, Metric::Time(..)));
    let tightest_ns = times.map(|budget| budget.limit).fold(f64::INFINITY, f64::min);
    let lag_max_ns = if tightest_ns.is_finite() { LAG_MIN_NS.max(LAG_SHARE * tightest_ns) } else { LAG_MIN_NS };
    let lag_ns = outcome.send_lag.value_at_quantile(0.99) as f64;
    if lag_ns > lag_max_ns {
        let (lag, bound) = (format_ns(lag_ns), format_ns(lag_max_ns));
        // Then it is the server that is late, and no other try will change that.
        let is_crowded = outcome.crowded as f64 > CROWDED_MAX * outcome.due as f64;
        let who = if is_crowded { "all connections were taken" } else { LATE };
        say(!is_crowded, format!("{who}: send lag p99 {lag}, {bound} is allowed"));
    }
    if let Some(generator_rate) = evidence.generator_rate
        && evidence.rate > GENERATOR_SHARE * generator_rate
    {
        let rate = evidence.rate;
        say(false, format!("{rate:.0}/s is over half of what the generator can do, {generator_rate:.0}/s"));
    }
    if evidence.disturbance.steal > STEAL_MAX {
        let percent = evidence.disturbance.steal * 100.0;
        say(true, format!("the host took {percent:.1} % of our cores' time for others (steal), 1 % is allowed"));
    }
    reasons
}

/// `1.23 ms`
pub fn format_ns(ns: f64) -> String {
    match ns {
        _ if ns < 1e3 => format!("{ns:.0} ns"),
        _ if ns < 1e6 => format!("{:.1} us", ns / 1e3),
        _ if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        _ => format!("{:.2} s", ns / 1e9),
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Recorder;
    use crate::scenario::Scenario;
    use crate::schedule::Schedule;

    fn budget(text: &str) -> Budget {
        text.parse().unwrap()
    }

    #[test]
    fn budgets_are_read() {
        let time = |times, percent| Metric::Time(times, Statistic::Percentile(percent));
        let cases = [
            ("p99 <= 1.0 ms", time(Times::Response, 99.0), Relation::AtMost, 1e6),
            ("p99.9 <= 3ms", time(Times::Response, 99.9), Relation::AtMost, 3e6),
            ("service p50 <= 20 us", time(Times::Service, 50.0), Relation::AtMost, 2e4),
            ("added_by_server p99 <= 200 us", time(Times::AddedByServer, 99.0), Relation::AtMost, 2e5),
            ("max <= 1 s", Metric::Time(Times::Response, Statistic::Max), Relation::AtMost, 1e9),
            ("errors == 0", Metric::ErrorCount, Relation::Equal, 0.0),
            ("errors <= 1 %", Metric::ErrorShare, Relation::AtMost, 0.01),
            ("achieved >= 99 %", Metric::Achieved, Relation::AtLeast, 0.99),
            ("cpu <= 20 us", Metric::CpuPerRequest, Relation::AtMost, 2e4),
        ];
        for (text, metric, relation, limit) in cases {
            let read = budget(text);
            assert_eq!((read.metric, read.relation), (metric, relation), "{text}");
            assert!((read.limit - limit).abs() < 1e-9 * limit.max(1.0), "{text}: {}", read.limit);
        }
        for text in
            ["", "p99", "p99 < 1 ms", "p99 <= 1", "p100 <= 1 ms", "q99 <= 1 ms", "achieved >= 99", "a b c <= 1 ms"]
        {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }

    fn outcome(samples: u64, ns: u64) -> Outcome {
        let schedule = Schedule::new(&Scenario::load("smoke").unwrap());
        let mut outcome = Recorder::new(&schedule).into_outcome(0, 0);
        outcome.response.record_n(ns, samples).unwrap();
        outcome.send_lag.record_n(1_000, samples).unwrap();
        (outcome.due, outcome.achieved) = (samples, samples);
        outcome
    }

    fn evidence() -> Evidence {
        let disturbance = Disturbance::default();
        Evidence {
            rate: 1_000.0,
            generator_rate: Some(10_000.0),
            disturbance,
            cpu_per_request_ns: None,
            memory_bytes: None,
        }
    }

    #[test]
    fn budgets_pass_fail_or_are_refused() {
        let budgets = [budget("p99 <= 1 ms"), budget("errors == 0"), budget("achieved >= 99 %")];
        assert!(Verdict::of(&budgets, &outcome(10_000, 900_000), &evidence()).passes());
        let slow = Verdict::of(&budgets, &outcome(10_000, 1_100_000), &evidence());
        assert_eq!((slow.passes(), slow.word()), (false, "FAIL"));
        let few = Verdict::of(&budgets, &outcome(9_999, 900_000), &evidence());
        assert!(!few.passes() && few.lines[0].measured.contains("refused"));
        let mut faulty = outcome(10_000, 900_000);
        faulty.faults.statuses = 1;
        assert!(!Verdict::of(&budgets, &faulty, &evidence()).lines[1].passes);
        assert!(!Verdict::of(&[budget("cpu <= 1 s")], &faulty, &evidence()).passes());
        let of_memory = |memory_bytes| {
            let evidence = Evidence { memory_bytes, ..evidence() };
            Verdict::of(&[budget("memory_growth <= 2 %")], &faulty, &evidence).passes()
        };
        assert!(of_memory(Some((1_000, 1_020))) && of_memory(Some((1_000, 900))));
        assert!(!of_memory(Some((1_000, 1_021))) && !of_memory(None));
        assert_eq!(
            (samples_needed(Statistic::Percentile(99.0)), samples_needed(Statistic::Percentile(99.9))),
            (10_000, 100_000)
        );
    }

    #[test]
    fn what_disturbs_a_run_saturates_it() {
        let budgets = [budget("p99 <= 10 ms")];
        let word = |outcome: &Outcome, evidence: &Evidence| Verdict::of(&budgets, outcome, evidence).word();
        let good = outcome(20_000, 1_000);
        assert_eq!(word(&good, &evidence()), "PASS");
        assert_eq!(word(&good, &Evidence { rate: 5_001.0, ..evidence() }), "SATURATED");
        assert_eq!(
            word(&good, &Evidence { disturbance: Disturbance { steal: 0.02, waited: None }, ..evidence() }),
            "SATURATED"
        );
        let short = Outcome { achieved: 19_000, ..good.clone() };
        assert_eq!(word(&short, &evidence()), "SATURATED");
        // A tenth of the budget of 10 ms may be lost to lag, and no more.
        let mut lags = good.clone();
        lags.send_lag.record_n(900_000, 1_000).unwrap();
        assert_eq!(word(&lags, &evidence()), "PASS");
        lags.send_lag.record_n(1_100_000, 1_000).unwrap();
        assert_eq!(word(&lags, &evidence()), "SATURATED");
    }
}
