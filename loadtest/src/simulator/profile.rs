//! What a simulated partner is like, as its file says.

use serde::Deserialize;

use super::draw::{Purpose, draw, hash};
use crate::latency::Latency;
use crate::random::Random;

/// One partner. Everything has a default: a partner that knows everybody and answers at once.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    pub name: String,
    pub format: Format,
    /// From when a request is complete to when its answer leaves.
    pub latency: Latency,
    /// Of all visitors, how many are known; always the same ones.
    pub hit_share: f64,
    /// How many segments a known visitor is in.
    pub segments: Range,
    /// How many segments there are: `segment_prefix` and a number from 1 on (the number alone in formats whose ids
    /// are numbers).
    pub segment_ids: u64,
    pub segment_prefix: String,
    /// For how long answers are good, where the format can say so.
    pub ttl_s: Option<u32>,
    /// By which query parameter, or else member of the JSON body, a request names the visitor.
    pub visitor: String,
    pub faults: Vec<Fault>,
    /// Another seed, other visitors known.
    pub seed: u64,
}

/// How answers are laid out: the formats that the server reads.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Pinion,
    OpenRtb,
    Flat,
    Scored,
    Lotame,
    BlueKai,
    Targeting,
    Stale,
    Dcs,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub min: u64,
    pub max: u64,
}

/// What goes wrong, and how often.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Fault {
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Of requests, or of connections for the last two kinds.
    pub share: f64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// No answer, ever; the connection stays.
    Hang,
    /// The answer byte by byte, so long apart.
    Drip { every_ms: u64 },
    /// So many bytes of the answer, then a reset.
    ResetAt { byte: usize },
    /// Half of the answer, then our side is closed; the partner goes on reading.
    HalfClose,
    /// No HTTP.
    Garbage,
    /// HTTP, and in it a JSON that is cut off.
    BrokenJson,
    /// `Content-Length` says more than comes, or less.
    WrongLength,
    #[serde(rename = "status_500")]
    Status500,
    /// With a `Retry-After` of a second.
    #[serde(rename = "status_429")]
    Status429,
    /// A well-formed answer of so many bytes.
    BigBody { bytes: usize },
    /// The connection is refused. With a share of 1 nothing listens at all; otherwise some are reset as soon as they
    /// are accepted, which is as close as a listening socket comes to it.
    Refuse,
    /// Closed without a word after so many answers.
    CloseAfter { answers: u64 },
}

/// Visitors' segments: consecutive numbers, which begin again at 1 after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Knowledge {
    first: u64,
    pub(super) count: u64,
    ids: u64,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile {
            name: "partner".to_owned(),
            format: Format::Pinion,
            latency: Latency::default(),
            hit_share: 1.0,
            segments: Range { min: 1, max: 5 },
            segment_ids: 1_000,
            segment_prefix: "s".to_owned(),
            ttl_s: None,
            visitor: "id".to_owned(),
            faults: Vec::new(),
            seed: 1,
        }
    }
}

impl Profile {
    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn from_toml(text: &str) -> Result<Profile, String> {
        let profile: Profile = toml::from_str(text).map_err(|error| error.to_string())?;
        profile.check()?;
        Ok(profile)
    }

    /// # Errors
    /// What can't be, for a person.
    pub fn check(&self) -> Result<(), String> {
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        let shares_of = |connections: bool| -> f64 {
            let of_kind = |fault: &&Fault| fault.kind.is_of_connection() == connections;
            self.faults.iter().filter(of_kind).map(|fault| fault.share).sum()
        };
        let is_one_line = |text: &str| !text.contains(|c: char| c.is_control() || c == '"' || c == '\\');
        let demands = [
            (is_share(self.hit_share), "`hit_share` is between 0 and 1"),
            (self.segments.min <= self.segments.max, "`segments.min` is at most `segments.max`"),
            (self.segments.max <= self.segment_ids, "`segments.max` is at most `segment_ids`"),
            (self.segment_ids > 0, "`segment_ids` is at least 1"),
            (is_one_line(&self.segment_prefix), "`segment_prefix` has no quotes, backslashes or control characters"),
            (self.faults.iter().all(|fault| is_share(fault.share)), "a fault's `share` is between 0 and 1"),
            (shares_of(false) < 1.0 + 1e-9, "the shares of faults of requests add up to at most 1"),
            (shares_of(true) < 1.0 + 1e-9, "the shares of `refuse` and `close_after` add up to at most 1"),
            (self.latency.is_possible(), "a latency's numbers are not negative, its shares are between 0 and 1"),
        ];
        match demands.iter().find(|(holds, _)| !holds) {
            Some((_, demand)) => Err(format!("partner {:?}: {demand}", self.name)),
            None => Ok(()),
        }
    }

    /// What the partner says of a visitor, as the server's answer should show it. Empty: nothing is known.
    pub fn segments_of(&self, visitor_id: &[u8]) -> Vec<String> {
        let numbers = self.knowledge(hash(visitor_id)).into_iter().flat_map(Knowledge::numbers);
        numbers.map(|number| format!("{}{number}", self.prefix())).collect()
    }

    /// What stands before a segment's number: nothing in formats whose ids are numbers.
    pub(super) fn prefix(&self) -> &str {
        match self.format {
            Format::BlueKai | Format::Dcs => "",
            _ => &self.segment_prefix,
        }
    }

    pub(super) fn knowledge(&self, visitor: u64) -> Option<Knowledge> {
        if draw(self.seed, Purpose::Hit, visitor, 0).share() >= self.hit_share {
            return None;
        }
        let mut random = draw(self.seed, Purpose::Segments, visitor, 0);
        let count = self.segments.min + random.below(self.segments.max - self.segments.min + 1);
        (count > 0).then(|| Knowledge { first: random.below(self.segment_ids), count, ids: self.segment_ids })
    }

    /// What goes wrong with a visitor's request; `turn` counts the visitor's requests.
    pub(super) fn request_fault(&self, visitor: u64, turn: u64) -> Option<FaultKind> {
        self.draw_fault(false, draw(self.seed, Purpose::RequestFault, visitor, turn))
    }

    /// What goes wrong with a connection.
    pub(super) fn connection_fault(&self, number: u64) -> Option<FaultKind> {
        self.draw_fault(true, draw(self.seed, Purpose::ConnectionFault, number, 0))
    }

    fn draw_fault(&self, of_connection: bool, mut random: Random) -> Option<FaultKind> {
        let mut rest = random.share();
        let faults = self.faults.iter().filter(|fault| fault.kind.is_of_connection() == of_connection);
        for fault in faults {
            if rest < fault.share {
                return Some(fault.kind);
            }
            rest -= fault.share;
        }
        None
    }

    /// Whether nothing is to listen at all.
    pub(super) fn refuses_everybody(&self) -> bool {
        self.faults.iter().any(|fault| fault.kind == FaultKind::Refuse && fault.share >= 1.0)
    }
}

impl FaultKind {
    pub(super) fn is_of_connection(self) -> bool {
        matches!(self, FaultKind::Refuse | FaultKind::CloseAfter { .. })
    }
}

impl Knowledge {
    pub(super) fn numbers(self) -> impl Iterator<Item = u64> {
        (0..self.count).map(move |place| (self.first + place) % self.ids + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::{FAULT_NAMES, Statistics};
    use super::*;

    const EVERY_KEY: &str = include_str!("../../peers/partner.example.toml");

    #[test]
    fn a_file_with_every_key() {
        let profile = Profile::from_toml(EVERY_KEY).unwrap();
        assert_eq!(profile.format, Format::OpenRtb);
        assert_eq!(profile.latency, Latency::LogNormal { median_ms: 4.0, sigma: 0.5 });
        assert_eq!((profile.hit_share, profile.ttl_s, profile.segments), (0.25, Some(60), Range { min: 2, max: 8 }));
        assert_eq!((profile.segment_ids, &profile.segment_prefix[..], &profile.visitor[..]), (500, "seg-", "u"));
        assert_eq!(profile.faults[0], Fault { kind: FaultKind::ResetAt { byte: 20 }, share: 0.5 });
        assert_eq!(profile.connection_fault(17), Some(FaultKind::CloseAfter { answers: 3 }));
        let count = |kind| (0..4_000).filter(|visitor| profile.request_fault(*visitor, 0) == kind).count();
        assert!((1_900..2_100).contains(&count(Some(FaultKind::ResetAt { byte: 20 }))));
        assert!((900..1_100).contains(&count(Some(FaultKind::Status429))));
        assert!((900..1_100).contains(&count(None)));
    }

    #[test]
    fn what_can_not_be_is_refused() {
        assert_eq!(Profile::from_toml("").unwrap(), Profile::default());
        for (text, reason) in [
            ("hit_share = 1.5", "hit_share"),
            ("hitshare = 0.5", "hitshare"),
            ("segments = { min = 3, max = 2 }", "segments.min"),
            ("segment_ids = 2", "segment_ids"),
            ("segment_prefix = '\"'", "quotes"),
            ("latency = { kind = 'constant', ms = -1.0 }", "negative"),
            ("latency = { kind = 'spikes', ms = 1.0, spike_ms = 9.0, every_s = 0.0, for_ms = 1.0 }", "latency"),
            ("faults = [{ kind = 'hang', share = 0.6 }, { kind = 'garbage', share = 0.6 }]", "add up"),
            ("faults = [{ kind = 'hang' }]", "share"),
            ("faults = [{ kind = 'sulk', share = 0.1 }]", "sulk"),
        ] {
            let error = Profile::from_toml(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn every_fault_has_the_name_by_which_it_is_counted() {
        for name in FAULT_NAMES {
            let text =
                format!("faults = [{{ kind = '{name}', share = 1, every_ms = 1, byte = 1, bytes = 1, answers = 1 }}]");
            let kind = Profile::from_toml(&text).unwrap().faults[0].kind;
            let statistics = Statistics::default();
            statistics.count_fault(kind);
            assert_eq!(statistics.counts().fault(name), 1, "{name}");
        }
    }

    #[test]
    fn the_same_visitors_are_known_and_for_the_same() {
        let profile = Profile { hit_share: 0.25, segments: Range { min: 2, max: 4 }, ..Profile::default() };
        let mut known = 0;
        for visitor in 0..4_000 {
            let id = format!("visitor-{visitor}");
            let segments = profile.segments_of(id.as_bytes());
            assert_eq!(segments, profile.segments_of(id.as_bytes()));
            assert!(segments.is_empty() || (2..=4).contains(&segments.len()));
            known += usize::from(!segments.is_empty());
        }
        assert!((900..1_100).contains(&known), "{known}");
        let all = Profile { segments: Range { min: 7, max: 7 }, segment_ids: 7, ..Profile::default() };
        let mut segments = all.segments_of(b"anybody");
        segments.sort();
        assert_eq!(segments, ["s1", "s2", "s3", "s4", "s5", "s6", "s7"]);
    }
}
