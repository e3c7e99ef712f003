//! Who keeps opt-outs: a state machine between the shards and a log, so that a simulation can drive it too.

use std::collections::VecDeque;
use std::io;

use crate::identity::OptOut;
use crate::ids::ShardId;
use crate::shard::{JobRef, Message, OPT_OUTS_UNTOLD_MAX};

/// What makes opt-outs last.
pub trait Keep {
    /// Returns when all of them are durable.
    ///
    /// # Errors
    /// None of them may be acknowledged then.
    fn append(&mut self, opt_outs: &[OptOut], wall_ms: u64) -> io::Result<()>;
}

/// Nothing outlives the process: for the demo, whose visitors are as short-lived.
impl Keep for () {
    fn append(&mut self, _opt_outs: &[OptOut], _wall_ms: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Takes opt-outs from shards, makes them last, and tells all shards.
#[derive(Debug)]
pub struct Keeper<K> {
    log: K,
    shards: u16,
    /// How many the shards have room for.
    max: usize,
    /// How many are in force or on their way to be.
    held: usize,
    /// Whether the log refused what it was last given.
    is_failing: bool,
    /// Not yet durable, in the order of their coming.
    fresh: VecDeque<Asked>,
    /// Durable, but not yet known to every shard. Their places are what messages name them by.
    telling: Vec<Option<Telling>>,
    /// What is to be posted.
    outbox: VecDeque<(ShardId, Message)>,
    batch: Vec<OptOut>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    one: OptOut,
    by: ShardId,
    at: JobRef,
}

#[derive(Clone, Copy, Debug)]
struct Telling {
    asked: Asked,
    /// Shards that have not said yet that they hold it.
    left: u16,
}

impl<K: Keep> Keeper<K> {
    /// `held`: opt-outs that the shards have as they start, of the `max` that they have room for.
    pub fn new(log: K, shards: u16, held: usize, max: usize) -> Keeper<K> {
        let telling = vec![None; OPT_OUTS_UNTOLD_MAX];
        let (fresh, outbox, batch) = (VecDeque::new(), VecDeque::new(), Vec::new());
        Keeper { log, shards, max, held, is_failing: false, fresh, telling, outbox, batch }
    }

    /// How many more can be kept, as far as is known: while the log fails, none.
    pub fn room(&self) -> usize {
        if self.is_failing { 0 } else { self.max - self.held }
    }

    /// Takes a message about opt-outs; gives any other back.
    pub fn take(&mut self, from: ShardId, message: Message) -> Option<Message> {
        match message {
            Message::OptOut { one, at } => self.fresh.push_back(Asked { one, by: from, at }),
            Message::OptOutHeld { ticket, is_new } => self.shard_holds(ticket, is_new),
            other => return Some(other),
        }
        None
    }

    /// Makes what came durable, as one group, and prepares what shards are to be told. Returns how many these were.
    ///
    /// # Errors
    /// Why the log failed. Who asked is refused.
    pub fn commit(&mut self, wall_ms: u64) -> io::Result<usize> {
        let free: Vec<usize> = (0..self.telling.len()).filter(|place| self.telling[*place].is_none()).collect();
        let count = self.fresh.len().min(free.len());
        if count == 0 {
            return Ok(0);
        }
        let room = self.max - self.held;
        for refused in self.fresh.drain(room.min(count)..count) {
            self.outbox.push_back((refused.by, Message::OptOutDone { at: refused.at, is_held: false }));
        }
        let count = count.min(room);
        self.batch.clear();
        self.batch.extend(self.fresh.iter().take(count).map(|asked| asked.one));
        if count == 0 {
            return Ok(0);
        }
        let kept = self.log.append(&self.batch, wall_ms);
        self.is_failing = kept.is_err();
        for (asked, ticket) in self.fresh.drain(..count).zip(free) {
            if kept.is_err() {
                self.outbox.push_back((asked.by, Message::OptOutDone { at: asked.at, is_held: false }));
                continue;
            }
            self.held += 1;
            self.telling[ticket] = Some(Telling { asked, left: self.shards });
            let told = |shard| (ShardId(shard), Message::OptedOut { one: asked.one, ticket: ticket as u32 });
            self.outbox.extend((0..self.shards).map(told));
        }
        kept.map(|()| count)
    }

    /// Whether something waits to become durable.
    pub fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Posts what is to be said. Returns whether all of it found room; the rest waits for the next time.
    pub fn post(&mut self, mut post: impl FnMut(ShardId, Message) -> Result<(), Message>) -> bool {
        while let Some((to, message)) = self.outbox.pop_front() {
            if let Err(message) = post(to, message) {
                self.outbox.push_front((to, message));
                return false;
            }
        }
        true
    }

    /// All shards take them in the same order, so all say the same of whether it was new.
    fn shard_holds(&mut self, ticket: u32, is_new: bool) {
        let place = &mut self.telling[ticket as usize];
        let telling = place.as_mut().expect("a shard says so once");
        telling.left -= 1;
        if telling.left == 0 {
            let Asked { by, at, .. } = telling.asked;
            *place = None;
            self.held -= usize::from(!is_new);
            self.outbox.push_back((by, Message::OptOutDone { at, is_held: true }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Uuid;

    /// Keeps in memory, and fails when told to.
    #[derive(Default)]
    struct Disk {
        appends: Vec<Vec<OptOut>>,
        fails: bool,
    }

    impl Keep for Disk {
        fn append(&mut self, opt_outs: &[OptOut], _wall_ms: u64) -> io::Result<()> {
            if self.fails {
                return Err(io::Error::other("full"));
            }
            self.appends.push(opt_outs.to_vec());
            Ok(())
        }
    }

    fn device(low: u64) -> OptOut {
        OptOut::Device(Uuid { high: 0, low })
    }

    fn at(slot: u32) -> JobRef {
        JobRef { slot, generation: 0 }
    }

    fn ask(keeper: &mut Keeper<Disk>, one: OptOut, slot: u32) {
        assert!(keeper.take(ShardId(1), Message::OptOut { one, at: at(slot) }).is_none());
    }

    /// What was posted since the last time.
    fn posted(keeper: &mut Keeper<Disk>) -> Vec<(u16, Message)> {
        let mut posted = Vec::new();
        assert!(keeper.post(|to, message| {
            posted.push((to.0, message));
            Ok(())
        }));
        posted
    }

    fn done(posted: &[(u16, Message)]) -> Vec<(u16, JobRef, bool)> {
        let of = |(to, message): &(u16, Message)| match message {
            Message::OptOutDone { at, is_held } => Some((*to, *at, *is_held)),
            _ => None,
        };
        posted.iter().filter_map(of).collect()
    }

    #[test]
    fn it_is_durable_then_told_then_acknowledged() {
        let mut keeper = Keeper::new(Disk::default(), 2, 0, 10);
        ask(&mut keeper, device(1), 7);
        ask(&mut keeper, device(2), 8);
        assert!(posted(&mut keeper).is_empty());
        keeper.commit(0).unwrap();
        assert_eq!(keeper.log.appends, [[device(1), device(2)]], "one group");
        let told = posted(&mut keeper);
        let tickets: Vec<(u16, u32)> = told
            .iter()
            .map(|(to, message)| match message {
                Message::OptedOut { ticket, .. } => (*to, *ticket),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(tickets, [(0, 0), (1, 0), (0, 1), (1, 1)]);
        for (shard, ticket) in tickets.into_iter().take(3) {
            assert!(done(&posted(&mut keeper)).is_empty());
            keeper.take(ShardId(shard), Message::OptOutHeld { ticket, is_new: true });
            if (shard, ticket) == (1, 0) {
                assert_eq!(done(&posted(&mut keeper)), [(1, at(7), true)]);
            }
        }
        keeper.take(ShardId(1), Message::OptOutHeld { ticket: 1, is_new: true });
        assert_eq!(done(&posted(&mut keeper)), [(1, at(8), true)]);
    }

    #[test]
    fn what_the_log_refuses_nobody_hears_of() {
        let mut keeper = Keeper::new(Disk { fails: true, ..Disk::default() }, 1, 0, 10);
        ask(&mut keeper, device(1), 3);
        assert_eq!(keeper.room(), 10);
        assert!(keeper.commit(0).is_err());
        let told = posted(&mut keeper);
        assert_eq!((told.len(), done(&told)), (1, vec![(1, at(3), false)]));
        assert_eq!(keeper.room(), 0);
        // Somebody made room on the disk.
        keeper.log.fails = false;
        ask(&mut keeper, device(1), 4);
        assert_eq!((keeper.commit(0).unwrap(), keeper.room()), (1, 9));
    }

    #[test]
    fn more_than_there_is_room_for_is_refused() {
        let mut keeper = Keeper::new(Disk::default(), 1, 9, 10);
        ask(&mut keeper, device(1), 1);
        ask(&mut keeper, device(2), 2);
        keeper.commit(0).unwrap();
        assert_eq!(keeper.log.appends, [[device(1)]]);
        assert_eq!(done(&posted(&mut keeper)), [(1, at(2), false)]);
        // It turns out that the shards had it: its room is free again.
        keeper.take(ShardId(0), Message::OptOutHeld { ticket: 0, is_new: false });
        assert_eq!(done(&posted(&mut keeper)), [(1, at(1), true)]);
        ask(&mut keeper, device(3), 3);
        keeper.commit(0).unwrap();
        assert_eq!(keeper.log.appends.len(), 2);
    }

    #[test]
    fn so_many_are_told_at_a_time_that_rings_hold_them() {
        let mut keeper = Keeper::new(Disk::default(), 1, 0, 10_000);
        (0..OPT_OUTS_UNTOLD_MAX as u64 + 5).for_each(|low| ask(&mut keeper, device(low), 0));
        keeper.commit(0).unwrap();
        keeper.commit(0).unwrap();
        assert_eq!(posted(&mut keeper).len(), OPT_OUTS_UNTOLD_MAX);
        assert!(keeper.has_fresh());
        keeper.take(ShardId(0), Message::OptOutHeld { ticket: 5, is_new: true });
        keeper.commit(0).unwrap();
        let told: Vec<Message> = posted(&mut keeper).into_iter().map(|(_, message)| message).collect();
        assert!(matches!(told[..], [Message::OptOutDone { .. }, Message::OptedOut { ticket: 5, .. }]), "{told:?}");
    }

    #[test]
    fn what_finds_no_room_is_posted_later() {
        let mut keeper = Keeper::new(Disk::default(), 2, 0, 10);
        ask(&mut keeper, device(1), 1);
        keeper.commit(0).unwrap();
        assert!(!keeper.post(|_, message| Err(message)));
        assert_eq!(posted(&mut keeper).len(), 2);
    }
}
