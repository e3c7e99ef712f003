//! Decoding of `application/x-www-form-urlencoded` text, in place: a piece without escapes is borrowed from the input,
//! one with escapes is written into a bump arena. Follows the URL standard's parser, but for two points that the
//! protocol wants otherwise: a `%` without two hex digits is an error, and bytes that are no UTF-8 stay as they are.

use crate::find::{self, first_marked, mark_byte, mark_range};

/// A `%` that is not followed by two hex digits: error 311.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape;

/// Splits form text into raw (still encoded) keys and values. A pair without `=` has an empty value; an empty stretch
/// between two `&` is no pair.
pub fn pairs(text: &[u8]) -> Pairs<'_> {
    Pairs { rest: text }
}

#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let [b'&', rest @ ..] = self.rest {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        let text = self.rest;
        let Some(end) = find::either(b'=', b'&', text) else {
            self.rest = &[];
            return Some((text, &[]));
        };
        let (key, after) = (&text[..end], &text[end + 1..]);
        if text[end] == b'&' {
            self.rest = after;
            return Some((key, &[]));
        }
        let value_end = find::byte(b'&', after).unwrap_or(after.len());
        self.rest = after.get(value_end + 1..).unwrap_or(&[]);
        Some((key, &after[..value_end]))
    }
}

/// A decoded pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// Whether the value, decoded, is a list.
    pub has_comma: bool,
}

/// A key or a value, and where it ends in what it was read from.
#[derive(Clone, Copy, Default)]
struct Piece<'a> {
    text: &'a [u8],
    end: usize,
    has_comma: bool,
    is_bad: bool,
}

/// Marks the bytes at which a piece ends, is a list, or must be decoded, and what little stands between these.
#[inline(always)]
fn mark_special<const IS_KEY: bool>(word: u64) -> u64 {
    let equals = if IS_KEY { mark_byte(word, b'=') } else { 0 };
    mark_range(word, b'%', b',') | equals
}

/// A bump arena over borrowed bytes. Decoding never makes text longer, so an arena as large as the input never runs
/// out.
#[derive(Debug)]
pub struct Scratch<'a> {
    free: &'a mut [u8],
}

impl<'a> Scratch<'a> {
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Scratch { free: bytes }
    }

    /// Takes the next pair off the front of `rest`, decoded: what [`pairs`] and [`Scratch::decode`] would find, in one
    /// pass over its bytes. A pair with a bad escape is taken off as well. Panics when the arena is too small, as
    /// `decode` does.
    #[inline(always)]
    pub fn next_pair(&mut self, rest: &mut &'a [u8]) -> Option<Result<Pair<'a>, BadEscape>> {
        while let [b'&', after @ ..] = rest {
            *rest = after;
        }
        let text = *rest;
        if text.is_empty() {
            return None;
        }
        let key = self.piece::<true>(text);
        let mut value = Piece::default();
        let mut end = key.end;
        if text.get(end) == Some(&b'=') {
            value = self.piece::<false>(&text[end + 1..]);
            end += 1 + value.end;
        }
        *rest = text.get(end + 1..).unwrap_or_default();
        if key.is_bad || value.is_bad {
            return Some(Err(BadEscape));
        }
        Some(Ok(Pair { key: key.text, value: value.text, has_comma: value.has_comma }))
    }

    /// The key or value at the front of `text`.
    #[inline(always)]
    fn piece<const IS_KEY: bool>(&mut self, text: &'a [u8]) -> Piece<'a> {
        let mut has_comma = false;
        let mut end = 0;
        while let Some(plain) = find::first(&text[end..], mark_special::<IS_KEY>) {
            end += plain;
            let byte = text[end];
            if byte == b'&' || byte == b'=' {
                return Piece { text: &text[..end], end, has_comma, is_bad: false };
            }
            if byte == b'%' || byte == b'+' {
                return self.escaped_piece::<IS_KEY>(text, end, has_comma);
            }
            has_comma |= byte == b',';
            end += 1;
        }
        Piece { text, end: text.len(), has_comma, is_bad: false }
    }

    /// Goes on with a piece whose first `plain` bytes hold nothing to decode.
    #[inline(never)]
    fn escaped_piece<const IS_KEY: bool>(&mut self, text: &'a [u8], plain: usize, has_comma: bool) -> Piece<'a> {
        let mut piece = Piece { text: &[], end: plain, has_comma, is_bad: false };
        let mut written = plain;
        self.free[..plain].copy_from_slice(&text[..plain]);
        while let Some(&byte) = text.get(piece.end) {
            // Plain bytes are copied by words, of which as much counts as is plain.
            let room = self.free.get_mut(written..).and_then(<[u8]>::first_chunk_mut);
            if let (Some(word), Some(room)) = (text[piece.end..].first_chunk::<8>(), room) {
                *room = *word;
                let plain = first_marked(mark_special::<IS_KEY>(u64::from_le_bytes(*word)));
                if plain > 0 {
                    piece.end += plain;
                    written += plain;
                    continue;
                }
            }
            let (decoded, used) = match byte {
                b'&' => break,
                b'=' if IS_KEY => break,
                b'+' => (b' ', 1),
                b'%' => match escaped_byte(&text[piece.end + 1..]) {
                    Some(decoded) => (decoded, 3),
                    None => {
                        piece.is_bad = true;
                        (b'%', 1)
                    }
                },
                byte => (byte, 1),
            };
            piece.has_comma |= decoded == b',';
            self.free[written] = decoded;
            written += 1;
            piece.end += used;
        }
        let (decoded, free) = std::mem::take(&mut self.free).split_at_mut(written);
        self.free = free;
        Piece { text: decoded, ..piece }
    }

    /// Decodes `+` and escapes of one key or value. Panics when the arena is smaller than all that was decoded with
    /// it: a mistake of whoever sized it.
    pub fn decode(&mut self, piece: &'a [u8]) -> Result<&'a [u8], BadEscape> {
        let Some(plain) = find::either(b'%', b'+', piece) else { return Ok(piece) };
        let length = decode_into(piece, plain, self.free)?;
        let (decoded, free) = std::mem::take(&mut self.free).split_at_mut(length);
        self.free = free;
        Ok(decoded)
    }
}

/// Decodes `piece`, whose first `plain` bytes hold nothing to decode, to the front of `target`, and returns the length.
pub(super) fn decode_into(piece: &[u8], plain: usize, target: &mut [u8]) -> Result<usize, BadEscape> {
    let target = &mut target[..piece.len()];
    target[..plain].copy_from_slice(&piece[..plain]);
    let (mut read, mut written) = (plain, plain);
    while read < piece.len() {
        let (byte, used) = match piece[read] {
            b'+' => (b' ', 1),
            b'%' => (escaped_byte(&piece[read + 1..]).ok_or(BadEscape)?, 3),
            byte => (byte, 1),
        };
        target[written] = byte;
        written += 1;
        read += used;
    }
    Ok(written)
}

/// The byte that the two hex digits at the front of `text` stand for.
pub(super) fn escaped_byte(text: &[u8]) -> Option<u8> {
    let &[high, low, ..] = text else { return None };
    let (high, low) = (HEX_DIGITS[high as usize], HEX_DIGITS[low as usize]);
    (high | low < 16).then_some(high << 4 | low)
}

/// The value of each hex digit; 255 for every other byte.
const HEX_DIGITS: [u8; 256] = {
    let mut table = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    type Decoded = Vec<(Vec<u8>, Vec<u8>)>;

    fn decoded(text: &[u8]) -> Result<Decoded, BadEscape> {
        let mut bytes = vec![0; text.len()];
        let mut scratch = Scratch::new(&mut bytes);
        pairs(text).map(|(key, value)| Ok((scratch.decode(key)?.to_vec(), scratch.decode(value)?.to_vec()))).collect()
    }

    #[test]
    fn pieces_without_escapes_are_borrowed() {
        let text = b"plain";
        let mut scratch = Scratch::new(&mut []);
        assert!(std::ptr::eq(scratch.decode(text).unwrap(), text));
    }

    #[test]
    fn a_percent_sign_needs_two_hex_digits() {
        for bad in ["%", "a=%", "a=%4", "a=%4&b=1", "a=%g0", "a=%0g", "%%41=1", "a=%+1", "a=%-1"] {
            assert_eq!(decoded(bad.as_bytes()), Err(BadEscape), "{bad}");
        }
        assert_eq!(decoded(b"a=%00%7f%Ff").unwrap(), [(b"a".to_vec(), vec![0, 0x7f, 0xff])]);
    }

    #[test]
    fn every_escape_decodes_to_its_byte() {
        for byte in 0..=255u8 {
            for text in [format!("%{byte:02x}"), format!("%{byte:02X}")] {
                assert_eq!(escaped_byte(&text.as_bytes()[1..]), Some(byte));
            }
        }
    }

    /// All texts of a few bytes that matter, at all distances from the end of a word.
    #[test]
    fn one_pass_finds_what_two_do() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..50_000 {
            let mut draw = |below: u64| {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                ((u128::from(random) * u128::from(below)) >> 64) as usize
            };
            let plain = draw(16);
            let text: Vec<u8> = (0..draw(40))
                .map(|_| if draw(16) < plain { b'x' } else { b"&&==%%++,,(*24aF\0\xff'"[draw(19)] })
                .collect();
            let (mut one, mut other) = (vec![0; text.len()], vec![0; text.len()]);
            let (mut one, mut other, mut rest) = (Scratch::new(&mut one), Scratch::new(&mut other), &text[..]);
            let shown = text.escape_ascii().to_string();
            for (key, value) in pairs(&text) {
                let expected = match (other.decode(key), other.decode(value)) {
                    (Ok(key), Ok(value)) => Ok(Pair { key, value, has_comma: value.contains(&b',') }),
                    _ => Err(BadEscape),
                };
                assert_eq!(one.next_pair(&mut rest), Some(expected), "{shown}");
            }
            assert_eq!(one.next_pair(&mut rest), None, "{shown}");
        }
    }
}
