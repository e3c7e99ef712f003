//! What the server tells the person who started it: plain lines, news on standard output, trouble on standard error.
//! Nobody may be reading any more; that is no reason to stop serving.

use std::fmt::Display;
use std::io::Write as _;

/// How long trouble that goes on is left alone after it was told.
const TOLD_EVERY_NS: u64 = 60_000_000_000;

/// Trouble that may come again and again, as often as somebody asks for it: told when it begins, then once a minute.
#[derive(Debug, Default)]
pub struct Trouble {
    told_ns: Option<u64>,
    is_told: bool,
}

impl Trouble {
    /// It is there. Whether that is to be told now.
    pub fn goes_on(&mut self, mono_ns: u64) -> bool {
        let is_due = self.told_ns.is_none_or(|told_ns| mono_ns.saturating_sub(told_ns) >= TOLD_EVERY_NS);
        if is_due {
            self.told_ns = Some(mono_ns);
            self.is_told = true;
        }
        is_due
    }

    /// It is not, or not any more. Whether that is to be told now.
    pub fn is_over(&mut self) -> bool {
        std::mem::take(&mut self.is_told)
    }
}

pub fn news(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub fn warning(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "pinion: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_when_it_begins_then_once_a_minute_and_when_a_told_one_is_over() {
        let mut trouble = Trouble::default();
        assert!(!trouble.is_over());
        let second_ns = 1_000_000_000;
        let told: Vec<u64> = (5..130).filter(|second| trouble.goes_on(second * second_ns)).collect();
        assert_eq!(told, [5, 65, 125]);
        assert_eq!([trouble.is_over(), trouble.is_over()], [true, false]);
        // One that comes and goes is told no more often.
        assert!(!trouble.goes_on(140 * second_ns) && !trouble.is_over());
        assert!(trouble.goes_on(185 * second_ns) && trouble.is_over());
    }
}
