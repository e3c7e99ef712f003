//! Writes answers into a fixed slice, without `std::fmt`. What doesn't fit raises a flag instead of a panic, and the
//! writer stays at the last whole piece, so a caller can check once at the end, or go back to a mark and leave out one
//! element.

use super::date;

/// A cursor over a slice.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
    overflowed: bool,
}

/// A place to return to; see [`Writer::rewind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

/// Room left for a number that is known later; see [`Writer::patch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    end: usize,
}

/// Digits that a slot holds: enough for any body that fits a buffer.
const SLOT_BYTES: usize = 8;
const U64_DIGITS_MAX: usize = 20;
const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";
const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut [u8]) -> Writer<'a> {
        Writer { out, len: 0, overflowed: false }
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.out.len() - self.len
    }

    /// Whether something didn't fit. Everything after it was left out as well.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.out[..self.len]
    }

    pub fn mark(&self) -> Mark {
        Mark(self.len)
    }

    /// Takes back everything since the mark, an overflow included.
    pub fn rewind(&mut self, mark: Mark) {
        debug_assert!(mark.0 <= self.len, "the mark is from before");
        self.len = self.len.min(mark.0);
        self.overflowed = false;
    }

    /// All of `bytes` or, raising the flag, nothing.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.overflowed || bytes.len() > self.room() {
            self.overflowed = true;
            return;
        }
        self.out[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub fn put_byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    pub fn put_u64(&mut self, value: u64) {
        let mut digits = [0; U64_DIGITS_MAX];
        let start = write_decimal(value, &mut digits);
        self.put(&digits[start..]);
    }

    /// `unix_s` as an HTTP date.
    pub fn put_date(&mut self, unix_s: u64) {
        self.put(&date::format(unix_s));
    }

    /// `name: value` as a header line. A value with a control byte would end the line early and let its author write
    /// headers of their own, so such a line is left out.
    pub fn put_header(&mut self, name: &[u8], value: &[u8]) {
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return;
        }
        self.put(name);
        self.put(b": ");
        self.put(value);
        self.put(b"\r\n");
    }

    /// A Content-Length line whose number follows with [`Writer::patch`]. The number is padded in front with spaces,
    /// which belong to the line's syntax, not to the value.
    pub fn put_content_length(&mut self) -> Slot {
        self.put(b"Content-Length: ");
        self.put(&[b' '; SLOT_BYTES]);
        let slot = Slot { end: self.len };
        self.put(b"\r\n");
        slot
    }

    /// Fills a slot. Does nothing after an overflow, when the slot may not exist.
    ///
    /// # Panics
    /// When `value` has more digits than a slot: no buffer is that large.
    pub fn patch(&mut self, slot: Slot, value: u64) {
        let mut digits = [0; U64_DIGITS_MAX];
        let start = write_decimal(value, &mut digits);
        let digits = &digits[start..];
        assert!(digits.len() <= SLOT_BYTES, "a slot holds {SLOT_BYTES} digits");
        if !self.overflowed {
            self.out[slot.end - digits.len()..slot.end].copy_from_slice(digits);
        }
    }

    /// `text` as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD.
    pub fn put_json_string(&mut self, text: &[u8]) {
        self.put_byte(b'"');
        self.put_json_escaped(text);
        self.put_byte(b'"');
    }

    /// As [`Writer::put_json_string`] without the quotes, to build one string of several parts.
    pub fn put_json_escaped(&mut self, text: &[u8]) {
        for chunk in text.utf8_chunks() {
            self.put_json_valid(chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                self.put("\u{fffd}".as_bytes());
            }
        }
    }

    /// Copies runs of bytes that need no escape at once.
    fn put_json_valid(&mut self, text: &[u8]) {
        let mut plain_start = 0;
        let mut at = 0;
        while at < text.len() {
            let (escaped_len, byte) = match &text[at..] {
                // U+2028 and U+2029 end a line in the JavaScript of older browsers, which JSONP reaches.
                [0xe2, 0x80, last @ (0xa8 | 0xa9), ..] => (3, *last),
                [byte, ..] if needs_escape(*byte) => (1, *byte),
                _ => {
                    at += 1;
                    continue;
                }
            };
            self.put(&text[plain_start..at]);
            match (escaped_len, byte) {
                (3, 0xa8) => self.put(b"\\u2028"),
                (3, _) => self.put(b"\\u2029"),
                (_, b'"') => self.put(b"\\\""),
                (_, b'\\') => self.put(b"\\\\"),
                (_, b'\n') => self.put(b"\\n"),
                (_, b'\r') => self.put(b"\\r"),
                (_, b'\t') => self.put(b"\\t"),
                _ => self.put(&[
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    HEX_LOWER[(byte >> 4) as usize],
                    HEX_LOWER[(byte & 15) as usize],
                ]),
            }
            at += escaped_len;
            plain_start = at;
        }
        self.put(&text[plain_start..]);
    }

    /// `text` for any place in a URL: everything but RFC 3986's unreserved bytes as `%HH`.
    pub fn put_percent_encoded(&mut self, text: &[u8]) {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let mut rest = text;
        while !rest.is_empty() {
            let plain = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
            self.put(&rest[..plain]);
            rest = &rest[plain..];
            if let Some((&byte, after)) = rest.split_first() {
                self.put(&[b'%', HEX_UPPER[(byte >> 4) as usize], HEX_UPPER[(byte & 15) as usize]]);
                rest = after;
            }
        }
    }
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\')
}

/// Writes to the end of `digits` and returns where the number begins.
fn write_decimal(mut value: u64, digits: &mut [u8; U64_DIGITS_MAX]) -> usize {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = [0; 512];
        let mut writer = Writer::new(&mut out);
        fill(&mut writer);
        assert!(!writer.overflowed());
        writer.bytes().to_vec()
    }

    #[test]
    fn numbers() {
        for value in [0, 7, 10, 65_535, u64::MAX] {
            assert_eq!(written(|w| w.put_u64(value)), value.to_string().into_bytes());
        }
        assert_eq!(written(|w| w.put_date(0)), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn json_strings_read_back() {
        let all: Vec<u8> = (0..=127).collect();
        let texts =
            [all.as_slice(), "é\u{2028}x\u{2029}\u{2030}😀\"".as_bytes(), b"", b"\\\\", b"a\xffb\xc3", b"\xe2\x80"];
        for text in texts {
            let json = written(|w| w.put_json_string(text));
            let read: String = serde_json::from_slice(&json).unwrap();
            assert_eq!(read, String::from_utf8_lossy(text));
            assert!(!json.iter().any(|byte| *byte < 0x20) && !json.windows(2).any(|w| w == [0x80, 0xa8]));
        }
    }

    #[test]
    fn percent_encoding_leaves_unreserved_bytes() {
        assert_eq!(
            written(|w| w.put_percent_encoded(b"aZ0-._~ /?&=%+\x00\xff")),
            b"aZ0-._~%20%2F%3F%26%3D%25%2B%00%FF"
        );
    }

    #[test]
    fn header_lines_cannot_be_injected() {
        assert_eq!(written(|w| w.put_header(b"A", b"b\tc")), b"A: b\tc\r\n");
        assert_eq!(written(|w| w.put_header(b"A", b"b\r\nSet-Cookie: x")), b"");
        assert_eq!(written(|w| w.put_header(b"A", b"b\nc")), b"");
    }

    #[test]
    fn a_length_is_patched_in() {
        let bytes = written(|w| {
            let slot = w.put_content_length();
            w.put(b"\r\nbody");
            w.patch(slot, 4);
        });
        assert_eq!(bytes, format!("Content-Length: {:>8}\r\n\r\nbody", 4).into_bytes());
    }

    #[test]
    fn overflow_is_a_flag() {
        let mut out = [0; 8];
        let mut writer = Writer::new(&mut out);
        writer.put(b"abcd");
        let mark = writer.mark();
        writer.put(b"efghi");
        writer.put(b"e");
        assert!(writer.overflowed() && writer.bytes() == b"abcd");
        writer.patch(Slot { end: 99 }, 1);
        writer.rewind(mark);
        writer.put(b"efgh");
        assert!(!writer.overflowed() && writer.bytes() == b"abcdefgh" && writer.room() == 0);
    }

    #[test]
    fn every_size_of_slice_is_safe() {
        for size in 0..80 {
            let mut out = vec![0; size];
            let mut writer = Writer::new(&mut out);
            let slot = writer.put_content_length();
            writer.put_header(b"X", b"y");
            writer.put_json_string(b"\"\x01\xff\xe2\x80\xa8");
            writer.put_percent_encoded(b"a b");
            writer.put_u64(12_345);
            writer.patch(slot, 42);
            assert_eq!(writer.overflowed(), size < 61, "{size}");
        }
    }
}
