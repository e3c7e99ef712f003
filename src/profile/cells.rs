//! Memory for records: cells of one cache line from one free list. A record is a chain of them, so records of all sizes
//! share one pool, nothing ever moves, and the pool never fragments.

use crate::memory;

/// What one cell of a chain holds.
pub(super) const PAYLOAD_BYTES: usize = CELL_BYTES - LINK_BYTES;
pub(super) const CELL_BYTES: usize = 64;

const LINK_BYTES: usize = size_of::<u32>();

/// Ends a chain. No cell has this number, so that a table's empty slot can be all zeroes.
pub(super) const NONE: u32 = 0;

#[derive(Debug)]
pub(super) struct CellPool {
    /// Numbered from 1: the first one is never used.
    cells: Box<[Cell]>,
    first_free: u32,
    free: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Cell {
    /// The chain's next cell.
    next: u32,
    payload: [u8; PAYLOAD_BYTES],
}

const _: () = assert!(size_of::<Cell>() == CELL_BYTES);

impl CellPool {
    /// `count` cells.
    pub(super) fn new(count: u32) -> CellPool {
        assert!(count > 0 && count < u32::MAX);
        let empty = Cell { next: NONE, payload: [0; PAYLOAD_BYTES] };
        let mut cells = memory::table(empty, count as usize + 1);
        for number in 1..count {
            cells[number as usize].next = number + 1;
        }
        CellPool { cells, first_free: 1, free: count }
    }

    pub(super) fn count(&self) -> u32 {
        self.cells.len() as u32 - 1
    }

    pub(super) fn free(&self) -> u32 {
        self.free
    }

    /// Cells that `bytes` take.
    pub(super) fn cells_for(bytes: usize) -> u32 {
        bytes.div_ceil(PAYLOAD_BYTES) as u32
    }

    /// The first bytes of a chain.
    pub(super) fn head(&self, first: u32) -> &[u8; PAYLOAD_BYTES] {
        &self.cells[first as usize].payload
    }

    /// Appends a chain's bytes, and the rest of its last cell, to `bytes`.
    pub(super) fn read(&self, first: u32, bytes: &mut Vec<u8>) {
        for number in self.chain(first) {
            bytes.extend_from_slice(&self.cells[number as usize].payload);
        }
    }

    /// Cells in a chain.
    pub(super) fn chain_length(&self, first: u32) -> u32 {
        self.chain(first).count() as u32
    }

    /// Makes the chain (or a new one, if `first` is [`NONE`]) hold `bytes`, which are not empty. Returns its first
    /// cell. The caller has seen to it that enough cells are free.
    pub(super) fn write(&mut self, first: u32, bytes: &[u8]) -> u32 {
        let first = if first == NONE { self.take() } else { first };
        let (mut number, mut rest) = (first, bytes);
        loop {
            let cell = &mut self.cells[number as usize];
            if let Some((payload, after)) = rest.split_first_chunk() {
                (cell.payload, rest) = (*payload, after);
            } else {
                cell.payload[..rest.len()].copy_from_slice(rest);
                rest = &[];
            }
            if rest.is_empty() {
                break;
            }
            if cell.next == NONE {
                self.cells[number as usize].next = self.take();
            }
            number = self.cells[number as usize].next;
        }
        let surplus = std::mem::replace(&mut self.cells[number as usize].next, NONE);
        self.release(surplus);
        first
    }

    /// Gives a chain's cells back.
    pub(super) fn release(&mut self, first: u32) {
        let Some((last, count)) = self.chain(first).fold(None, |seen, number| match seen {
            None => Some((number, 1)),
            Some((_, count)) => Some((number, count + 1)),
        }) else {
            return;
        };
        self.cells[last as usize].next = self.first_free;
        self.first_free = first;
        self.free += count;
    }

    fn chain(&self, first: u32) -> impl Iterator<Item = u32> {
        let next = |number: u32| Some(self.cells[number as usize].next).filter(|&next| next != NONE);
        std::iter::successors(Some(first).filter(|&first| first != NONE), move |&number| next(number))
    }

    fn take(&mut self) -> u32 {
        let number = self.first_free;
        assert!(number != NONE, "room is made before a record is written");
        self.first_free = std::mem::replace(&mut self.cells[number as usize].next, NONE);
        self.free -= 1;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::cases;
    use proptest::prelude::*;

    impl CellPool {
        /// Asserts that each cell is in one of `chains` or free, once.
        pub(in crate::profile) fn check(&self, chains: impl Iterator<Item = u32>) {
            let mut seen = vec![false; self.cells.len()];
            let mut mark = |first: u32| {
                for number in self.chain(first) {
                    assert!(!std::mem::replace(&mut seen[number as usize], true), "cell {number} is held twice");
                }
            };
            chains.for_each(&mut mark);
            mark(self.first_free);
            assert!(seen.iter().skip(1).all(|&seen| seen), "a cell is lost");
            assert_eq!(self.free, self.chain_length(self.first_free));
        }
    }

    proptest! {
        #![proptest_config(cases(200))]
        #[test]
        fn chains_hold_what_was_written(writes in proptest::collection::vec((0..6usize, 0..400usize), 0..100)) {
            let mut pool = CellPool::new(6 * 7);
            let mut chains = [NONE; 6];
            let mut model = vec![Vec::new(); 6];
            for (i, (chain, length)) in writes.into_iter().enumerate() {
                if length == 0 {
                    pool.release(chains[chain]);
                    chains[chain] = NONE;
                    model[chain].clear();
                } else {
                    model[chain] = vec![i as u8; length];
                    chains[chain] = pool.write(chains[chain], &model[chain]);
                    prop_assert_eq!(pool.chain_length(chains[chain]), CellPool::cells_for(length));
                }
                for (&first, expected) in chains.iter().zip(&model) {
                    let mut bytes = Vec::new();
                    pool.read(first, &mut bytes);
                    prop_assert_eq!(&bytes[..expected.len()], &expected[..]);
                }
                pool.check(chains.into_iter());
            }
        }
    }
}
