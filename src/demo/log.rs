//! What the toy partners and the destination pixel saw, for the page to show.

#![expect(clippy::disallowed_types, reason = "only the control thread's tasks come here, and they take turns")]

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::reactor::clocks;

/// Entries kept; the page polls several times a second.
const ENTRIES_MAX: usize = 256;
/// What a request names is not trusted to be short.
const TEXT_BYTES_MAX: usize = 64;

/// One call that arrived.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    /// Counts all entries, from 1.
    pub number: u64,
    /// A partner's name, or `pixel`.
    pub who: &'static str,
    /// The visitor, as the server names her to others.
    pub visitor: String,
    pub product: String,
    /// How long the server said it would wait.
    pub timeout_ms: Option<u64>,
    /// Unix time.
    pub asked_ms: u64,
    /// `None`: the partner is still thinking.
    pub took_ms: Option<u64>,
    pub segments: Vec<&'static str>,
}

#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: u64,
    entries: VecDeque<Entry>,
}

impl Log {
    /// A call arrived; returns its number.
    pub(super) fn asked(&self, who: &'static str, visitor: &str, product: &str, timeout_ms: Option<u64>) -> u64 {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.count += 1;
        let number = inner.count;
        if inner.entries.len() == ENTRIES_MAX {
            inner.entries.pop_front();
        }
        inner.entries.push_back(Entry {
            number,
            who,
            visitor: shortened(visitor),
            product: shortened(product),
            timeout_ms,
            asked_ms: unix_ms(),
            took_ms: None,
            segments: Vec::new(),
        });
        number
    }

    /// The call with that number is answered now.
    pub(super) fn answered(&self, number: u64, segments: &[&'static str]) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = inner.entries.iter_mut().find(|entry| entry.number == number) {
            entry.took_ms = Some(unix_ms().saturating_sub(entry.asked_ms));
            entry.segments = segments.to_vec();
        }
    }

    /// What one visitor caused since `since_ms`, in order.
    pub(super) fn of(&self, visitor: &str, since_ms: u64) -> Vec<Entry> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |entry: &&Entry| entry.visitor == visitor && entry.asked_ms >= since_ms;
        inner.entries.iter().filter(wanted).cloned().collect()
    }
}

pub(super) fn unix_ms() -> u64 {
    clocks::read().wall_ms
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_by_visitor_and_time() {
        let log = Log::default();
        let number = log.asked("swift", "anna", "camera", Some(45));
        log.asked("swift", "berta", "tent", None);
        assert!(log.of("anna", 0)[0].took_ms.is_none());
        log.answered(number, &["photo-enthusiast"]);
        let entries = log.of("anna", 0);
        assert_eq!((entries.len(), &*entries[0].segments), (1, &["photo-enthusiast"][..]));
        assert!(entries[0].took_ms.is_some() && log.of("anna", u64::MAX).is_empty());
    }

    #[test]
    fn the_log_is_bounded() {
        let log = Log::default();
        for _ in 0..3 * ENTRIES_MAX {
            log.asked("pixel", &"é".repeat(100), "", None);
        }
        let entries = log.of(&"é".repeat(TEXT_BYTES_MAX / 2), 0);
        assert_eq!((entries.len(), entries[0].number), (ENTRIES_MAX, 2 * ENTRIES_MAX as u64 + 1));
        log.answered(1, &[]);
    }
}
