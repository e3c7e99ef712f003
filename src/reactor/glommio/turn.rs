//! The driver: one turn after another until the handler wants no more.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ::glommio::io::BufferedFile;
use ::glommio::timer::Timer;
use futures_lite::future::yield_now;

use super::hub::{Happening, Hub};
use super::table::Phase;
use super::{Glommio, acceptor};
use crate::reactor::{ConnId, Event, Handler, clocks};

/// Events handled in one turn at most, so that timers and messages get their time under a flood.
const EVENTS_PER_TURN: usize = 64;
/// Messages likewise.
const MESSAGES_PER_TURN: usize = 256;
/// Turns on end that only let other tasks run, and the events handled in them. Then the driver sleeps a moment: the
/// tasks soon have to wait for it, and an executor without work looks for new completions. Without the second bound, a
/// flood of short requests would keep new clients and partners' answers waiting for sixteen full turns.
const BUSY_TURNS_MAX: u32 = 16;
const BUSY_EVENTS_MAX: usize = 256;
/// Long enough that the timer is not over before it is begun, which would be no sleep at all.
const MOMENT: Duration = Duration::from_micros(20);

impl<M> Glommio<M> {
    /// Runs until the handler's `on_turn` says `None`.
    ///
    /// # Errors
    /// When the descriptor by which other threads wake us can't be read: a bug of ours or of the kernel.
    pub fn run<H: Handler<Glommio<M>>>(&mut self, handler: &mut H) -> io::Result<()> {
        let executor = self.executor.take().expect("run does not call itself");
        let result = executor.run(self.drive(handler));
        self.executor = Some(executor);
        result
    }

    async fn drive<H: Handler<Glommio<M>>>(&mut self, handler: &mut H) -> io::Result<()> {
        let bell = Rc::new(self.bell()?);
        let mut tasks = vec![::glommio::spawn_local(hear(Rc::clone(&self.hub), Rc::clone(&bell)))];
        for listener in self.listeners.sockets() {
            let listener = acceptor::adopt(listener.try_clone()?);
            self.hub.acceptors_left.update(|count| count + 1);
            tasks.push(::glommio::spawn_local(acceptor::accept(Rc::clone(&self.hub), listener)));
        }
        let (mut busy_turns, mut busy_events) = (0, 0);
        let mut looked_ns = u64::MAX;
        let result = loop {
            if let Some(error) = self.hub.take_fault() {
                break Err(error);
            }
            self.now = clocks::read();
            self.counters.turns += 1;
            // First: what a client's last answer caused elsewhere was posted before her next request was looked for.
            self.deliver_messages(handler);
            busy_events += self.deliver_happenings(handler);
            if self.listeners.close_when_empty(self.now.mono_ns) {
                self.hub.listens.set(false);
                self.hub.wake_acceptors();
            }
            let Some(deadline_ns) = handler.on_turn(self) else { break Ok(()) };
            let is_busy = self.hub.has_work() || deadline_ns <= self.now.mono_ns || !self.mailbox.sleep();
            busy_turns += 1;
            if is_busy && busy_turns < BUSY_TURNS_MAX && busy_events < BUSY_EVENTS_MAX {
                yield_now().await;
                continue;
            }
            (busy_turns, busy_events) = (0, 0);
            if is_busy {
                // What the kernel has now came since it was last asked.
                self.hub.since_ns.set(looked_ns);
                looked_ns = self.now.mono_ns;
                Timer::new(MOMENT).await;
            } else {
                self.hub.since_ns.set(u64::MAX);
                looked_ns = u64::MAX;
                self.wait(deadline_ns.min(self.listeners.due_ns())).await;
            }
        };
        tasks.extend(self.hub.table.borrow_mut().take_tasks());
        for task in tasks {
            task.cancel().await;
        }
        // Waiting for this sends off what the tasks left behind as well.
        if let Ok(bell) = Rc::try_unwrap(bell) {
            bell.close().await?;
        }
        result
    }

    /// Returns how many there were.
    fn deliver_happenings<H: Handler<Glommio<M>>>(&mut self, handler: &mut H) -> usize {
        for count in 0..EVENTS_PER_TURN {
            let Some((since_ns, happening)) = self.hub.pop() else { return count };
            self.lag_ns = self.now.mono_ns.saturating_sub(since_ns);
            self.deliver(handler, happening);
        }
        EVENTS_PER_TURN
    }

    fn deliver_messages<H: Handler<Glommio<M>>>(&mut self, handler: &mut H) {
        for _ in 0..MESSAGES_PER_TURN {
            let Some((from, message)) = self.mailbox.pop() else { break };
            self.counters.messages += 1;
            handler.on_event(self, Event::Message { from, message });
        }
    }

    /// Tells the handler, unless it has closed the connection since and doesn't want to know.
    fn deliver<H: Handler<Glommio<M>>>(&mut self, handler: &mut H, happening: Happening) {
        match happening {
            Happening::Accepted { conn, peer } => {
                self.counters.accepts += 1;
                handler.on_event(self, Event::Accepted { conn, peer });
            }
            Happening::Connected { conn, ok } => {
                if self.phase(conn) != Phase::Connecting {
                    return;
                }
                if let Some(slot) = self.hub.table.borrow_mut().find(conn)
                    && ok
                {
                    slot.phase = Phase::Open;
                    slot.wake();
                }
                handler.on_event(self, Event::Connected { conn, ok });
            }
            Happening::Received { conn, block, len } => {
                if self.phase(conn) == Phase::Open {
                    self.counters.receives += 1;
                    self.counters.receive_bytes += len as u64;
                    handler.on_event(self, Event::Received { conn, bytes: &block[..len] });
                }
                self.hub.give_back(block);
                if let Some(slot) = self.hub.table.borrow_mut().find(conn) {
                    slot.is_handing_over = false;
                    slot.wake();
                }
            }
            Happening::Ended { conn, reset } => {
                if self.phase(conn) == Phase::Open {
                    handler.on_event(self, Event::Ended { conn, reset });
                }
            }
            Happening::Sent { conn, buffer, ok } => handler.on_event(self, Event::Sent { conn, buffer, ok }),
            Happening::Closed { conn } => {
                self.hub.table.borrow_mut().free(conn);
                self.hub.wake_acceptors();
                self.counters.closes += 1;
                handler.on_event(self, Event::Closed { conn });
            }
        }
    }

    fn phase(&self, conn: ConnId) -> Phase {
        self.hub.table.borrow_mut().find(conn).map_or(Phase::Free, |slot| slot.phase)
    }

    /// Waits until something has happened or the deadline has come. Others know that we sleep.
    async fn wait(&mut self, deadline_ns: u64) {
        let left_ns = deadline_ns.saturating_sub(clocks::read_mono_ns());
        let mut timer = (deadline_ns != u64::MAX).then(|| Timer::new(Duration::from_nanos(left_ns)));
        std::future::poll_fn(|context| {
            self.hub.watch(context);
            let is_due = timer.as_mut().is_some_and(|timer| Pin::new(timer).poll(context).is_ready());
            if is_due || self.hub.has_work() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.mailbox.awake();
    }

    /// The eventfd that others wake us by, under a descriptor of its own that the file may close.
    fn bell(&self) -> io::Result<BufferedFile> {
        // SAFETY: the mailbox owns the descriptor and outlives this borrow of it.
        let event = unsafe { BorrowedFd::borrow_raw(self.mailbox.event().as_raw_fd()) };
        let own = event.try_clone_to_owned()?;
        // SAFETY: the descriptor is open, and its only owner gives it away.
        Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(own.into_raw_fd()) })
    }
}

/// Waits for other threads for ever. glommio knows no eventfds, but a file that blocks is all that one is.
async fn hear(hub: Rc<Hub>, bell: Rc<BufferedFile>) {
    loop {
        match bell.read_at(0, size_of::<u64>()).await {
            Ok(_) => hub.ring(),
            Err(error) => return hub.fail(error.into()),
        }
    }
}
