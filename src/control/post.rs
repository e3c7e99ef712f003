//! Control's end of the ways between cores, on a thread of its own: it posts what control says to the shards, frees
//! what they send back, and keeps the opt-outs, for which it waits for the disk as long as that takes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::opt_outs::{Keep, Keeper};
use crate::ids::ShardId;
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
        let count = Arc::clone(&retired);
        let work = move || run(&mut mailbox, &mut keeper, &taken, &count);
        let thread = thread::Builder::new().name("post".to_owned()).spawn(work)?;
        Ok(Post { orders, waker, retired, thread: Some(thread) })
    }

    pub(super) fn tell(&self, shard: ShardId, message: Message) {
        // The thread ends only when this does.
        let _ = self.orders.send(Order::Post(shard, message));
        self.waker.wake();
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
) {
    loop {
        for order in orders.try_iter() {
            match order {
                Order::End => return,
                // A ring holds far more than control ever has to say between two turns of a shard.
                Order::Post(shard, message) => {
                    if mailbox.post(shard, message).is_err() {
                        tracing::error!(%shard, "a shard does not take messages");
                    }
                }
            }
        }
        while let Some((from, message)) = mailbox.pop() {
            if let Some(Message::Retired(_)) = keeper.take(from, message) {
                retired.fetch_add(1, Relaxed);
            }
        }
        if let Err(error) = keeper.commit(clocks::read().wall_ms) {
            tracing::error!("opt-outs can't be kept: {error}");
        }
        let all_told = keeper.post(|to, message| mailbox.post(to, message));
        mailbox.wait_at_most(if all_told { -1 } else { RETRY_MS });
    }
}
