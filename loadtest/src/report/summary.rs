//! A run in words: a page of Markdown, and a table for a terminal of 80 columns.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::histograms::all;
use crate::run::Run;
use crate::scenario::Player;
use crate::verdict::{achieved, format_ns};

const QUANTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Every table that is printed fits this.
const COLUMNS: usize = 80;

/// What a person sees at the end.
pub fn table(run: &Run) -> String {
    let mut text = format!("{} against {}, {}\n\n", run.scenario.name, run.target, offered(run));
    let _ = writeln!(text, "{:<18}{:>12}{:>12}{:>12}{:>12}{:>12}", "", "p50", "p90", "p99", "p99.9", "max");
    for (name, histogram) in all(&run.outcome).iter().filter(|(_, histogram)| !histogram.is_empty()) {
        let _ = write!(text, "{:<18}", name.replace('-', " "));
        for (_, quantile) in QUANTILES {
            let _ = write!(text, "{:>12}", cell(histogram, quantile));
        }
        text.push('\n');
    }
    text.push('\n');
    for line in facts(run) {
        let _ = writeln!(text, "{line}");
    }
    text.push('\n');
    for line in &run.verdict.lines {
        let word = if line.passes { "PASS" } else { "FAIL" };
        let _ = writeln!(text, "{word}  {:<34} {}", line.budget.text, line.measured);
    }
    for reason in &run.verdict.saturated {
        wrap(&mut text, &format!("SATURATED: {}", reason.text));
    }
    let _ = writeln!(text, "\n{}", run.verdict.word());
    text
}

fn wrap(text: &mut String, words: &str) {
    let mut column = 0;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > COLUMNS {
            text.push_str("\n  ");
            column = 2;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

/// The same as a page, with everything about the machine.
pub fn page(run: &Run) -> String {
    let mut text = format!("# {}: {}\n\n{}\n\n", run.scenario.name, run.verdict.word(), run.scenario.about);
    let _ = writeln!(text, "{} against {}. Load and server share one machine.\n", offered(run), run.target);
    if run.verdict.lines.is_empty() {
        text.push_str("No budget was asserted.\n");
    } else {
        text.push_str("| budget | measured | |\n|---|---|---|\n");
    }
    for line in &run.verdict.lines {
        let word = if line.passes { "PASS" } else { "FAIL" };
        let _ = writeln!(text, "| `{}` | {} | {word} |", line.budget.text, line.measured);
    }
    for reason in &run.verdict.saturated {
        let _ = writeln!(text, "\n**SATURATED**: {}. The figures prove nothing.", reason.text);
    }
    text.push_str("\n| | samples | p50 | p90 | p99 | p99.9 | max |\n|---|---|---|---|---|---|---|\n");
    for (name, histogram) in all(&run.outcome) {
        let cells: Vec<String> = QUANTILES.iter().map(|(_, quantile)| cell(histogram, *quantile)).collect();
        let _ = writeln!(text, "| {} | {} | {} |", name.replace('-', " "), histogram.len(), cells.join(" | "));
    }
    text.push_str(
        "\nResponse counts from the time that a request was due, service from the time that it was sent; the send lag \
         lies between\nthem. Added by server: the service time of calls for which partners were asked, less the time \
         that the slowest awaited\none held its lookup, both by one clock.\n\n",
    );
    for fact in facts(run) {
        let _ = writeln!(text, "- {fact}");
    }
    text.push_str("\n![latency by percentile](percentiles.svg)\n\n![latency over time](over-time.svg)\n\n");
    let host = &run.host;
    let pinning = match (host.generator_core, host.server_cores.as_slice()) {
        (Some(generator), cores) => format!("server on {cores:?}, generator on {generator}"),
        (None, _) => "nobody is pinned: there are too few cores".to_owned(),
    };
    let rows = [
        ("commit", host.commit.clone()),
        ("date", host.date.clone()),
        ("kernel", host.kernel.clone()),
        ("CPU", format!("{}, {} cores for us", host.cpu, host.cores)),
        ("pinning", pinning),
        ("mitigations", host.mitigations.join("; ")),
        ("build", host.flags.clone()),
        ("nice", format!("{}, server and generator", host.nice)),
    ];
    text.push_str("| | |\n|---|---|\n");
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    text.push_str("\nNot measured, for it is not built: the durable log, TLS.\n");
    text
}

fn cell(histogram: &Histogram<u64>, quantile: f64) -> String {
    if histogram.is_empty() { "-".to_owned() } else { format_ns(histogram.value_at_quantile(quantile) as f64) }
}

fn offered(run: &Run) -> String {
    let scenario = &run.scenario;
    let arrivals = format!("{:?}", scenario.arrivals).to_lowercase();
    format!("{:.0}/s ({arrivals}) over {} connections", scenario.rate, scenario.connections)
}

fn facts(run: &Run) -> Vec<String> {
    let (outcome, faults) = (&run.outcome, &run.outcome.faults);
    let mut facts = vec![format!(
        "{} of {} due requests achieved ({:.2} %), {:.0}/s in {:.1} s",
        outcome.achieved,
        outcome.due,
        achieved(outcome) * 100.0,
        run.achieved_rate(),
        outcome.measured_ns as f64 / 1e9
    )];
    if faults.total() > 0 {
        facts.push(format!(
            "errors: {} statuses, {} calls, {} refused, {} unanswered ({} timeouts, {} cut),",
            faults.statuses, faults.calls, faults.refused, faults.unanswered, faults.timeouts, faults.cut
        ));
        facts.push(format!("  {} never sent, {} no HTTP", faults.given_up, faults.garbage));
    }
    if let Some(ns) = run.evidence.cpu_per_request_ns {
        facts.push(format!("CPU of the server: {} for each request, all threads", format_ns(ns)));
    }
    if let Some(share) = run.evidence.disturbance.waited {
        facts.push(format!("the server waited for a core that others had {:.2} % of the time", share * 100.0));
    }
    if let Some((first, last)) = run.evidence.memory_bytes {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        facts.push(format!("memory of the server: {:.1} MiB, at the end {:.1} MiB", mebibytes(first), mebibytes(last)));
    }
    if !run.scenario.partners.is_empty() {
        let by_generator = run.scenario.partners.iter().all(|partner| partner.by == Player::Generator);
        let who = if by_generator { ", played by the generator" } else { "" };
        facts.push(format!("{} lookups at partners{who}, {} with segments", outcome.lookups, outcome.lookup_hits));
    }
    if outcome.reconnects > 0 {
        facts.push(format!("{} connections replaced", outcome.reconnects));
    }
    if let Some(rate) = run.evidence.generator_rate {
        facts.push(format!("the generator alone: {rate:.0}/s; steal {:.2} %", run.evidence.disturbance.steal * 100.0));
    }
    if let Some(stall) = run.stall {
        facts.push(format!("the server was stopped for {:?} every {:?}", stall.length, stall.every));
    }
    facts
}

#[cfg(test)]
pub(crate) use self::tests::example;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Recorder;
    use crate::host::{Cores, Disturbance, Host};
    use crate::random::Random;
    use crate::scenario::Scenario;
    use crate::schedule::Schedule;
    use crate::verdict::{Evidence, Verdict};

    /// A run that never was.
    pub(crate) fn example() -> Run {
        let scenario = Scenario::load("smoke").unwrap();
        let mut outcome = Recorder::new(&Schedule::new(&scenario)).into_outcome(5_000, 4_000);
        let mut random = Random::new(5);
        for number in 0..20_000_usize {
            let ns = (100_000.0 * (0.5 * random.normal()).exp()) as u64;
            outcome.response.saturating_record(ns + 2_000);
            outcome.service.saturating_record(ns);
            outcome.send_lag.saturating_record(2_000);
            outcome.added.saturating_record(ns / 2);
            let count = outcome.intervals.len();
            outcome.intervals[number % count].response.saturating_record(ns + 2_000);
        }
        (outcome.due, outcome.achieved, outcome.answered, outcome.answered_total) = (20_000, 20_000, 20_000, 24_000);
        outcome.faults.statuses = 3;
        let disturbance = Disturbance { steal: 0.02, waited: Some(0.0085) };
        let evidence = Evidence {
            rate: scenario.rate,
            generator_rate: Some(88_000.0),
            disturbance,
            cpu_per_request_ns: Some(2e4),
            memory_bytes: Some((200 << 20, 201 << 20)),
        };
        let verdict = Verdict::of(&scenario.budgets, &outcome, &evidence);
        let host = Host::read(&Cores::default());
        Run { scenario, target: "pinion".into(), host, outcome, evidence, verdict, stall: None }
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let text = table(&example());
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        assert!(text.contains("FAIL  errors == 0") && text.ends_with("SATURATED\n"), "{text}");
    }

    #[test]
    fn the_page_names_the_machine() {
        let text = page(&example());
        for word in ["| commit |", "| kernel |", "| CPU |", "| pinning |", "| mitigations |", "share one machine"] {
            assert!(text.contains(word), "{word}");
        }
    }
}
