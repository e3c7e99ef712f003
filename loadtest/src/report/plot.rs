//! Plots as SVG, written by hand: latency by percentile on an axis of log(1/(1-p)), on which tails are as wide as
//! middles; latency over time; latency against rate. Latencies stand on a logarithmic axis, budgets are drawn in.

mod chart;

use hdrhistogram::Histogram;

use self::chart::{Axis, Chart, Mark, Series, Shape};
use super::histograms::all;
use crate::run::Run;
use crate::verdict::{Budget, Metric, Relation, Statistic, Times, format_ns};

const COLOURS: [&str; 4] = ["#1f6fb2", "#d9822b", "#8a8f98", "#2e8b57"];
const RED: &str = "#c0392b";

/// A point of the curve of rates.
#[derive(Clone, Copy, Debug)]
pub struct RatePoint {
    pub rate: f64,
    pub p50_ns: f64,
    pub p99_ns: f64,
    pub passes: bool,
}

pub fn percentiles(run: &Run) -> String {
    let histograms: Vec<_> = all(&run.outcome).into_iter().filter(|(_, histogram)| !histogram.is_empty()).collect();
    let samples = histograms.iter().map(|(_, histogram)| histogram.len()).max().unwrap_or(1);
    // As far as there are samples: the last decade is the single slowest one.
    let nines = (samples.max(10) as f64).log10();
    let x = Axis { label: "percentile, log(1/(1-p))".to_owned(), from: 0.0, to: nines, ticks: percentile_ticks(nines) };
    let budgets: Vec<&Budget> = run.scenario.budgets.iter().collect();
    let lowest = histograms.iter().map(|(_, histogram)| histogram.value_at_quantile(0.0)).min().unwrap_or(1);
    let highest = histograms.iter().map(|(_, histogram)| histogram.max()).max().unwrap_or(1);
    let y = latency_axis(lowest as f64, highest as f64, &budgets);
    let curve = |histogram: &Histogram<u64>| {
        let mut points = Vec::new();
        let steps = 240;
        for step in 0..=steps {
            let place = nines * f64::from(step) / f64::from(steps);
            let quantile = 1.0 - 10_f64.powf(-place);
            points.push((place, (histogram.value_at_quantile(quantile).max(1) as f64).log10()));
        }
        points
    };
    let series = histograms.iter().enumerate().map(|(index, (name, histogram))| Series {
        name: name.replace('-', " "),
        colour: COLOURS[index % COLOURS.len()],
        points: curve(histogram),
        shape: Shape::Line,
    });
    let marks = budgets.iter().filter_map(|budget| {
        let Metric::Time(times, Statistic::Percentile(percent)) = budget.metric else { return None };
        let place = -(1.0 - percent / 100.0).log10();
        Some(Mark { colour: colour_of(times), ..mark(budget, Some(place.min(nines)))? })
    });
    let title = format!("{}: latency by percentile, {:.0}/s, {}", run.scenario.name, run.scenario.rate, run.target);
    Chart { title, x, y, series: series.collect(), marks: marks.collect() }.svg()
}

pub fn over_time(run: &Run) -> String {
    let intervals: Vec<_> = run.outcome.intervals.iter().filter(|interval| !interval.response.is_empty()).collect();
    let lowest = intervals.iter().map(|i| i.response.value_at_quantile(0.5)).min().unwrap_or(1);
    let highest = intervals.iter().map(|i| i.response.max()).max().unwrap_or(1);
    let budgets: Vec<&Budget> = response_budgets(run);
    let end_s = run.scenario.seconds();
    let x = Axis { label: "seconds from the start".to_owned(), from: 0.0, to: end_s, ticks: linear_ticks(end_s) };
    let y = latency_axis(lowest as f64, highest as f64, &budgets);
    let curves: [(&str, f64, &'static str); 3] =
        [("p50", 0.5, COLOURS[3]), ("p99", 0.99, COLOURS[0]), ("max", 1.0, COLOURS[2])];
    let series = curves.iter().map(|(name, quantile, colour)| Series {
        name: format!("response {name}"),
        colour,
        points: intervals
            .iter()
            .map(|interval| {
                let middle_s = (interval.start_ns as f64 + run.outcome.interval_ns as f64 / 2.0) / 1e9;
                (middle_s.min(end_s), (interval.response.value_at_quantile(*quantile).max(1) as f64).log10())
            })
            .collect(),
        shape: Shape::LineAndDots,
    });
    let marks = budgets.iter().filter_map(|budget| mark(budget, None));
    let seconds = run.outcome.interval_ns as f64 / 1e9;
    let title = format!("{}: latency over time, intervals of {seconds:.0} s, {}", run.scenario.name, run.target);
    Chart { title, x, y, series: series.collect(), marks: marks.collect() }.svg()
}

/// The hockey stick.
pub fn against_rate(name: &str, points: &[RatePoint], budgets: &[Budget]) -> String {
    let mut points = points.to_vec();
    points.sort_by(|one, two| one.rate.total_cmp(&two.rate));
    let rate_max = points.iter().map(|point| point.rate).fold(1.0, f64::max) * 1.05;
    let budgets: Vec<&Budget> = budgets.iter().filter(|budget| is_of_response(budget)).collect();
    let lowest = points.iter().map(|point| point.p50_ns).fold(f64::INFINITY, f64::min);
    let highest = points.iter().map(|point| point.p99_ns).fold(1.0, f64::max);
    let x = Axis { label: "requests a second".to_owned(), from: 0.0, to: rate_max, ticks: linear_ticks(rate_max) };
    let y = latency_axis(if lowest.is_finite() { lowest } else { 1e3 }, highest, &budgets);
    let line = |name: &str, colour, value: &dyn Fn(&RatePoint) -> f64| Series {
        name: name.to_owned(),
        colour,
        points: points.iter().map(|point| (point.rate, value(point).max(1.0).log10())).collect(),
        shape: Shape::LineAndDots,
    };
    let failed = points.iter().filter(|point| !point.passes);
    let series = vec![
        line("p99", COLOURS[0], &|point| point.p99_ns),
        line("p50", COLOURS[3], &|point| point.p50_ns),
        Series {
            name: "a budget failed".to_owned(),
            colour: RED,
            points: failed.map(|point| (point.rate, point.p99_ns.max(1.0).log10())).collect(),
            shape: Shape::Crosses,
        },
    ];
    let marks = budgets.iter().filter_map(|budget| mark(budget, None)).collect();
    Chart { title: format!("{name}: response time against rate"), x, y, series, marks }.svg()
}

/// A point of a sweep. What was not measured is left out.
#[derive(Clone, Copy, Debug)]
pub struct SizePoint {
    pub x: f64,
    pub cpu_ns: Option<f64>,
    pub p50_ns: Option<f64>,
    pub p99_ns: Option<f64>,
}

/// Time against a size, both on logarithmic axes.
pub fn against_size(title: &str, label: &str, points: &[SizePoint]) -> String {
    let line = |name: &str, colour, value: fn(&SizePoint) -> Option<f64>| Series {
        name: name.to_owned(),
        colour,
        points: points.iter().filter_map(|p| Some((p.x.log10(), value(p)?.max(1.0).log10()))).collect(),
        shape: Shape::LineAndDots,
    };
    let series = [
        line("CPU per request", COLOURS[1], |point| point.cpu_ns),
        line("p50", COLOURS[3], |point| point.p50_ns),
        line("p99", COLOURS[0], |point| point.p99_ns),
    ];
    let heights = || series.iter().flat_map(|series| &series.points).map(|(_, y)| *y);
    let (from, to) = (heights().fold(f64::INFINITY, f64::min), heights().fold(f64::NEG_INFINITY, f64::max));
    let (from, to) = if from <= to { (from.floor(), to.ceil().max(from.floor() + 1.0)) } else { (3.0, 6.0) };
    let ends = |pick: fn(f64, f64) -> f64, start| points.iter().map(|point| point.x.log10()).fold(start, pick);
    let (left, right) = (ends(f64::min, f64::INFINITY), ends(f64::max, f64::NEG_INFINITY));
    let ticks = points.iter().map(|point| (point.x.log10(), grouped(point.x))).collect();
    // Room for the first and the last dot, and for their labels.
    let margin = 0.06 * (right - left).max(1.0);
    let x = Axis { label: format!("{label} (log)"), from: left - margin, to: right + margin, ticks };
    let y = Axis { label: "time (log)".to_owned(), from, to, ticks: decades(from, to) };
    Chart { title: title.to_owned(), x, y, series: series.into(), marks: Vec::new() }.svg()
}

/// Ticks of a logarithmic axis, those between the decades included where these are few.
fn decades(from: f64, to: f64) -> Vec<(f64, String)> {
    let steps: &[f64] = if to - from <= 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let mut ticks = Vec::new();
    for decade in from as i32..=to as i32 {
        for step in steps {
            let ns = step * 10_f64.powi(decade);
            if ns.log10() <= to + 1e-9 {
                ticks.push((ns.log10(), format_ns(ns).replace(".00", "").replace(".0", "")));
            }
        }
    }
    ticks
}

/// 1234567 as `1,234,567`.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn response_budgets(run: &Run) -> Vec<&Budget> {
    run.scenario.budgets.iter().filter(|budget| is_of_response(budget)).collect()
}

fn is_of_response(budget: &Budget) -> bool {
    matches!(budget.metric, Metric::Time(Times::Response, _))
}

fn colour_of(times: Times) -> &'static str {
    match times {
        Times::Response => COLOURS[0],
        Times::Service => COLOURS[1],
        Times::SendLag => COLOURS[2],
        Times::AddedByServer => COLOURS[3],
    }
}

fn mark(budget: &Budget, ends_at: Option<f64>) -> Option<Mark> {
    let is_time = matches!(budget.metric, Metric::Time(..));
    (is_time && budget.relation == Relation::AtMost && budget.limit > 0.0).then(|| Mark {
        label: budget.text.clone(),
        colour: RED,
        y: budget.limit.log10(),
        ends_at,
    })
}

/// Whole decades around everything that is shown.
fn latency_axis(lowest_ns: f64, highest_ns: f64, budgets: &[&Budget]) -> Axis {
    let limits = budgets.iter().filter(|b| matches!(b.metric, Metric::Time(..))).map(|budget| budget.limit.max(1.0));
    let highest = limits.clone().fold(highest_ns.max(10.0), f64::max);
    let lowest = limits.fold(lowest_ns.max(100.0), f64::min);
    let from = lowest.log10().floor();
    let to = highest.log10().ceil().max(from + 1.0);
    let label = |decade: i32| match decade {
        ..3 => format!("{} ns", 10_i64.pow(decade.max(0) as u32)),
        3..6 => format!("{} us", 10_i64.pow((decade - 3) as u32)),
        6..9 => format!("{} ms", 10_i64.pow((decade - 6) as u32)),
        _ => format!("{} s", 10_i64.pow((decade - 9) as u32)),
    };
    let ticks = (from as i32..=to as i32).map(|decade| (f64::from(decade), label(decade))).collect();
    Axis { label: "latency".to_owned(), from, to, ticks }
}

fn percentile_ticks(nines: f64) -> Vec<(f64, String)> {
    let mut ticks = vec![(0.0, "0 %".to_owned()), (0.5_f64.log10().abs(), "50 %".to_owned())];
    for count in 1..=(nines.floor() as usize) {
        let text = match count {
            1 => "90 %".to_owned(),
            2 => "99 %".to_owned(),
            _ => format!("99.{} %", "9".repeat(count - 2)),
        };
        ticks.push((count as f64, text));
    }
    ticks
}

/// At most eight round numbers.
fn linear_ticks(to: f64) -> Vec<(f64, String)> {
    let power = 10_f64.powf((to / 8.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| to / step <= 8.0);
    let step = step.unwrap_or(to);
    let digits = if step < 1.0 { 1 } else { 0 };
    (0..=(to / step + 1e-9) as u32).map(|n| (f64::from(n) * step, thousands(f64::from(n) * step, digits))).collect()
}

fn thousands(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    let whole = text.split('.').next().unwrap_or_default();
    if whole.len() <= 3 {
        return text;
    }
    let (head, tail) = text.split_at(whole.len() - 3);
    format!("{head},{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::example;

    #[test]
    fn plots_show_axes_and_budgets() {
        let run = example();
        for svg in [percentiles(&run), over_time(&run)] {
            assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.contains("stroke-dasharray"), "budgets are dashed");
            for word in ["latency", "1 ms", "p99"] {
                assert!(svg.contains(word), "{word}");
            }
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
        }
        assert!(percentiles(&run).contains(">99 %<"));
        let points = [(1_000.0, true), (2_000.0, true), (4_000.0, false)].map(|(rate, passes)| RatePoint {
            rate,
            p50_ns: 1e5,
            p99_ns: rate * 1e3,
            passes,
        });
        let svg = against_rate("smoke", &points, &run.scenario.budgets);
        assert!(svg.contains("requests a second") && svg.contains(">2,000<") && svg.contains("a budget failed"));
    }

    #[test]
    fn sweeps_have_both_axes_labelled() {
        let point = |x: f64| SizePoint { x, cpu_ns: Some(9e3), p50_ns: Some(x.log10() * 3e4), p99_ns: None };
        let svg = against_size("A sweep", "rules", &[100.0, 1e4, 1e7].map(point));
        for word in
            [">rules (log)<", ">time (log)<", ">100<", ">10,000,000<", ">5 us<", ">100 us<", ">CPU per request<"]
        {
            assert!(svg.contains(word), "{word}: {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains(">p99<"));
        assert!(!against_size("Nothing", "rules", &[]).contains("circle"));
    }

    #[test]
    fn ticks_are_round_and_few() {
        let names = |to| linear_ticks(to).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names(12.0), ["0", "2", "4", "6", "8", "10", "12"]);
        assert_eq!(names(3.0), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]);
        assert_eq!(names(40_000.0).last().unwrap(), "40,000");
        assert_eq!(percentile_ticks(4.2).last().unwrap().1, "99.99 %");
    }
}
