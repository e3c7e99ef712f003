//! Time as an input. Only `reactor` and `control` read a clock; everything else is handed a [`Now`], so that a test
//! can run the whole server on virtual time.

/// One reading of both clocks, taken once per turn of the event loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic nanoseconds since an arbitrary start: for deadlines and durations.
    pub mono_ns: u64,
    /// Unix time in milliseconds: for what is stored or shown.
    pub wall_ms: u64,
}

/// A UTC day, counted from 1970-01-01. Fits until the year 2149.
pub type Day = u16;
/// A UTC minute, counted from 1970-01-01T00:00. Fits until the year 10136.
pub type Minute = u32;

impl Now {
    pub fn day(self) -> Day {
        (self.wall_ms / 86_400_000) as Day
    }

    pub fn minute(self) -> Minute {
        (self.wall_ms / 60_000) as Minute
    }
}
