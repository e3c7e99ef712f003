//! Both engines against what Java 17 answered.

use std::path::PathBuf;

use super::set::CharSet;
use super::syntax::Node;
use super::*;

fn verdict(pattern: &str, value: &[u8]) -> Verdict {
    let regex = JavaRegex::compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error:?}"));
    regex.matches(value, &mut regex.cache())
}

fn case_file(name: &str) -> String {
    let path = match std::env::var_os("PINION_REGEX_CASES") {
        // A larger file from the same generator.
        Some(path) if name == "java17.tsv" => PathBuf::from(path),
        _ => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases/regex").join(name),
    };
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let digits = [bytes.next().unwrap_or(0), bytes.next().unwrap_or(0)];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap_or(""), 16).unwrap_or_else(|_| panic!("{text}"))
        } else {
            byte
        });
    }
    decoded
}

fn pattern_of(text: &str) -> String {
    String::from_utf8(decode(text)).expect("patterns are UTF-8")
}

/// The beginnings of messages with which a pattern that Java takes may be rejected.
fn allowed_rejections() -> Vec<String> {
    let file = case_file("deviations.txt");
    file.lines().filter_map(|line| line.strip_prefix("reject: ")).map(str::to_owned).collect()
}

#[test]
fn both_engines_answer_as_java_17_does() {
    let allowed = allowed_rejections();
    let mut failures = Vec::new();
    let (mut automata, mut values) = (0, 0);
    let file = case_file("java17.tsv");
    for line in file.lines() {
        let mut fields = line.split('\t');
        let pattern = pattern_of(fields.next().unwrap_or(""));
        let answers: Vec<&str> = fields.collect();
        let compiled = JavaRegex::compile(&pattern);
        if answers == ["!"] {
            if compiled.is_ok() {
                failures.push(format!("{pattern:?}: Java rejects it"));
            }
            continue;
        }
        let regex = match compiled {
            Ok(regex) => regex,
            Err(error) if allowed.iter().any(|start| error.message.starts_with(start)) => continue,
            Err(error) => {
                failures.push(format!("{pattern:?}: Java takes it: {error:?}"));
                continue;
            }
        };
        automata += usize::from(!matches!(regex.engine, Engine::Backtracker(_)));
        let parsed = parse::parse(&pattern).expect("it compiled");
        let backtracker = Backtracker::new(&parsed.root, parsed.groups);
        for answer in answers {
            values += 1;
            let value = decode(&answer[1..]);
            let wanted = answer.starts_with('+');
            let first = regex.matches(&value, &mut regex.cache());
            let second = backtracker.matches(&value, &mut backtracker.scratch());
            if (first == Verdict::Match) != wanted || (second == Outcome::Match) != wanted {
                let value = String::from_utf8_lossy(&value);
                failures.push(format!("{pattern:?} on {value:?}: Java {wanted}, {first:?}, backtracker {second:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {values} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(automata > 300 && values > 3_000, "{automata} automata, {values} values: the file has too little in it");
}

#[test]
fn properties_and_cases_contain_what_they_do_in_java_17() {
    let mut failures = Vec::new();
    for line in case_file("properties.tsv").lines() {
        let (pattern, hash) = line.split_once('\t').expect("two fields");
        let parsed = parse::parse(&pattern_of(pattern)).unwrap_or_else(|error| panic!("{pattern}: {error:?}"));
        let found = format!("{:x}", hash_of(&set_of(&parsed.root)));
        if found != hash {
            failures.push(pattern_of(pattern));
        }
    }
    assert!(failures.is_empty(), "{} differ: {failures:?}", failures.len());
}

/// The one set in a pattern for one character.
fn set_of(node: &Node) -> CharSet {
    match node {
        Node::Set(set) => set.clone(),
        // A look-ahead at one character, then any.
        Node::Sequence(nodes) => match nodes.as_slice() {
            [Node::Look(look), rest] => set_of(&look.body).intersect(&set_of(rest)),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn hash_of(set: &CharSet) -> u64 {
    let characters = (0..=0x10_FFFF).filter(|character| !(0xD800..=0xDFFF).contains(character));
    characters.fold(0xcbf2_9ce4_8422_2325, |hash: u64, character| {
        (hash ^ u64::from(set.contains(character))).wrapping_mul(0x0100_0000_01b3)
    })
}
