//! Histograms in the two formats of the public tools: percentile tables (`.hgrm`) and interval logs (`.hlog`, V2
//! deflate). Sources: HdrHistogram's `outputPercentileDistribution` and `HistogramLogWriter`.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use crate::engine::Outcome;
use crate::run::Run;

/// Lines of a table for each halving of the distance to 100 %.
const TICKS_PER_HALF: u32 = 5;
const VERSION: &str = "[Histogram log format version 1.3]";
const LEGEND: &str = "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";

pub fn all(outcome: &Outcome) -> [(&'static str, &Histogram<u64>); 4] {
    [
        ("response", &outcome.response),
        ("service", &outcome.service),
        ("send-lag", &outcome.send_lag),
        ("added-by-server", &outcome.added),
    ]
}

/// Values in milliseconds.
pub fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        count += step.count_since_last_iteration();
        let (value, share) = (step.value_iterated_to() as f64 / 1e6, step.quantile_iterated_to());
        let _ = write!(text, "{value:12.6} {share:2.12} {count:10}");
        let _ = if share < 1.0 { writeln!(text, " {:14.2}", 1.0 / (1.0 - share)) } else { writeln!(text) };
    }
    let (mean, deviation) = (histogram.mean() / 1e6, histogram.stdev() / 1e6);
    let _ = writeln!(text, "#[Mean    = {mean:12.6}, StdDeviation   = {deviation:12.6}]");
    let (max, total) = (histogram.max() as f64 / 1e6, histogram.len());
    let _ = writeln!(text, "#[Max     = {max:12.6}, Total count    = {total:12}]");
    // Three digits are 2,048 steps for each doubling.
    let sub_buckets = 2_048;
    let _ = writeln!(text, "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]", buckets(histogram.high()));
    text
}

fn buckets(high: u64) -> u32 {
    (high / 2_048 + 1).next_power_of_two().ilog2() + 1
}

/// The response times of each interval, measured or not; the tag tells. Values in nanoseconds, maxima in milliseconds.
///
/// # Errors
/// A histogram that can't be written, in words.
pub fn hlog(run: &Run, at: SystemTime) -> Result<Vec<u8>, String> {
    let words = |error: &dyn std::fmt::Display| format!("response.hlog: {error}");
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    // The builder knows no legend, which stands between the head and the first interval.
    IntervalLogWriterBuilder::new()
        .add_comment(&format!("[loadtest {}, {}, commit {}]", run.scenario.name, run.target, run.host.commit))
        .add_comment(VERSION)
        .with_start_time(at)
        .with_base_time(at)
        .begin_log_with(&mut log, &mut serializer)
        .map_err(|error| words(&error))?;
    log.extend_from_slice(LEGEND.as_bytes());
    let mut writer = IntervalLogWriterBuilder::new()
        .with_max_value_divisor(1.0)
        .begin_log_with(&mut log, &mut serializer)
        .map_err(|error| words(&error))?;
    let length = Duration::from_nanos(run.outcome.interval_ns);
    for interval in &run.outcome.intervals {
        let tag = hdrhistogram::serialization::interval_log::Tag::new("unmeasured").filter(|_| !interval.is_measured);
        writer
            .write_histogram(&interval.response, Duration::from_nanos(interval.start_ns), length, tag)
            .map_err(|error| words(&error))?;
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::report::summary::example;

    #[test]
    fn interval_logs_are_read_back() {
        let run = example();
        let log = hlog(&run, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
        let text = std::str::from_utf8(&log).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1] == "#[Histogram log format version 1.3]" && lines[2].starts_with("#[StartTime: 1700000000"));
        assert_eq!(lines.iter().filter(|line| line.starts_with("\"StartTimestamp\"")).count(), 1);
        assert!(text.contains(",HISTF"), "what deflated V2 begins with in base64");
        let mut sum = crate::engine::histogram();
        let mut intervals = 0;
        for entry in IntervalLogIterator::new(&log) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let bytes = base64(interval.encoded_histogram());
                let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
                sum.add(&read).unwrap();
                intervals += 1;
            }
        }
        assert_eq!(intervals, run.outcome.intervals.len());
        let mut expected = crate::engine::histogram();
        run.outcome.intervals.iter().for_each(|interval| expected.add(&interval.response).unwrap());
        assert!(sum == expected && !sum.is_empty());
    }

    #[test]
    fn tables_end_at_the_maximum() {
        let text = hgrm(&example().outcome.response);
        assert!(text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
        let last = text.lines().rfind(|line| !line.starts_with('#')).unwrap();
        let words: Vec<&str> = last.split_whitespace().collect();
        let histogram = &example().outcome.response;
        assert_eq!(words[1..], ["1.000000000000", &histogram.len().to_string()]);
        assert!((words[0].parse::<f64>().unwrap() - histogram.max() as f64 / 1e6).abs() < 0.01);
        assert_eq!(buckets(60_000_000_000), 26);
    }

    fn base64(text: &str) -> Vec<u8> {
        let value = |byte: u8| match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
        for byte in text.bytes().filter(|byte| *byte != b'=') {
            bits = bits << 6 | u32::from(value(byte));
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
            }
        }
        bytes
    }
}
