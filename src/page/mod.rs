//! What browsers are given to run: the iframe (`/dest5.html`) and the project's own tag (`/pinion.js`).
//!
//! Both are written by hand in plain ES5, so that the file that is read here is the file that runs there; what only
//! readers need is taken out when this is compiled.
#![forbid(unsafe_code)]

mod policy;

pub use policy::frame_policy;

use crate::limits::{FRAME_BYTES_MAX, TAG_BYTES_MAX};

/// The iframe.
pub static FRAME: &[u8] = &BARE_FRAME;
/// The tag.
pub static TAG: &[u8] = &BARE_TAG;

/// How long browsers may keep either, in seconds: six hours, after which a new version or another list of origins is
/// everywhere.
pub const MAX_AGE_S: u32 = 21_600;

const FRAME_SOURCE: &[u8] = include_bytes!("frame.html");
const TAG_SOURCE: &[u8] = include_bytes!("tag.js");
static BARE_FRAME: [u8; bare_length(FRAME_SOURCE)] = bare(FRAME_SOURCE);
static BARE_TAG: [u8; bare_length(TAG_SOURCE)] = bare(TAG_SOURCE);

const _: () = assert!(BARE_FRAME.len() <= FRAME_BYTES_MAX && BARE_TAG.len() <= TAG_BYTES_MAX);

/// The source without indentation, empty lines and lines that are a comment. No string of ours spans lines.
const fn bare<const LENGTH: usize>(source: &[u8]) -> [u8; LENGTH] {
    let mut out = [0; LENGTH];
    let (mut at, mut length) = (0, 0);
    while at < source.len() {
        let line = line_at(source, at);
        let mut from = line.from;
        while from < line.end {
            out[length] = source[from];
            length += 1;
            from += 1;
        }
        at = line.end_raw;
    }
    assert!(length == LENGTH);
    out
}

const fn bare_length(source: &[u8]) -> usize {
    let (mut at, mut length) = (0, 0);
    while at < source.len() {
        let line = line_at(source, at);
        length += line.end - line.from;
        at = line.end_raw;
    }
    length
}

/// What is kept of a line, its end included, and where the next one begins.
struct Line {
    from: usize,
    end: usize,
    end_raw: usize,
}

const fn line_at(source: &[u8], start: usize) -> Line {
    let mut from = start;
    while from < source.len() && source[from] == b' ' {
        from += 1;
    }
    let mut end = from;
    while end < source.len() && source[end] != b'\n' {
        end += 1;
    }
    let end_raw = if end < source.len() { end + 1 } else { end };
    let is_comment = end - from >= 2 && source[from] == b'/' && source[from + 1] == b'/';
    let is_kept = end > from && !is_comment;
    Line { from, end: if is_kept { end_raw } else { from }, end_raw }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_readers_need_is_left_out() {
        const SOURCE: &[u8] = b"a;\n\n  // why\n  b = \"//c\"; // d\n//\n/e/;\n  f";
        const BARE: [u8; bare_length(SOURCE)] = bare(SOURCE);
        assert_eq!(BARE.escape_ascii().to_string(), b"a;\nb = \"//c\"; // d\n/e/;\nf".escape_ascii().to_string());
    }

    #[test]
    fn the_files_are_whole() {
        let frame = str::from_utf8(FRAME).unwrap();
        assert!(frame.starts_with("<!doctype html>") && frame.ends_with("</html>\n"));
        // Recorded scripts look for it.
        assert!(frame.contains("<title>Adobe AudienceManager</title>"));
        let tag = str::from_utf8(TAG).unwrap();
        assert!(tag.starts_with("(function () {") && tag.ends_with("})();\n"));
    }

    /// Words and signs that a browser of 2012 doesn't read; one of them, and the whole file is nothing to it.
    #[test]
    fn the_syntax_is_that_of_old_browsers() {
        for source in [FRAME, TAG] {
            let source = str::from_utf8(source).unwrap();
            for newer in ["=>", "`", "let ", "const ", "class ", "async ", "await ", "...", "?.", "??"] {
                assert!(!source.contains(newer), "{newer}");
            }
        }
    }
}
