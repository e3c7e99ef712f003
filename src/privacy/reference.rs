//! Strings that the IAB's reference implementations wrote, and broken ones, read as those read them.
//! `tests/cases/privacy/generate.mjs` makes the cases and says what stands in them.

use super::gpp::GppString;
use super::tcf::TcfConsent;
use super::us;

const TCF: &str = include_str!("../../tests/cases/privacy/tcf.tsv");
const GPP: &str = include_str!("../../tests/cases/privacy/gpp.tsv");

/// How many whole and broken strings of a table are read as they must be.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    whole: usize,
    /// Unreadable for both.
    unreadable: usize,
    broken: usize,
    /// Broken, and refused by us alone.
    refused: usize,
}

/// Reads all strings of a table. `agrees` judges a broken one that we can read.
fn compare(table: &str, read: impl Fn(&str) -> Option<String>, agrees: impl Fn(&str, &str) -> bool) -> Counts {
    let mut counts = Counts::default();
    for line in table.lines() {
        let columns: Vec<_> = line.split('\t').collect();
        let &[kind, text, expected] = columns.as_slice() else { panic!("{line}") };
        match (kind, read(text)) {
            ("whole", found) => {
                assert_eq!(found.as_deref(), Some(expected), "{text}");
                counts.whole += 1;
            }
            (_, None) if expected == "-" => counts.unreadable += 1,
            (_, None) => counts.refused += 1,
            (_, Some(found)) => {
                assert!(agrees(&found, expected), "{text}: {found} instead of {expected}");
                counts.broken += 1;
            }
        }
    }
    counts
}

#[test]
fn tcf_strings_are_read_as_the_reference_reads_them() {
    let read = |text: &str| TcfConsent::parse(text.as_bytes()).map(|consent| format!("{:08x}", checksum(&consent)));
    let counts = compare(TCF, read, |found, expected| found == expected);
    assert_eq!(counts, Counts { whole: 1_000, unreadable: 483, broken: 136, refused: 4 });
}

/// All answers of a string, as the generator adds them up.
fn checksum(consent: &TcfConsent<'_>) -> u32 {
    let purposes = (1..=24).map(|purpose| consent.allows_purpose(purpose));
    let vendors = (1..=700).map(|vendor| consent.allows_vendor(vendor));
    let asked = [1, 10].into_iter().flat_map(|purpose| (1..=700).map(move |vendor| (vendor, purpose)));
    let restricted = asked.map(|(vendor, purpose)| consent.publisher_restricts(vendor, &[purpose]));
    let step = |hash: u32, answer: bool| (hash ^ u32::from(b'0' + u8::from(answer))).wrapping_mul(0x0100_0193);
    purposes.chain(vendors).chain(restricted).fold(0x811c_9dc5, step)
}

#[test]
fn gpp_strings_are_read_as_the_reference_reads_them() {
    let counts = compare(GPP, gpp_answers, refuses_as_much);
    assert_eq!(counts, Counts { whole: 1_600, ..counts });
    assert!(counts.unreadable > 400 && counts.broken > 250, "{counts:?}");
}

fn gpp_answers(text: &str) -> Option<String> {
    let answer = |(id, section): (u8, &[u8])| match (id, us::opts_out(id, section)) {
        (2, _) => Some("2t".to_owned()),
        (_, opts_out) => opts_out.map(|opts_out| format!("{id}{}", if opts_out { 'o' } else { 's' })),
    };
    let answers: Option<Vec<_>> = GppString::parse(text.as_bytes())?.sections().map(answer).collect();
    answers.map(|answers| answers.join(" "))
}

/// Broken strings may hold more segments than the reference reads. What is wrong with a TCF string is no matter here.
fn refuses_as_much(found: &str, expected: &str) -> bool {
    if expected == "-" {
        return found.contains("2t");
    }
    let same = |(found, expected): (&str, &str)| found == expected || found == expected.replace('s', "o");
    found.split(' ').count() == expected.split(' ').count() && found.split(' ').zip(expected.split(' ')).all(same)
}
