//! The chunked transfer coding (RFC 9112, section 7.1).
//!
//! Decoding is two steps: a scan that judges the raw form as it arrives and says where it ends, then, once, a copy of
//! the pieces. So the bytes stay as they came until the message is complete, and a scan can be resumed at any byte.
//! Extensions and trailers are checked, bounded and dropped.

use std::ops::Range;

use memchr::memchr;

use super::fault::HttpFault;
use super::head::header_line_is_valid;
use super::lines::LineScan;
use super::request_line::is_token_byte;
use crate::limits;

/// A complete chunked body in its raw form, judged.
#[derive(Clone, Copy, Debug)]
pub struct Chunks<'a> {
    raw: &'a [u8],
    body_bytes: usize,
}

impl<'a> Chunks<'a> {
    /// `raw` from the first size line to the end of the trailers, `body_bytes` what it decodes to.
    pub(super) fn new(raw: &'a [u8], body_bytes: usize) -> Chunks<'a> {
        Chunks { raw, body_bytes }
    }

    /// Bytes of the decoded body.
    pub fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// Decodes into the front of `out` and returns that part.
    ///
    /// # Panics
    /// When `out` is shorter than [`Chunks::body_bytes`].
    pub fn copy_to<'b>(&self, out: &'b mut [u8]) -> &'b [u8] {
        let mut end = 0;
        let mut at = 0;
        while let Some(piece) = next_piece(self.raw, at) {
            at = piece.end + 2;
            out[end..end + piece.len()].copy_from_slice(&self.raw[piece.clone()]);
            end += piece.len();
        }
        &out[..end]
    }
}

/// Decodes in place: moves the pieces of a complete raw form to its front and returns how many bytes they are.
pub fn compact(raw: &mut [u8]) -> usize {
    let mut end = 0;
    let mut at = 0;
    while let Some(piece) = next_piece(raw, at) {
        at = piece.end + 2;
        raw.copy_within(piece.clone(), end);
        end += piece.len();
    }
    end
}

/// The data of the chunk whose size line begins at `at`; `None` at the last chunk.
fn next_piece(raw: &[u8], at: usize) -> Option<Range<usize>> {
    let line = raw.get(at..)?;
    let line_end = memchr(b'\n', line)?;
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit())?;
    let size = hexadecimal(&line[..digits])?;
    let start = at + line_end + 1;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    (size > 0 && end <= raw.len()).then_some(start..end)
}

/// How far a chunked body was judged. Offsets count from the body's first byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChunkScan {
    lines: LineScan,
    stage: Stage,
    body_bytes: usize,
    framing_bytes: usize,
    trailer_lines: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Size,
    /// Within a chunk's data, which ends here.
    Data {
        end: usize,
    },
    Trailers,
}

impl ChunkScan {
    /// Judges what has arrived; the raw form's length once it is complete.
    pub(super) fn advance(&mut self, raw: &[u8], body_bytes_max: usize) -> Result<Option<usize>, HttpFault> {
        loop {
            match self.stage {
                Stage::Size => {
                    let end_max = self.lines.start + limits::CHUNK_LINE_BYTES_MAX;
                    let Some(line) = self.lines.next(raw, end_max, HttpFault::Chunk)? else { return Ok(None) };
                    self.on_size_line(&raw[line], body_bytes_max)?;
                }
                Stage::Data { end } => match raw.get(end..) {
                    None | Some([] | [b'\r']) => return Ok(None),
                    Some([b'\r', b'\n', ..]) => {
                        self.lines = LineScan::at(end + 2);
                        self.stage = Stage::Size;
                    }
                    Some(_) => return Err(HttpFault::Chunk),
                },
                Stage::Trailers => {
                    let end_max = self.lines.start + (limits::CHUNK_FRAMING_BYTES_MAX - self.framing_bytes);
                    let Some(line) = self.lines.next(raw, end_max, HttpFault::HeadSize)? else { return Ok(None) };
                    if line.is_empty() {
                        return Ok(Some(self.lines.start));
                    }
                    self.on_trailer_line(&raw[line.start..line.end + 2])?;
                }
            }
        }
    }

    /// Bytes of the decoded body so far.
    pub(super) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    fn on_size_line(&mut self, line: &[u8], body_bytes_max: usize) -> Result<(), HttpFault> {
        let size = chunk_size(line).ok_or(HttpFault::Chunk)?;
        let room = body_bytes_max - self.body_bytes;
        let size = usize::try_from(size).ok().filter(|&size| size <= room).ok_or(HttpFault::BodySize)?;
        // The line's end and the data's.
        self.framing_bytes += line.len() + 4;
        if self.framing_bytes > limits::CHUNK_FRAMING_BYTES_MAX {
            return Err(HttpFault::BodySize);
        }
        self.body_bytes += size;
        self.stage = if size == 0 { Stage::Trailers } else { Stage::Data { end: self.lines.start + size } };
        Ok(())
    }

    fn on_trailer_line(&mut self, line: &[u8]) -> Result<(), HttpFault> {
        self.framing_bytes += line.len();
        self.trailer_lines += 1;
        if self.trailer_lines > limits::HEADERS_MAX {
            return Err(HttpFault::HeadSize);
        }
        if header_line_is_valid(line) { Ok(()) } else { Err(HttpFault::Header) }
    }
}

/// The size that a size line gives, if the line is well-formed with its extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (size, extensions) = line.split_at(digits);
    extensions_are_valid(extensions).then(|| hexadecimal(size)).flatten()
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |sum, &byte| Some(sum << 4 | u64::from(char::from(byte).to_digit(16)?)))
}

/// `*( ";" name [ "=" ( token / quoted-string ) ] )`, without the spaces that the grammar calls bad.
fn extensions_are_valid(mut text: &[u8]) -> bool {
    while let Some((&first, rest)) = text.split_first() {
        let name = token_len(rest);
        if first != b';' || name == 0 {
            return false;
        }
        text = &rest[name..];
        if let Some(value) = text.strip_prefix(b"=") {
            let len = if value.first() == Some(&b'"') { quoted_len(value) } else { token_len(value) };
            if len == 0 {
                return false;
            }
            text = &value[len..];
        }
    }
    true
}

fn token_len(text: &[u8]) -> usize {
    text.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(text.len())
}

/// Length of the quoted string at the front, quotes included; 0 if it is none.
fn quoted_len(text: &[u8]) -> usize {
    let mut escaped = false;
    for (at, &byte) in text.iter().enumerate().skip(1) {
        if byte != b'\t' && byte.is_ascii_control() {
            return 0;
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY_BYTES_MAX: usize = 1_000;

    fn scan(raw: &[u8], step: usize) -> Result<Option<(usize, usize)>, HttpFault> {
        let mut scan = ChunkScan::default();
        let mut len = 0;
        while len < raw.len() {
            len = (len + step).min(raw.len());
            if let Some(consumed) = scan.advance(&raw[..len], BODY_BYTES_MAX)? {
                return Ok(Some((consumed, scan.body_bytes())));
            }
        }
        Ok(None)
    }

    #[test]
    fn both_decoders_join_the_pieces() {
        let mut raw = b"5;a=\"x;\\\"y\"\r\nhello\r\n006\r\n world\r\n0;last\r\nA: b\r\n\r\nGET".to_vec();
        let (consumed, body_bytes) = scan(&raw, 1).unwrap().unwrap();
        assert_eq!((&raw[consumed..], body_bytes), (b"GET".as_slice(), 11));
        let mut out = [0; 20];
        assert_eq!(Chunks::new(&raw[..consumed], body_bytes).copy_to(&mut out), b"hello world");
        assert_eq!(compact(&mut raw[..consumed]), 11);
        assert_eq!(&raw[..11], b"hello world");
    }

    #[test]
    fn verdicts_do_not_depend_on_the_cut() {
        let cases: [(&[u8], Result<bool, HttpFault>); 19] = [
            (b"0\r\n\r\n", Ok(true)),
            (b"3\r\nabc\r\n", Ok(false)),
            (b"a\r\n0123456789\r\n0\r\n\r\n", Ok(true)),
            (b"3\r\nabcd\r\n0\r\n\r\n", Err(HttpFault::Chunk)),
            (b"3\r\nabc\n0\r\n\r\n", Err(HttpFault::Chunk)),
            (b"3\r\nabc\r0\r\n\r\n", Err(HttpFault::Chunk)),
            (b"3\nabc\r\n0\r\n\r\n", Err(HttpFault::LineEnding)),
            (b"3 \r\nabc\r\n", Err(HttpFault::Chunk)),
            (b"\r\n", Err(HttpFault::Chunk)),
            (b"+3\r\nabc\r\n", Err(HttpFault::Chunk)),
            (b"0x3\r\nabc\r\n", Err(HttpFault::Chunk)),
            (b"3;\r\nabc\r\n", Err(HttpFault::Chunk)),
            (b"3;a=\"b\r\nabc\r\n", Err(HttpFault::Chunk)),
            (b"3;a=\r\nabc\r\n", Err(HttpFault::Chunk)),
            (b"10000000000000000\r\n", Err(HttpFault::Chunk)),
            (b"ffffffffffffffff\r\n", Err(HttpFault::BodySize)),
            (b"3e9\r\n", Err(HttpFault::BodySize)),
            (b"0\r\nA : b\r\n\r\n", Err(HttpFault::Header)),
            (b"0\r\nA: b\n\r\n", Err(HttpFault::LineEnding)),
        ];
        for (raw, verdict) in cases {
            for step in 1..=raw.len() {
                assert_eq!(scan(raw, step).map(|end| end.is_some()), verdict, "{raw:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn framing_is_bounded() {
        let mut long_line = b"1;".to_vec();
        long_line.resize(limits::CHUNK_LINE_BYTES_MAX, b'a');
        assert_eq!(scan(&long_line, 7), Err(HttpFault::Chunk));
        let extended = [b"1;".as_slice(), &[b'a'; 200], b"\r\nx\r\n"].concat().repeat(100);
        assert_eq!(scan(&extended, extended.len()), Err(HttpFault::BodySize));
        let trailers = [b"0\r\n".as_slice(), &b"A: b\r\n".repeat(65)].concat();
        assert_eq!(scan(&trailers, 5), Err(HttpFault::HeadSize));
        let long_trailer = [b"0\r\nA: ".as_slice(), &[b'a'; limits::CHUNK_FRAMING_BYTES_MAX]].concat();
        assert_eq!(scan(&long_trailer, 1_000), Err(HttpFault::HeadSize));
    }
}
