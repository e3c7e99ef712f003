//! What partners said of one visitor: an entry each, ascending by partner, and the segments' texts end to end in the
//! same order, each after its length as a varint, which is also how a record holds them.

use super::codec::{Reader, put_varint};
use crate::clock::Day;
use crate::ids::PartnerId;
use crate::limits::{PARTNER_SEGMENT_BYTES_MAX, PARTNER_SEGMENTS_MAX, PROFILE_PARTNER_BYTES_MAX, PROFILE_PARTNERS_MAX};

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PartnerOutcome {
    /// The partner knows the visitor.
    Segments = 0,
    /// 'Nothing known' is an answer too.
    Nothing = 1,
    /// No answer: not to be asked again before `fresh_until_s`.
    Failed = 2,
}

/// What an entry is worth now. That a partner was never asked is the absence of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartnerState {
    Fresh,
    Stale,
    Negative,
    Failed,
}

/// One partner's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartnerView<'a> {
    pub partner: PartnerId,
    pub outcome: PartnerOutcome,
    /// Unix time in seconds, until the year 2106.
    pub asked_s: u32,
    /// The last second in which the outcome counts.
    pub fresh_until_s: u32,
    pub segment_count: u16,
    pub(super) texts: &'a [u8],
}

#[derive(Debug)]
pub(super) struct Partners {
    entries: Vec<Entry>,
    texts: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    partner: PartnerId,
    outcome: PartnerOutcome,
    asked_s: u32,
    fresh_until_s: u32,
    segment_count: u16,
    bytes: u16,
}

impl PartnerOutcome {
    pub(super) fn from_number(number: u32) -> Option<PartnerOutcome> {
        match number {
            0 => Some(PartnerOutcome::Segments),
            1 => Some(PartnerOutcome::Nothing),
            2 => Some(PartnerOutcome::Failed),
            _ => None,
        }
    }
}

impl<'a> PartnerView<'a> {
    /// What the entry is worth at `unix_s`. Anything past its time is stale: the partner may be asked again.
    pub fn state(&self, unix_s: u32) -> PartnerState {
        match self.outcome {
            _ if unix_s >= self.fresh_until_s => PartnerState::Stale,
            PartnerOutcome::Segments => PartnerState::Fresh,
            PartnerOutcome::Nothing => PartnerState::Negative,
            PartnerOutcome::Failed => PartnerState::Failed,
        }
    }

    /// What it said, in the order in which it came: segments, or signals as the partner's module joins them.
    pub fn texts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader::new(self.texts);
        (0..self.segment_count).map_while(move |_| reader.text())
    }
}

impl Partners {
    pub(super) fn new() -> Partners {
        Partners {
            entries: Vec::with_capacity(PROFILE_PARTNERS_MAX),
            texts: Vec::with_capacity(PROFILE_PARTNER_BYTES_MAX),
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.texts.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn set<'a>(
        &mut self,
        partner: PartnerId,
        outcome: PartnerOutcome,
        asked_s: u32,
        fresh_until_s: u32,
        segments: impl IntoIterator<Item = &'a [u8]>,
    ) -> usize {
        if let Ok(known) = self.position(partner) {
            self.remove(known);
        } else if self.entries.len() >= PROFILE_PARTNERS_MAX {
            let oldest = (0..self.entries.len()).min_by_key(|&i| self.entries[i].asked_s);
            self.remove(oldest.expect("a full list has an oldest entry"));
        }
        let position = self.position(partner).expect_err("a known entry was just removed");
        let end = self.texts.len();
        let (segment_count, dropped) = self.append_texts(segments);
        let bytes = (self.texts.len() - end) as u16;
        let start = self.start_of(position);
        self.texts[start..].rotate_right(usize::from(bytes));
        self.entries.insert(position, Entry { partner, outcome, asked_s, fresh_until_s, segment_count, bytes });
        dropped
    }

    /// Appends an entry as it was read from a record. False when order or limits would not allow it.
    pub(super) fn append(&mut self, view: PartnerView<'_>) -> bool {
        let ascends = self.entries.last().is_none_or(|last| last.partner < view.partner);
        let bytes = view.texts.len();
        if !ascends
            || self.entries.len() >= PROFILE_PARTNERS_MAX
            || bytes > PROFILE_PARTNER_BYTES_MAX - self.texts.len()
        {
            return false;
        }
        self.texts.extend_from_slice(view.texts);
        let PartnerView { partner, outcome, asked_s, fresh_until_s, segment_count, .. } = view;
        self.entries.push(Entry { partner, outcome, asked_s, fresh_until_s, segment_count, bytes: bytes as u16 });
        true
    }

    pub(super) fn view(&self, partner: PartnerId) -> Option<PartnerView<'_>> {
        let position = self.position(partner).ok()?;
        Some(self.view_at(position, self.start_of(position)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = PartnerView<'_>> {
        let mut start = 0;
        (0..self.entries.len()).map(move |position| {
            let view = self.view_at(position, start);
            start += view.texts.len();
            view
        })
    }

    /// The last day on which some entry is fresh.
    pub(super) fn fresh_until_day(&self) -> Day {
        let latest_s = self.entries.iter().map(|entry| entry.fresh_until_s).max().unwrap_or(0);
        (latest_s / 86_400) as Day
    }

    fn view_at(&self, position: usize, start: usize) -> PartnerView<'_> {
        let Entry { partner, outcome, asked_s, fresh_until_s, segment_count, bytes } = self.entries[position];
        let texts = &self.texts[start..start + usize::from(bytes)];
        PartnerView { partner, outcome, asked_s, fresh_until_s, segment_count, texts }
    }

    fn position(&self, partner: PartnerId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&partner, |entry| entry.partner)
    }

    fn start_of(&self, position: usize) -> usize {
        self.entries[..position].iter().map(|entry| usize::from(entry.bytes)).sum()
    }

    fn remove(&mut self, position: usize) {
        let start = self.start_of(position);
        let removed = self.entries.remove(position);
        self.texts.drain(start..start + usize::from(removed.bytes));
    }

    /// Appends what fits. Returns how many did and how many did not.
    fn append_texts<'a>(&mut self, segments: impl IntoIterator<Item = &'a [u8]>) -> (u16, usize) {
        const LENGTH_BYTES_MAX: usize = 2;
        const _: () = assert!(PARTNER_SEGMENT_BYTES_MAX < 1 << (7 * LENGTH_BYTES_MAX));
        const _: () = assert!(PARTNER_SEGMENTS_MAX <= u16::MAX as usize);
        let (mut count, mut dropped) = (0, 0);
        for text in segments {
            let room = PROFILE_PARTNER_BYTES_MAX - self.texts.len();
            let fits = text.len() <= PARTNER_SEGMENT_BYTES_MAX && LENGTH_BYTES_MAX + text.len() <= room;
            if !fits || usize::from(count) >= PARTNER_SEGMENTS_MAX {
                dropped += 1;
                continue;
            }
            put_varint(&mut self.texts, text.len() as u32);
            self.texts.extend_from_slice(text);
            count += 1;
        }
        (count, dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cases;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_entry_ages_from_its_outcome_to_stale() {
        let mut partners = Partners::new();
        for (outcome, state) in [
            (PartnerOutcome::Segments, PartnerState::Fresh),
            (PartnerOutcome::Nothing, PartnerState::Negative),
            (PartnerOutcome::Failed, PartnerState::Failed),
        ] {
            partners.set(PartnerId(1), outcome, 100, 200, []);
            let view = partners.view(PartnerId(1)).unwrap();
            assert_eq!((view.state(199), view.state(200)), (state, PartnerState::Stale));
        }
        assert_eq!(partners.view(PartnerId(2)), None);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let mut partners = Partners::new();
        let long = [b'x'; PARTNER_SEGMENT_BYTES_MAX + 1];
        let texts = [&long[..], b"a", &long[1..]];
        assert_eq!(partners.set(PartnerId(1), PartnerOutcome::Segments, 0, 9, texts), 1);
        assert_eq!(partners.view(PartnerId(1)).unwrap().texts().collect::<Vec<_>>(), &texts[1..]);
        let many = vec![&b"b"[..]; PARTNER_SEGMENTS_MAX + 5];
        assert_eq!(partners.set(PartnerId(2), PartnerOutcome::Segments, 0, 9, many), 5);
        let big = vec![&long[1..]; 100];
        let dropped = partners.set(PartnerId(3), PartnerOutcome::Segments, 0, 9, big);
        let kept = usize::from(partners.view(PartnerId(3)).unwrap().segment_count);
        assert_eq!(kept + dropped, 100);
        assert!(kept >= 25, "{kept} texts of 514 bytes beside some 2.5 KB");
        assert_eq!(partners.texts.capacity(), PROFILE_PARTNER_BYTES_MAX);
    }

    #[test]
    fn the_entry_asked_longest_ago_makes_room() {
        let mut partners = Partners::new();
        for i in 0..PROFILE_PARTNERS_MAX as u32 {
            partners.set(PartnerId(i), PartnerOutcome::Segments, 1_000 - i, 9, [&b"t"[..]]);
        }
        partners.set(PartnerId(500), PartnerOutcome::Segments, 1_000, 9, []);
        assert_eq!(partners.len(), PROFILE_PARTNERS_MAX);
        assert!(partners.view(PartnerId(PROFILE_PARTNERS_MAX as u32 - 1)).is_none());
        assert_eq!(partners.entries.capacity(), PROFILE_PARTNERS_MAX);
    }

    proptest! {
        #![proptest_config(cases(200))]
        #[test]
        fn agrees_with_a_map(
            steps in proptest::collection::vec(
                (0..10u32, 0..100u32, proptest::collection::vec(0..200usize, 0..5)),
                0..40,
            ),
        ) {
            let mut partners = Partners::new();
            let mut model: BTreeMap<u32, (u32, Vec<Vec<u8>>)> = BTreeMap::new();
            for (partner, time, lengths) in steps {
                let texts: Vec<Vec<u8>> = lengths.iter().map(|&length| vec![partner as u8; length]).collect();
                let list = texts.iter().map(|text| &text[..]);
                prop_assert_eq!(partners.set(PartnerId(partner), PartnerOutcome::Segments, 1, time, list), 0);
                model.insert(partner, (time, texts));
                let actual: BTreeMap<u32, (u32, Vec<Vec<u8>>)> = partners
                    .iter()
                    .map(|view| (view.partner.0, (view.fresh_until_s, view.texts().map(<[u8]>::to_vec).collect())))
                    .collect();
                prop_assert_eq!(&actual, &model);
                for (&partner, entry) in &model {
                    let view = partners.view(PartnerId(partner)).unwrap();
                    prop_assert_eq!(view.texts().collect::<Vec<_>>(), entry.1.iter().collect::<Vec<_>>());
                }
            }
        }
    }
}
