//! Lines of a growing buffer, found without reading a byte twice. Only CRLF ends a line: a lone LF or CR is a fault at
//! the place where it stands, so the verdict is the same however the bytes were cut.

use std::ops::Range;

use memchr::memchr2;

use super::fault::HttpFault;

/// Where the search for the end of the current line stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LineScan {
    /// First byte of the line that is not complete yet.
    pub(super) start: usize,
    /// Bytes before this one hold no line end that was not reported.
    scanned: usize,
}

impl LineScan {
    pub(super) fn at(start: usize) -> LineScan {
        LineScan { start, scanned: start }
    }

    /// Whether nothing was looked at yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.scanned == 0
    }

    /// The next line, without its CRLF; `None` when its end has not arrived. A line whose CRLF would reach beyond
    /// `end_max` is the fault `over`.
    pub(super) fn next(
        &mut self,
        bytes: &[u8],
        end_max: usize,
        over: HttpFault,
    ) -> Result<Option<Range<usize>>, HttpFault> {
        let window = &bytes[self.scanned..bytes.len().min(end_max).max(self.scanned)];
        let Some(found) = memchr2(b'\r', b'\n', window) else {
            self.scanned += window.len();
            return if bytes.len() > end_max || self.scanned >= end_max { Err(over) } else { Ok(None) };
        };
        let end = self.scanned + found;
        if bytes[end] == b'\n' {
            return Err(HttpFault::LineEnding);
        }
        if end + 2 > end_max {
            return Err(over);
        }
        match bytes.get(end + 1) {
            None => {
                self.scanned = end;
                Ok(None)
            }
            Some(b'\n') => {
                let line = self.start..end;
                *self = LineScan::at(end + 2);
                Ok(Some(line))
            }
            Some(_) => Err(HttpFault::LineEnding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8], end_max: usize, step: usize) -> (Vec<Range<usize>>, Option<HttpFault>) {
        let (mut scan, mut lines) = (LineScan::default(), Vec::new());
        let mut len = 0;
        while len < bytes.len() {
            len = (len + step).min(bytes.len());
            loop {
                match scan.next(&bytes[..len], end_max, HttpFault::HeadSize) {
                    Ok(Some(line)) => lines.push(line),
                    Ok(None) => break,
                    Err(fault) => return (lines, Some(fault)),
                }
            }
        }
        (lines, None)
    }

    #[test]
    fn the_cut_does_not_matter() {
        let inputs: [(&[u8], usize); 7] = [
            (b"a\r\n\r\nbc\r\nrest", 100),
            (b"a\nb\r\n", 100),
            (b"a\rb\r\n", 100),
            (b"a\r\r\n", 100),
            (b"abcdef\r\n", 7),
            (b"abcdef\r\n", 8),
            (b"ab\r\ncdefghijk", 8),
        ];
        for (bytes, end_max) in inputs {
            let whole = run(bytes, end_max, bytes.len());
            for step in 1..bytes.len() {
                assert_eq!(run(bytes, end_max, step), whole, "{bytes:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(run(b"a\r\n\r\n", 9, 9), (vec![0..1, 3..3], None));
        assert_eq!(run(b"a\r\nb\r\nc\n", 9, 9), (vec![0..1, 3..4], Some(HttpFault::LineEnding)));
        assert_eq!(run(b"a\rb", 9, 9), (vec![], Some(HttpFault::LineEnding)));
        assert_eq!(run(b"abcdef\r\n", 7, 9), (vec![], Some(HttpFault::HeadSize)));
    }
}
