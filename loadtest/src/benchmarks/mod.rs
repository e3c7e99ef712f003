//! The figures of docs/benchmarks.md: measured step by step (`steps`), kept as small files of numbers beside the page,
//! and the page written from these files alone (`document`), so that nobody types a figure.
//!
//! A step is some turns, each a run of its own. Turns that are to be compared are of one group, measured one after the
//! other, and what counts is the ratio within a group: whatever the machine does, it does to both.

mod bench;
pub mod command;
mod counts;
pub mod document;
mod goals;
mod plots;
mod sections;
mod steps;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::run::Run;
use crate::verdict::LATE;

pub use self::steps::STEPS;

/// What one step came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    pub step: String,
    pub host: Host,
    /// What could not be measured, with what to install.
    pub missing: Vec<String>,
    /// What was counted rather than timed, by name.
    #[serde(default)]
    pub counts: BTreeMap<String, f64>,
    pub turns: Vec<Turn>,
}

/// One run, as far as the page needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    pub variant: String,
    /// Turns of one group are compared with each other.
    pub group: u32,
    /// What is varied, if it is a number.
    pub x: Option<f64>,
    /// As fast as answers come, rather than when requests are due.
    pub is_closed: bool,
    /// Requests a second that were asked for (0: as many as there can be), and that were answered.
    pub asked_per_s: f64,
    pub achieved_per_s: f64,
    pub samples: u64,
    pub cpu_ns: Option<f64>,
    pub p50_ns: u64,
    pub p99_ns: u64,
    /// Of requests for which partners were asked: how many, and what the server added.
    pub added_samples: u64,
    pub added_p99_ns: Option<u64>,
    pub lookups_per_request: f64,
    pub errors: u64,
    /// Why this turn proves nothing, if so.
    pub saturated: Vec<String>,
}

impl Turn {
    pub fn of(run: &Run, variant: &str, group: u32, x: Option<f64>, is_closed: bool) -> Turn {
        let outcome = &run.outcome;
        let (added, reasons) = (&outcome.added, run.verdict.saturated.iter());
        Turn {
            variant: variant.to_owned(),
            group,
            x,
            is_closed,
            asked_per_s: if is_closed { 0.0 } else { run.scenario.rate },
            achieved_per_s: run.achieved_rate(),
            samples: outcome.response.len(),
            cpu_ns: run.evidence.cpu_per_request_ns,
            p50_ns: outcome.response.value_at_quantile(0.5),
            p99_ns: outcome.response.value_at_quantile(0.99),
            added_samples: added.len(),
            added_p99_ns: (!added.is_empty()).then(|| added.value_at_quantile(0.99)),
            lookups_per_request: outcome.lookups as f64 / outcome.answered_total.max(1) as f64,
            errors: outcome.faults.total(),
            // A closed loop asks for no rate that could be missed: only the machine can be in its way.
            saturated: reasons
                .filter(|reason| !is_closed || reason.is_passing)
                .map(|reason| reason.text.clone())
                .collect(),
        }
    }

    /// Whether it proves something: at all, and, where times are asked for, of times.
    pub fn counts(&self, is_of_times: bool) -> bool {
        let spoils = |reason: &String| is_of_times || !reason.starts_with(LATE);
        self.errors == 0 && !self.saturated.iter().any(spoils)
    }
}

/// A middle value and how far the others are from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    /// Of turns that were all disturbed, for want of others.
    pub is_disturbed: bool,
}

impl Spread {
    /// Those that count; if none does, all of them. `None`: there is nothing at all.
    fn of(values: &[(f64, bool)]) -> Option<Spread> {
        let sound: Vec<f64> = values.iter().filter(|(_, counts)| *counts).map(|(value, _)| *value).collect();
        let is_disturbed = sound.is_empty();
        let mut taken = if is_disturbed { values.iter().map(|(value, _)| *value).collect() } else { sound };
        taken.sort_by(f64::total_cmp);
        let (least, most) = (*taken.first()?, *taken.last()?);
        let middle = taken.len() / 2;
        let median = if taken.len() % 2 == 0 { (taken[middle - 1] + taken[middle]) / 2.0 } else { taken[middle] };
        Some(Spread { median, least, most, is_disturbed })
    }
}

/// What is asked of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    of: fn(&Turn) -> Option<f64>,
    is_of_times: bool,
}

pub const CPU: Measure = Measure { of: |turn| turn.cpu_ns.filter(|ns| *ns > 0.0), is_of_times: false };
pub const RATE: Measure = Measure { of: |turn| Some(turn.achieved_per_s), is_of_times: false };
pub const LOOKUPS: Measure = Measure { of: |turn| Some(turn.lookups_per_request), is_of_times: false };
pub const P50: Measure = Measure { of: |turn| Some(turn.p50_ns as f64), is_of_times: true };
/// Of fewer samples it would be the doing of a few.
pub const P99: Measure =
    Measure { of: |turn| (turn.samples >= P99_SAMPLES_MIN).then_some(turn.p99_ns as f64), is_of_times: true };
pub const ADDED: Measure = Measure {
    of: |turn| turn.added_p99_ns.filter(|_| turn.added_samples >= P99_SAMPLES_MIN).map(|ns| ns as f64),
    is_of_times: true,
};

const P99_SAMPLES_MIN: u64 = 10_000;

impl Results {
    /// Of a variant's turns.
    pub fn value(&self, variant: &str, measure: Measure) -> Option<Spread> {
        let turns = self.turns.iter().filter(|turn| turn.variant == variant);
        let values: Vec<_> =
            turns.filter_map(|turn| Some(((measure.of)(turn)?, turn.counts(measure.is_of_times)))).collect();
        Spread::of(&values)
    }

    /// `variant` for each `base`, within each group.
    pub fn ratio(&self, variant: &str, base: &str, measure: Measure) -> Option<Spread> {
        let ratio = |turn: &Turn| {
            let other = self.turns.iter().find(|other| other.group == turn.group && other.variant == base)?;
            let counts = [turn, other].iter().all(|turn| turn.counts(measure.is_of_times));
            Some(((measure.of)(turn)? / (measure.of)(other)?, counts))
        };
        let turns = self.turns.iter().filter(|turn| turn.variant == variant);
        Spread::of(&turns.filter_map(ratio).collect::<Vec<_>>())
    }

    /// In the order in which they came.
    pub fn variants(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for turn in &self.turns {
            if !names.contains(&turn.variant.as_str()) {
                names.push(&turn.variant);
            }
        }
        names
    }

    /// # Errors
    /// What can't be read, in words.
    pub fn read(folder: &Path, step: &str) -> Result<Option<Results>, String> {
        let path = folder.join(format!("{step}.json"));
        if !path.exists() {
            return Ok(None);
        }
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| fault(&error))?;
        serde_json::from_str(&text).map(Some).map_err(|error| fault(&error))
    }

    /// # Errors
    /// What can't be written, in words.
    pub fn write(&self, folder: &Path) -> Result<(), String> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        text.push('\n');
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        crate::report::put(folder, &format!("{}.json", self.step), text.as_bytes())
    }
}

/// The committed results, beside the page.
pub fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn turn(variant: &str, group: u32, cpu_ns: f64, counts: bool) -> Turn {
        Turn {
            variant: variant.to_owned(),
            group,
            x: None,
            is_closed: false,
            asked_per_s: 10_000.0,
            achieved_per_s: 10_000.0,
            samples: 20_000,
            cpu_ns: Some(cpu_ns),
            p50_ns: 100_000,
            p99_ns: 300_000,
            added_samples: 0,
            added_p99_ns: None,
            lookups_per_request: 0.0,
            errors: 0,
            saturated: if counts { Vec::new() } else { vec!["stolen".to_owned()] },
        }
    }

    #[test]
    fn ratios_are_taken_within_groups_and_of_sound_turns() {
        let turns = vec![
            turn("ours", 1, 10.0, true),
            turn("theirs", 1, 20.0, true),
            turn("ours", 2, 30.0, true),
            turn("theirs", 2, 40.0, true),
            turn("ours", 3, 90.0, false),
            turn("theirs", 3, 10.0, true),
        ];
        let mut results = Results { turns, ..Results::default() };
        let ratio = results.ratio("ours", "theirs", CPU).unwrap();
        assert_eq!(ratio, Spread { median: 0.625, least: 0.5, most: 0.75, is_disturbed: false });
        assert_eq!(results.value("ours", CPU).unwrap().median, 20.0);
        assert_eq!((results.ratio("ours", "nobody", CPU), results.value("ours", ADDED)), (None, None));
        results.turns[0].saturated.push(format!("{LATE}: 1 ms"));
        assert_eq!(results.value("ours", CPU).unwrap().median, 20.0, "the cost is the same");
        assert_eq!(results.turns.iter().filter(|turn| turn.counts(true)).count(), 4);
        results.turns.retain(|turn| turn.group == 3);
        assert!(results.ratio("ours", "theirs", CPU).unwrap().is_disturbed);
        assert_eq!(results.variants(), ["ours", "theirs"]);
    }
}
