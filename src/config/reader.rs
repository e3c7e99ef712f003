//! Reads the TOML tables one by one, so that a fault in one of them does not hide those in the others. serde stops at a
//! table's first fault; the key that it names is noted and taken out, and the table is read again.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::file::{File, Limits};
use super::source::{ConfigError, Source};
use crate::rules::Diagnostic;

/// Faults found so far.
pub(super) struct Faults<'a> {
    source: Source<'a>,
    found: Vec<(Range<usize>, ConfigError)>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(source: Source<'a>) -> Faults<'a> {
        Faults { source, found: Vec::new() }
    }

    pub(super) fn add(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        let error = self.source.error(span.clone(), message, Some(hint.into()));
        self.found.push((span, error));
    }

    /// As [`Faults::add`], at a part of a string's value.
    pub(super) fn add_within(
        &mut self,
        value: &Spanned<String>,
        part: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(self.source.within_string(value.span(), part), message, hint);
    }

    /// A compiler's diagnostic within a string.
    pub(super) fn add_diagnostic(&mut self, value: &Spanned<String>, diagnostic: &Diagnostic) {
        let span = self.source.within_string(value.span(), diagnostic.span.clone());
        self.found.push((span, self.source.diagnostic(value, diagnostic)));
    }

    /// As [`Faults::add`], unless that place has a fault already: for compilers that look again at what was checked.
    pub(super) fn add_unless_told(&mut self, span: Range<usize>, message: impl Into<String>) {
        let is_told = |told: &Range<usize>| told.start < span.end.max(span.start + 1) && span.start < told.end;
        if !self.found.iter().any(|(told, _)| is_told(told)) {
            self.add_without_hint(span, message);
        }
    }

    /// As [`Faults::add_unless_told`], at a part of a string's value.
    pub(super) fn add_within_unless_told(
        &mut self,
        value: &Spanned<String>,
        part: Range<usize>,
        message: impl Into<String>,
    ) {
        self.add_unless_told(self.source.within_string(value.span(), part), message);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The line of a place, for hints that name another one.
    pub(super) fn line(&self, at: usize) -> usize {
        self.source.line(at)
    }

    fn add_without_hint(&mut self, span: Range<usize>, message: impl Into<String>) {
        let error = self.source.error(span.clone(), message, None);
        self.found.push((span, error));
    }

    /// For a value that must not be shown: the line is drawn up to its key.
    fn add_hidden(&mut self, key: Range<usize>, message: impl Into<String>) {
        let error = self.source.error(key.clone(), message, None).hiding_the_rest_of_the_line();
        self.found.push((key, error));
    }

    /// All faults, in the order of the file.
    pub(super) fn into_errors(mut self) -> Vec<ConfigError> {
        self.found.sort_by_key(|(span, _)| span.start);
        self.found.into_iter().map(|(_, error)| error).collect()
    }
}

const SERVER: &str = "server";
const LIMITS: &str = "limits";
const LISTS: [&str; 8] =
    ["account", "data_source", "trait", "segment", "derived_signal", "partner", "destination", "id_sync"];

/// Nothing unless every table can be read: what is left could only be misjudged.
pub(super) fn read(text: &str, faults: &mut Faults<'_>) -> Option<File> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        faults.add_without_hint(error.span().unwrap_or(0..0), error.message());
    }
    if !errors.is_empty() {
        return None;
    }
    let mut document = document.into_inner();
    for key in document.keys() {
        let name: &str = key.get_ref();
        if name != SERVER && name != LIMITS && !LISTS.contains(&name) {
            let known = [&[SERVER, LIMITS], &LISTS[..]].concat();
            faults.add(key.span(), format!("there is no table `{name}`"), choices(name, &known));
        }
    }
    let is_known_only = faults.found.is_empty();
    // Every one is read before the first that failed ends it.
    let server = read_server(&mut document, faults);
    let limits = read_limits(&mut document, faults);
    let accounts = read_list(&mut document, "account", faults);
    let data_sources = read_list(&mut document, "data_source", faults);
    let traits = read_list(&mut document, "trait", faults);
    let segments = read_list(&mut document, "segment", faults);
    let derived_signals = read_list(&mut document, "derived_signal", faults);
    let partners = read_list(&mut document, "partner", faults);
    let destinations = read_list(&mut document, "destination", faults);
    let id_syncs = read_list(&mut document, "id_sync", faults);
    if !is_known_only {
        return None;
    }
    Some(File {
        server: server?,
        limits: limits?,
        accounts: accounts?,
        data_sources: data_sources?,
        traits: traits?,
        segments: segments?,
        derived_signals: derived_signals?,
        partners: partners?,
        destinations: destinations?,
        id_syncs: id_syncs?,
    })
}

fn read_server<'de, T: Deserialize<'de>>(document: &mut DeTable<'de>, faults: &mut Faults<'_>) -> Option<T> {
    match document.remove(SERVER) {
        Some(table) => read_table(table, faults),
        None => {
            faults.add(0..0, "the table `[server]` is missing", "`base_domain` and `data_dir` have no defaults");
            None
        }
    }
}

fn read_limits(document: &mut DeTable<'_>, faults: &mut Faults<'_>) -> Option<Limits> {
    document.remove(LIMITS).map_or_else(|| Some(Limits::default()), |table| read_table(table, faults))
}

fn read_list<'de, T: Deserialize<'de>>(
    document: &mut DeTable<'de>,
    name: &str,
    faults: &mut Faults<'_>,
) -> Option<Vec<T>> {
    let Some(value) = document.remove(name) else { return Some(Vec::new()) };
    let span = value.span();
    let DeValue::Array(tables) = value.into_inner() else {
        faults.add(span, format!("`{name}` is a list of tables"), format!("write `[[{name}]]`"));
        return None;
    };
    let read: Vec<Option<T>> = tables.into_iter().map(|table| read_table(table, faults)).collect();
    read.into_iter().collect()
}

fn read_table<'de, T: Deserialize<'de>>(mut table: Spanned<DeValue<'de>>, faults: &mut Faults<'_>) -> Option<T> {
    let mut removed: Vec<String> = Vec::new();
    loop {
        let error = match T::deserialize(table.clone().into_deserializer()) {
            Ok(read) => return removed.is_empty().then_some(read),
            Err(error) => error,
        };
        let quoted = quoted_words(error.message());
        if error.message().starts_with("missing field") && quoted.iter().any(|name| removed.contains(name)) {
            return None;
        }
        let culprit = take_culprit(&mut table, &error);
        add_fault(&error, &quoted, culprit.as_ref(), table.span(), faults);
        removed.push(culprit?.get_ref().clone());
    }
}

/// Takes the key that the error is about out of the table.
fn take_culprit(table: &mut Spanned<DeValue<'_>>, error: &Error) -> Option<Spanned<String>> {
    let at = error.span()?.start;
    let DeValue::Table(table) = table.get_mut() else { return None };
    let culprit = table
        .iter()
        .find(|(key, value)| key.span().contains(&at) || value.span().contains(&at))
        .map(|(key, _)| Spanned::new(key.span(), key.get_ref().to_string()))?;
    table.remove(culprit.get_ref().as_str());
    Some(culprit)
}

/// Tells a fault in the words of a config file rather than in serde's.
fn add_fault(
    error: &Error,
    quoted: &[String],
    culprit: Option<&Spanned<String>>,
    table: Range<usize>,
    faults: &mut Faults<'_>,
) {
    let span = error.span().unwrap_or(table);
    let message = error.message();
    match quoted {
        _ if culprit.is_some_and(|key| matches!(key.get_ref().as_str(), "secret" | "token")) => {
            let key = culprit.expect("it was looked at");
            // Type errors quote the value.
            let message = if message.starts_with("invalid") { "this is to be a text" } else { message };
            faults.add_hidden(key.span(), message);
        }
        [name, known @ ..] if message.starts_with("unknown field") => {
            faults.add(span, format!("there is no key `{name}` here"), choices(name, known));
        }
        [name, known @ ..] if message.starts_with("unknown variant") => {
            faults.add(span, format!("`{name}` is none of the choices"), choices(name, known));
        }
        [name] if message.starts_with("missing field") => {
            faults.add(span, format!("`{name}` is missing"), format!("add `{name} = ...`: it has no default"));
        }
        _ => faults.add_without_hint(span, in_words(message)),
    }
}

/// What a value is to be, where serde names Rust's types.
fn in_words(message: &str) -> String {
    let expected = message.rsplit_once(", expected ").filter(|_| message.starts_with("invalid "));
    let up_to = |most: u64| format!("this is to be a whole number from 0 to {most}");
    match expected.map(|(_, expected)| expected) {
        Some("u8") => up_to(u8::MAX.into()),
        Some("u16") => up_to(u16::MAX.into()),
        Some("u32") => up_to(u32::MAX.into()),
        Some("u64") => up_to(i64::MAX as u64),
        Some("f64") => "this is to be a number".to_owned(),
        Some("a boolean") => "this is to be `true` or `false`".to_owned(),
        Some("a string") => "this is to be a text in quotes".to_owned(),
        Some("a sequence") => "this is to be a list".to_owned(),
        _ => message.to_owned(),
    }
}

/// The words that stand in backticks.
fn quoted_words(message: &str) -> Vec<String> {
    message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A hint: the name that was probably meant, else all of them.
fn choices(name: &str, known: &[impl AsRef<str>]) -> String {
    let nearest = known.iter().map(|known| (distance(name, known.as_ref()), known.as_ref())).min();
    match nearest {
        Some((distance, nearest)) if distance <= nearest.len() / 3 => format!("did you mean `{nearest}`?"),
        _ => {
            let known: Vec<String> = known.iter().map(|known| format!("`{}`", known.as_ref())).collect();
            format!("there are {}", known.join(", "))
        }
    }
}

/// How many bytes have to be added, dropped or changed to make one name the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn choices_guess_what_was_meant() {
        assert_eq!(choices("acount", &LISTS), "did you mean `account`?");
        assert_eq!(choices("x", &["ab", "cd"]), "there are `ab`, `cd`");
    }
}
