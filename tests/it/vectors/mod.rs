//! Other people's suites, read from a folder beside the project and never copied into it. Where we differ from one on
//! purpose, a checked-in file names the case and the reason; a case that is listed and no longer differs is a fault,
//! as is one that is gone. Without the folder it is said loudly that nothing was held against it.

mod json;
mod urlencoded;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The folder of one suite; says so when it isn't there.
pub fn folder(suite: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors").join(suite);
    if folder.is_dir() {
        return Some(folder);
    }
    // Written past the test harness, which would swallow it when the test passes.
    let notice = format!("SKIPPED: the cases of {suite} are not at {}\n", folder.display());
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
    None
}

/// The cases on which we differ on purpose, and what is wrong with that list.
pub struct Deviations {
    /// Name to reason; those that were met are taken out.
    listed: BTreeMap<String, String>,
    complaints: String,
}

impl Deviations {
    /// Reads `case => reason`, one a line, of those cases whose names begin with `prefix`. Other lines are prose.
    pub fn read(file: &str, prefix: &str) -> Deviations {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(file);
        Deviations::of(&std::fs::read_to_string(path).unwrap(), prefix)
    }

    fn of(text: &str, prefix: &str) -> Deviations {
        let (mut listed, mut complaints) = (BTreeMap::new(), String::new());
        let lines = text.lines().filter_map(|line| line.split_once(" => "));
        for (name, reason) in lines.filter(|(name, _)| name.starts_with(prefix)) {
            if reason.trim().len() <= 10 {
                writeln!(complaints, "{name}: a deviation needs its reason").unwrap();
            }
            if listed.insert(name.to_owned(), reason.to_owned()).is_some() {
                writeln!(complaints, "{name}: listed twice").unwrap();
            }
        }
        Deviations { listed, complaints }
    }

    /// Notes whether a case came out as its suite says.
    pub fn judge(&mut self, name: &str, agrees: bool, found: impl FnOnce() -> String) {
        let listed = self.listed.remove(name).is_some();
        if agrees == listed {
            let what = if listed { "no longer a deviation" } else { "differs and is not listed" };
            writeln!(self.complaints, "{name}: {what}\n    {}", found()).unwrap();
        }
    }

    /// What is to be mended; nothing when all is as it should be.
    pub fn complaints(mut self) -> String {
        for name in self.listed.keys() {
            writeln!(self.complaints, "{name}: listed, but there is no such case").unwrap();
        }
        self.complaints
    }

    #[track_caller]
    pub fn finish(self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "\n{complaints}");
    }
}

#[test]
fn a_list_of_deviations_that_is_not_true_is_found() {
    let text = "Prose.\na/x => it is stricter than that\na/y => it is stricter than that\nb/z => never looked at\n";
    let judged = |cases: &[(&str, bool)]| {
        let mut deviations = Deviations::of(text, "a/");
        cases.iter().for_each(|(name, agrees)| deviations.judge(name, *agrees, || "what came out".to_owned()));
        deviations.complaints()
    };
    assert_eq!(judged(&[("a/x", false), ("a/y", false), ("a/w", true)]), "");
    assert_eq!(judged(&[("a/x", false)]), "a/y: listed, but there is no such case\n");
    assert_eq!(judged(&[("a/x", false), ("a/y", true)]), "a/y: no longer a deviation\n    what came out\n");
    let unlisted = judged(&[("a/x", false), ("a/y", false), ("a/w", false)]);
    assert_eq!(unlisted, "a/w: differs and is not listed\n    what came out\n");
    assert_eq!(Deviations::of("a => short", "").complaints().lines().count(), 2);
    assert!(Deviations::of("a => the first reason\na => the other reason", "").complaints().contains("listed twice"));
}
