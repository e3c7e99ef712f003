//! How an operator wants consent to be read.

use super::Uses;
use crate::event::ErrorCode;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The operator's id in the IAB's Global Vendor List; without one, no TCF string grants anything.
    pub vendor_id: Option<u16>,
    /// What `Sec-GPC: 1` refuses.
    pub gpc_refuses: Uses,
    /// What `DNT: 1` refuses.
    pub dnt_refuses: Uses,
    pub platforms: Platforms,
}

impl Default for Policy {
    fn default() -> Self {
        let (gpc_refuses, dnt_refuses) = (Uses::THIRD_PARTIES, Uses::NONE);
        Policy { vendor_id: None, gpc_refuses, dnt_refuses, platforms: Platforms::default() }
    }
}

/// The consent management platforms whose strings count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platforms {
    /// Ascending; empty: all.
    known: Box<[u16]>,
    /// Ascending.
    deleted: Box<[u16]>,
}

impl Platforms {
    pub fn new(known: impl Iterator<Item = u16>, deleted: impl Iterator<Item = u16>) -> Self {
        let sorted = |mut ids: Vec<u16>| {
            ids.sort_unstable();
            ids.into_boxed_slice()
        };
        Platforms { known: sorted(known.collect()), deleted: sorted(deleted.collect()) }
    }

    pub(super) fn check(&self, id: u16) -> Result<(), ErrorCode> {
        if self.deleted.binary_search(&id).is_ok() {
            return Err(ErrorCode::CmpDeleted);
        }
        let is_known = self.known.is_empty() || self.known.binary_search(&id).is_ok();
        is_known.then_some(()).ok_or(ErrorCode::CmpUnknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_all_or_those_of_the_list_but_never_deleted_ones() {
        let check = |known: &[u16], deleted: &[u16]| {
            let platforms = Platforms::new(known.iter().copied(), deleted.iter().copied());
            [5, 7, 9].map(|id| platforms.check(id))
        };
        let (unknown, deleted) = (Err(ErrorCode::CmpUnknown), Err(ErrorCode::CmpDeleted));
        assert_eq!(check(&[], &[]), [Ok(()), Ok(()), Ok(())]);
        assert_eq!(check(&[], &[9, 7]), [Ok(()), deleted, deleted]);
        assert_eq!(check(&[9, 5], &[]), [Ok(()), unknown, Ok(())]);
        assert_eq!(check(&[9, 5], &[5, 1]), [deleted, unknown, Ok(())]);
    }
}
