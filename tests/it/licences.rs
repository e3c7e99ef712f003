//! The licences and sources of everything we link, held against deny.toml. It does a part of what cargo-deny does, for
//! machines without it: both read the same lists.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What deny.toml allows.
struct Policy {
    everywhere: Vec<String>,
    /// By crate.
    exceptions: HashMap<String, Vec<String>>,
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn every_dependency_has_an_allowed_licence_and_source() {
    let policy = Policy::read(&fs::read_to_string(Path::new(ROOT).join("deny.toml")).unwrap());
    let packages = packages();
    assert!(packages.len() > 50, "the list of packages can't be whole");
    let mut faults = Vec::new();
    for package in &packages {
        let text = |key: &str| package[key].as_str();
        let name = text("name").unwrap();
        match text("license") {
            Some(licence) if policy.permits(name, licence) => {}
            Some(licence) => faults.push(format!("{name}: {licence} is not allowed by deny.toml")),
            None => faults.push(format!("{name}: names no licence")),
        }
        if text("source").is_some_and(|source| source != REGISTRY) {
            faults.push(format!("{name}: comes from elsewhere than crates.io"));
        }
    }
    for name in policy.exceptions.keys() {
        if !packages.iter().any(|package| package["name"].as_str() == Some(name)) {
            faults.push(format!("deny.toml makes an exception for {name}, which we don't use"));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let policy = Policy::read(
        "[licenses]\nallow = ['MIT', 'Apache-2.0']\nexceptions = [{ crate = 'odd', allow = ['MPL-2.0'] }]",
    );
    for allowed in ["MIT", "MIT/GPL-3.0", "GPL-3.0 OR MIT", "MIT AND Apache-2.0", "(GPL-3.0 OR MIT) AND Apache-2.0"] {
        assert!(policy.permits("some", allowed), "{allowed}");
    }
    for refused in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND Zlib", "MPL-2.0+", "", "(MIT", "MIT MIT"] {
        assert!(!policy.permits("some", refused), "{refused}");
    }
    assert!(policy.permits("odd", "MPL-2.0+") && policy.permits("odd", "MIT"));
    assert!(policy.permits("some", "Apache-2.0 WITH LLVM-exception"), "an exception only adds permissions");
}

/// What is linked on this machine's platform, our own packages included.
fn packages() -> Vec<serde_json::Value> {
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(ROOT).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let version = run("rustc", &["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Other platforms' packages were never downloaded, and so can't be read without a network.
    let arguments = ["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host];
    let metadata: serde_json::Value = serde_json::from_str(&run(env!("CARGO"), &arguments)).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

impl Policy {
    fn read(text: &str) -> Policy {
        let file: toml::Table = text.parse().unwrap();
        let names = |list: &toml::Value| -> Vec<String> {
            list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        let licenses = &file["licenses"];
        let exception = |entry: &toml::Value| (entry["crate"].as_str().unwrap().to_owned(), names(&entry["allow"]));
        Policy {
            everywhere: names(&licenses["allow"]),
            exceptions: licenses["exceptions"].as_array().unwrap().iter().map(exception).collect(),
        }
    }

    fn permits(&self, package: &str, expression: &str) -> bool {
        // `MIT/Apache-2.0` is how OR was written before there was a grammar.
        let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut reader = Reader { policy: self, package, words: &words };
        reader.any() == Some(true) && reader.words.is_empty()
    }

    fn allows(&self, package: &str, licence: &str) -> bool {
        let licence = licence.trim_end_matches('+');
        self.everywhere.iter().chain(self.exceptions.get(package).into_iter().flatten()).any(|name| name == licence)
    }
}

/// Reads a licence expression from left to right. `None`: it is none.
struct Reader<'a> {
    policy: &'a Policy,
    package: &'a str,
    words: &'a [&'a str],
}

impl<'a> Reader<'a> {
    fn any(&mut self) -> Option<bool> {
        let mut holds = self.all()?;
        while self.skip("OR") {
            holds |= self.all()?;
        }
        Some(holds)
    }

    fn all(&mut self) -> Option<bool> {
        let mut holds = self.one()?;
        while self.skip("AND") {
            holds &= self.one()?;
        }
        Some(holds)
    }

    fn one(&mut self) -> Option<bool> {
        if self.skip("(") {
            let holds = self.any()?;
            return self.skip(")").then_some(holds);
        }
        let licence = self.next()?;
        if self.skip("WITH") {
            self.next()?;
        }
        Some(self.policy.allows(self.package, licence))
    }

    fn skip(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    fn next(&mut self) -> Option<&'a str> {
        let (&first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }
}
