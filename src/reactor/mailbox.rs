//! The ways between cores: one bounded single-producer single-consumer ring for each ordered pair, and a flag that
//! tells a sender whether the receiver sleeps and must be woken.
//!
//! No wake-up is lost. The receiver raises its flag, fences, and looks into its rings once more before it sleeps; the
//! sender pushes, fences, and looks at the flag. Both fences are sequentially consistent, so at least one of the two
//! sees what the other did: either the receiver finds the message or the sender finds the flag. The sender that finds
//! the flag takes it down, so that a sleeper is woken once and not by each message.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering, fence};

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::eventfd::EventFd;
use crate::ids::ShardId;

/// One participant's ends of all its rings.
pub struct Endpoint<M> {
    id: ShardId,
    /// This participant's place among all: shards by number, then control.
    place: usize,
    to: Vec<Option<Producer<M>>>,
    from: Vec<Option<Consumer<M>>>,
    /// Which ring [`Endpoint::pop`] looks into first: the one after the last that gave, so that none starves.
    next: usize,
    doors: Arc<[Door]>,
}

/// Wakes one participant, for threads that have no endpoint of their own.
#[derive(Clone)]
pub struct Waker {
    doors: Arc<[Door]>,
    place: usize,
}

/// Whether the receiver of a message that was just handed over must be woken by the sender.
#[must_use = "a sleeping receiver must be woken"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    Awake,
    Asleep,
}

/// How to wake a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bell {
    /// It waits on an io_uring: a message from ring to ring wakes it.
    Ring(RawFd),
    /// It waits for its eventfd to be written.
    Event(RawFd),
}

/// What others must know of a participant to wake it. Alone on its cache lines: senders read it with every message.
#[repr(align(128))]
struct Door {
    sleeping: AtomicBool,
    ring_fd: AtomicI32,
    event: EventFd,
}

const NO_RING: i32 = -1;

/// Builds the rings of `shards` shards and one control thread, each holding `capacity` messages. The endpoints of
/// the shards come in order, then the one of the control thread.
pub fn mesh<M>(shards: usize, capacity: usize) -> io::Result<(Vec<Endpoint<M>>, Endpoint<M>)> {
    assert!(shards < usize::from(u16::MAX), "shards are numbered by u16, and the last number is control's");
    let places = shards + 1;
    let mut doors = Vec::with_capacity(places);
    for place in 0..places {
        let event = EventFd::new(place < shards)?;
        doors.push(Door { sleeping: AtomicBool::new(false), ring_fd: AtomicI32::new(NO_RING), event });
    }
    let doors: Arc<[Door]> = doors.into();

    let mut endpoints: Vec<Endpoint<M>> = (0..places)
        .map(|place| Endpoint {
            id: id_of(place, places),
            place,
            to: Vec::with_capacity(places),
            from: (0..places).map(|_| None).collect(),
            next: 0,
            doors: Arc::clone(&doors),
        })
        .collect();
    for source in 0..places {
        for target in 0..places {
            let producer = (source != target).then(|| {
                let (producer, consumer) = RingBuffer::new(capacity);
                endpoints[target].from[source] = Some(consumer);
                producer
            });
            endpoints[source].to.push(producer);
        }
    }
    let control = endpoints.pop().expect("there is at least the control thread's");
    Ok((endpoints, control))
}

impl<M> std::fmt::Debug for Endpoint<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({})", self.id)
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Waker({})", id_of(self.place, self.doors.len()))
    }
}

impl Waker {
    /// The participant's [`Endpoint::wait`] returns, now or the next time.
    pub fn wake(&self) {
        self.doors[self.place].event.signal();
    }
}

impl<M> Endpoint<M> {
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// The number of shards, the control thread not counted.
    pub fn shard_count(&self) -> usize {
        self.doors.len() - 1
    }

    /// Hands a message over, or gives it back when the ring is full. The caller must ring the receiver's bell if it
    /// sleeps.
    ///
    /// # Panics
    /// When `to` is the sender itself or no shard: a bug of ours.
    pub fn push(&mut self, to: ShardId, message: M) -> Result<Receiver, M> {
        let place = self.place_of(to);
        let producer = self.to[place].as_mut().expect("nobody writes to itself");
        producer.push(message).map_err(|PushError::Full(message)| message)?;
        fence(Ordering::SeqCst);
        let sleeping = &self.doors[place].sleeping;
        if sleeping.load(Ordering::Relaxed) && sleeping.swap(false, Ordering::AcqRel) {
            return Ok(Receiver::Asleep);
        }
        Ok(Receiver::Awake)
    }

    /// Like [`Endpoint::push`], and wakes the receiver with a system call: for threads that have no ring.
    pub fn post(&mut self, to: ShardId, message: M) -> Result<(), M> {
        if self.push(to, message)? == Receiver::Asleep {
            self.doors[self.place_of(to)].event.signal();
        }
        Ok(())
    }

    /// How many more messages the ring to `to` takes now, at least: the receiver may make room at any time.
    pub fn room(&self, to: ShardId) -> usize {
        self.to[self.place_of(to)].as_ref().map_or(0, Producer::slots)
    }

    /// The next message, by turns from all who sent one.
    pub fn pop(&mut self) -> Option<(ShardId, M)> {
        let places = self.from.len();
        for _ in 0..places {
            let place = self.next;
            self.next = if place + 1 == places { 0 } else { place + 1 };
            if let Some(consumer) = &mut self.from[place]
                && let Ok(message) = consumer.pop()
            {
                return Some((id_of(place, places), message));
            }
        }
        None
    }

    /// Hands every message that is there to `take`.
    pub fn drain(&mut self, mut take: impl FnMut(ShardId, M)) {
        while let Some((from, message)) = self.pop() {
            take(from, message);
        }
    }

    /// Whether no message is there.
    pub fn is_empty(&self) -> bool {
        self.from.iter().flatten().all(Consumer::is_empty)
    }

    /// Announces that this participant is about to sleep. `false`: don't, messages are there.
    pub fn sleep(&self) -> bool {
        let sleeping = &self.doors[self.place].sleeping;
        sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.is_empty() {
            return true;
        }
        sleeping.store(false, Ordering::Relaxed);
        false
    }

    /// Takes the announcement back: senders needn't wake us any more.
    pub fn awake(&self) {
        self.doors[self.place].sleeping.store(false, Ordering::Relaxed);
    }

    /// This participant's eventfd: readable after it was woken through it. A shard's is blocking, control's is not.
    pub fn event(&self) -> &EventFd {
        &self.doors[self.place].event
    }

    /// Sleeps on the eventfd, for plain threads: returns as soon as messages are there. (An async loop does the same
    /// in three steps: `sleep`, wait until `event` is readable, `event().clear()` and `awake`.)
    pub fn wait(&self) {
        self.wait_at_most(-1);
    }

    /// The same, for so many milliseconds; negative: without end.
    pub fn wait_at_most(&self, timeout_ms: i32) {
        if self.sleep() && poll_readable(self.event().as_raw_fd(), timeout_ms) {
            self.event().clear();
        }
        self.awake();
    }

    /// What wakes this participant from elsewhere.
    pub fn waker(&self) -> Waker {
        Waker { doors: Arc::clone(&self.doors), place: self.place }
    }

    /// How to wake `to`.
    pub fn bell(&self, to: ShardId) -> Bell {
        let door = &self.doors[self.place_of(to)];
        match door.ring_fd.load(Ordering::Acquire) {
            NO_RING => Bell::Event(door.event.as_raw_fd()),
            fd => Bell::Ring(fd),
        }
    }

    /// The eventfd of `to`, for when its ring can't be messaged.
    pub fn event_fd_of(&self, to: ShardId) -> RawFd {
        self.doors[self.place_of(to)].event.as_raw_fd()
    }

    /// Wakes all who are woken by an eventfd, whether they have been told or not. A participant whose ring is going
    /// does so: signals that the ring was to write last may have gone with it.
    pub fn signal_everybody(&self) {
        let others = self.doors.iter().enumerate().filter(|(place, _)| *place != self.place);
        for (_, door) in others.filter(|(_, door)| door.ring_fd.load(Ordering::Acquire) == NO_RING) {
            door.event.signal();
        }
    }

    /// Tells the others that this participant waits on a ring from now on, or (`None`) no longer.
    pub fn set_ring(&self, fd: Option<RawFd>) {
        self.doors[self.place].ring_fd.store(fd.unwrap_or(NO_RING), Ordering::Release);
    }

    fn place_of(&self, id: ShardId) -> usize {
        if id == ShardId::CONTROL { self.doors.len() - 1 } else { usize::from(id.0) }
    }
}

fn id_of(place: usize, places: usize) -> ShardId {
    if place + 1 == places { ShardId::CONTROL } else { ShardId(place as u16) }
}

/// Returns whether it is readable: else time is up, or a signal came.
fn poll_readable(fd: RawFd, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: `poll` is one valid pollfd.
    unsafe { libc::poll(&mut poll, 1, timeout_ms) > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn messages_keep_their_order_and_sender() {
        let (mut shards, mut control) = mesh::<u32>(2, 4).unwrap();
        assert_eq!((shards.len(), shards[1].shard_count(), shards[1].id()), (2, 2, ShardId(1)));
        control.post(ShardId(1), 1).unwrap();
        shards[0].post(ShardId(1), 2).unwrap();
        control.post(ShardId(1), 3).unwrap();
        let mut seen = Vec::new();
        shards[1].drain(|from, message| seen.push((from, message)));
        assert_eq!(seen, [(ShardId(0), 2), (ShardId::CONTROL, 1), (ShardId::CONTROL, 3)]);

        shards[1].post(ShardId::CONTROL, 9).unwrap();
        assert_eq!(control.pop(), Some((ShardId(1), 9)));
    }

    #[test]
    fn a_full_ring_gives_the_message_back() {
        let (mut shards, _control) = mesh::<u32>(2, 2).unwrap();
        shards[0].post(ShardId(1), 1).unwrap();
        shards[0].post(ShardId(1), 2).unwrap();
        assert_eq!(shards[0].post(ShardId(1), 3), Err(3));
    }

    #[test]
    fn the_room_is_what_still_fits() {
        let (mut shards, _control) = mesh::<u32>(2, 2).unwrap();
        assert_eq!(shards[0].room(ShardId(1)), 2);
        shards[0].post(ShardId(1), 1).unwrap();
        assert_eq!((shards[0].room(ShardId(1)), shards[0].room(ShardId::CONTROL)), (1, 2));
        shards[0].post(ShardId(1), 2).unwrap();
        assert_eq!(shards[0].room(ShardId(1)), 0);
        assert!(shards[1].pop().is_some());
        assert_eq!(shards[0].room(ShardId(1)), 1);
    }

    #[test]
    fn a_sleeper_is_woken_once_and_only_if_it_sleeps() {
        let (mut shards, mut control) = mesh::<u32>(1, 4).unwrap();
        assert_eq!(control.push(ShardId(0), 1), Ok(Receiver::Awake));
        assert!(!shards[0].sleep(), "there is a message");
        assert!(shards[0].pop().is_some());
        assert!(shards[0].sleep());
        assert_eq!(control.push(ShardId(0), 2), Ok(Receiver::Asleep));
        assert_eq!(control.push(ShardId(0), 3), Ok(Receiver::Awake), "the first one rings");
    }

    #[test]
    fn a_waker_ends_a_wait_whether_it_has_begun_or_not() {
        let (_shards, control) = mesh::<u32>(1, 4).unwrap();
        let waker = control.waker();
        waker.wake();
        control.wait();
        let sleeper = thread::spawn(move || control.wait());
        waker.wake();
        sleeper.join().unwrap();
    }

    #[test]
    fn a_wait_may_have_an_end() {
        let (_shards, control) = mesh::<u32>(1, 4).unwrap();
        control.wait_at_most(1);
        assert!(control.is_empty());
    }

    #[test]
    fn the_bell_is_the_ring_once_there_is_one() {
        let (shards, control) = mesh::<u32>(1, 4).unwrap();
        assert_eq!(control.bell(ShardId(0)), Bell::Event(shards[0].event().as_raw_fd()));
        shards[0].set_ring(Some(77));
        assert_eq!(control.bell(ShardId(0)), Bell::Ring(77));
        shards[0].set_ring(None);
        assert_eq!(control.bell(ShardId(0)), Bell::Event(control.event_fd_of(ShardId(0))));
    }

    /// Both sides sleep whenever they have nothing to do; a lost wake-up would hang the test.
    #[test]
    fn no_wake_up_is_lost_between_threads_that_sleep() {
        const ROUNDS: u32 = 20_000;
        let (mut shards, mut control) = mesh::<u32>(1, 8).unwrap();
        let mut shard = shards.pop().unwrap();
        let echo = thread::spawn(move || {
            let mut seen = 0;
            loop {
                while let Some((from, message)) = shard.pop() {
                    assert_eq!(message, seen);
                    if message == ROUNDS {
                        return;
                    }
                    seen += 1;
                    shard.post(from, message).unwrap();
                }
                shard.wait();
            }
        });
        let (mut sent, mut received) = (0, 0);
        while received < ROUNDS {
            // At most four are under way, so that the answers always fit; sometimes one, so that both sides sleep.
            let under_way_max = 1 + sent / 7 % 4;
            while sent < ROUNDS && sent - received < under_way_max {
                control.post(ShardId(0), sent).unwrap();
                sent += 1;
            }
            match control.pop() {
                Some((_, message)) => {
                    assert_eq!(message, received);
                    received += 1;
                }
                None => control.wait(),
            }
        }
        control.post(ShardId(0), ROUNDS).unwrap();
        echo.join().unwrap();
    }
}
