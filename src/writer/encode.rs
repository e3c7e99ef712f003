//! Text in the form that its place asks for. Runs that stand for themselves are copied at once.

use super::Writer;
use crate::find::{self, mark_byte, mark_range};

impl Writer<'_> {
    /// A JSON string with its quotes.
    pub fn push_json_string(&mut self, text: &[u8]) {
        self.push_byte(b'"');
        self.push_json(text);
        self.push_byte(b'"');
    }

    /// What stands between the quotes of a JSON string, or a part of it that doesn't end within a character. Bytes that
    /// are no UTF-8 become U+FFFD; the two line ends that JSON allows and older JavaScript does not are escaped.
    pub fn push_json(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(plain) = find::first(rest, mark_json_special) {
            self.push(&rest[..plain]);
            if !rest[plain].is_ascii() {
                return self.push_json_unicode(&rest[plain..]);
            }
            self.push_json_escaped(rest[plain]);
            rest = &rest[plain + 1..];
        }
        self.push(rest);
    }

    fn push_json_unicode(&mut self, text: &[u8]) {
        for chunk in text.utf8_chunks() {
            let mut rest = chunk.valid().as_bytes();
            while let Some(plain) = rest.iter().position(|&byte| byte == 0xe2 || json_escapes(byte)) {
                self.push(&rest[..plain]);
                let used = match rest[plain..] {
                    [0xe2, 0x80, last @ (0xa8 | 0xa9), ..] => {
                        self.push(if last == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                        3
                    }
                    [0xe2, ..] => {
                        self.push_byte(0xe2);
                        1
                    }
                    _ => {
                        self.push_json_escaped(rest[plain]);
                        1
                    }
                };
                rest = &rest[plain + used..];
            }
            self.push(rest);
            if !chunk.invalid().is_empty() {
                self.push("\u{fffd}".as_bytes());
            }
        }
    }

    fn push_json_escaped(&mut self, byte: u8) {
        match byte {
            b'"' => self.push(b"\\\""),
            b'\\' => self.push(b"\\\\"),
            b'\n' => self.push(b"\\n"),
            b'\r' => self.push(b"\\r"),
            b'\t' => self.push(b"\\t"),
            _ => self.push(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte)]),
        }
    }

    /// Text for any place in a URL: everything but RFC 3986's unreserved bytes as `%HH`.
    pub fn push_percent(&mut self, text: &[u8]) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        self.push_escaping(text, is_plain);
    }

    /// Text in a header: bytes that are not visible ASCII are escaped, so that no text ends the line.
    pub fn push_visible(&mut self, text: &[u8]) {
        self.push_escaping(text, |byte| byte.is_ascii_graphic());
    }

    /// Text in a header that has no escapes: control bytes are left out, so that no text ends the line.
    pub fn push_without_controls(&mut self, text: &[u8]) {
        text.split(|byte| byte.is_ascii_control()).for_each(|plain| self.push(plain));
    }

    fn push_escaping(&mut self, text: &[u8], is_plain: impl Fn(u8) -> bool) {
        let mut rest = text;
        while let Some(plain) = rest.iter().position(|&byte| !is_plain(byte)) {
            self.push(&rest[..plain]);
            self.push(&[b'%', hex(rest[plain] >> 4), hex(rest[plain])]);
            rest = &rest[plain + 1..];
        }
        self.push(rest);
    }
}

fn hex(digit: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(digit & 15)]
}

fn json_escapes(byte: u8) -> bool {
    byte.is_ascii_control() || matches!(byte, b'"' | b'\\')
}

/// Marks what may not stand for itself: what [`json_escapes`], and what is not ASCII.
fn mark_json_special(word: u64) -> u64 {
    let quotes = mark_byte(word, b'"') | mark_byte(word, b'\\');
    mark_range(word, 0, 0x1f) | mark_byte(word, 0x7f) | quotes | word & find::HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut bytes = [0; 1_000];
        let mut out = Writer::new(&mut bytes);
        write(&mut out);
        let len = out.finish().unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    }

    #[test]
    fn json_strings_read_back_as_they_were() {
        let every_character: String = (0..0x300).chain(0x2020..0x2040).filter_map(char::from_u32).collect();
        let ascii: String = ('\0'..='\x7f').collect();
        for text in [
            "",
            "plain, and longer than a word",
            &ascii,
            "a\"b\\c\u{2028}\u{2029}\u{20ac}\r\n\t\0\u{7f}",
            &every_character[..300],
            &every_character[900..],
        ] {
            let json = written(|out| out.push_json_string(text.as_bytes()));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            assert!(!json.contains(|character: char| character.is_ascii_control() || character == '\u{2028}'));
        }
        for bad in [&b"a\xffb"[..], b"\xe2", b"\xe2\x80", b"\xc3(", b"\xed\xa0\x80", b"\xf0\x9f\x92", b"\xff\"\n"] {
            let json = written(|out| out.push_json_string(bad));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn percent_encoding_leaves_unreserved_bytes() {
        assert_eq!(written(|out| out.push_percent(b"aZ0-._~ /?&=%+\x00\xff")), "aZ0-._~%20%2F%3F%26%3D%25%2B%00%FF");
    }

    #[test]
    fn header_text_stays_on_its_line() {
        assert_eq!(written(|out| out.push_visible(b"/a\r\nb c\xff")), "/a%0D%0Ab%20c%FF");
        assert_eq!(written(|out| out.push_without_controls(b"\na\r\nX-Evil: 1\0\x7f")), "aX-Evil: 1");
    }

    #[test]
    fn every_size_of_slice_is_safe() {
        for size in 0..80 {
            let mut room = vec![0; size];
            let mut out = Writer::new(&mut room);
            out.push_json_string(b"\"\x01\xff\xe2\x80\xa8");
            out.push_percent(b"a b");
            out.push_decimal(12_345);
            assert_eq!(out.overflowed(), size < 29, "{size}");
        }
    }
}
