//! The head of a message: start line and header lines.
//!
//! A head that arrived whole is split by `httparse` in one pass. What `httparse` tolerates beyond RFC 9112 is only a
//! bare LF, which shows as fewer CRs than lines. Any other outcome (incomplete, or wrong) goes through the line
//! scanner, which resumes where it stood and names the fault of the earliest bad line.

use httparse::{EMPTY_HEADER, Header, Status};
use memchr::{memchr, memchr_iter};

use super::fault::HttpFault;
use super::lines::LineScan;
use crate::limits;

pub(super) type HeaderArray<'a> = [Header<'a>; limits::HEADERS_MAX];

/// What bounds a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    /// Empty lines skipped ahead of the start line.
    pub(super) empty_lines_max: u8,
    pub(super) start_line_bytes_max: usize,
    pub(super) start_line_over: HttpFault,
    /// Header lines with the empty line that ends them, in bytes.
    pub(super) headers_bytes_max: usize,
}

/// A complete head.
pub(super) struct Head<'a, T> {
    /// What the start line's own parser made of it.
    pub(super) start: T,
    /// How many of the header array's entries are filled.
    pub(super) header_count: usize,
    /// The header lines and the empty line.
    pub(super) block: &'a [u8],
    /// Bytes of the whole, skipped empty lines included.
    pub(super) len: usize,
}

/// How far an incomplete head was judged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadScan {
    lines: LineScan,
    empty_lines: u8,
    header_lines: usize,
    /// Where the header lines begin; 0 until the start line is there.
    block_start: usize,
}

/// Reads a head from the front of `bytes`; `None` when more bytes are needed. `start` judges the start line.
pub(super) fn read<'a, T>(
    bytes: &'a [u8],
    scan: &mut HeadScan,
    limits: &HeadLimits,
    headers: &mut HeaderArray<'a>,
    start: impl Fn(&'a [u8]) -> Result<T, HttpFault>,
) -> Result<Option<Head<'a, T>>, HttpFault> {
    if scan.lines.is_fresh()
        && let Some(head) = read_whole(bytes, limits, headers, &start)
    {
        return Ok(Some(head));
    }
    if !scan.advance(bytes, limits, &start)? {
        return Ok(None);
    }
    // Line by line nothing was wrong, so the pass over the whole agrees; the tests hold both against each other.
    read_whole(bytes, limits, headers, &start).ok_or(HttpFault::Header).map(Some)
}

/// Whether `line`, its CRLF included, is one well-formed header (or trailer) line.
pub(super) fn header_line_is_valid(line: &[u8]) -> bool {
    let mut one = [EMPTY_HEADER; 1];
    matches!(httparse::parse_headers(line, &mut one), Ok(Status::Partial))
}

fn read_whole<'a, T>(
    bytes: &'a [u8],
    limits: &HeadLimits,
    headers: &mut HeaderArray<'a>,
    start: &impl Fn(&'a [u8]) -> Result<T, HttpFault>,
) -> Option<Head<'a, T>> {
    let mut at = 0;
    for _ in 0..limits.empty_lines_max {
        if !bytes[at..].starts_with(b"\r\n") {
            break;
        }
        at += 2;
    }
    let line_end = at + memchr(b'\n', &bytes[at..])?;
    let line = bytes[at..line_end].strip_suffix(b"\r")?;
    if line.is_empty() || line.len() + 2 > limits.start_line_bytes_max {
        return None;
    }
    let start = start(line).ok()?;
    let rest = &bytes[line_end + 1..];
    let Ok(Status::Complete((block_len, filled))) = httparse::parse_headers(rest, headers) else { return None };
    let header_count = filled.len();
    let block = &rest[..block_len];
    // `httparse` ends each header line and the empty one at an LF; it refuses a CR anywhere else.
    let is_strict = memchr_iter(b'\r', block).count() == header_count + 1;
    if !is_strict || block_len > limits.headers_bytes_max {
        return None;
    }
    Some(Head { start, header_count, block, len: line_end + 1 + block_len })
}

impl HeadScan {
    /// Judges the lines that are complete; `true` when the head is.
    fn advance<'a, T>(
        &mut self,
        bytes: &'a [u8],
        limits: &HeadLimits,
        start: &impl Fn(&'a [u8]) -> Result<T, HttpFault>,
    ) -> Result<bool, HttpFault> {
        while self.block_start == 0 {
            // Binary garbage (a TLS hello on a plain port, say) needn't be waited out until a line ends.
            match bytes.get(self.lines.start) {
                None => return Ok(false),
                Some(&first) if first.is_ascii_graphic() || first == b'\r' || first == b'\n' => {}
                Some(_) => return start(&bytes[self.lines.start..=self.lines.start]).map(|_| false),
            }
            let end_max = self.lines.start + limits.start_line_bytes_max;
            let Some(line) = self.lines.next(bytes, end_max, limits.start_line_over)? else { return Ok(false) };
            if line.is_empty() && self.empty_lines < limits.empty_lines_max {
                self.empty_lines += 1;
                continue;
            }
            start(&bytes[line])?;
            self.block_start = self.lines.start;
        }
        let end_max = self.block_start + limits.headers_bytes_max;
        while let Some(line) = self.lines.next(bytes, end_max, HttpFault::HeadSize)? {
            if line.is_empty() {
                return Ok(true);
            }
            self.header_lines += 1;
            if self.header_lines > limits::HEADERS_MAX {
                return Err(HttpFault::HeadSize);
            }
            if !header_line_is_valid(&bytes[line.start..line.end + 2]) {
                return Err(HttpFault::Header);
            }
        }
        Ok(false)
    }
}
