//! How an answer is read: status, wrapper, JSON, then whatever the partner's [`Format`] points at.
//!
//! Absence is an answer and a wrong type is not: a missing or null field means 'nothing known', while a text where a
//! list is due makes the whole answer an error.

use super::answer::{Answer, AnswerError, AnswerKind, may_be_key};
use super::format::{Elements, Format, Source, Step};
use super::json::{JsonError, JsonParser, Kind, Value};
use super::{time, wrapper};
use crate::limits::{DECLARED_ID_BYTES_MAX, PARTNER_BODY_BYTES_MAX, PARTNER_SEGMENT_BYTES_MAX};

/// Reads answers, one after the other, in memory that is allocated once.
pub struct AnswerReader {
    parser: JsonParser,
    /// Members of one map. The smallest, `"":0,`, takes five bytes.
    members: Vec<u32>,
}

impl std::fmt::Debug for AnswerReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnswerReader")
    }
}

/// What the response's head says.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    pub status: u16,
    pub content_encoding: Option<&'a [u8]>,
}

/// Error 171 of another data collection server: the visitor opted out there.
const DCS_OPTED_OUT: &[u8] = b"171";

impl AnswerReader {
    pub fn new() -> AnswerReader {
        AnswerReader { parser: JsonParser::new(), members: Vec::with_capacity(PARTNER_BODY_BYTES_MAX / 4) }
    }

    /// Reads a whole response into `answer`, which after an error holds nothing.
    pub fn read(
        &mut self,
        format: &Format,
        head: AnswerHead<'_>,
        body: &[u8],
        wall_ms: u64,
        answer: &mut Answer,
    ) -> Result<(), AnswerError> {
        answer.clear();
        let result = self.read_response(format, head, body, wall_ms, answer);
        if result.is_err() {
            answer.clear();
        }
        result
    }

    fn read_response(
        &mut self,
        format: &Format,
        head: AnswerHead<'_>,
        body: &[u8],
        wall_ms: u64,
        answer: &mut Answer,
    ) -> Result<(), AnswerError> {
        if head.status == 204 || format.empty_statuses.contains(&head.status) {
            return Ok(());
        }
        if head.status != 200 {
            return Err(AnswerError::Status);
        }
        if head.content_encoding.is_some_and(|encoding| !encoding.trim_ascii().eq_ignore_ascii_case(b"identity")) {
            return Err(AnswerError::Encoding);
        }
        let body = if format.wrapped { wrapper::unwrap(body).ok_or(AnswerError::Wrapper)? } else { body };
        if body.trim_ascii().is_empty() {
            return Err(AnswerError::Empty);
        }
        let members = &mut self.members;
        let parsed = self.parser.parse(body, |root| Reading { format, wall_ms, answer, members }.read(root));
        parsed.map_err(|error| match error {
            JsonError::TooLarge => AnswerError::TooLarge,
            JsonError::TooDeep => AnswerError::TooDeep,
            JsonError::Syntax => AnswerError::Json,
        })?
    }
}

impl Default for AnswerReader {
    fn default() -> AnswerReader {
        AnswerReader::new()
    }
}

/// One document being read.
struct Reading<'a> {
    format: &'a Format,
    wall_ms: u64,
    answer: &'a mut Answer,
    members: &'a mut Vec<u32>,
}

impl Reading<'_> {
    fn read(mut self, root: Value<'_>) -> Result<(), AnswerError> {
        let format = self.format;
        for source in &format.sources {
            walk(root, &source.path.steps, &mut |value| self.read_source(source, value))?;
        }
        self.read_partner_id(root)?;
        if let Some(path) = &format.ttl_path {
            // A bad ttl is no reason to lose an answer.
            let _ = walk(root, &path.steps, &mut |value| {
                self.answer.ttl_s = self.answer.ttl_s.or(ttl_s(value));
                Ok(())
            });
        }
        if format.stale {
            self.read_staleness(root);
        }
        if format.reads_dcs_errors && names_error(root, DCS_OPTED_OUT) {
            self.answer.clear_segments();
        }
        if !self.answer.is_without_segments() {
            self.answer.kind = AnswerKind::Known;
        }
        Ok(())
    }

    fn read_source(&mut self, source: &Source, value: Value<'_>) -> Result<(), AnswerError> {
        match &source.elements {
            Elements::Ids => self.read_segment(value, None),
            Elements::Objects { id, ttl } => {
                if value.kind() != Kind::Object {
                    return Err(AnswerError::Shape);
                }
                let ttl_s = ttl.as_ref().and_then(|name| value.member(name)).and_then(ttl_s);
                value.member(id).map_or(Ok(()), |id| self.read_segment(id, ttl_s))
            }
            Elements::Scores { min_score } => self.read_scores(value, *min_score),
            Elements::Signals => self.read_signals(value),
        }
    }

    fn read_segment(&mut self, id: Value<'_>, ttl_s: Option<u32>) -> Result<(), AnswerError> {
        let text = scalar(id)?;
        if text.len() > PARTNER_SEGMENT_BYTES_MAX {
            self.answer.dropped.segments += 1;
        } else if !text.is_empty() {
            self.answer.push_segment(text, ttl_s);
        }
        Ok(())
    }

    fn read_scores(&mut self, value: Value<'_>, min_score: f64) -> Result<(), AnswerError> {
        match value.kind() {
            Kind::Array => value.elements().try_for_each(|id| self.read_segment(id, None)),
            Kind::Object => {
                value.distinct_members(self.members);
                for &place in &*self.members {
                    let (id, score) = value.member_at(place);
                    let counts = score.number().ok_or(AnswerError::Shape)? >= min_score;
                    if counts && id.len() > PARTNER_SEGMENT_BYTES_MAX {
                        self.answer.dropped.segments += 1;
                    } else if counts && !id.is_empty() {
                        self.answer.push_segment(id.as_bytes(), None);
                    }
                }
                Ok(())
            }
            _ => Err(AnswerError::Shape),
        }
    }

    fn read_signals(&mut self, value: Value<'_>) -> Result<(), AnswerError> {
        if value.kind() != Kind::Object {
            return Err(AnswerError::Shape);
        }
        value.distinct_members(self.members);
        for at in 0..self.members.len() {
            let (key, values) = value.member_at(self.members[at]);
            self.read_signal(key, values)?;
        }
        Ok(())
    }

    fn read_signal(&mut self, key: &str, values: Value<'_>) -> Result<(), AnswerError> {
        if !may_be_key(key.as_bytes()) {
            self.answer.dropped.signals += 1;
            return check_signal_values(values);
        }
        let mut push = |value| {
            self.answer.push_signal(key.as_bytes(), signal_value(value)?);
            Ok(())
        };
        match values.kind() {
            Kind::Null => Ok(()),
            Kind::Array => values.elements().try_for_each(push),
            _ => push(values),
        }
    }

    fn read_partner_id(&mut self, root: Value<'_>) -> Result<(), AnswerError> {
        let Some(path) = &self.format.id_path else { return Ok(()) };
        walk(root, &path.steps, &mut |value| {
            let id = scalar(value)?;
            if id.len() > DECLARED_ID_BYTES_MAX {
                self.answer.dropped.ids += 1;
            } else if !id.is_empty() && self.answer.partner_id().is_none() {
                self.answer.set_partner_id(id);
            }
            Ok(())
        })
    }

    /// `staleAt` bounds the freshness, and so does `expiresAt`, which once past takes the whole answer back;
    /// `no_track` means that the visitor said no over there.
    fn read_staleness(&mut self, root: Value<'_>) {
        let time_ms = |name| match root.member(name).map(Value::kind) {
            Some(Kind::Text(text)) => time::rfc3339_ms(text.as_bytes()),
            _ => None,
        };
        let expires_ms = time_ms("expiresAt");
        for until_ms in [time_ms("staleAt"), expires_ms].into_iter().flatten() {
            let rest_s = until_ms.saturating_sub(self.wall_ms) / 1_000;
            let rest_s = u32::try_from(rest_s).unwrap_or(u32::MAX);
            self.answer.stale_s = Some(self.answer.stale_s.map_or(rest_s, |stale_s| stale_s.min(rest_s)));
        }
        if root.member("status").map(Value::kind) == Some(Kind::Text("no_track")) {
            self.answer.clear();
        } else if expires_ms.is_some_and(|expires_ms| expires_ms <= self.wall_ms) {
            self.answer.clear_segments();
        }
    }
}

/// Follows a path and hands what it leads to to `visit`. What is missing is passed over, what is of a wrong type is
/// an error. Goes as deep as the path is long.
fn walk(
    value: Value<'_>,
    steps: &[Step],
    visit: &mut dyn FnMut(Value<'_>) -> Result<(), AnswerError>,
) -> Result<(), AnswerError> {
    match steps.split_first() {
        None => visit(value),
        Some((Step::Member(name), rest)) if value.kind() == Kind::Object => {
            value.member(name).map_or(Ok(()), |member| walk(member, rest, visit))
        }
        Some((Step::Each, rest)) if value.kind() == Kind::Array => {
            value.elements().try_for_each(|element| walk(element, rest, visit))
        }
        Some(_) => Err(AnswerError::Shape),
    }
}

/// An id: text, or a number as it was written.
fn scalar(value: Value<'_>) -> Result<&[u8], AnswerError> {
    match value.kind() {
        Kind::Text(text) => Ok(text.as_bytes()),
        Kind::Number(text) => Ok(text),
        _ => Err(AnswerError::Shape),
    }
}

fn signal_value(value: Value<'_>) -> Result<&[u8], AnswerError> {
    match value.kind() {
        Kind::Bool(true) => Ok(b"true"),
        Kind::Bool(false) => Ok(b"false"),
        _ => scalar(value),
    }
}

fn check_signal_values(values: Value<'_>) -> Result<(), AnswerError> {
    match values.kind() {
        Kind::Null => Ok(()),
        Kind::Array => values.elements().try_for_each(|value| signal_value(value).map(|_| ())),
        _ => signal_value(values).map(|_| ()),
    }
}

/// Whole seconds; anything else is no ttl.
fn ttl_s(value: Value<'_>) -> Option<u32> {
    let number = value.number().filter(|number| *number >= 0.0)?;
    Some(number as u32)
}

fn names_error(root: Value<'_>, code: &[u8]) -> bool {
    let mut errors = root.member("errors").into_iter().flat_map(Value::elements);
    errors.any(|error| error.member("code").is_some_and(|found| scalar(found) == Ok(code)))
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
