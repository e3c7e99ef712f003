//! What the shards counted, as text that Prometheus reads.
//!
//! Each family's HELP and TYPE stand once, followed by its samples of all shards. The bounds of histogram buckets are
//! a fixed choice among those in which shards count, so counts are exact and the same buckets come out at each scrape.
//!
//! Source: the text format, version 0.0.4,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::metrics::{ControlTotals, Histogram, OptOutMetrics, PartnerCounts, PartnerMetrics, ShardMetrics};

/// The `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of all shards, of control, of who keeps opt-outs, and of the partners in use.
pub fn exposition(
    shards: &[Arc<ShardMetrics>],
    control: &ControlTotals,
    opt_outs: &OptOutMetrics,
    partners: &[PartnerCounts],
) -> String {
    let mut text = Exposition { text: String::with_capacity(64 * 1024) };
    text.family("build_info", Kind::Gauge, "Always 1; the label says which version runs.");
    text.sample("build_info", "", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.values(&[(Vec::new(), control)], Kind::Counter, "", |control| control.values().collect());
    let numbers: Vec<String> = (0..shards.len()).map(|shard| shard.to_string()).collect();
    let every: Vec<Labelled<'_, ShardMetrics>> =
        shards.iter().zip(&numbers).map(|(shard, number)| (vec![("shard", number.as_str())], &**shard)).collect();
    text.values(&every, Kind::Counter, "", |shard| shard.totals.values().collect());
    text.values(&every, Kind::Gauge, "", |shard| shard.gauges.values().collect());
    let help = "From a request's last byte to its answer handed to the kernel.";
    text.histogram("request_seconds", help, &every, |shard| &shard.latency);
    text.values(&[(Vec::new(), opt_outs)], Kind::Counter, "", |kept| kept.totals.values().collect());
    text.values(&[(Vec::new(), opt_outs)], Kind::Gauge, "", |kept| kept.gauges.values().collect());

    let every: Vec<Labelled<'_, PartnerMetrics>> = partners
        .iter()
        .flat_map(|partner| {
            let shards = numbers.iter().zip(&partner.shards);
            shards.map(|(number, counts)| (vec![("shard", number.as_str()), ("partner", &partner.name)], &**counts))
        })
        .collect();
    text.values(&every, Kind::Counter, "partner_", |partner| partner.totals.values().collect());
    let help = "From a partner call's start to its answer.";
    text.histogram("partner_latency_seconds", help, &every, |partner| &partner.latency);
    text.histogram("partner_waited_seconds", "How long visitors waited for a partner.", &every, |partner| {
        &partner.waited
    });
    text.text
}

/// Something that counts, and the labels of its samples.
type Labelled<'a, T> = (Vec<(&'a str, &'a str)>, &'a T);

/// (name, help, value) of everything in a block.
type Values = Vec<(&'static str, &'static str, u64)>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

struct Exposition {
    text: String,
}

impl Exposition {
    /// The head of a family.
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP pinion_{name} {help}"));
        self.line(format_args!("# TYPE pinion_{name} {kind}"));
    }

    /// One family for each value of a block.
    fn values<T>(&mut self, every: &[Labelled<'_, T>], kind: Kind, prefix: &str, values: impl Fn(&T) -> Values) {
        let blocks: Vec<Values> = every.iter().map(|(_, block)| values(block)).collect();
        let Some(first) = blocks.first() else { return };
        let suffix = if kind == Kind::Counter { "_total" } else { "" };
        for (place, (name, help, _)) in first.iter().enumerate() {
            let name = format!("{prefix}{name}{suffix}");
            self.family(&name, kind, help);
            for ((labels, _), block) in every.iter().zip(&blocks) {
                self.sample(&name, "", labels, block[place].2);
            }
        }
    }

    fn histogram<T>(
        &mut self,
        name: &str,
        help: &str,
        every: &[Labelled<'_, T>],
        histogram: impl Fn(&T) -> &Histogram,
    ) {
        if every.is_empty() {
            return;
        }
        self.family(name, Kind::Histogram, help);
        for (labels, block) in every {
            let histogram = histogram(block);
            // Read once: a shard goes on counting, and the buckets must add up to the count.
            let filled: Vec<(u64, u64)> = histogram.filled().collect();
            let count: u64 = filled.iter().map(|(_, count)| count).sum();
            let mut rest = filled.iter().peekable();
            let mut below = 0;
            for bound_ns in bounds_ns() {
                while let Some((_, count)) = rest.next_if(|(upper_ns, _)| *upper_ns <= bound_ns) {
                    below += count;
                }
                self.bucket(name, labels, &seconds(bound_ns), below);
            }
            self.bucket(name, labels, "+Inf", count);
            self.sample(name, "_sum", labels, seconds(histogram.sum_ns()));
            self.sample(name, "_count", labels, count);
        }
    }

    fn bucket(&mut self, name: &str, labels: &[(&str, &str)], bound: &str, count: u64) {
        let labels: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
        self.sample(name, "_bucket", &labels, count);
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(format_args!("pinion_{name}{suffix}{labels} {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("a string takes everything");
        self.text.push('\n');
    }
}

/// Upper bounds of the buckets that are shown: two for each power of two from a microsecond to half a minute. Shards
/// count in finer buckets, of which some end exactly at each of these.
fn bounds_ns() -> impl Iterator<Item = u64> {
    (10..35).flat_map(|power| [1 << power, 3 << (power - 1)]).map(|end: u64| end - 1)
}

/// Exact, since a float would not be.
fn seconds(ns: u64) -> String {
    let text = format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::ids::PartnerId;

    /// Of two shards.
    fn partner(id: u32, name: &str) -> PartnerCounts {
        PartnerCounts { id: PartnerId(id), name: name.to_owned(), shards: [Arc::default(), Arc::default()].into() }
    }

    fn two_shards() -> Vec<Arc<ShardMetrics>> {
        let shards = [ShardMetrics::default(), ShardMetrics::default()];
        shards[0].totals.requests.add(7);
        shards[1].totals.requests.add(9);
        shards[1].gauges.connections.set(3);
        for ns in [500, 1_023, 1_024, 50_000_000, u64::MAX] {
            shards[0].latency.record(ns.min(1 << 36));
        }
        shards.map(Arc::new).into()
    }

    fn text() -> String {
        let control = ControlTotals::default();
        control.reloads.add(4);
        let opt_outs = OptOutMetrics::default();
        opt_outs.gauges.opt_outs_room.set(5);
        let partners = [partner(1, "swift"), partner(2, "odd \"name\"\\")];
        partners[1].shards[1].totals.late.increment();
        partners[1].shards[1].waited.record(2_000_000_000);
        exposition(&two_shards(), &control, &opt_outs, &partners)
    }

    /// Name with labels -> value.
    fn samples(text: &str) -> BTreeMap<&str, f64> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, value)| (name, value.parse().unwrap())).collect()
    }

    #[test]
    fn samples_carry_their_shard_and_partner() {
        let text = text();
        let samples = samples(&text);
        assert_eq!(samples["pinion_requests_total{shard=\"0\"}"], 7.0);
        assert_eq!(samples["pinion_requests_total{shard=\"1\"}"], 9.0);
        assert_eq!((samples["pinion_reloads_total{}"], samples["pinion_reloads_failed_total{}"]), (4.0, 0.0));
        assert_eq!(samples["pinion_connections{shard=\"1\"}"], 3.0);
        assert_eq!(samples["pinion_partner_late_total{shard=\"1\",partner=\"odd \\\"name\\\"\\\\\"}"], 1.0);
        assert_eq!(samples["pinion_partner_late_total{shard=\"1\",partner=\"swift\"}"], 0.0);
        assert_eq!((samples["pinion_opt_outs_room"], samples["pinion_opt_outs_log_failures_total"]), (5.0, 0.0));
    }

    #[test]
    fn buckets_are_cumulative_and_exact() {
        let text = text();
        let samples = samples(&text);
        let bucket =
            |bound: &str| samples[format!("pinion_request_seconds_bucket{{shard=\"0\",le=\"{bound}\"}}").as_str()];
        assert_eq!(bucket("0.000001023"), 2.0);
        assert_eq!(bucket("0.000001535"), 3.0);
        assert_eq!(bucket("0.067108863"), 4.0);
        assert_eq!(bucket("+Inf"), 5.0);
        assert_eq!(samples["pinion_request_seconds_count{shard=\"0\"}"], 5.0);
        assert_eq!(samples["pinion_partner_waited_seconds_sum{shard=\"1\",partner=\"odd \\\"name\\\"\\\\\"}"], 2.0);
    }

    /// Each shown bound must be one at which shards end a bucket, else counts would be off by a bucket's content.
    #[test]
    fn shown_bounds_are_bounds_of_counting() {
        for bound_ns in bounds_ns() {
            let histogram = Histogram::default();
            histogram.record(bound_ns);
            assert_eq!(histogram.filled().next(), Some((bound_ns, 1)));
        }
    }

    #[test]
    fn the_text_is_well_formed() {
        let text = text();
        assert!(text.ends_with('\n') && !text.contains("\n\n"));
        let (mut announced, mut current) = (BTreeSet::new(), "");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && announced.insert(name), "{name} is announced once");
                let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name} {kind}");
                current = name;
            } else {
                let name = line.split(['{', ' ']).next().unwrap();
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
                assert!(name == current || family == Some(current), "{name} stands under {current}");
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
            }
        }
        assert!(announced.len() > 60);
    }

    #[test]
    fn seconds_are_exact() {
        for (ns, text) in [(0, "0"), (1, "0.000000001"), (1_500_000_000, "1.5"), (20_000_000_000, "20")] {
            assert_eq!(seconds(ns), text);
        }
    }
}
