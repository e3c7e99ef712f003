//! What a partner said, once its words are read.

use std::ops::Range;

use crate::find;
use crate::limits::{
    PARTNER_BODY_BYTES_MAX, PARTNER_SEGMENT_BYTES_MAX, PARTNER_SEGMENTS_MAX, SIGNAL_KEY_BYTES_MAX, SIGNALS_MAX,
};

/// Between a signal's key and its value where a profile keeps both as one text: no key that a partner may use has it.
const SIGNAL_SEPARATOR: u8 = 0x1f;

/// One answer, read. Made once and used again: reading clears it first.
#[derive(Debug)]
pub struct Answer {
    pub kind: AnswerKind,
    /// The answer's own ttl, in seconds, for segments that have none.
    pub ttl_s: Option<u32>,
    /// When the answer goes stale as a whole, in seconds from now, whatever its segments say.
    pub stale_s: Option<u32>,
    /// Segments and signals that were left out: too many, too long, or with a key that partners may not use.
    pub dropped: Dropped,
    segments: Vec<SegmentEntry>,
    signals: Vec<SignalEntry>,
    partner_id: Option<Span>,
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerKind {
    /// Segments or signals.
    Known,
    #[default]
    NothingKnown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    pub segments: u32,
    pub signals: u32,
    pub ids: u32,
}

/// Why an answer is none. It counts as an error of the partner and changes nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerError {
    /// A status that carries no answer; redirects are among them.
    Status,
    /// A `Content-Encoding` that was not asked for.
    Encoding,
    /// A 200 without a body.
    Empty,
    /// Over the bound.
    TooLarge,
    /// Script that is none of the known wrappers.
    Wrapper,
    /// No JSON.
    Json,
    /// Nested beyond the bound.
    TooDeep,
    /// JSON of another shape than the format's.
    Shape,
}

/// A segment's text and its ttl in seconds, where it has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentText<'a> {
    pub text: &'a [u8],
    pub ttl_s: Option<u32>,
}

/// A part of [`Answer::text`].
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

#[derive(Debug)]
struct SegmentEntry {
    text: Span,
    ttl_s: Option<u32>,
}

/// The key, the separator and the value in one.
#[derive(Debug)]
struct SignalEntry {
    text: Span,
    key_bytes: usize,
}

/// Reads a signal out of a text of [`Answer::signal_texts`]. `None`: it is no such text, or its key none that a partner
/// may use.
pub fn signal_of(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let separator = find::byte(SIGNAL_SEPARATOR, text)?;
    let (key, value) = (&text[..separator], &text[separator + 1..]);
    may_be_key(key).then_some((key, value))
}

/// Not among them are keys by which a partner could name a visitor, realise traits directly or pose as the server.
pub(super) fn may_be_key(key: &[u8]) -> bool {
    let is_reserved = matches!(key, [b'd' | b'D' | b'h' | b'H' | b'p' | b'P', b'_', ..]);
    (1..=SIGNAL_KEY_BYTES_MAX).contains(&key.len()) && !is_reserved && !key.contains(&SIGNAL_SEPARATOR)
}

impl AnswerError {
    /// All kinds, for metrics.
    pub const ALL: [AnswerError; 8] = [
        AnswerError::Status,
        AnswerError::Encoding,
        AnswerError::Empty,
        AnswerError::TooLarge,
        AnswerError::Wrapper,
        AnswerError::Json,
        AnswerError::TooDeep,
        AnswerError::Shape,
    ];

    pub fn name(self) -> &'static str {
        match self {
            AnswerError::Status => "status",
            AnswerError::Encoding => "encoding",
            AnswerError::Empty => "empty",
            AnswerError::TooLarge => "too_large",
            AnswerError::Wrapper => "wrapper",
            AnswerError::Json => "json",
            AnswerError::TooDeep => "too_deep",
            AnswerError::Shape => "shape",
        }
    }
}

impl Answer {
    /// Allocates all that the largest answer can need: its texts are parts of a body. Where many signals share a long
    /// key, which each of them has, some may find no room.
    pub fn new() -> Answer {
        Answer {
            kind: AnswerKind::NothingKnown,
            ttl_s: None,
            stale_s: None,
            dropped: Dropped::default(),
            segments: Vec::with_capacity(PARTNER_SEGMENTS_MAX),
            signals: Vec::with_capacity(SIGNALS_MAX),
            partner_id: None,
            text: Vec::with_capacity(PARTNER_BODY_BYTES_MAX),
        }
    }

    /// In the order of the answer; one may occur twice.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = SegmentText<'_>> {
        self.segments.iter().map(|entry| SegmentText { text: &self.text[entry.text.range()], ttl_s: entry.ttl_s })
    }

    /// Keys and values, in the order of the answer.
    pub fn signals(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.signals.iter().map(|entry| {
            let (key, value) = self.text[entry.text.range()].split_at(entry.key_bytes);
            (key, &value[1..])
        })
    }

    /// The signals as a profile keeps them: [`signal_of`] reads them.
    pub fn signal_texts(&self) -> impl Iterator<Item = &[u8]> {
        self.signals.iter().map(|entry| &self.text[entry.text.range()])
    }

    /// The partner's own id of the visitor.
    pub fn partner_id(&self) -> Option<&[u8]> {
        self.partner_id.map(|span| &self.text[span.range()])
    }

    /// For how long the answer spares another call, in seconds: the earliest of what its segments say, each by its
    /// own ttl, or else the answer's, or else the partner's configured one.
    pub fn fresh_s(&self, configured_s: u32, negative_s: u32) -> u32 {
        if self.kind == AnswerKind::NothingKnown {
            return negative_s;
        }
        let default_s = self.ttl_s.or(self.stale_s).unwrap_or(configured_s);
        let earliest_s = self.segments.iter().map(|segment| segment.ttl_s.unwrap_or(default_s)).min();
        earliest_s.unwrap_or(default_s).min(self.stale_s.unwrap_or(u32::MAX))
    }

    pub(super) fn clear(&mut self) {
        self.kind = AnswerKind::NothingKnown;
        self.ttl_s = None;
        self.stale_s = None;
        self.dropped = Dropped::default();
        self.clear_segments();
        self.partner_id = None;
        self.text.clear();
    }

    pub(super) fn clear_segments(&mut self) {
        self.segments.clear();
        self.signals.clear();
    }

    pub(super) fn is_without_segments(&self) -> bool {
        self.segments.is_empty() && self.signals.is_empty()
    }

    pub(super) fn push_segment(&mut self, text: &[u8], ttl_s: Option<u32>) {
        let is_full = self.segments.len() == PARTNER_SEGMENTS_MAX;
        match self.keep(text).filter(|_| !is_full) {
            Some(text) => self.segments.push(SegmentEntry { text, ttl_s }),
            None => self.dropped.segments += 1,
        }
    }

    /// A signal that is too long with its key is dropped as a segment of that length would be.
    pub(super) fn push_signal(&mut self, key: &[u8], value: &[u8]) {
        let is_short = key.len() + 1 + value.len() <= PARTNER_SEGMENT_BYTES_MAX;
        let may_keep = is_short && self.signals.len() < SIGNALS_MAX;
        match if may_keep { self.keep_joined([key, &[SIGNAL_SEPARATOR], value]) } else { None } {
            Some(text) => self.signals.push(SignalEntry { text, key_bytes: key.len() }),
            None => self.dropped.signals += 1,
        }
    }

    pub(super) fn set_partner_id(&mut self, id: &[u8]) {
        self.partner_id = self.keep(id);
    }

    /// Copies a text in; `None` when there is no room.
    fn keep(&mut self, text: &[u8]) -> Option<Span> {
        self.keep_joined([text])
    }

    fn keep_joined<const N: usize>(&mut self, parts: [&[u8]; N]) -> Option<Span> {
        let start = self.text.len();
        if parts.iter().map(|part| part.len()).sum::<usize>() > self.text.capacity() - start {
            return None;
        }
        parts.iter().for_each(|part| self.text.extend_from_slice(part));
        Some(Span { start: start as u32, end: self.text.len() as u32 })
    }
}

impl Default for Answer {
    fn default() -> Answer {
        Answer::new()
    }
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}
