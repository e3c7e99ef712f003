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
    let mut ranges = set.ranges().iter().peekable();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for character in (0..=0x10_FFFF).filter(|character| !(0xD800..=0xDFFF).contains(character)) {
        while ranges.next_if(|&&(_, last)| last < character).is_some() {}
        let inside = ranges.peek().is_some_and(|&&(first, _)| first <= character);
        hash = (hash ^ u64::from(inside)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

#[test]
fn stray_bytes_are_characters_without_a_name() {
    let matching: &[(&str, &[u8])] = &[
        (".", b"\xFF"),
        ("[^a]", b"\x80"),
        ("\\W\\D\\S", b"\xC3\xE2\x82"),
        (".{3}", b"\xED\xA0\x80"),
        ("a.é", b"a\xC3\xC3\xA9"),
        ("(.)\\1", b"\xFE\xFE"),
    ];
    for &(pattern, value) in matching {
        assert_eq!(verdict(pattern, value), Verdict::Match, "{pattern} {value:x?}");
    }
    let others: &[(&str, &[u8])] = &[
        (".", b"\xC3\xA9x"),
        ("..", b"\xC3\xA9"),
        ("\\w|\\p{L}|[\\x80-\\xFF]|\\x{FFFD}|\\p{Cn}", b"\xFF"),
        ("[\\x{0}-\\x{10FFFF}]", b"\xFF"),
        ("(.)\\1", b"\xFE\xFF"),
        ("a\\b.", b"ab\xFF"),
    ];
    for &(pattern, value) in others {
        assert_eq!(verdict(pattern, value), Verdict::NoMatch, "{pattern} {value:x?}");
    }
    assert_eq!(verdict("a\\b.", b"a\xFF"), Verdict::Match);
}

#[test]
fn the_table_the_simulation_and_the_backtracker_agree_on_arbitrary_bytes() {
    let patterns = ["(?:a|.b)*c?", "[^a]*\\R?", "(?s)(?:..)*", "\\W+|é*", "(?:a{1,3}|\\p{L})*.", "a?+.*"];
    let alphabet: &[&[u8]] =
        &[b"a", b"b", b"c", b"\n", b"\r", b"\xC3", b"\xA9", b"\xC3\xA9", b"\xED\xA0\x80", b"\xF0\x9F\x98\x80"];
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for pattern in patterns {
        let regex = JavaRegex::compile(pattern).expect("a pattern");
        let parsed = parse::parse(pattern).expect("a pattern");
        let backtracker = Backtracker::new(&parsed.root, parsed.groups);
        let simulation =
            lower::lower(&parsed.root).map(|lowered| Automaton::simulation(&[&lowered.hir]).expect("small"));
        for _ in 0..300 {
            let value: Vec<u8> = (0..draw(8)).flat_map(|_| alphabet[draw(alphabet.len())]).copied().collect();
            let expected = backtracker.matches(&value, &mut backtracker.scratch()) == Outcome::Match;
            let found = regex.matches(&value, &mut regex.cache());
            assert_eq!(found == Verdict::Match, expected, "{pattern} {value:x?}");
            if let Some(simulation) = &simulation {
                let found = run(simulation, &value, &mut simulation.scratch());
                assert_eq!(found == Verdict::Match, expected, "simulated {pattern} {value:x?}");
            }
        }
    }
}

#[test]
fn a_regex_too_large_for_a_table_is_simulated_within_its_bounds() {
    let regex = JavaRegex::compile("(?s).*a.{30}").expect("a pattern");
    assert!(matches!(&regex.engine, Engine::Automaton(automaton) if !automaton.is_table()));
    assert!(!regex.may_allocate());
    let mut cache = regex.cache();
    let before = format!("{:?}", cache.automaton.capacities());
    let value = "ab".repeat(40);
    assert_eq!(regex.matches(&value.as_bytes()[..79], &mut cache), Verdict::Match);
    assert_eq!(regex.matches(&value.as_bytes()[..80], &mut cache), Verdict::NoMatch);
    assert_eq!(regex.matches(&b"a".repeat(60_000), &mut cache), Verdict::GaveUp);
    assert_eq!(regex.matches(&value.as_bytes()[..79], &mut cache), Verdict::Match);
    assert_eq!(before, format!("{:?}", cache.automaton.capacities()), "it grew");
}

#[test]
fn backtracking_gives_up_at_its_limit() {
    let regex = JavaRegex::compile("(?=a)(a|aa|b)*c").expect("a pattern");
    assert!(regex.may_allocate());
    let mut cache = regex.cache();
    assert_eq!(regex.matches(&b"a".repeat(64), &mut cache), Verdict::GaveUp);
    assert_eq!(regex.matches(b"aabc", &mut cache), Verdict::Match);
    assert_eq!(regex.matches(&b"a".repeat(200_000), &mut cache), Verdict::GaveUp);
}

#[test]
fn a_set_reports_every_pattern_that_matches() {
    let patterns = ["a+", "[ab]*", ".*b", "(?i)AB", "x"];
    let set = RegexSet::compile(&patterns).expect("small");
    let mut cache = set.cache();
    for value in ["", "a", "ab", "aab", "x", "é", "é\nb"] {
        let mut found = Vec::new();
        set.matches(value.as_bytes(), &mut cache, &mut |index| found.push(index));
        found.sort_unstable();
        let expected: Vec<usize> =
            (0..patterns.len()).filter(|&index| verdict(patterns[index], value.as_bytes()) == Verdict::Match).collect();
        assert_eq!(found, expected, "{value:?}");
    }
    assert!(RegexSet::compile(&["a", "(?=a)."]).is_none(), "one needs backtracking");
    assert!(RegexSet::compile(&["a", "("]).is_none(), "one is none");
    assert!(RegexSet::compile(&["(?s).*a.{30}", "b"]).is_none(), "one is too large");
}

#[test]
fn faults_are_shown_where_they_are() {
    let cases = [
        ("a(b", 1, "this group is not closed"),
        ("é)", 2, "a ) closes no group"),
        ("ab**", 3, "* has nothing before it to repeat"),
        ("[a", 0, "this character class is not closed by a ]"),
        ("x\\y", 1, "\\y is no escape here"),
        ("a{2,1}", 1, "the second number must not be below the first"),
        ("\\p{InGreek}", 0, "unknown character property \"InGreek\""),
        ("(?<=a+b)c", 0, "what a look-behind matches must have an obvious greatest length"),
        ("\\X", 0, "grapheme clusters, \\X, are not supported"),
    ];
    for (pattern, offset, message) in cases {
        let error = JavaRegex::compile(pattern).expect_err(pattern);
        assert_eq!((error.offset, error.message.as_str()), (offset, message), "{pattern}");
    }
}

#[test]
fn the_largest_patterns_end_in_a_verdict() {
    let bytes = limits::EXPRESSION_BYTES_MAX;
    for piece in ["(", "[", "a|", "[a&&", "(?:", "a{9}", "\\pL", "(?U)\\w", "\\Q", "(?=a", "a?", "(a)", "é", "[^a]"] {
        let text = piece.repeat(bytes / piece.len());
        if let Ok(regex) = JavaRegex::compile(&text) {
            regex.matches(b"aaaa", &mut regex.cache());
        }
    }
    let class: String = (0..bytes / 3).filter_map(|index| char::from_u32(0x4E00 + 2 * index as u32)).collect();
    assert_eq!(verdict(&format!("[{class}]"), "\u{4E02}".as_bytes()), Verdict::Match);
    assert!(JavaRegex::compile("((a{1,1000}){1,1000}){1,1000}").is_err(), "too large");
    assert_eq!(verdict("(?:){2147483647}", b""), Verdict::Match);
}

#[test]
fn regexes_are_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<JavaRegex>();
    shared::<RegexSet>();
}
