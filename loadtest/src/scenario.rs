//! What a run is: who visits, what is called, how often, who answers, and what must hold. Read from TOML; the suites
//! that come along are embedded.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::latency::Latency;
use crate::verdict::{Budget, Metric, Times};

/// The suites that come along, by name.
pub const SUITES: &[(&str, &str)] = &[
    ("smoke", include_str!("../scenarios/smoke.toml")),
    ("mixed", include_str!("../scenarios/mixed.toml")),
    ("standard", include_str!("../scenarios/standard.toml")),
    ("soak", include_str!("../scenarios/soak.toml")),
    ("overload", include_str!("../scenarios/overload.toml")),
    ("partners", include_str!("../scenarios/partners.toml")),
    ("churn", include_str!("../scenarios/churn.toml")),
];

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    /// One sentence for a person who chooses.
    pub about: String,
    #[serde(default = "seed")]
    pub seed: u64,
    /// Requests a second, of which each phase offers a share.
    pub rate: f64,
    #[serde(default)]
    pub arrivals: Arrivals,
    pub connections: u32,
    /// Requests that may wait for their answer on one connection.
    #[serde(default = "one")]
    pub pipeline: u32,
    /// After so many a connection is closed and another one opened; 0: never.
    #[serde(default)]
    pub requests_per_connection: u32,
    /// A request without an answer has failed after so long.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// How often a run is repeated that the machine disturbed.
    #[serde(default)]
    pub retries: u32,
    /// Signals of one call.
    #[serde(default = "signals")]
    pub signals: u32,
    pub budgets: Vec<Budget>,
    pub population: Population,
    pub mix: Mix,
    pub server: Server,
    #[serde(default, rename = "partner")]
    pub partners: Vec<Partner>,
    #[serde(rename = "phase")]
    pub phases: Vec<Phase>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At equal distances.
    Constant,
    /// As independent visitors come.
    #[default]
    Poisson,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    pub visitors: u64,
    /// The exponent of Zipf's law: how much more the first ones come than the others; 0: all alike.
    pub zipf: f64,
    /// The share of browser calls that come without any id.
    pub new_share: f64,
    /// Visitors come one after the other instead of by chance, each as often as all others.
    #[serde(default)]
    pub in_turn: bool,
}

/// How often each kind of call is made, relative to the others.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    pub event: f64,
    pub pixel: f64,
    pub post: f64,
    pub sync: f64,
    pub id: f64,
    /// From a publisher's server, with the visitor's uuid and without a browser's headers.
    pub server: f64,
    /// Everything else that there is an answer to, of each kind as often: scripts, cookie tests, redirects, opt-outs,
    /// errors, files.
    pub other: f64,
}

/// The server that is started, and the job that it is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub rules: u32,
    pub segments: u32,
    /// Event loops, on the first cores; the last core is the generator's.
    #[serde(default = "one_shard")]
    pub shards: u16,
    #[serde(default = "memory_max")]
    pub memory_max: String,
    #[serde(default)]
    pub spin_us: u32,
    #[serde(default = "budget_ms")]
    pub budget_ms: u32,
}

/// A partner whom the server asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partner {
    pub name: String,
    /// Who plays it.
    #[serde(default)]
    pub by: Player,
    #[serde(default = "format")]
    pub format: String,
    #[serde(default)]
    pub mode: PartnerMode,
    #[serde(default)]
    pub latency: Latency,
    /// The share of visitors that it knows.
    #[serde(default = "whole")]
    pub hit_share: f64,
    /// Segments of a visitor that it knows.
    #[serde(default = "segments")]
    pub segments: u32,
    /// Seconds that its answers are good for.
    #[serde(default)]
    pub ttl_s: u32,
    /// What the simulator is told, if it plays the partner: its own profile, faults included. Then nothing above but
    /// `format` counts here.
    #[serde(default)]
    pub profile: Option<toml::Table>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Player {
    /// The generator itself, so that the partner's time and the answer's come from one clock.
    #[default]
    Generator,
    /// The partner simulator, which knows all formats and faults.
    Simulator,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartnerMode {
    #[default]
    Wait,
    Background,
    WaitIfUnknown,
}

/// A stretch of time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub kind: PhaseKind,
    pub seconds: f64,
    /// The share of the rate that is offered; a ramp ends at it.
    #[serde(default = "whole")]
    pub share: f64,
    /// Where a ramp begins.
    #[serde(default)]
    pub from: f64,
    /// The partner that is silent in an outage.
    #[serde(default)]
    pub partner: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// Offered and not measured.
    Warm,
    /// The rate changes evenly. Not measured.
    Ramp,
    Steady,
    Spike,
    /// One partner reads and says nothing.
    Outage,
}

impl PhaseKind {
    pub fn is_measured(self) -> bool {
        matches!(self, PhaseKind::Steady | PhaseKind::Spike | PhaseKind::Outage)
    }
}

impl Scenario {
    /// A suite by name, or else a file.
    ///
    /// # Errors
    /// A text for a person.
    pub fn load(name: &str) -> Result<Scenario, String> {
        if let Some((_, text)) = SUITES.iter().find(|(suite, _)| *suite == name) {
            return Scenario::parse(text).map_err(|fault| format!("suite {name}: {fault}"));
        }
        if !Path::new(name).exists() {
            let suites: Vec<&str> = SUITES.iter().map(|(suite, _)| *suite).collect();
            return Err(format!("there is no suite and no file `{name}`; suites: {}", suites.join(", ")));
        }
        let text = std::fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?;
        Scenario::parse(&text).map_err(|fault| format!("{name}: {fault}"))
    }

    /// # Errors
    /// What is wrong with the text, or with what it says.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let scenario: Scenario = toml::from_str(text).map_err(|error| error.to_string())?;
        scenario.check()?;
        Ok(scenario)
    }

    /// # Errors
    /// The first thing that can't be.
    pub fn check(&self) -> Result<(), String> {
        let Mix { event, pixel, post, sync, id, server, other } = self.mix;
        let weights = [event, pixel, post, sync, id, server, other];
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        let faults = [
            (self.rate.is_finite() && self.rate > 0.0, "`rate` must be above 0"),
            (self.connections > 0 && self.connections <= 10_000, "`connections` must be 1 to 10,000"),
            (self.pipeline > 0 && self.pipeline <= 64, "`pipeline` must be 1 to 64"),
            (self.timeout_ms > 0, "`timeout_ms` must be above 0"),
            (self.signals <= 64, "`signals` must be at most 64: requests have a fixed room"),
            (self.population.visitors > 0, "`visitors` must be above 0"),
            (is_share(self.population.new_share), "`new_share` must be 0 to 1"),
            ((0.0..=5.0).contains(&self.population.zipf), "`zipf` must be 0 to 5"),
            (weights.iter().all(|w| *w >= 0.0) && weights.iter().sum::<f64>() > 0.0, "`mix` needs a weight above 0"),
            (self.partners.len() <= 16, "at most 16 partners"),
            (
                self.partners.iter().all(|p| is_share(p.hit_share) && p.segments <= 50 && p.latency.is_possible()),
                "a partner: `hit_share` 0 to 1, at most 50 `segments`, a `latency` that is not negative",
            ),
            (self.phases.iter().any(|phase| phase.kind.is_measured()), "no phase is measured: steady, spike or outage"),
            (
                self.phases.iter().all(|p| p.seconds > 0.0 && p.share >= 0.0 && p.from >= 0.0),
                "a phase: `seconds` above 0, `share` and `from` not below",
            ),
        ];
        if let Some((_, fault)) = faults.iter().find(|(holds, _)| !holds) {
            return Err((*fault).to_owned());
        }
        for phase in self.phases.iter().filter(|phase| phase.kind == PhaseKind::Outage) {
            let partner = self.partners.iter().find(|partner| Some(&partner.name) == phase.partner.as_ref());
            if partner.is_none_or(|partner| partner.by != Player::Generator) {
                return Err("an outage names a `partner` that the generator plays".to_owned());
            }
        }
        for partner in self.partners.iter().filter(|partner| partner.by == Player::Generator) {
            if partner.profile.is_some() || !["pinion", "openrtb", "flat", "scored"].contains(&partner.format.as_str())
            {
                return Err(format!("partner {}: its profile or format needs `by = \"simulator\"`", partner.name));
            }
        }
        Ok(())
    }

    /// How long all phases last, in seconds.
    pub fn seconds(&self) -> f64 {
        self.phases.iter().map(|phase| phase.seconds).sum()
    }

    /// The highest rate that any phase offers.
    pub fn rate_max(&self) -> f64 {
        self.rate * self.phases.iter().map(|phase| phase.share.max(phase.from)).fold(0.0, f64::max)
    }

    /// The same job with nobody to ask.
    pub fn without_lookups(&mut self) {
        self.partners.clear();
        self.budgets.retain(|budget| !matches!(budget.metric, Metric::Time(Times::AddedByServer, _)));
        for phase in self.phases.iter_mut().filter(|phase| phase.kind == PhaseKind::Outage) {
            (phase.kind, phase.partner) = (PhaseKind::Steady, None);
        }
    }

    /// Makes the measured phases last `seconds` in all.
    pub fn stretch(&mut self, seconds: f64) {
        let measured: f64 = self.phases.iter().filter(|p| p.kind.is_measured()).map(|phase| phase.seconds).sum();
        for phase in self.phases.iter_mut().filter(|phase| phase.kind.is_measured()) {
            phase.seconds *= seconds / measured;
        }
    }
}

fn seed() -> u64 {
    0x9121_0011
}
fn one() -> u32 {
    1
}
fn one_shard() -> u16 {
    1
}
fn timeout_ms() -> u64 {
    5_000
}
fn signals() -> u32 {
    20
}
fn segments() -> u32 {
    3
}
fn whole() -> f64 {
    1.0
}
fn budget_ms() -> u32 {
    50
}
fn memory_max() -> String {
    "512MiB".to_owned()
}
fn format() -> String {
    "pinion".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suites_are_valid() {
        for (name, _) in SUITES {
            let scenario = Scenario::load(name).unwrap();
            assert_eq!(scenario.name, *name);
        }
        let smoke = Scenario::load("smoke").unwrap();
        assert!(smoke.seconds() <= 30.0, "the smoke suite has a minute for everything");
        let mixed = Scenario::load("mixed").unwrap();
        assert!(mixed.mix.other > 0.0 && mixed.seconds() <= 25.0, "every change runs it");
    }

    #[test]
    fn without_partners_a_scenario_stays_valid() {
        let mut scenario = Scenario::load("partners").unwrap();
        scenario.without_lookups();
        assert_eq!(scenario.check(), Ok(()));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let text = SUITES[0].1;
        let rate = Scenario::parse(&text.replace("rate = ", "rate = -")).unwrap_err();
        assert!(rate.contains("rate"), "{rate}");
        assert!(Scenario::parse(&text.replace("seed = ", "sead = ")).is_err());
        assert!(Scenario::parse(&text.replace("kind = \"steady\"", "kind = \"warm\"")).is_err());
        assert!(Scenario::load("no-such-thing").unwrap_err().contains("smoke"));
    }
}
