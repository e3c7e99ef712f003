//! What a step measures with: one turn after another, boiled down to what the page needs.

use std::path::{Path, PathBuf};

use super::{Results, Turn};
use crate::engine::Pace;
use crate::host::{Cores, Host};
use crate::run::{self, Run, Setting};
use crate::scenario::{Phase, PhaseKind, Scenario};
use crate::target::{Kind, Target};

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    pub rounds: u32,
    /// Of each turn, what is measured.
    pub seconds: f64,
    /// Before it: connections settle, visitors return.
    pub warm_seconds: f64,
    /// Of the steps that fill the table, at most so many.
    pub visitors_max: u64,
}

pub(super) struct Bench {
    pub effort: Effort,
    pub cores: Cores,
    /// Where runs keep their configs and logs.
    scratch: PathBuf,
    results: Results,
    generator_rate: Option<f64>,
}

/// One side of a comparison.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub name: String,
    pub x: Option<f64>,
    pub kind: Kind,
    pub scenario: Scenario,
    pub is_closed: bool,
}

impl Variant {
    pub(super) fn new(name: &str, kind: &str, scenario: &Scenario) -> Result<Variant, String> {
        let (name, kind, scenario) = (name.to_owned(), Kind::parse(kind)?, scenario.clone());
        Ok(Variant { name, x: None, kind, scenario, is_closed: false })
    }

    pub(super) fn closed(self) -> Variant {
        Variant { is_closed: true, ..self }
    }

    pub(super) fn at(self, x: f64) -> Variant {
        Variant { x: Some(x), ..self }
    }
}

impl Bench {
    pub(super) fn new(step: &str, effort: Effort, scratch: &Path, cores: Cores) -> Bench {
        let host = Host::read(&cores);
        let results = Results { step: step.to_owned(), host, ..Results::default() };
        Bench { effort, cores, scratch: scratch.to_owned(), results, generator_rate: None }
    }

    /// Measures all variants in turns, round after round; a group each.
    pub(super) fn compare(&mut self, variants: &[Variant]) -> Result<(), String> {
        for _ in 0..self.effort.rounds {
            let group = self.next_group();
            for variant in variants {
                self.turn(variant, group)?;
            }
        }
        Ok(())
    }

    pub(super) fn next_group(&self) -> u32 {
        self.results.turns.iter().map(|turn| turn.group).max().unwrap_or(0) + 1
    }

    /// One run. A peer that is not installed is noted and left out.
    pub(super) fn turn(&mut self, variant: &Variant, group: u32) -> Result<(), String> {
        let (scenario, setting) = self.prepare(variant)?;
        match run::run(&scenario, &variant.kind, &setting, &self.scratch) {
            Ok(done) => {
                self.note(variant, group, &done);
                Ok(())
            }
            Err(fault) if matches!(variant.kind, Kind::Peer(_)) && fault.contains(" is missing: ") => {
                self.miss(&fault);
                Ok(())
            }
            Err(fault) => Err(format!("{}: {fault}", variant.name)),
        }
    }

    /// One run against a server that was started before and stays.
    pub(super) fn turn_on(&mut self, target: &Target, variant: &Variant, group: u32) -> Result<(), String> {
        let (scenario, setting) = self.prepare(variant)?;
        let done = run::run_on(target, &scenario, &variant.kind, &setting)?;
        self.note(variant, group, &done);
        Ok(())
    }

    /// Starts a server of its own for a variant, whose partners nobody plays.
    pub(super) fn start(&self, variant: &Variant) -> Result<Target, String> {
        let folder = self.scratch.join(format!("{}", variant.x.unwrap_or_default()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Target::start(&variant.kind, &variant.scenario, &self.cores, &[], &folder)
    }

    pub(super) fn miss(&mut self, fault: &str) {
        if !self.results.missing.iter().any(|missing| missing == fault) {
            eprintln!("loadtest: left out: {fault}");
            self.results.missing.push(fault.to_owned());
        }
    }

    /// Turns about which `fault` has something to say prove nothing.
    pub(super) fn doubt(&mut self, fault: impl Fn(&Turn) -> Option<String>) {
        for turn in &mut self.results.turns {
            if let Some(fault) = fault(turn) {
                println!("{:>3} {}: disturbed: {fault}", turn.group, turn.variant);
                turn.saturated.push(fault);
            }
        }
    }

    pub(super) fn count(&mut self, name: &str, count: f64) {
        println!("{name:<40} {count}");
        self.results.counts.insert(name.to_owned(), count);
    }

    pub(super) fn results(&self) -> &Results {
        &self.results
    }

    pub(super) fn into_results(self) -> Results {
        self.results
    }

    fn prepare(&mut self, variant: &Variant) -> Result<(Scenario, Setting), String> {
        let mut scenario = variant.scenario.clone();
        // What the page shows are figures, not whether some suite's budgets hold.
        scenario.budgets.clear();
        scenario.phases = self.phases();
        let ns = (scenario.seconds() * 1e9) as u64;
        let pace = if variant.is_closed { Pace::Closed { ns } } else { Pace::Schedule };
        if !variant.is_closed && self.generator_rate.is_none() {
            self.generator_rate = Some(run::calibrate(&scenario, &self.cores)?);
        }
        let generator_rate = self.generator_rate.filter(|_| !variant.is_closed);
        let setting = Setting { cores: self.cores.clone(), generator_rate, stall: None, is_quiet: false, pace };
        Ok((scenario, setting))
    }

    fn phases(&self) -> Vec<Phase> {
        let phase = |kind, seconds| Phase { kind, seconds, share: 1.0, from: 0.0, partner: None };
        vec![phase(PhaseKind::Warm, self.effort.warm_seconds), phase(PhaseKind::Steady, self.effort.seconds)]
    }

    fn note(&mut self, variant: &Variant, group: u32, done: &Run) {
        let turn = Turn::of(done, &variant.name, group, variant.x, variant.is_closed);
        let time = crate::verdict::format_ns;
        let cpu = turn.cpu_ns.map_or("-".to_owned(), time);
        let (p50, p99) = (time(turn.p50_ns as f64), time(turn.p99_ns as f64));
        let rate = turn.achieved_per_s;
        println!("{group:>3} {:<28} {rate:>8.0}/s  cpu {cpu:>9}  p50 {p50:>9}  p99 {p99:>9}", turn.variant);
        let errors = (turn.errors > 0).then(|| format!("{} errors", turn.errors));
        for reason in turn.saturated.iter().chain(&errors) {
            println!("      disturbed: {reason}");
        }
        self.results.turns.push(turn);
    }
}
