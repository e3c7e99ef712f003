//! What the server tells the person who started it: plain lines, news on standard output, trouble on standard error.
#![expect(clippy::disallowed_macros, reason = "the control thread may block on whoever reads; no shard comes here")]

use std::fmt::Display;

pub fn news(line: impl Display) {
    println!("{line}");
}

pub fn warning(line: impl Display) {
    eprintln!("pinion: {line}");
}
