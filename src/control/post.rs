//! Control's end of the ways between cores, on a thread of its own: it posts what control says to the shards, frees
//! what they send back, and keeps the opt-outs, for which it waits for the disk as long as that takes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::opt_outs::{Keep, Keeper};
use super::say::{self, Trouble};
use crate::ids::ShardId;
use crate::metrics::OptOutMetrics;
use crate::reactor::clocks;
use crate::reactor::mailbox::{Endpoint, Waker};
use crate::shard::Message;

/// How long a message that found no room waits before it is tried again.
const RETRY_MS: i32 = 1;

/// The thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Post {
    orders: Sender<Order>,
    waker: Waker,
    retired: Arc<AtomicUsize>,
    metrics: Arc<OptOutMetrics>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Post(ShardId, Message),
    End,
}

impl Post {
    pub(super) fn start<K: Keep + Send + 'static>(
        mut mailbox: Endpoint<Message>,
        mut keeper: Keeper<K>,
    ) -> io::Result<Post> {
        let (orders, taken) = channel();
        let waker = mailbox.waker();
        let retired = Arc::new(AtomicUsize::new(0));
        let metrics = Arc::<OptOutMetrics>::default();
        let (count, counts) = (Arc::clone(&retired), Arc::clone(&metrics));
        let work = move || run(&mut mailbox, &mut keeper, &taken, &count, &counts);
        let thread = thread::Builder::new().name("post".to_owned()).spawn(work)?;
        Ok(Post { orders, waker, retired, metrics, thread: Some(thread) })
    }

    pub(super) fn tell(&self, shard: ShardId, message: Message) {
        // The thread ends only when this does.
        let _ = self.orders.send(Order::Post(shard, message));
        self.waker.wake();
    }

    pub(super) fn metrics(&self) -> Arc<OptOutMetrics> {
        Arc::clone(&self.metrics)
    }

    /// How many rulesets came back since the last time, counted for each shard.
    pub(super) fn retired(&self) -> usize {
        self.retired.swap(0, Relaxed)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
        self.waker.wake();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run<K: Keep>(
    mailbox: &mut Endpoint<Message>,
    keeper: &mut Keeper<K>,
    orders: &Receiver<Order>,
    retired: &AtomicUsize,
    metrics: &OptOutMetrics,
) {
    let mut trouble = Trouble::default();
    loop {
        for order in orders.try_iter() {
            match order {
                Order::End => return,
                // A ring holds far more than control ever has to say between two turns of a shard.
                Order::Post(shard, message) => {
                    if mailbox.post(shard, message).is_err() {
                        say::warning(format_args!("shard {shard} does not take messages"));
                    }
                }
            }
        }
        while let Some((from, message)) = mailbox.pop() {
            if let Some(Message::Retired(_)) = keeper.take(from, message) {
                retired.fetch_add(1, Relaxed);
            }
        }
        keep(keeper, metrics, &mut trouble);
        let all_told = keeper.post(|to, message| mailbox.post(to, message));
        mailbox.wait_at_most(if all_told { -1 } else { RETRY_MS });
    }
}

/// Makes last what came. Whoever asked is refused when that fails, and the operator is told.
fn keep<K: Keep>(keeper: &mut Keeper<K>, metrics: &OptOutMetrics, trouble: &mut Trouble) {
    let now = clocks::read();
    match keeper.commit(now.wall_ms) {
        Ok(0) => {}
        Ok(_) => {
            if trouble.is_over() {
                say::warning("opt-outs are kept again");
            }
        }
        Err(error) => {
            metrics.totals.opt_outs_log_failures.increment();
            if trouble.goes_on(now.mono_ns) {
                say::warning(format_args!("opt-outs can't be kept, and are refused until that is mended: {error}"));
            }
        }
    }
    metrics.gauges.opt_outs_room.set(keeper.room() as u64);
}
