//! Places in a TOML file, and faults drawn the way compilers do:
//!
//! ```text
//! error: trait 7 is not configured
//!   --> pinion.toml:12:22
//!    |
//! 12 | expression = "1T AND 7T"
//!    |                      ^^
//!    = hint: a segment can use the traits of its own account only
//! ```

use std::fmt;
use std::ops::Range;

use toml::Spanned;

use crate::rules::Diagnostic;

/// Characters of a line that are shown; of a longer one the part around the fault.
const SHOWN_CHARACTERS_MAX: usize = 160;
/// Characters that are shown before the fault when the line is cut.
const SHOWN_BEFORE_CHARACTERS: usize = 60;

/// One file's text and name.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    file_name: &'a str,
    text: &'a str,
    line_starts: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// A fault with its place. Its `Display` is the whole block, without a newline at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub severity: Severity,
    /// What is wrong, a sentence without its full stop.
    pub message: String,
    pub hint: Option<String>,
    pub file_name: String,
    /// From 1.
    pub line: usize,
    /// In code points, from 1.
    pub column: usize,
    excerpt: Excerpt,
}

/// The line as shown, and where in it the carets stand, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    line: String,
    marks: Range<usize>,
}

impl<'a> Source<'a> {
    pub fn new(file_name: &'a str, text: &'a str) -> Source<'a> {
        let behind_newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Source { file_name, text, line_starts: std::iter::once(0).chain(behind_newlines).collect() }
    }

    /// An error at `span`, in bytes of the text. A span beyond the text is taken for its end.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) -> ConfigError {
        let start = self.character_start(span.start);
        let end = self.character_start(span.end).max(start);
        let line_number = self.line(start);
        let line_start = self.line_starts[line_number - 1];
        let line = self.text[line_start..].lines().next().unwrap_or("");
        // A mark of byte order is no column of the first line.
        let (line, line_start) = match line.strip_prefix('\u{feff}') {
            Some(rest) => (rest, line_start + '\u{feff}'.len_utf8()),
            None => (line, line_start),
        };
        let before = start.saturating_sub(line_start).min(line.len());
        let marked_end = end.saturating_sub(line_start).clamp(before, line.len());
        let column = line[..before].chars().count();
        let marks = column..column + line[before..marked_end].chars().count();
        ConfigError {
            severity: Severity::Error,
            message: message.into(),
            hint,
            file_name: self.file_name.to_owned(),
            line: line_number,
            column: column + 1,
            excerpt: excerpt(line, marks),
        }
    }

    /// The number of the line that a byte of the text stands in, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= at)
    }

    /// A compiler's fault within a string of this file.
    pub fn diagnostic(&self, value: &Spanned<String>, diagnostic: &Diagnostic) -> ConfigError {
        let span = self.within_string(value.span(), diagnostic.span.clone());
        self.error(span, diagnostic.message.clone(), diagnostic.hint.clone())
    }

    /// As [`Source::diagnostic`], for what is worth telling although the file loads.
    pub fn warning(&self, value: &Spanned<String>, diagnostic: &Diagnostic) -> ConfigError {
        ConfigError { severity: Severity::Warning, ..self.diagnostic(value, diagnostic) }
    }

    /// Where bytes `inner` of a string's value stand in the file, given where its literal stands with its quotes:
    /// escapes and cut line ends make the literal longer than the value.
    pub fn within_string(&self, literal: Range<usize>, inner: Range<usize>) -> Range<usize> {
        let start = self.character_start(literal.start);
        let end = self.character_start(literal.end).max(start);
        let raw = &self.text[start..end];
        let places = value_places(raw);
        let place = |offset: usize| start + places.get(offset).or(places.last()).copied().unwrap_or(0);
        let first = place(inner.start);
        // The place behind the last byte, not the place of the next one: a line cut may lie between.
        let last = match inner.end > inner.start {
            true => {
                let last = place(inner.end - 1) - start;
                start + last + literal_piece_bytes(raw, last)
            }
            false => first,
        };
        first..last.max(first)
    }

    fn character_start(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at)
    }
}

/// For each byte of the string's value the place in `raw` of what it was written as, then the closing quotes' place.
fn value_places(raw: &str) -> Vec<usize> {
    let (quotes_bytes, is_basic) = opening(raw);
    let end = raw.len().saturating_sub(quotes_bytes).max(quotes_bytes);
    let mut at = quotes_bytes;
    if quotes_bytes == 3 {
        // The newline right behind the opening quotes is no part of the value.
        at += raw[at..].len()
            - raw[at..].strip_prefix("\r\n").or(raw[at..].strip_prefix('\n')).unwrap_or(&raw[at..]).len();
    }
    let mut places = Vec::with_capacity(raw.len());
    while at < end {
        let piece_bytes = literal_piece_bytes(raw, at);
        let value_bytes = match raw.as_bytes()[at] {
            b'\\' if is_basic => escape_value_bytes(&raw[at..at + piece_bytes]),
            _ => piece_bytes,
        };
        // The bytes of one plain character are its own; an escape is one place for all bytes that it stands for.
        let is_plain = value_bytes == piece_bytes && raw.as_bytes()[at] != b'\\';
        places.extend((0..value_bytes).map(|byte| if is_plain { at + byte } else { at }));
        at += piece_bytes;
    }
    places.push(end.min(raw.len()));
    places
}

/// How many quotes open the literal, and whether they are the ones that know escapes. (0: a bare one.)
fn opening(raw: &str) -> (usize, bool) {
    match raw.as_bytes() {
        [b'"', b'"', b'"', ..] if raw.len() >= 6 => (3, true),
        [b'\'', b'\'', b'\'', ..] if raw.len() >= 6 => (3, false),
        [b'"', ..] => (1, true),
        [b'\'', ..] => (1, false),
        _ => (0, false),
    }
}

/// The length of the character or escape that stands at `at` of a literal.
fn literal_piece_bytes(raw: &str, at: usize) -> usize {
    let at = raw.floor_char_boundary(at);
    let rest = &raw[at..];
    let (_, is_basic) = opening(raw);
    let bytes = match rest.as_bytes() {
        [b'\\', b'x', ..] if is_basic => 4,
        [b'\\', b'u', ..] if is_basic => 6,
        [b'\\', b'U', ..] if is_basic => 10,
        [b'\\', b' ' | b'\t' | b'\r' | b'\n', ..] if is_basic => {
            rest.len() - rest[1..].trim_start_matches([' ', '\t', '\r', '\n']).len()
        }
        [b'\\', _, ..] if is_basic => 2,
        _ => rest.chars().next().map_or(0, char::len_utf8),
    };
    bytes.min(rest.len())
}

/// How many bytes an escape stands for: a cut line end for none, `\u00e9` for two.
fn escape_value_bytes(escape: &str) -> usize {
    match escape.as_bytes()[1..] {
        [b' ' | b'\t' | b'\r' | b'\n', ..] => 0,
        [b'x' | b'u' | b'U', ..] => {
            let code = u32::from_str_radix(&escape[2..], 16).ok();
            code.and_then(char::from_u32).map_or(1, char::len_utf8)
        }
        _ => 1,
    }
}

/// The line made fit to be shown: cut when it is long, a space for each control character.
fn excerpt(line: &str, marks: Range<usize>) -> Excerpt {
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    let length = line.chars().count();
    if length <= SHOWN_CHARACTERS_MAX {
        return Excerpt { line: line.chars().map(shown).collect(), marks };
    }
    let first = marks.start.saturating_sub(SHOWN_BEFORE_CHARACTERS).min(length - SHOWN_CHARACTERS_MAX);
    let last = first + SHOWN_CHARACTERS_MAX;
    let before = if first > 0 { "... " } else { "" };
    let after = if last < length { " ..." } else { "" };
    let part: String = line.chars().skip(first).take(SHOWN_CHARACTERS_MAX).map(shown).collect();
    let shift = |column: usize| column.clamp(first, last) - first + before.len();
    Excerpt { line: format!("{before}{part}{after}"), marks: shift(marks.start)..shift(marks.end) }
}

impl ConfigError {
    /// For values that must not be shown: the line ends where the carets end.
    pub(super) fn hiding_the_rest_of_the_line(mut self) -> ConfigError {
        let shown: String = self.excerpt.line.chars().take(self.excerpt.marks.end).collect();
        self.excerpt.line = shown + " (not shown)";
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let gutter = self.line.to_string().len();
        let Excerpt { line, marks } = &self.excerpt;
        writeln!(f, "{severity}: {}", self.message)?;
        writeln!(f, "{:gutter$}--> {}:{}:{}", "", self.file_name, self.line, self.column)?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{} | {line}", self.line)?;
        write!(f, "{:gutter$} | {:before$}{}", "", "", "^".repeat(marks.len().max(1)), before = marks.start)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n{:gutter$} = hint: {hint}", "")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, marked: &str) -> ConfigError {
        let start = text.find(marked).unwrap();
        Source::new("a.toml", text).error(start..start + marked.len(), "it is wrong", Some("mend it".into()))
    }

    #[test]
    fn a_block_points_at_the_line() {
        let block = error("a = 1\nname = \"é\" # ü wrong\n", "wrong").to_string();
        let expected = [
            "error: it is wrong",
            " --> a.toml:2:16",
            "  |",
            "2 | name = \"é\" # ü wrong",
            "  |                ^^^^^",
            "  = hint: mend it",
        ];
        assert_eq!(block, expected.join("\n"));
    }

    #[test]
    fn odd_places_are_still_drawn() {
        let place = |text: &str, span| {
            let error = Source::new("a.toml", text).error(span, "m", None);
            assert!(error.to_string().lines().count() == 5, "{error}");
            (error.line, error.column, error.excerpt.marks.len())
        };
        assert_eq!(place("", 0..0), (1, 1, 0));
        assert_eq!(place("", 5..9), (1, 1, 0));
        assert_eq!(place("ab\n", 3..3), (2, 1, 0));
        assert_eq!(place("ab\r\ncd", 3..4), (1, 3, 0));
        assert_eq!(place("é", 1..2), (1, 1, 1));
        assert_eq!(place("a\nbcd\ne", 3..7), (2, 2, 2));
        assert_eq!(place("\u{feff}ab", 4..5), (1, 2, 1));
        assert_eq!(place("\u{feff}ab", 0..0), (1, 1, 0));
    }

    #[test]
    fn long_lines_are_cut_around_the_fault() {
        let text = format!("{}\twrong{}", "ä".repeat(1_000), "b".repeat(1_000));
        let error = error(&text, "wrong");
        assert_eq!(error.column, 1_002);
        let Excerpt { line, marks } = &error.excerpt;
        assert!(line.starts_with("... ä") && line.ends_with("b ..."), "{line}");
        assert_eq!(line.chars().skip(marks.start).take(marks.len()).collect::<String>(), "wrong");
    }

    /// Each value's every character must be found where the literal spells it.
    #[test]
    fn places_within_strings() {
        let cases: &[(&str, &str, &str)] = &[
            // literal, part of the value, what is marked
            (r#""a == 1""#, "==", "=="),
            (r#"'a == "1"'"#, "\"1\"", "\"1\""),
            (r#""a == \"é1\" z""#, "z", "z"),
            (r#""a == \"é1\" z""#, "\"é1\"", "\\\"é1\\\""),
            (r#""\u00e9\U0001F600\x41z""#, "z", "z"),
            (r#""\u00e9\U0001F600\x41z""#, "A", "\\x41"),
            (r#""\u00e9\U0001F600\x41z""#, "😀", "\\U0001F600"),
            ("\"\"\"\na\nb \\\n   c\"\"\"", "c", "c"),
            ("\"\"\"\na\nb \\\n   c\"\"\"", "a", "a"),
            ("\"\"\"\na\nb \\\n   c\"\"\"", "b ", "b "),
            ("\"\"\"\r\na\r\nb\"\"\"", "a", "a"),
            ("\"\"\"\r\na\r\nb\"\"\"", "b", "b"),
            ("'''\nx\\y'''", "\\y", "\\y"),
            (r#""ends""#, "ends", "ends"),
        ];
        for (literal, part, marked) in cases {
            let text = format!("# é\nkey = {literal}\n");
            let document: std::collections::BTreeMap<String, Spanned<String>> = toml::from_str(&text).unwrap();
            let value = &document["key"];
            let start = value.get_ref().find(part).unwrap();
            let span = Source::new("", &text).within_string(value.span(), start..start + part.len());
            assert_eq!(&text[span], *marked, "{literal} {part}");
        }
    }

    #[test]
    fn the_end_of_a_string_is_its_closing_quote() {
        for (text, end) in [("k = 'ab'", 7), ("k = \"\"", 5), ("k = '''\nab'''", 10)] {
            let document: std::collections::BTreeMap<String, Spanned<String>> = toml::from_str(text).unwrap();
            let len = document["k"].get_ref().len();
            assert_eq!(Source::new("", text).within_string(document["k"].span(), len..len), end..end, "{text}");
        }
    }

    #[test]
    fn a_diagnostic_is_drawn_in_its_string() {
        let text = "expression = \"k == \\\"v\\\" &\"\n";
        let document: std::collections::BTreeMap<String, Spanned<String>> = toml::from_str(text).unwrap();
        let diagnostic = Diagnostic { message: "no".into(), span: 9..10, hint: None };
        let source = Source::new("a.toml", text);
        let error = source.diagnostic(&document["expression"], &diagnostic);
        assert_eq!((error.line, error.column), (1, 26));
        assert!(source.warning(&document["expression"], &diagnostic).to_string().starts_with("warning: no\n"));
    }
}
