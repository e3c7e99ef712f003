//! How one trait's realisations count as time goes by.
//!
//! Every realisation has, for a given age condition, one minute at which it *turns*: for `<=` it counts before that
//! minute and not from it on, for `>=` it counts from it on. So a count is a sum over turns on one side of now, and
//! what can change later are exactly the turns still ahead. Total counts have no turns.
//!
//! The record keeps days with counts, and the minutes of a trait's last realisations only. `<= kH` counts kept
//! minutes. `>= kH` counts every realisation from the latest minute at which it can have happened: a kept one at its
//! own minute, another at the oldest kept minute where that is on its day (it came before), else at its day's end.

use super::syntax::Age;
use crate::clock::{Day, Minute};
use crate::profile::history::{MinuteEntry, TraitEntry};

const MINUTES_PER_DAY: Minute = 24 * 60;

/// One trait's part of a visitor's history.
#[derive(Clone, Copy, Debug)]
pub(super) struct TraitHistory<'a> {
    pub(super) entries: &'a [TraitEntry],
    pub(super) minutes: &'a [MinuteEntry],
}

/// How many of the trait's realisations have that age.
pub(super) fn count(history: TraitHistory<'_>, age: Age, now: Minute) -> u32 {
    let mut count = 0u32;
    match age {
        Age::Any => history.entries.iter().for_each(|entry| count = count.saturating_add(u32::from(entry.count))),
        _ => {
            let before_turn = counts_before_turn(age);
            for_each_turn(history, age, |turn, realisations| {
                if (turn > now) == before_turn {
                    count = count.saturating_add(realisations);
                }
            });
        }
    }
    count
}

/// Whether realisations of that age count until their turn, rather than from it on.
pub(super) fn counts_before_turn(age: Age) -> bool {
    matches!(age, Age::DaysAtMost(_) | Age::MinutesAtMost(_))
}

/// Calls `visit` with each turn and the number of realisations that turn then. `Minute::MAX` is beyond all times.
pub(super) fn for_each_turn(history: TraitHistory<'_>, age: Age, mut visit: impl FnMut(Minute, u32)) {
    match age {
        Age::Any => {}
        Age::DaysAtMost(days) => {
            for entry in history.entries {
                visit((Minute::from(entry.day) + days + 1).saturating_mul(MINUTES_PER_DAY), u32::from(entry.count));
            }
        }
        Age::DaysAtLeast(days) => {
            for entry in history.entries {
                visit((Minute::from(entry.day) + days).saturating_mul(MINUTES_PER_DAY), u32::from(entry.count));
            }
        }
        Age::MinutesAtMost(minutes) => {
            for entry in history.minutes {
                visit(entry.minute.saturating_add(minutes).saturating_add(1), 1);
            }
        }
        Age::MinutesAtLeast(minutes) => {
            for_each_latest_minute(history, |latest, realisations| visit(latest.saturating_add(minutes), realisations));
        }
    }
}

/// The latest minute at which each realisation can have happened.
fn for_each_latest_minute(history: TraitHistory<'_>, mut visit: impl FnMut(Minute, u32)) {
    let mut minutes = history.minutes;
    let oldest_kept = minutes.first().map(|entry| entry.minute);
    for entry in history.entries {
        let day_starts = Minute::from(entry.day) * MINUTES_PER_DAY;
        let day_ends = day_starts + (MINUTES_PER_DAY - 1);
        let (_, from_day) = minutes.split_at(minutes.partition_point(|kept| kept.minute < day_starts));
        let (on_day, later) = from_day.split_at(from_day.partition_point(|kept| kept.minute <= day_ends));
        minutes = later;
        let kept_count = on_day.len().min(usize::from(entry.count));
        on_day[on_day.len() - kept_count..].iter().for_each(|kept| visit(kept.minute, 1));
        let unkept_count = usize::from(entry.count) - kept_count;
        if unkept_count > 0 {
            let latest = oldest_kept.filter(|&oldest| day_of(oldest) == Some(entry.day)).unwrap_or(day_ends);
            visit(latest, unkept_count as u32);
        }
    }
}

fn day_of(minute: Minute) -> Option<Day> {
    Day::try_from(minute / MINUTES_PER_DAY).ok()
}
