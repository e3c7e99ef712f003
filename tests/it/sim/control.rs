//! The control thread of a simulation: the real keeper of opt-outs over a disk that fails now and then.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use pinion::control::opt_outs::{Keep, Keeper};
use pinion::identity::OptOut;
use pinion::ids::ShardId;
use pinion::shard::Message;

use super::random::Random;
use super::world;

/// What a crash leaves of a run.
pub type Durable = Rc<RefCell<Vec<OptOut>>>;

struct Disk {
    durable: Durable,
    random: Random,
}

impl Keep for Disk {
    fn append(&mut self, opt_outs: &[OptOut], _wall_ms: u64) -> io::Result<()> {
        if self.random.one_in(10) {
            return Err(io::Error::other("the disk is full"));
        }
        self.durable.borrow_mut().extend_from_slice(opt_outs);
        Ok(())
    }
}

pub struct Control {
    keeper: Keeper<Disk>,
}

impl Control {
    pub fn new(seed: u64, shards: u16, max: usize, durable: Durable) -> Control {
        let held = durable.borrow().len();
        Control { keeper: Keeper::new(Disk { durable, random: Random::new(seed) }, shards, held, max) }
    }
}

impl world::Control<Message> for Control {
    fn take(&mut self, from: ShardId, message: Message) {
        let other = self.keeper.take(from, message);
        assert!(other.is_none(), "nothing else is said to control: {other:?}");
    }

    fn work(&mut self) -> Vec<(usize, Message)> {
        // A failure is told to whoever asked.
        let _ = self.keeper.commit(0);
        let mut posted = Vec::new();
        let all_told = self.keeper.post(|to, message| {
            posted.push((usize::from(to.0), message));
            Ok(())
        });
        assert!(all_told);
        posted
    }
}
