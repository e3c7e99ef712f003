//! Named character properties: what `\p{...}` means in Java 17, which knows Unicode 13.
//!
//! The tables are those of `regex-syntax`, a newer Unicode, cut down to the characters of version 13 and mended
//! where a later version moved a character. `tests/cases/regex/properties.tsv` checks every name against Java.

use regex_syntax::hir::{Class, HirKind};

use super::script_names::SCRIPT_NAMES;
use super::set::CharSet;

/// What to look a name up under.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    /// `(?i)`: upper, lower and title case become one.
    pub(super) case_insensitive: bool,
    /// `(?U)`: POSIX names mean Unicode.
    pub(super) unicode: bool,
}

/// What `\p{name}` contains; `None` when the name is unknown or not supported.
pub(super) fn named(name: &str, context: Context) -> Option<CharSet> {
    if let Some((key, value)) = name.split_once('=') {
        return match key.to_ascii_lowercase().as_str() {
            "sc" | "script" => script(value),
            "gc" | "general_category" => plain(value, context.case_insensitive),
            _ => None,
        };
    }
    if let Some(name) = name.strip_prefix("Is") {
        let upper = name.to_ascii_uppercase();
        return unicode(&upper, context.case_insensitive)
            .or_else(|| posix_unicode(&upper, context.case_insensitive))
            .or_else(|| plain(name, context.case_insensitive))
            .or_else(|| script(name));
    }
    let posix =
        if context.unicode { posix_unicode(&name.to_ascii_uppercase(), context.case_insensitive) } else { None };
    posix.or_else(|| plain(name, context.case_insensitive))
}

/// Whether Java gives `name` a meaning that is not supported here, and what to write instead.
pub(super) fn unsupported(name: &str) -> Option<&'static str> {
    let key = name.split_once('=').map(|(key, _)| key.to_ascii_lowercase());
    if name.starts_with("In") || matches!(key.as_deref(), Some("blk" | "block")) {
        return Some("blocks are not supported: write the range, as [\\u0370-\\u03FF], or a script, as \\p{IsGreek}");
    }
    (name.starts_with("java")).then_some("write the characters, or a general category as \\p{L}")
}

/// Every character that Unicode 13 has assigned.
pub(super) fn assigned() -> CharSet {
    table("Age=13.0").subtract(&table("Cn"))
}

/// Every character that some case mapping changes, of any Unicode version.
pub(super) fn cased() -> CharSet {
    table("Changes_When_Casemapped")
}

pub(super) fn digit() -> CharSet {
    known("Nd")
}

pub(super) fn white_space() -> CharSet {
    known("White_Space")
}

/// A word character of `(?U)`.
pub(super) fn word() -> CharSet {
    ["Alphabetic", "M", "Nd", "Pc", "Join_Control"]
        .into_iter()
        .fold(CharSet::default(), |set, name| set.union(&known(name)))
}

/// What `\b` takes for a letter or digit, by itself and as the base of combining marks.
pub(super) fn letter_or_digit() -> CharSet {
    known("L").union(&known("Nd"))
}

pub(super) fn non_spacing_mark() -> CharSet {
    known("Mn")
}

pub(super) const ASCII_DIGIT: &[(u32, u32)] = &[(0x30, 0x39)];
pub(super) const ASCII_SPACE: &[(u32, u32)] = &[(0x09, 0x0D), (0x20, 0x20)];
pub(super) const ASCII_WORD: &[(u32, u32)] = &[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)];
pub(super) const HORIZONTAL_SPACE: &[(u32, u32)] = &[
    (0x09, 0x09),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x180E, 0x180E),
    (0x2000, 0x200A),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
];
pub(super) const VERTICAL_SPACE: &[(u32, u32)] = &[(0x0A, 0x0D), (0x85, 0x85), (0x2028, 0x2029)];
pub(super) const LINE_TERMINATOR: &[(u32, u32)] = &[(0x0A, 0x0A), (0x0D, 0x0D), (0x85, 0x85), (0x2028, 0x2029)];

const ASCII_ALPHA: &[(u32, u32)] = &[(0x41, 0x5A), (0x61, 0x7A)];

/// General categories, ASCII POSIX names, and the `java` methods: case-sensitive names.
fn plain(name: &str, case_insensitive: bool) -> Option<CharSet> {
    let ascii = |ranges: &[(u32, u32)]| Some(CharSet::of(ranges));
    match name {
        "Lu" | "Ll" | "Lt" if case_insensitive => Some(known("LC")),
        "L" | "Lu" | "Ll" | "Lt" | "LC" | "Lm" | "Lo" | "M" | "Mn" | "Me" | "Mc" | "N" | "Nd" | "Nl" | "No" | "Z"
        | "Zs" | "Zl" | "Zp" | "Cc" | "Cf" | "Co" | "P" | "Pd" | "Ps" | "Pe" | "Pc" | "Po" | "Pi" | "Pf" | "S"
        | "Sm" | "Sc" | "Sk" | "So" | "Cs" | "Cn" => Some(known(name)),
        "C" => Some(
            ["Cc", "Cf", "Co", "Cs", "Cn"].into_iter().fold(CharSet::default(), |set, name| set.union(&known(name))),
        ),
        "LD" => Some(letter_or_digit()),
        "L1" => ascii(&[(0, 0xFF)]),
        "all" => Some(CharSet::all()),
        "ASCII" => ascii(&[(0, 0x7F)]),
        "Alnum" => ascii(&[(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)]),
        "Alpha" => ascii(ASCII_ALPHA),
        "Blank" => ascii(&[(0x09, 0x09), (0x20, 0x20)]),
        "Cntrl" => ascii(&[(0, 0x1F), (0x7F, 0x7F)]),
        "Digit" => ascii(ASCII_DIGIT),
        "Graph" => ascii(&[(0x21, 0x7E)]),
        "Lower" | "Upper" if case_insensitive => ascii(ASCII_ALPHA),
        "Lower" => ascii(&[(0x61, 0x7A)]),
        "Upper" => ascii(&[(0x41, 0x5A)]),
        "Print" => ascii(&[(0x20, 0x7E)]),
        "Punct" => ascii(&[(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)]),
        "Space" => ascii(ASCII_SPACE),
        "XDigit" => ascii(&[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]),
        _ => java(name.strip_prefix("java")?, case_insensitive),
    }
}

/// The methods of `java.lang.Character`, by what follows `is`.
fn java(name: &str, case_insensitive: bool) -> Option<CharSet> {
    let union = |names: &[&str]| names.iter().fold(CharSet::default(), |set, name| set.union(&known(name)));
    let ignorable = || known("Cf").union(&CharSet::of(&[(0, 8), (0x0E, 0x1B), (0x7F, 0x9F)]));
    Some(match name {
        "LowerCase" | "UpperCase" | "TitleCase" if case_insensitive => union(&["Lowercase", "Uppercase", "Lt"]),
        "LowerCase" => known("Lowercase"),
        "UpperCase" => known("Uppercase"),
        "TitleCase" => known("Lt"),
        "Alphabetic" => known("Alphabetic"),
        "Ideographic" => known("Ideographic"),
        "Digit" => known("Nd"),
        "Defined" => known("Cn").negate().intersect(&CharSet::of(&[(0, 0x10_FFFF)])),
        "Letter" => known("L"),
        "LetterOrDigit" => letter_or_digit(),
        "SpaceChar" => known("Z"),
        "Whitespace" => known("Z")
            .subtract(&CharSet::of(&[(0xA0, 0xA0), (0x2007, 0x2007), (0x202F, 0x202F)]))
            .union(&CharSet::of(&[(0x09, 0x0D), (0x1C, 0x1F)])),
        "ISOControl" => CharSet::of(&[(0, 0x1F), (0x7F, 0x9F)]),
        "IdentifierIgnorable" => ignorable(),
        "JavaIdentifierStart" => union(&["L", "Nl", "Sc", "Pc"]),
        "JavaIdentifierPart" => union(&["L", "Nl", "Sc", "Pc", "Nd", "Mc", "Mn"]).union(&ignorable()),
        _ => return None,
    })
}

/// Unicode's binary properties, by upper-case name.
fn unicode(name: &str, case_insensitive: bool) -> Option<CharSet> {
    Some(match name {
        "ALPHABETIC" => known("Alphabetic"),
        "ASSIGNED" => known("Cn").negate().intersect(&CharSet::of(&[(0, 0x10_FFFF)])),
        "CONTROL" => known("Cc"),
        "HEXDIGIT" | "HEX_DIGIT" => known("Nd").union(&hex_digit()),
        "IDEOGRAPHIC" => known("Ideographic"),
        "JOINCONTROL" | "JOIN_CONTROL" => known("Join_Control"),
        "LETTER" => known("L"),
        "LOWERCASE" | "UPPERCASE" | "TITLECASE" if case_insensitive => {
            known("Lowercase").union(&known("Uppercase")).union(&known("Lt"))
        }
        "LOWERCASE" => known("Lowercase"),
        "UPPERCASE" => known("Uppercase"),
        "TITLECASE" => known("Lt"),
        "NONCHARACTERCODEPOINT" | "NONCHARACTER_CODE_POINT" => table("Noncharacter_Code_Point"),
        "PUNCTUATION" => known("P"),
        "WHITESPACE" | "WHITE_SPACE" => white_space(),
        "WORD" => word(),
        _ => return None,
    })
}

/// What POSIX names mean in Unicode, by upper-case name.
fn posix_unicode(name: &str, case_insensitive: bool) -> Option<CharSet> {
    let not_visible = || {
        let controls = known("Cc").union(&known("Cs")).union(&known("Cn"));
        known("Z").union(&controls).union(&white_space())
    };
    let characters = CharSet::of(&[(0, 0x10_FFFF)]);
    Some(match name {
        "ALPHA" => known("Alphabetic"),
        "LOWER" => return unicode("LOWERCASE", case_insensitive),
        "UPPER" => return unicode("UPPERCASE", case_insensitive),
        "SPACE" => white_space(),
        "PUNCT" => known("P"),
        "XDIGIT" => known("Nd").union(&hex_digit()),
        "ALNUM" => known("Alphabetic").union(&known("Nd")),
        "CNTRL" => known("Cc"),
        "DIGIT" => known("Nd"),
        "BLANK" => known("Zs").union(&CharSet::single(0x09)),
        "GRAPH" => characters.subtract(&not_visible()),
        "PRINT" => characters.subtract(&not_visible()).union(&known("Zs")).subtract(&known("Cc")),
        _ => return None,
    })
}

fn hex_digit() -> CharSet {
    let half_width = [(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)];
    CharSet::of(&half_width).union(&CharSet::of(&half_width.map(|(first, last)| (first + 0xFEE0, last + 0xFEE0))))
}

fn script(name: &str) -> Option<CharSet> {
    let known_name = SCRIPT_NAMES.split_ascii_whitespace().find_map(|entry| {
        let (long, short) = entry.split_once('=')?;
        (name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(short)).then_some(long)
    })?;
    let set = table(&format!("Script={known_name}")).intersect(&assigned());
    // Two marks that a later version gave to Han.
    let moved_marks = CharSet::of(&[(0x16FE2, 0x16FE3)]);
    Some(match known_name {
        "Common" => set.union(&moved_marks),
        "Han" => set.subtract(&moved_marks),
        _ => set,
    })
}

/// A category or binary property as Unicode 13 had it.
fn known(name: &str) -> CharSet {
    match name {
        "Cs" => CharSet::of(&[(0xD800, 0xDFFF)]),
        "Cn" => CharSet::of(&[(0, 0x10_FFFF)]).subtract(&assigned()).subtract(&known("Cs")),
        _ => mended(name, table(name).intersect(&assigned())),
    }
}

/// Takes back what later versions changed about characters that version 13 had.
fn mended(name: &str, set: CharSet) -> CharSet {
    let moved_marks = CharSet::of(&[(0x1734, 0x1734), (0x1171E, 0x1171E)]);
    match name {
        "Alphabetic" => {
            let added = [(0x363, 0x36F), (0xC04, 0xC04), (0xF82, 0xF83), (0x1DD3, 0x1DE6), (0x11080, 0x11081)];
            set.subtract(&CharSet::of(&added))
        }
        "Lowercase" => set.subtract(&CharSet::of(&[(0x10FC, 0x10FC), (0xAB69, 0xAB69)])),
        "Mn" => set.union(&moved_marks),
        "Mc" => set.subtract(&moved_marks),
        _ => set,
    }
}

/// One of `regex-syntax`'s own tables.
fn table(name: &str) -> CharSet {
    let hir = regex_syntax::parse(&format!("\\p{{{name}}}")).expect("every name that is asked for here exists");
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => CharSet::of(
            &class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect::<Vec<_>>(),
        ),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).expect("a literal of one character");
            CharSet::of(&text.chars().map(|character| (character.into(), character.into())).collect::<Vec<_>>())
        }
        other => unreachable!("a property is a class: {other:?}"),
    }
}
