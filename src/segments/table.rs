//! Two small maps of the evaluator: from ids to the dense numbers a program uses, and from dense numbers to values that
//! live for one call.

/// Id of a trait or a segment -> its place among those of the program. Open addressing, at most half full, built once.
#[derive(Debug)]
pub(super) struct PlaceTable {
    slots: Vec<(u32, u32)>,
    shift: u32,
}

const NO_PLACE: u32 = u32::MAX;

impl PlaceTable {
    /// `ids` in the order of their places. Of an id that occurs twice the last place counts.
    pub(super) fn new(ids: impl ExactSizeIterator<Item = u32>) -> PlaceTable {
        let slot_count = (ids.len() * 2).next_power_of_two().max(2);
        let shift = u32::BITS - slot_count.trailing_zeros();
        let mut table = PlaceTable { slots: vec![(0, NO_PLACE); slot_count], shift };
        for (place, id) in ids.enumerate() {
            let slot = table.slot(id);
            table.slots[slot] = (id, place as u32);
        }
        table
    }

    pub(super) fn place(&self, id: u32) -> Option<u32> {
        let (_, place) = self.slots[self.slot(id)];
        (place != NO_PLACE).then_some(place)
    }

    /// The slot that holds `id`, or the free one where it would go.
    fn slot(&self, id: u32) -> usize {
        // Ids come from the operator's config, often in a row: multiplying spreads them, and nobody attacks them.
        let mut slot = (id.wrapping_mul(0x9E37_79B1) >> self.shift) as usize;
        while self.slots[slot].1 != NO_PLACE && self.slots[slot].0 != id {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }
}

/// A map that forgets everything at once: a value counts only while its stamp is the current one.
#[derive(Debug)]
pub(super) struct Stamped {
    cells: Vec<(u32, u32)>,
    stamp: u32,
}

impl Stamped {
    pub(super) fn new(len: usize) -> Stamped {
        Stamped { cells: vec![(0, 0); len], stamp: 0 }
    }

    pub(super) fn forget(&mut self) {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            // Once in four thousand million calls the stamps have to start over.
            self.cells.fill((0, 0));
            self.stamp = 1;
        }
    }

    pub(super) fn value(&self, place: u32) -> Option<u32> {
        let (stamp, value) = self.cells[place as usize];
        (stamp == self.stamp).then_some(value)
    }

    pub(super) fn put(&mut self, place: u32, value: u32) {
        self.cells[place as usize] = (self.stamp, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_at_their_places() {
        for len in [0u32, 1, 2, 3, 1_000] {
            let ids: Vec<u32> = (0..len).map(|number| number * 7).collect();
            let table = PlaceTable::new(ids.iter().copied());
            for (place, &id) in ids.iter().enumerate() {
                assert_eq!(table.place(id), Some(place as u32));
            }
            assert_eq!(table.place(3), None);
            assert_eq!(table.place(u32::MAX), None);
        }
    }

    #[test]
    fn stamped_values_are_forgotten_also_when_stamps_start_over() {
        let mut map = Stamped::new(2);
        map.stamp = u32::MAX - 1;
        map.forget();
        map.put(1, 5);
        assert_eq!((map.value(0), map.value(1)), (None, Some(5)));
        map.forget();
        assert_eq!((map.stamp, map.value(0), map.value(1)), (1, None, None));
    }
}
