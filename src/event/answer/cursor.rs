//! Writing into a fixed buffer: what does not fit is noted and asked for once, at the end.

pub(super) struct Cursor<'a> {
    bytes: &'a mut [u8],
    length: usize,
    overflowed: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Cursor { bytes, length: 0, overflowed: false }
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Takes back everything past `length`, up to which all had fitted.
    pub(super) fn rewind(&mut self, length: usize) {
        assert!(length <= self.length);
        self.length = length;
        self.overflowed = false;
    }

    /// How much was written, if all of it fitted.
    pub(super) fn finish(self) -> Option<usize> {
        (!self.overflowed).then_some(self.length)
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.length..self.length + bytes.len()) {
            Some(target) if !self.overflowed => {
                target.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            _ => self.overflowed = true,
        }
    }

    pub(super) fn put_u64(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.put(&digits[first..]);
    }

    /// Two digits, for dates.
    pub(super) fn put_two(&mut self, number: u64) {
        self.put(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
    }

    /// Text in a header: bytes that are not visible ASCII are escaped, so that no text ends the line.
    pub(super) fn put_visible(&mut self, text: &[u8]) {
        for &byte in text {
            if byte.is_ascii_graphic() { self.put(&[byte]) } else { self.put(&[b'%', hex(byte >> 4), hex(byte & 15)]) }
        }
    }

    /// A JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD; the two line ends that JSON allows and
    /// older JavaScript does not are escaped.
    pub(super) fn put_json(&mut self, text: &[u8]) {
        self.put(b"\"");
        for chunk in text.utf8_chunks() {
            self.put_json_text(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.put("\u{fffd}".as_bytes());
            }
        }
        self.put(b"\"");
    }

    fn put_json_text(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while let Some(plain) = rest.iter().position(|&byte| !JSON_PLAIN[byte as usize]) {
            self.put(&rest[..plain]);
            let used = self.put_json_special(&rest[plain..]);
            rest = &rest[plain + used..];
        }
        self.put(rest);
    }

    /// Writes the character at the front of `rest`, which needs a look, and returns its length.
    fn put_json_special(&mut self, rest: &[u8]) -> usize {
        match *rest {
            [0xe2, 0x80, last @ (0xa8 | 0xa9), ..] => {
                self.put(if last == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                return 3;
            }
            [0xe2, ..] => self.put(&[0xe2]),
            [b'"', ..] => self.put(b"\\\""),
            [b'\\', ..] => self.put(b"\\\\"),
            [b'\n', ..] => self.put(b"\\n"),
            [b'\r', ..] => self.put(b"\\r"),
            [b'\t', ..] => self.put(b"\\t"),
            [byte, ..] => self.put(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
            [] => {}
        }
        1
    }
}

fn hex(digit: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(digit)]
}

/// Bytes that stand for themselves in a JSON string. 0xe2 may begin U+2028 or U+2029.
const JSON_PLAIN: [bool; 256] = {
    let mut table = [true; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = false;
        control += 1;
    }
    table[b'"' as usize] = false;
    table[b'\\' as usize] = false;
    table[0x7f] = false;
    table[0xe2] = false;
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Cursor<'_>)) -> String {
        let mut bytes = [0; 1_000];
        let mut cursor = Cursor::new(&mut bytes);
        write(&mut cursor);
        let length = cursor.finish().unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 65_535, u64::MAX] {
            assert_eq!(written(|cursor| cursor.put_u64(number)), number.to_string());
        }
    }

    #[test]
    fn json_strings_read_back_as_they_were() {
        let every_character: String = (0..0x300).chain(0x2020..0x2040).filter_map(char::from_u32).collect();
        for text in
            ["", "a\"b\\c\u{2028}\u{2029}\u{20ac}\r\n\t\0\u{7f}", &every_character[..300], &every_character[900..]]
        {
            let json = written(|cursor| cursor.put_json(text.as_bytes()));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            assert!(!json.contains(['\n', '\u{2028}', '\u{2029}']));
        }
        for bad in [&b"a\xffb"[..], b"\xe2", b"\xe2\x80", b"\xc3(", b"\xed\xa0\x80", b"\xf0\x9f\x92"] {
            let json = written(|cursor| cursor.put_json(bad));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn what_does_not_fit_is_noted() {
        let mut bytes = [0; 3];
        let mut cursor = Cursor::new(&mut bytes);
        cursor.put(b"ab");
        cursor.put(b"cd");
        cursor.put(b"e");
        assert_eq!(cursor.finish(), None);
    }

    #[test]
    fn header_text_stays_on_its_line() {
        assert_eq!(written(|cursor| cursor.put_visible(b"/a\r\nb c\xff")), "/a%0D%0Ab%20c%FF");
    }
}
