//! One line on standard error while a run goes on.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::Ordering;

use crate::engine::Progress;
use crate::scenario::Scenario;

const BAR_CELLS: usize = 24;

#[derive(Debug)]
pub struct Bar {
    name: String,
    total_ns: f64,
    is_shown: bool,
}

impl Bar {
    pub fn new(scenario: &Scenario, is_quiet: bool) -> Bar {
        let is_shown = !is_quiet && std::io::stderr().is_terminal();
        Bar { name: scenario.name.clone(), total_ns: scenario.seconds() * 1e9, is_shown }
    }

    pub fn show(&self, progress: &Progress) {
        if self.is_shown {
            let load = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
            let line = self.line(load(&progress.elapsed_ns), load(&progress.answered), load(&progress.failed));
            let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
        }
    }

    pub fn clear(&self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn line(&self, elapsed_ns: u64, answered: u64, failed: u64) -> String {
        let share = (elapsed_ns as f64 / self.total_ns).clamp(0.0, 1.0);
        let full = (share * BAR_CELLS as f64).round() as usize;
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR_CELLS - full));
        let left_s = (self.total_ns * (1.0 - share) / 1e9).ceil();
        format!("{} {bar} {:3.0} %  {answered} answered, {failed} errors, {left_s:.0} s left", self.name, share * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fits_a_terminal() {
        let bar = Bar::new(&Scenario::load("standard").unwrap(), true);
        let line = bar.line((bar.total_ns / 2.0) as u64, 1_234_567, 0);
        assert!(line.contains("50 %") && line.chars().count() <= 80, "{line}");
        assert!(bar.line(u64::MAX, 0, 0).contains("100 %"));
    }
}
