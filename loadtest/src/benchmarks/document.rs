//! The page, written from the kept figures and from notes by hand that say what dominates where a goal is missed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::goals::{self, Verdict};
use super::{Results, STEPS, committed, plots, sections};
use crate::host::Host;

/// Steps that were measured, and the instructions that CI counts.
pub(super) struct Kept {
    steps: Vec<Results>,
    instructions: BTreeMap<String, f64>,
}

/// What people wrote, in notes.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes {
    /// By a goal's key: what dominates where it is missed.
    #[serde(default)]
    missed: BTreeMap<String, String>,
    /// By a step's name: what its table shows.
    #[serde(default)]
    steps: BTreeMap<String, String>,
}

impl Kept {
    pub(super) fn of(steps: Vec<Results>) -> Kept {
        Kept { steps, instructions: BTreeMap::new() }
    }

    /// With the baseline that `perf/instructions.sh` keeps: a name and a number in each line.
    fn with_instructions(self, path: &Path) -> Result<Kept, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        let instructions = lines.filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?))).collect();
        Ok(Kept { instructions, ..self })
    }

    pub(super) fn instructions(&self, name: &str) -> Option<f64> {
        self.instructions.get(name).copied()
    }

    pub(super) fn step(&self, name: &str) -> Option<&Results> {
        self.steps.iter().find(|results| results.step == name)
    }

    pub(super) fn count(&self, name: &str) -> Option<f64> {
        self.step("counts")?.counts.get(name).copied()
    }

    /// ` (what is missing)`
    pub(super) fn missing(&self, step: &str) -> String {
        let missing = self.step(step).map(|results| results.missing.join("; ")).unwrap_or_default();
        if missing.is_empty() { missing } else { format!(" ({missing})") }
    }
}

/// Writes the page beside the folder of figures, and the plots into it.
///
/// # Errors
/// What can't be read or written, in words.
pub fn write(folder: &Path) -> Result<(), String> {
    let rendered = render(folder)?;
    for (path, text) in rendered {
        let path = folder.join(path);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The page and its plots, each with its path from the folder of figures.
fn render(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let mut steps = Vec::new();
    for step in STEPS {
        steps.extend(Results::read(folder, step.name)?);
    }
    let kept = Kept::of(steps).with_instructions(&committed().join("../../benches/instructions.tsv"))?;
    let path = folder.join("notes.toml");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let notes: Notes = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut rendered = vec![(format!("../{name}.md"), page(&kept, &notes, &name)?)];
    for results in &kept.steps {
        rendered.extend(plots::of(results).map(|svg| (format!("{}.svg", results.step), svg)));
    }
    Ok(rendered)
}

const HEAD: &str = "# Benchmarks

Written by `cargo run --release -p loadtest -- document` from the figures in [@](@), which
`perf/benchmarks.sh` measures. Nothing here is typed by hand but the remarks, which are in `@/notes.toml`.

Load and server share one machine, the server on one core and the generator on another, so what counts are not times
but ratios of turns that were measured one after the other (the median, then the least and the most). A turn during
which the hypervisor took more than 1 % of our cores, or the generator was late, is disturbed and counts only where
there is no other; a goal that is held in such turns alone is OPEN.

## Goals
";

fn page(kept: &Kept, notes: &Notes, folder: &str) -> Result<String, String> {
    let rows = goals::rows(kept);
    for key in notes.missed.keys() {
        if !rows.iter().any(|row| row.key == key) {
            return Err(format!("notes.toml: no goal is called `{key}`"));
        }
    }
    let mut text = HEAD.replace('@', folder);
    text.push_str("\n| what | goal | measured | |\n|---|---|---|---|\n");
    for row in &rows {
        let _ = writeln!(text, "| {} | {} | {} | {} |", row.what, row.goal, row.measured, row.verdict.word());
    }
    let missed: Vec<_> = rows.iter().filter(|row| row.verdict == Verdict::Missed).collect();
    if !missed.is_empty() {
        text.push_str("\n## Where a goal is missed\n\n");
    }
    for row in missed {
        let why = notes.missed.get(row.key).map_or("Not explained yet.", |note| note.trim());
        let _ = writeln!(text, "- **{}**: {why}", capitalised(row.what));
    }
    for step in STEPS {
        let _ = write!(text, "\n## {}\n\n{}\n", capitalised(step.name), step.about);
        match kept.step(step.name) {
            Some(results) => text.push_str(&sections::of(results, folder)),
            None => {
                let _ = writeln!(text, "\nNot measured yet: `perf/benchmarks.sh {}`.", step.name);
            }
        }
        if let Some(note) = notes.steps.get(step.name) {
            let _ = write!(text, "\n{}\n", note.trim());
        }
    }
    text.push_str(&machines(kept));
    Ok(text)
}

/// Where all was measured: once for each machine and build, which should be one.
fn machines(kept: &Kept) -> String {
    let mut hosts: Vec<(Vec<&str>, &Host)> = Vec::new();
    for results in &kept.steps {
        let host = &results.host;
        let is_same = |other: &Host| {
            let build = |host: &Host| (host.commit.clone(), host.flags.clone(), host.nice);
            (build(other), &other.kernel, &other.cpu) == (build(host), &host.kernel, &host.cpu)
        };
        match hosts.iter_mut().find(|(_, other)| is_same(other)) {
            Some((steps, _)) => steps.push(&results.step),
            None => hosts.push((vec![&results.step], host)),
        }
    }
    let mut text = String::new();
    for (steps, host) in &hosts {
        let title = if hosts.len() == 1 { "all steps".to_owned() } else { steps.join(", ") };
        let _ = write!(text, "\n## The machine: {title}\n\n| | |\n|---|---|\n");
        let pinning = match (host.server_cores.as_slice(), host.generator_core) {
            ([], None) => "nobody is pinned: there are too few cores".to_owned(),
            (server, generator) => format!("server on {server:?}, generator on {generator:?}").replace("Some", "core "),
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
        for (name, value) in rows {
            let _ = writeln!(text, "| {name} | {value} |");
        }
    }
    text
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::turn;
    use super::*;

    /// Else the page would say something that nobody measured.
    #[test]
    fn the_page_is_what_the_committed_figures_make() {
        let folder = committed();
        for (path, text) in render(&folder).unwrap() {
            let path = folder.join(path);
            let found = fs::read_to_string(&path).unwrap_or_default();
            let message = "is not what the figures make: cargo run -p loadtest -- document";
            assert!(found == text, "{} {message}", path.display());
        }
    }

    #[test]
    fn a_missed_goal_is_explained() {
        let turns = vec![turn("pinion", 1, 20_000.0, true), turn("nginx-empty-gif", 1, 10_000.0, true)];
        let kept = Kept::of(vec![Results { step: "saturation".to_owned(), turns, ..Results::default() }]);
        let unexplained = page(&kept, &Notes::default(), "benchmarks").unwrap();
        assert!(unexplained.contains("**MISSED**") && unexplained.contains("Not explained yet."), "{unexplained}");
        let notes: Notes = toml::from_str("missed.cpu-saturation = \"Copies.\"\nsteps.rules = \"Flat.\"").unwrap();
        let explained = page(&kept, &notes, "benchmarks").unwrap();
        assert!(explained.contains("nginx `empty_gif`**: Copies.") && explained.contains("\nFlat.\n"), "{explained}");
        let stray: Notes = toml::from_str("missed.nothing = \"x\"").unwrap();
        assert!(page(&kept, &stray, "benchmarks").is_err());
    }
}
