//! What the server tells the person who started it: plain lines, news on standard output, trouble on standard error.
//! Nobody may be reading any more; that is no reason to stop serving.

use std::fmt::Display;
use std::io::Write as _;

pub fn news(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub fn warning(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "pinion: {line}");
}
