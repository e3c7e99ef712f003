//! The same schedule and bytes against us and a peer, in turns, so that whatever the machine does it does to both. What
//! counts is the ratio within each pair.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::report::json;
use crate::run::Run;
use crate::verdict::format_ns;

/// Turns of each.
pub const PAIRS: usize = 3;

#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub pairs: Vec<Pair>,
}

/// What we took for each thing the peer took; below 1 we are better.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    pub cpu: Option<f64>,
    pub p50: f64,
    pub p99: f64,
    pub ours: Value,
    pub theirs: Value,
    #[serde(skip)]
    row: String,
}

impl Pair {
    pub fn of(ours: &Run, theirs: &Run) -> Pair {
        let value = |run: &Run, quantile| run.outcome.response.value_at_quantile(quantile).max(1) as f64;
        let ratio = |quantile| value(ours, quantile) / value(theirs, quantile);
        let cpu = |run: &Run| run.evidence.cpu_per_request_ns.filter(|ns| *ns > 0.0);
        let mut row = String::new();
        for run in [ours, theirs] {
            let times = (format_ns(value(run, 0.5)), format_ns(value(run, 0.99)));
            let cpu = cpu(run).map_or("-".to_owned(), format_ns);
            let name = run.target.chars().take(18).collect::<String>();
            // Budgets are not what is asked here; a disturbed run spoils its pair.
            let word = if run.verdict.saturated.is_empty() { "" } else { "SATURATED" };
            let _ = writeln!(row, "  {name:<18} cpu {cpu:>9}   p50 {:>9}   p99 {:>9}  {word}", times.0, times.1);
        }
        let cpu = cpu(ours).zip(cpu(theirs)).map(|(ours, theirs)| ours / theirs);
        Pair { cpu, p50: ratio(0.5), p99: ratio(0.99), ours: json::value(ours), theirs: json::value(theirs), row }
    }
}

impl Comparison {
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (index, pair) in self.pairs.iter().enumerate() {
            let cpu = pair.cpu.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let _ = write!(text, "pair {}\n{}", index + 1, pair.row);
            let _ =
                writeln!(text, "  ours / theirs:     cpu {cpu:>9}   p50 {:>9.2}   p99 {:>9.2}\n", pair.p50, pair.p99);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::example;

    #[test]
    fn ratios_are_of_one_pair() {
        let (ours, mut theirs) = (example(), example());
        theirs.evidence.cpu_per_request_ns = Some(4e4);
        theirs.target = "a peer with quite a long name".to_owned();
        let pair = Pair::of(&ours, &theirs);
        assert_eq!((pair.cpu, pair.p99), (Some(0.5), 1.0));
        let table = Comparison { pairs: vec![pair] }.table();
        assert!(table.contains("ours / theirs") && table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }
}
