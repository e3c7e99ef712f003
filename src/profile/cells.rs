//! Memory for records: cells of one cache line, from one free list. Records of all sizes share one pool, nothing ever
//! moves, and the pool never fragments.
//!
//! A short record is a chain: each cell names the next. To read a long one that way would be to wait for memory once
//! for each cell, one after the other. So a long record's first cell names a *directory*, a cell that holds the numbers
//! of fifteen others and names the next directory: those fifteen are fetched together.

use crate::memory;

/// What one cell of a chain holds.
pub(super) const PAYLOAD_BYTES: usize = CELL_BYTES - LINK_BYTES;
pub(super) const CELL_BYTES: usize = 64;

const LINK_BYTES: usize = size_of::<u32>();
/// Cells that a directory names.
const DIRECTORY_CELLS: usize = PAYLOAD_BYTES / LINK_BYTES;
/// Longer records have directories.
const CHAINED_CELLS_MAX: usize = 6;
/// Marks a link that leads to a directory.
const DIRECTORY: u32 = 1 << 31;

/// Ends a record. No cell has this number, so that a table's empty slot can be all zeroes.
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
    /// The record's next cell or directory.
    next: u32,
    payload: [u8; PAYLOAD_BYTES],
}

const _: () = assert!(size_of::<Cell>() == CELL_BYTES);

impl Cell {
    const EMPTY: Cell = Cell { next: NONE, payload: [0; PAYLOAD_BYTES] };

    /// The cells that a directory names.
    fn named(&self) -> impl Iterator<Item = u32> {
        self.payload.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).take_while(|&number| number != NONE)
    }

    fn name(&mut self, place: usize, number: u32) {
        self.payload.as_chunks_mut().0[place] = number.to_le_bytes();
    }

    fn named_at(&self, place: usize) -> u32 {
        u32::from_le_bytes(self.payload.as_chunks().0[place])
    }

    /// Takes the next piece of `rest`.
    fn fill(&mut self, rest: &mut &[u8]) {
        if let Some((payload, after)) = rest.split_first_chunk() {
            (self.payload, *rest) = (*payload, after);
        } else {
            self.payload[..rest.len()].copy_from_slice(rest);
            *rest = &[];
        }
    }
}

/// As many as a link can tell apart from directories and from no cell.
pub(super) const CELLS_MAX: u32 = DIRECTORY - 2;

impl CellPool {
    /// `count` cells, at most [`CELLS_MAX`].
    pub(super) fn new(count: u32) -> CellPool {
        assert!(count > 0 && count <= CELLS_MAX);
        let mut cells = memory::table(Cell::EMPTY, count as usize + 1);
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
    pub(super) const fn cells_for(bytes: usize) -> u32 {
        let cells = bytes.div_ceil(PAYLOAD_BYTES);
        let directories = if is_long(bytes) { (cells - 1).div_ceil(DIRECTORY_CELLS) } else { 0 };
        (cells + directories) as u32
    }

    /// The first bytes of a record.
    pub(super) fn head(&self, first: u32) -> &[u8; PAYLOAD_BYTES] {
        &self.cells[first as usize].payload
    }

    /// Appends a record's bytes, and the rest of its last cell, to `bytes`.
    pub(super) fn read(&self, first: u32, bytes: &mut Vec<u8>) {
        let mut link = first;
        while link != NONE {
            let cell = self.at(link);
            if link & DIRECTORY == 0 {
                bytes.extend_from_slice(&cell.payload);
            } else {
                for number in cell.named() {
                    bytes.extend_from_slice(&self.cells[number as usize].payload);
                }
            }
            link = cell.next;
        }
    }

    /// Cells that a record takes, directories included.
    pub(super) fn length(&self, first: u32) -> u32 {
        let mut count = 0;
        self.walk(first, |_| count += 1);
        count
    }

    /// Makes the record (or a new one, if `first` is [`NONE`]) hold `bytes`, which are not empty. Returns its first
    /// cell. The caller has seen to it that enough cells are free.
    pub(super) fn write(&mut self, first: u32, bytes: &[u8]) -> u32 {
        let first = if first == NONE { self.take() } else { first };
        let mut rest = bytes;
        self.cells[first as usize].fill(&mut rest);
        let next = self.cells[first as usize].next;
        if next != NONE && is_long(bytes.len()) != (next & DIRECTORY != 0) {
            self.cells[first as usize].next = NONE;
            self.release(next);
        }
        let last = if is_long(bytes.len()) { self.write_named(first, rest) } else { self.write_chained(first, rest) };
        let surplus = std::mem::replace(&mut self.cells[last as usize].next, NONE);
        self.release(surplus);
        first
    }

    /// Puts `rest` into cells after `last`, each named by the one before. Returns the last one.
    fn write_chained(&mut self, mut last: u32, mut rest: &[u8]) -> u32 {
        while !rest.is_empty() {
            if self.cells[last as usize].next == NONE {
                self.cells[last as usize].next = self.take();
            }
            last = self.cells[last as usize].next;
            self.cells[last as usize].fill(&mut rest);
        }
        last
    }

    /// Puts `rest` into cells that directories after `last` name. Returns the last directory.
    fn write_named(&mut self, mut last: u32, mut rest: &[u8]) -> u32 {
        while !rest.is_empty() {
            if self.cells[last as usize].next == NONE {
                let directory = self.take();
                self.cells[directory as usize] = Cell::EMPTY;
                self.cells[last as usize].next = directory | DIRECTORY;
            }
            last = self.cells[last as usize].next & !DIRECTORY;
            for place in 0..DIRECTORY_CELLS {
                let mut number = self.cells[last as usize].named_at(place);
                if rest.is_empty() {
                    if number == NONE {
                        break;
                    }
                    self.cells[last as usize].name(place, NONE);
                    self.give_back(number);
                    continue;
                }
                if number == NONE {
                    number = self.take();
                    self.cells[last as usize].name(place, number);
                }
                self.cells[number as usize].fill(&mut rest);
            }
        }
        last
    }

    /// Gives a record's cells back, or those from a link on.
    pub(super) fn release(&mut self, first: u32) {
        let mut link = first;
        while link != NONE {
            if link & DIRECTORY != 0 {
                for place in 0..DIRECTORY_CELLS {
                    match self.at(link).named_at(place) {
                        NONE => break,
                        number => self.give_back(number),
                    }
                }
            }
            let next = self.at(link).next;
            self.give_back(link & !DIRECTORY);
            link = next;
        }
    }

    /// Tells of each cell of a record.
    fn walk(&self, first: u32, mut tell: impl FnMut(u32)) {
        let mut link = first;
        while link != NONE {
            tell(link & !DIRECTORY);
            if link & DIRECTORY != 0 {
                self.at(link).named().for_each(&mut tell);
            }
            link = self.at(link).next;
        }
    }

    fn at(&self, link: u32) -> &Cell {
        &self.cells[(link & !DIRECTORY) as usize]
    }

    fn take(&mut self) -> u32 {
        let number = self.first_free;
        assert!(number != NONE, "room is made before a record is written");
        self.first_free = std::mem::replace(&mut self.cells[number as usize].next, NONE);
        self.free -= 1;
        number
    }

    fn give_back(&mut self, number: u32) {
        self.cells[number as usize].next = std::mem::replace(&mut self.first_free, number);
        self.free += 1;
    }
}

/// Whether a record of so many bytes has directories.
const fn is_long(bytes: usize) -> bool {
    bytes > CHAINED_CELLS_MAX * PAYLOAD_BYTES
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
                self.walk(first, |number| {
                    assert!(!std::mem::replace(&mut seen[number as usize], true), "cell {number} is held twice");
                });
            };
            chains.for_each(&mut mark);
            mark(self.first_free);
            assert!(seen.iter().skip(1).all(|&seen| seen), "a cell is lost");
            assert_eq!(self.free, self.length(self.first_free));
        }
    }

    proptest! {
        #![proptest_config(cases(200))]
        #[test]
        fn chains_hold_what_was_written(writes in proptest::collection::vec((0..6usize, 0..2_200usize), 0..100)) {
            let mut pool = CellPool::new(6 * CellPool::cells_for(2_200));
            let mut chains = [NONE; 6];
            let mut model = vec![Vec::new(); 6];
            for (i, (chain, length)) in writes.into_iter().enumerate() {
                if length == 0 {
                    pool.release(chains[chain]);
                    chains[chain] = NONE;
                    model[chain].clear();
                } else {
                    model[chain] = (0..length).map(|at| (i + at / 16) as u8).collect();
                    chains[chain] = pool.write(chains[chain], &model[chain]);
                    prop_assert_eq!(pool.length(chains[chain]), CellPool::cells_for(length));
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
