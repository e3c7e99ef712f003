//! JSON from partners, parsed by `simd-json` into buffers that are grown to their worst case when made.
//!
//! The tape forgets how numbers were written, and a segment's id may be a number that must stay as it came. So the
//! text is kept beside the copy that the parser works in, and the parser's list of structural positions leads from a
//! node back to its text: nodes and those positions that begin a value or key come in the same order. (A number
//! beyond the range of a double is the one valid text that is refused.)

use simd_json::value::tape::{Node, Tape};
use simd_json::{Buffers, ErrorType, INPUT_PADDING, StaticNode};

use crate::limits::{PARTNER_BODY_BYTES_MAX, PARTNER_JSON_DEPTH_MAX};

/// A parser and its memory.
pub struct JsonParser {
    padded: Box<[u8]>,
    buffers: Buffers,
    /// Empty between two documents: only its memory is kept.
    tape: Tape<'static>,
    /// Where in the text each node of the tape begins.
    offsets: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    TooLarge,
    TooDeep,
    Syntax,
}

/// One value of a parsed document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'d> {
    document: &'d Document<'d>,
    at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind<'d> {
    Null,
    Bool(bool),
    /// A number, as it was written.
    Number(&'d [u8]),
    Text(&'d str),
    Array,
    Object,
}

#[derive(Debug)]
struct Document<'d> {
    nodes: &'d [Node<'d>],
    offsets: &'d [u32],
    text: &'d [u8],
}

impl JsonParser {
    /// Allocates all that any document of at most [`PARTNER_BODY_BYTES_MAX`] bytes can need, by parsing one in which
    /// every byte begins a token.
    pub fn new() -> JsonParser {
        let mut parser = JsonParser {
            padded: vec![0; PARTNER_BODY_BYTES_MAX + INPUT_PADDING].into_boxed_slice(),
            buffers: Buffers::with_max_depth(PARTNER_BODY_BYTES_MAX, PARTNER_JSON_DEPTH_MAX),
            tape: Tape(Vec::with_capacity(PARTNER_BODY_BYTES_MAX)),
            offsets: Vec::with_capacity(PARTNER_BODY_BYTES_MAX),
        };
        let mut worst = vec![b','; PARTNER_BODY_BYTES_MAX - 1];
        worst.iter_mut().skip(1).step_by(2).for_each(|byte| *byte = b'0');
        worst[0] = b'[';
        worst[PARTNER_BODY_BYTES_MAX - 2] = b']';
        parser.parse(&worst, |_| ()).expect("the worst document is a flat array of digits");
        parser
    }

    /// Parses `text` and hands its root to `read`.
    pub fn parse<R>(&mut self, text: &[u8], read: impl FnOnce(Value<'_>) -> R) -> Result<R, JsonError> {
        let len = text.len();
        if len > PARTNER_BODY_BYTES_MAX {
            return Err(JsonError::TooLarge);
        }
        self.padded[..len].copy_from_slice(text);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let filled = simd_json::fill_tape_padded(&mut self.padded, len, &mut self.buffers, &mut tape);
        let result = match filled {
            // Each node has its place in the text; should the parser ever see that differently, the text is no JSON.
            Ok(()) if !locate_nodes(self.buffers.structural_indexes(), text, &mut self.offsets, tape.0.len()) => {
                Err(JsonError::Syntax)
            }
            Ok(()) => {
                let document = Document { nodes: &tape.0, offsets: &self.offsets, text };
                Ok(read(Value { document: &document, at: 0 }))
            }
            Err(error) if *error.error() == ErrorType::DepthLimitExceeded => Err(JsonError::TooDeep),
            Err(_) => Err(JsonError::Syntax),
        };
        self.tape = tape.reset();
        result
    }
}

impl Default for JsonParser {
    fn default() -> JsonParser {
        JsonParser::new()
    }
}

/// Fills `offsets` with the places of all nodes. `false`: there are not as many as nodes.
fn locate_nodes(structural: &[u32], text: &[u8], offsets: &mut Vec<u32>, nodes: usize) -> bool {
    let begins_node = |&&at: &&u32| !matches!(text.get(at as usize), None | Some(b'}' | b']' | b':' | b','));
    offsets.clear();
    offsets.extend(structural.iter().filter(begins_node));
    offsets.len() == nodes
}

impl<'d> Value<'d> {
    pub fn kind(self) -> Kind<'d> {
        match self.document.nodes[self.at] {
            Node::String(text) => Kind::Text(text),
            Node::Object { .. } => Kind::Object,
            Node::Array { .. } => Kind::Array,
            Node::Static(StaticNode::Null) => Kind::Null,
            Node::Static(StaticNode::Bool(value)) => Kind::Bool(value),
            Node::Static(_) => Kind::Number(self.number_text()),
        }
    }

    /// A number's value, as near as a double comes.
    pub fn number(self) -> Option<f64> {
        match self.document.nodes[self.at] {
            Node::Static(StaticNode::I64(number)) => Some(number as f64),
            Node::Static(StaticNode::U64(number)) => Some(number as f64),
            Node::Static(StaticNode::F64(number)) => Some(number),
            _ => None,
        }
    }

    /// A member of an object; of doubled keys the last counts. A null is as good as none.
    pub fn member(self, name: &str) -> Option<Value<'d>> {
        let (_, last) = self.members().filter(|(key, _)| *key == name).last()?;
        (last.kind() != Kind::Null).then_some(last)
    }

    /// All members of an object, doubled keys included; none of anything else.
    pub fn members(self) -> impl Iterator<Item = (&'d str, Value<'d>)> {
        let mut rest = match self.document.nodes[self.at] {
            Node::Object { len, .. } => len,
            _ => 0,
        };
        let mut value = Value { at: self.at + 1, ..self };
        std::iter::from_fn(move || {
            rest = rest.checked_sub(1)?;
            let Node::String(key) = self.document.nodes[value.at] else { return None };
            let member = Value { at: value.at + 1, ..self };
            value = member.next();
            Some((key, member))
        })
    }

    /// The elements of an array; none of anything else.
    pub fn elements(self) -> impl Iterator<Item = Value<'d>> {
        let mut rest = match self.document.nodes[self.at] {
            Node::Array { len, .. } => len,
            _ => 0,
        };
        let mut value = Value { at: self.at + 1, ..self };
        std::iter::from_fn(move || {
            rest = rest.checked_sub(1)?;
            let element = value;
            value = element.next();
            Some(element)
        })
    }

    /// Fills `places` with the members of an object in their order, of doubled keys only the last. To be read with
    /// [`Value::member_at`].
    pub(super) fn distinct_members(self, places: &mut Vec<u32>) {
        places.clear();
        places.extend(self.members().map(|(_, value)| value.at as u32));
        let key = |place: u32| self.member_at(place).0;
        places.sort_unstable_by(|&left, &right| key(left).cmp(key(right)).then(right.cmp(&left)));
        places.dedup_by(|later, kept| key(*later) == key(*kept));
        places.sort_unstable();
    }

    pub(super) fn member_at(self, place: u32) -> (&'d str, Value<'d>) {
        let value = Value { at: place as usize, ..self };
        match self.document.nodes[value.at - 1] {
            Node::String(key) => (key, value),
            _ => unreachable!("a member's value stands behind its key"),
        }
    }

    /// What stands behind this value and all that is in it.
    fn next(self) -> Value<'d> {
        let inner = match self.document.nodes[self.at] {
            Node::Object { count, .. } | Node::Array { count, .. } => count,
            _ => 0,
        };
        Value { at: self.at + 1 + inner, ..self }
    }

    fn number_text(self) -> &'d [u8] {
        let text = &self.document.text[self.document.offsets[self.at] as usize..];
        let is_number_byte = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let len = text.iter().position(|byte| !is_number_byte(byte)).unwrap_or(text.len());
        &text[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    /// Writes a value back, whitespace and escapes apart as it came.
    fn dump(value: Value<'_>, out: &mut String) {
        match value.kind() {
            Kind::Null => out.push_str("null"),
            Kind::Bool(value) => write!(out, "{value}").unwrap(),
            Kind::Number(text) => out.push_str(std::str::from_utf8(text).unwrap()),
            Kind::Text(text) => {
                assert!(std::str::from_utf8(text.as_bytes()).is_ok(), "lone surrogates must not get through");
                write!(out, "{text:?}").unwrap();
            }
            Kind::Array => {
                out.push('[');
                value.elements().for_each(|element| {
                    dump(element, out);
                    out.push(',');
                });
                out.push(']');
            }
            Kind::Object => {
                out.push('{');
                value.members().for_each(|(key, member)| {
                    write!(out, "{key:?}:").unwrap();
                    dump(member, out);
                    out.push(',');
                });
                out.push('}');
            }
        }
    }

    fn dumped(parser: &mut JsonParser, text: &str) -> Result<String, JsonError> {
        parser.parse(text.as_bytes(), |root| {
            let mut out = String::new();
            dump(root, &mut out);
            out
        })
    }

    #[test]
    fn values_and_numbers_as_they_were_written() {
        let mut parser = JsonParser::new();
        let text = r#" { "a" : [1.50, -0, 1E+2,12345678901234567890123 ],
            "b\n":{"c":[],"d":{}}, "é,]":"x\"y" ,"t":true } "#;
        let first = r#"{"a":[1.50,-0,1E+2,12345678901234567890123,],"b\n":{"c":[],"d":{},},"#;
        let expected = format!("{first}{}", r#""é,]":"x\"y","t":true,}"#);
        assert_eq!(dumped(&mut parser, text).unwrap(), expected);
        for number in ["7", "-1.0e-5"] {
            assert_eq!(dumped(&mut parser, number).unwrap(), number);
        }
    }

    #[test]
    fn of_doubled_keys_the_last_counts() {
        let text = br#"{"b":1,"a":1,"c":4,"a":{"a":0},"b":null,"a":3}"#;
        let mut places = Vec::new();
        let read = |root: Value<'_>| {
            assert_eq!(root.member("a").map(Value::kind), Some(Kind::Number(b"3")));
            assert!(root.member("b").is_none());
            assert!(root.member("d").is_none());
            root.distinct_members(&mut places);
            places.iter().map(|&place| root.member_at(place).0.to_owned()).collect::<String>()
        };
        assert_eq!(JsonParser::new().parse(text, read), Ok("cba".to_owned()));
    }

    #[test]
    fn nesting_is_bounded() {
        let mut parser = JsonParser::new();
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(dumped(&mut parser, &nested(PARTNER_JSON_DEPTH_MAX)).is_ok());
            assert_eq!(dumped(&mut parser, &nested(PARTNER_JSON_DEPTH_MAX + 1)), Err(JsonError::TooDeep));
            assert_eq!(dumped(&mut parser, &open.repeat(10_000)), Err(JsonError::TooDeep));
        }
    }

    #[test]
    fn size_is_bounded() {
        let mut parser = JsonParser::new();
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert!(dumped(&mut parser, &text(PARTNER_BODY_BYTES_MAX)).is_ok());
        assert_eq!(dumped(&mut parser, &text(PARTNER_BODY_BYTES_MAX + 1)), Err(JsonError::TooLarge));
    }

    fn documents() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Into::into),
            "[a-z\\\\\"\n,:\\]é]{0,80}".prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 60, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                proptest::collection::btree_map("[a-z\"]{0,40}", inner, 0..8)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn agrees(value: Value<'_>, expected: &serde_json::Value) -> bool {
        match (value.kind(), expected) {
            (Kind::Null, serde_json::Value::Null) => true,
            (Kind::Bool(value), serde_json::Value::Bool(expected)) => value == *expected,
            (Kind::Number(text), serde_json::Value::Number(expected)) => text == expected.to_string().as_bytes(),
            (Kind::Text(text), serde_json::Value::String(expected)) => text == expected,
            (Kind::Array, serde_json::Value::Array(expected)) => {
                value.elements().count() == expected.len()
                    && value.elements().zip(expected).all(|(value, expected)| agrees(value, expected))
            }
            (Kind::Object, serde_json::Value::Object(expected)) => {
                value.members().count() == expected.len()
                    && value.members().all(|(key, value)| agrees(value, &expected[key]))
            }
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_agrees_with_serde_json(document in documents(), pretty in any::<bool>()) {
            let write = if pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
            let text = write(&document).unwrap();
            prop_assert!(JsonParser::new().parse(&text, |root| agrees(root, &document)).unwrap());
        }

        #[test]
        fn damaged_documents_do_no_harm(
            document in documents(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut text = serde_json::to_vec(&document).unwrap();
            let at = at.index(text.len());
            text[at] = byte;
            let ours = JsonParser::new().parse(&text, |root| dump(root, &mut String::new())).is_ok();
            if !ours {
                // A value that serde_json takes and we don't would be an answer lost.
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&text).is_err());
            }
        }
    }
}
