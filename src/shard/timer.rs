//! Deadlines of parked requests and partner calls: a hashed timing wheel (Varghese and Lauck, 1987, scheme 6) over a
//! fixed set of timers. Setting and cancelling are O(1); nothing is allocated after construction.
//!
//! Each timer belongs to whoever holds its index: a parked request or a call owns the timer of its own slot, so there
//! is no free list and a timer can't fire for a successor.

const SLOTS: usize = 1024;
/// Width of one slot. Deadlines are exact all the same: a slot's timers fire by their own time.
const SLOT_NS: u64 = 500_000;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    deadline_ns: u64,
    previous: u32,
    next: u32,
}

/// A fixed number of timers, each set or not.
#[derive(Debug)]
pub(super) struct TimerWheel {
    heads: Box<[u32]>,
    /// One bit for each slot that holds a timer.
    filled: [u64; SLOTS / 64],
    nodes: Box<[Node]>,
    /// The slot up to which everything due has fired.
    cursor_ns: u64,
    set_count: usize,
}

impl TimerWheel {
    pub(super) fn new(timers: usize) -> TimerWheel {
        TimerWheel {
            heads: vec![NONE; SLOTS].into(),
            filled: [0; SLOTS / 64],
            nodes: vec![Node { deadline_ns: u64::MAX, previous: NONE, next: NONE }; timers].into(),
            cursor_ns: 0,
            set_count: 0,
        }
    }

    /// Sets a timer, or moves it.
    pub(super) fn set(&mut self, timer: u32, deadline_ns: u64) {
        self.cancel(timer);
        // A deadline that has passed fires at the next call of `next_due`.
        let slot = slot_of(deadline_ns.max(self.cursor_ns));
        let next = self.heads[slot];
        self.nodes[timer as usize] = Node { deadline_ns, previous: NONE, next };
        if next != NONE {
            self.nodes[next as usize].previous = timer;
        }
        self.heads[slot] = timer;
        self.filled[slot / 64] |= 1 << (slot % 64);
        self.set_count += 1;
    }

    /// Takes a timer out; nothing happens when it is not set.
    pub(super) fn cancel(&mut self, timer: u32) {
        let Node { deadline_ns, previous, next } = self.nodes[timer as usize];
        if deadline_ns == u64::MAX {
            return;
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        if previous == NONE {
            let slot = self.slot_headed_by(timer, deadline_ns);
            self.heads[slot] = next;
            if next == NONE {
                self.filled[slot / 64] &= !(1 << (slot % 64));
            }
        } else {
            self.nodes[previous as usize].next = next;
        }
        self.nodes[timer as usize] = Node { deadline_ns: u64::MAX, previous: NONE, next: NONE };
        self.set_count -= 1;
    }

    /// Takes out one timer whose time has come, if there is one.
    pub(super) fn next_due(&mut self, now_ns: u64) -> Option<u32> {
        if self.set_count == 0 {
            self.cursor_ns = now_ns;
            return None;
        }
        // After a long sleep one round over the wheel sees every slot.
        let first = self.cursor_ns / SLOT_NS;
        let last = (now_ns / SLOT_NS).min(first + SLOTS as u64 - 1);
        for round_slot in first..=last {
            let mut timer = self.heads[round_slot as usize % SLOTS];
            while timer != NONE {
                if self.nodes[timer as usize].deadline_ns <= now_ns {
                    self.cancel(timer);
                    return Some(timer);
                }
                timer = self.nodes[timer as usize].next;
            }
            self.cursor_ns = self.cursor_ns.max(round_slot * SLOT_NS);
        }
        self.cursor_ns = now_ns;
        None
    }

    /// No timer is due before this; `u64::MAX` when none is set.
    pub(super) fn next_deadline_ns(&self) -> u64 {
        if self.set_count == 0 {
            return u64::MAX;
        }
        let start = slot_of(self.cursor_ns);
        // Word by word from the cursor's, whose lower bits are a round ahead and come last.
        for step in 0..=self.filled.len() {
            let word = (start / 64 + step) % self.filled.len();
            let ahead = u64::MAX << (start % 64);
            let bits = match step {
                0 => self.filled[word] & ahead,
                _ if step == self.filled.len() => self.filled[word] & !ahead,
                _ => self.filled[word],
            };
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                let distance = (slot + SLOTS - start) % SLOTS;
                let slot_end_ns = (self.cursor_ns / SLOT_NS + distance as u64 + 1) * SLOT_NS;
                // Timers of a later round may share the slot: then this is only a reason to look again.
                return self.earliest_in(slot).min(slot_end_ns);
            }
        }
        u64::MAX
    }

    fn earliest_in(&self, slot: usize) -> u64 {
        let mut earliest_ns = u64::MAX;
        let mut timer = self.heads[slot];
        while timer != NONE {
            let node = &self.nodes[timer as usize];
            earliest_ns = earliest_ns.min(node.deadline_ns);
            timer = node.next;
        }
        earliest_ns
    }

    /// A timer set for a time that had passed was filed under the cursor of then, not under its own deadline.
    fn slot_headed_by(&self, timer: u32, deadline_ns: u64) -> usize {
        let slot = slot_of(deadline_ns);
        if self.heads[slot] == timer {
            return slot;
        }
        self.heads.iter().position(|head| *head == timer).expect("a timer without predecessor heads a slot")
    }
}

fn slot_of(deadline_ns: u64) -> usize {
    (deadline_ns / SLOT_NS) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, rng_seed: RngSeed::Fixed(1), ..Default::default() })]
        #[test]
        fn fires_what_a_sorted_list_would(
            steps in prop::collection::vec((0u8..3, 0u32..20, 0u64..2_000_000_000), 1..200)
        ) {
            let mut wheel = TimerWheel::new(20);
            let mut model = std::collections::BTreeMap::new();
            let mut now_ns = 5_000_000_000u64;
            while wheel.next_due(now_ns).is_some() {}
            for (action, timer, delta_ns) in steps {
                match action {
                    0 => {
                        let deadline_ns = now_ns + delta_ns - 300_000_000;
                        wheel.set(timer, deadline_ns);
                        model.insert(timer, deadline_ns);
                    }
                    1 => {
                        wheel.cancel(timer);
                        model.remove(&timer);
                    }
                    _ => {
                        let soonest_ns = model.values().copied().min().unwrap_or(u64::MAX);
                        prop_assert!(wheel.next_deadline_ns() <= soonest_ns);
                        now_ns += delta_ns / 4;
                        let mut fired = Vec::new();
                        while let Some(timer) = wheel.next_due(now_ns) {
                            fired.push(timer);
                        }
                        fired.sort();
                        let is_due = |(timer, at_ns): (&u32, &u64)| (*at_ns <= now_ns).then_some(*timer);
                        let mut due: Vec<u32> = model.iter().filter_map(is_due).collect();
                        due.sort();
                        model.retain(|_, at| *at > now_ns);
                        prop_assert_eq!(fired, due);
                    }
                }
            }
        }
    }
}
