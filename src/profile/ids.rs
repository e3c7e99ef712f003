//! The declared ids of one visitor, oldest first, their texts end to end in the same order.
//!
//! One of each account's may be marked as the one under which she was last signed in: what is declared of it later, or
//! of others, does not change that.

use crate::identity::AuthState;
use crate::ids::DataSourceId;
use crate::limits::{DECLARED_ID_BYTES_MAX, DECLARED_IDS_PER_SOURCE_MAX, PROFILE_IDS_MAX};

/// One declared id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredId<'a> {
    pub source: DataSourceId,
    pub auth: AuthState,
    /// The visitor was last signed in under this id.
    pub last_authenticated: bool,
    pub text: &'a [u8],
}

#[derive(Debug)]
pub(super) struct Ids {
    entries: Vec<Entry>,
    texts: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    source: DataSourceId,
    auth: AuthState,
    last_authenticated: bool,
    bytes: u8,
}

impl Entry {
    fn with(self, text: &[u8]) -> DeclaredId<'_> {
        let Entry { source, auth, last_authenticated, .. } = self;
        DeclaredId { source, auth, last_authenticated, text }
    }
}

impl Ids {
    pub(super) fn new() -> Ids {
        Ids {
            entries: Vec::with_capacity(PROFILE_IDS_MAX),
            texts: Vec::with_capacity(PROFILE_IDS_MAX * DECLARED_ID_BYTES_MAX),
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

    /// Makes the id the latest; a mark that it has stays. Out go, oldest first, what is over the limit of its data
    /// source and of the profile.
    pub(super) fn put(&mut self, source: DataSourceId, auth: AuthState, text: &[u8]) -> bool {
        if text.is_empty() || text.len() > DECLARED_ID_BYTES_MAX {
            return false;
        }
        let known = self.position(source, text);
        let last_authenticated = known.is_some_and(|position| self.entries[position].last_authenticated);
        if let Some(position) = known.or_else(|| self.oldest_over_limit(source)) {
            self.remove(position);
        }
        self.append(DeclaredId { source, auth, last_authenticated, text })
    }

    /// Marks the id, if it is known, in the place of all others of which `is_alike` holds. Returns whether one of them
    /// had the mark.
    pub(super) fn mark(&mut self, source: DataSourceId, text: &[u8], is_alike: impl Fn(DataSourceId) -> bool) -> bool {
        let known = self.position(source, text);
        let mut had_other = false;
        for (place, entry) in self.entries.iter_mut().enumerate() {
            if Some(place) == known {
                entry.last_authenticated = true;
            } else if entry.last_authenticated && is_alike(entry.source) {
                entry.last_authenticated = false;
                had_other = true;
            }
        }
        had_other
    }

    /// The id that goes when this one is put.
    pub(super) fn displaced_by(&self, source: DataSourceId, text: &[u8]) -> Option<DeclaredId<'_>> {
        if self.entries.len() < DECLARED_IDS_PER_SOURCE_MAX {
            return None;
        }
        let is_refused = text.is_empty() || text.len() > DECLARED_ID_BYTES_MAX;
        if is_refused || self.position(source, text).is_some() {
            return None;
        }
        self.oldest_over_limit(source).and_then(|position| self.oldest_first().nth(position))
    }

    /// Which id has to go before another of the data source can come.
    fn oldest_over_limit(&self, source: DataSourceId) -> Option<usize> {
        if self.count_of(source) >= DECLARED_IDS_PER_SOURCE_MAX {
            self.entries.iter().position(|entry| entry.source == source)
        } else {
            (self.entries.len() >= PROFILE_IDS_MAX).then_some(0)
        }
    }

    /// Appends an id as it was read from a record. False when the limits would not allow it.
    pub(super) fn append(&mut self, id: DeclaredId<'_>) -> bool {
        let DeclaredId { source, auth, last_authenticated, text } = id;
        let Ok(bytes) = u8::try_from(text.len()) else { return false };
        if self.entries.len() >= PROFILE_IDS_MAX {
            return false;
        }
        self.entries.push(Entry { source, auth, last_authenticated, bytes });
        self.texts.extend_from_slice(text);
        true
    }

    pub(super) fn set_auth(&mut self, source: DataSourceId, auth: AuthState) {
        if let Some(latest) = self.entries.iter_mut().rfind(|entry| entry.source == source) {
            latest.auth = auth;
        }
    }

    /// The data source's ids, latest first.
    pub(super) fn of(&self, source: DataSourceId) -> impl Iterator<Item = DeclaredId<'_>> {
        self.iter().filter(move |id| id.source == source)
    }

    /// Latest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = DeclaredId<'_>> {
        let mut end = self.texts.len();
        self.entries.iter().rev().map(move |entry| {
            let start = end - usize::from(entry.bytes);
            let text = &self.texts[start..end];
            end = start;
            entry.with(text)
        })
    }

    /// Oldest first.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = DeclaredId<'_>> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let end = start + usize::from(entry.bytes);
            let text = &self.texts[start..end];
            start = end;
            entry.with(text)
        })
    }

    fn position(&self, source: DataSourceId, text: &[u8]) -> Option<usize> {
        self.oldest_first().position(|id| id.source == source && id.text == text)
    }

    fn count_of(&self, source: DataSourceId) -> usize {
        self.entries.iter().filter(|entry| entry.source == source).count()
    }

    fn remove(&mut self, position: usize) {
        let start: usize = self.entries[..position].iter().map(|entry| usize::from(entry.bytes)).sum();
        let removed = self.entries.remove(position);
        self.texts.drain(start..start + usize::from(removed.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cases;
    use proptest::prelude::*;

    const STATES: [AuthState; 3] = [AuthState::Unknown, AuthState::Authenticated, AuthState::LoggedOut];

    #[test]
    fn blank_and_over_long_ids_are_refused() {
        let mut ids = Ids::new();
        assert!(!ids.put(DataSourceId(1), AuthState::Unknown, b""));
        assert!(!ids.put(DataSourceId(1), AuthState::Unknown, &[b'x'; DECLARED_ID_BYTES_MAX + 1]));
        assert!(ids.is_empty());
        assert!(ids.put(DataSourceId(1), AuthState::Unknown, &[b'x'; DECLARED_ID_BYTES_MAX]));
    }

    #[test]
    fn a_state_alone_belongs_to_the_latest_id() {
        let mut ids = Ids::new();
        ids.set_auth(DataSourceId(1), AuthState::Authenticated);
        assert!(ids.is_empty());
        ids.put(DataSourceId(1), AuthState::Unknown, b"old");
        ids.put(DataSourceId(1), AuthState::Unknown, b"new");
        ids.set_auth(DataSourceId(1), AuthState::Authenticated);
        let latest = ids.of(DataSourceId(1)).next().unwrap();
        assert_eq!((latest.text, latest.auth), (&b"new"[..], AuthState::Authenticated));
        assert_eq!(ids.oldest_first().next().unwrap().auth, AuthState::Unknown);
    }

    #[test]
    fn a_mark_stays_with_its_id_until_another_gets_it() {
        let mut ids = Ids::new();
        let marked = |ids: &Ids| ids.iter().filter(|id| id.last_authenticated).map(|id| id.text[0]).collect::<Vec<_>>();
        let is_ours = |source: DataSourceId| source.0 < 10;
        for (source, text) in [(1, b"a"), (1, b"b"), (2, b"c"), (10, b"d")] {
            ids.put(DataSourceId(source), AuthState::Authenticated, text);
        }
        assert!(!ids.mark(DataSourceId(10), b"d", |source| !is_ours(source)));
        assert!(!ids.mark(DataSourceId(1), b"a", is_ours));
        assert_eq!(marked(&ids), *b"da");
        ids.put(DataSourceId(1), AuthState::LoggedOut, b"a");
        assert_eq!(marked(&ids), *b"ad");
        assert!(ids.mark(DataSourceId(2), b"c", is_ours));
        assert_eq!(marked(&ids), *b"dc");
        assert!(!ids.mark(DataSourceId(2), b"c", is_ours));
    }

    proptest! {
        #![proptest_config(cases(200))]
        #[test]
        fn agrees_with_a_plain_list(puts in proptest::collection::vec((0..12u32, 0..30usize, 0..3usize), 0..300)) {
            let mut ids = Ids::new();
            let mut model: Vec<(DataSourceId, AuthState, Vec<u8>)> = Vec::new();
            for (source, id, state) in puts {
                let (source, auth) = (DataSourceId(source), STATES[state]);
                // Texts of every length, the longest allowed one included.
                let text = vec![b'a' + id as u8; 1 + id * 254 / 29];
                let displaced = ids.displaced_by(source, &text).map(|id| (id.source, id.auth, id.text.to_vec()));
                ids.put(source, auth, &text);
                let mut gone = None;
                if let Some(known) = model.iter().position(|id| id.0 == source && id.2 == text) {
                    model.remove(known);
                } else if model.iter().filter(|id| id.0 == source).count() == DECLARED_IDS_PER_SOURCE_MAX {
                    gone = Some(model.remove(model.iter().position(|id| id.0 == source).unwrap()));
                } else if model.len() == PROFILE_IDS_MAX {
                    gone = Some(model.remove(0));
                }
                prop_assert_eq!(displaced, gone);
                model.push((source, auth, text));
                let actual: Vec<_> = ids.oldest_first().map(|id| (id.source, id.auth, id.text.to_vec())).collect();
                prop_assert_eq!(&actual, &model);
                let mut latest_first: Vec<_> = ids.iter().map(|id| (id.source, id.auth, id.text.to_vec())).collect();
                latest_first.reverse();
                prop_assert_eq!(&latest_first, &model);
                let latest = model.iter().rfind(|id| id.0 == source).unwrap();
                prop_assert_eq!(ids.of(source).next().unwrap().text, &latest.2[..]);
            }
            prop_assert_eq!(ids.entries.capacity(), PROFILE_IDS_MAX);
            prop_assert_eq!(ids.texts.capacity(), PROFILE_IDS_MAX * DECLARED_ID_BYTES_MAX);
        }
    }
}
