//! The house style, as far as a machine can see it: what reviewers would else have to say again and again.
//!
//! Each check is a plain function over one file's path and text, and each is held against a planted fault below.

use std::fs;
use std::path::{Path, PathBuf};

const LINE_CHARACTERS_MAX: usize = 120;
const FILE_LINES_MAX: usize = 600;

/// Files that are longer than [`FILE_LINES_MAX`], each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Folders and files whose text is ours to write: everything but recorded cases.
const ROOTS: &[&str] =
    &["src", "tests", "benches", "loadtest", "docs", "deploy", "perf", ".ci", "x", "Cargo.toml", "README.md"];
const RECORDED: &[&str] = &["tests/cases", "loadtest/results"];

type Check = fn(path: &str, text: &str) -> Vec<String>;

#[test]
fn files_are_tidy() {
    let files = files();
    assert!(files.len() > 50, "the list of files can't be whole");
    let checks: &[Check] = &[long_lines, left_overs, long_files, stray_unsafe, machine_paths, missing_heads];
    let mut faults: Vec<String> =
        files.iter().flat_map(|(path, text)| checks.iter().flat_map(move |check| check(path, text))).collect();
    faults.extend(dead_files(&files));
    faults.extend(needless_exceptions(&files));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn long_lines(path: &str, text: &str) -> Vec<String> {
    // Prose wraps in its reader, a table of TOML stands in one line, so does a rule of CSS, and programs write JSON.
    if [".md", ".toml", ".html", ".json"].iter().any(|ending| path.ends_with(ending)) {
        return Vec::new();
    }
    let too_long = |line: &str| line.chars().count() > LINE_CHARACTERS_MAX && !line.contains("://");
    faults(path, text, |line| too_long(line).then(|| format!("longer than {LINE_CHARACTERS_MAX} characters")))
}

/// What is written to be taken away again.
fn left_overs(path: &str, text: &str) -> Vec<String> {
    // In two parts, for this file is checked as well.
    let words = [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["todo", "!"], ["dbg", "!"], ["unimplemented", "!"]];
    let words = words.map(|halves| halves.concat());
    faults(path, text, |line| words.iter().find(|word| has_word(line, word)).map(|word| format!("`{word}`")))
}

fn long_files(path: &str, text: &str) -> Vec<String> {
    let count = text.lines().count();
    if !path.ends_with(".rs") || count <= FILE_LINES_MAX || LONG_FILES.iter().any(|(long, _)| *long == path) {
        return Vec::new();
    }
    vec![format!("{path}: {count} lines: split it, or list it in LONG_FILES with the reason")]
}

fn stray_unsafe(path: &str, text: &str) -> Vec<String> {
    let apart =
        !path.starts_with("src/") || ["src/reactor/", "src/memory.rs"].iter().any(|place| path.starts_with(place));
    if apart || !path.ends_with(".rs") {
        return Vec::new();
    }
    faults(path, text, |line| {
        let code = line.split("//").next().unwrap_or_default();
        has_word(code, "unsafe").then(|| "unsafe code outside src/reactor".to_owned())
    })
}

/// Paths of the machine that a file was written on.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let folders = ["work", "root", "home", "Users"].map(|folder| format!("/{folder}/"));
    faults(path, text, |line| folders.iter().find(|folder| line.contains(*folder)).map(|_| "a machine's path".into()))
}

/// A module says at its head what it is for.
fn missing_heads(path: &str, text: &str) -> Vec<String> {
    let is_source = path.ends_with(".rs") && path.split('/').any(|part| part == "src");
    let is_headed = text.lines().find(|line| !line.starts_with("#![")).is_some_and(|line| line.starts_with("//!"));
    if is_source && !is_headed { vec![format!("{path}: has no head: say what the file is for")] } else { Vec::new() }
}

/// Files that no module names are never compiled.
fn dead_files(files: &[(String, String)]) -> Vec<String> {
    let is_named = |path: &str| {
        let stem = path.strip_suffix("/mod.rs").or(path.strip_suffix(".rs")).unwrap_or(path);
        let Some((folder, name)) = stem.rsplit_once('/') else { return true };
        let parents = [
            format!("{folder}/mod.rs"),
            format!("{folder}/lib.rs"),
            format!("{folder}/main.rs"),
            format!("{folder}.rs"),
        ];
        let (declaration, by_path) = (format!("mod {name};"), format!("#[path = \"{name}.rs\"]"));
        files.iter().any(|(other, text)| {
            let is_beside = other.rsplit_once('/').is_some_and(|(other_folder, _)| other_folder == folder);
            parents.contains(other) && text.contains(&declaration) || is_beside && text.contains(&by_path)
        })
    };
    let is_module = |path: &str| {
        let depth = path.split('/').count();
        let is_root = path.ends_with("/main.rs") || path.ends_with("/lib.rs");
        let is_binary = path.contains("/bin/") || (path.starts_with("tests/") && depth == 2);
        path.ends_with(".rs") && !path.starts_with("benches/") && !is_root && !is_binary
    };
    let dead = files.iter().filter(|(path, _)| is_module(path) && !is_named(path));
    dead.map(|(path, _)| format!("{path}: no module names this file")).collect()
}

fn needless_exceptions(files: &[(String, String)]) -> Vec<String> {
    let is_long = |name: &str| files.iter().any(|(path, text)| path == name && text.lines().count() > FILE_LINES_MAX);
    let needless = LONG_FILES.iter().filter(|(path, _)| !is_long(path));
    needless.map(|(path, _)| format!("{path}: listed in LONG_FILES, but isn't long")).collect()
}

/// The lines that `find` has something against, each with its place.
fn faults(path: &str, text: &str, find: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let found = text.lines().enumerate().filter_map(|(i, line)| Some((i + 1, find(line)?)));
    found.map(|(number, fault)| format!("{path}:{number}: {fault}")).collect()
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// Folders that tools fill.
fn is_made(name: &str) -> bool {
    ["/target", "/node_modules"].iter().any(|folder| name.ends_with(folder))
}

/// All text files, by path from the workspace's folder.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut waiting: Vec<PathBuf> = ROOTS.iter().map(|name| root.join(name)).filter(|path| path.exists()).collect();
    while let Some(path) = waiting.pop() {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !RECORDED.contains(&name.as_str()) && !is_made(&name) {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            files.push((name, text));
        }
    }
    files.sort();
    files
}

#[test]
fn planted_faults_are_found() {
    let long = format!("let x = 1; // {}", "y".repeat(LINE_CHARACTERS_MAX));
    assert_eq!(long_lines("src/a.rs", &long).len(), 1);
    assert!(long_lines("src/a.rs", &"é".repeat(LINE_CHARACTERS_MAX)).is_empty(), "characters, not bytes");

    let planted = ["fn f() { ", "todo", "!() }\n// FIX", "ME later\nlet mastodo = Todo; // XXXX"].concat();
    assert_eq!(left_overs("src/a.rs", &planted).len(), 2);

    assert_eq!(long_files("src/a.rs", &"\n".repeat(FILE_LINES_MAX + 1)).len(), 1);
    assert!(long_files("src/a.rs", &"\n".repeat(FILE_LINES_MAX)).is_empty());

    let code = "#![forbid(unsafe_code)]\n// unsafe, they said\nlet x = unsafe { y() };";
    assert_eq!(stray_unsafe("src/http/a.rs", code), ["src/http/a.rs:3: unsafe code outside src/reactor"]);
    assert!(stray_unsafe("src/reactor/a.rs", code).is_empty());

    assert_eq!(machine_paths("x", &["see /ho", "me/me/notes"].concat()).len(), 1);

    assert_eq!(missing_heads("src/a/mod.rs", "use b;\n//! late").len(), 1);
    assert!(missing_heads("src/a/mod.rs", "#![forbid(unsafe_code)]\n//! A thing.").is_empty());

    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [file("src/lib.rs", "pub mod a;"), file("src/a.rs", "mod b;"), file("src/a/b.rs", "")];
    assert!(dead_files(&files).is_empty());
    assert_eq!(dead_files(&[file("src/lib.rs", "pub mod a;"), file("src/b/mod.rs", "")]).len(), 1);
}
