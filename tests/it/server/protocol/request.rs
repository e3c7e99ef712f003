//! Sections of a case file, and the bytes that a request's lines stand for.

use std::net::Ipv4Addr;

use super::names::Names;

/// One request.
pub struct Section {
    pub title: String,
    pub text: String,
    pub from: Option<Ipv4Addr>,
    pub anew: bool,
    /// How often it is sent; what answers all but the last is not looked at.
    pub times: usize,
    /// The next request is sent in the same piece.
    pub goes_on: bool,
}

pub enum Part {
    Bytes(Vec<u8>),
    /// Wait for `100 Continue`.
    Continue,
}

/// The requests of a file, and what stands before the first of them.
pub fn sections(file: &str) -> (String, Vec<Section>) {
    let mut comment = String::new();
    let mut sections: Vec<Section> = Vec::new();
    let mut in_request = false;
    for line in file.lines() {
        if let Some(title) = line.strip_prefix("== ") {
            in_request = title.starts_with("request");
            if in_request {
                sections.push(section(title));
            } else if let Some(last) = sections.last_mut() {
                last.goes_on = false;
            }
        } else if in_request {
            let text = &mut sections.last_mut().expect("it was just begun").text;
            text.push_str(line);
            text.push('\n');
        } else if sections.is_empty() {
            comment.push_str(line);
            comment.push('\n');
        }
    }
    for section in &mut sections {
        // The empty line that ends a head is implied.
        section.text.truncate(section.text.trim_end().len());
    }
    (comment, sections)
}

fn section(title: &str) -> Section {
    let options = title.split(':').next().unwrap_or_default();
    let from = options.split_once("from ").map(|(_, rest)| rest.split([' ', ',']).next().unwrap_or_default());
    let times = options.strip_suffix(" times").and_then(|rest| rest.rsplit(' ').next());
    Section {
        title: title.to_owned(),
        text: String::new(),
        from: from.map(|address| address.parse().expect("an address")),
        anew: options.split(' ').any(|word| word == "anew"),
        times: times.map_or(1, |number| number.parse().expect("a number")),
        goes_on: true,
    }
}

/// What to send.
pub fn parts(text: &str, names: &Names) -> Vec<Part> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("# ")).collect();
    let head_end = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let (head, body) = lines.split_at(head_end);
    let body_length: usize = body.iter().filter(|line| !is_order(line)).map(|line| bytes(line, names, 0).len()).sum();
    let mut parts: Vec<Part> = vec![Part::Bytes(Vec::new())];
    let mut send = |line: &str, end: &[u8]| {
        if is_order(line) {
            parts.push(Part::Continue);
            parts.push(Part::Bytes(Vec::new()));
        } else if let Some(Part::Bytes(out)) = parts.last_mut() {
            out.extend(bytes(line, names, body_length));
            out.extend(end);
        }
    };
    head.iter().for_each(|line| send(line, b"\r\n"));
    send("", b"\r\n");
    body.iter().for_each(|line| send(line, b""));
    parts
}

fn is_order(line: &str) -> bool {
    line == "<100 Continue>"
}

/// The bytes that a line stands for.
fn bytes(line: &str, names: &Names, body_length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = match first {
            '\\' => escape(rest),
            '{' => match rest.split_once('}') {
                Some((name, _)) => match named(&name[1..], names, body_length) {
                    Some(piece) => (piece, name.len() + 1),
                    None => (b"{".to_vec(), 1),
                },
                None => (b"{".to_vec(), 1),
            },
            other => (other.to_string().into_bytes(), other.len_utf8()),
        };
        out.extend(piece);
        rest = &rest[length..];
    }
    out
}

fn escape(text: &str) -> (Vec<u8>, usize) {
    let byte = match text.as_bytes().get(1) {
        Some(b'r') => b'\r',
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'\\') => b'\\',
        Some(b'x') => {
            let byte = u8::from_str_radix(&text[2..4], 16).expect("two hex digits");
            return (vec![byte], 4);
        }
        other => panic!("no escape: {other:?}"),
    };
    (vec![byte], 2)
}

/// `None`: a brace like any other.
fn named(name: &str, names: &Names, body_length: usize) -> Option<Vec<u8>> {
    if name == "length" {
        return Some(body_length.to_string().into_bytes());
    }
    if let Some((count, text)) = name.split_once('*')
        && let Ok(count) = count.parse()
    {
        return Some(bytes(text, names, body_length).repeat(count));
    }
    names.find(name).map(|text| text.as_bytes().to_vec())
}
