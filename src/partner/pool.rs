//! The keep-alive connections of one shard to one address of a partner, as a plain state machine: it decides, the
//! caller moves bytes.
//!
//! A connection is connecting, busy with one call, or idle. Calls that find none idle wait in order of arrival and
//! get whichever connection is free first. Idle ones are used last in, first out, so that the rest can grow old and be
//! closed before the partner does it.

use std::collections::VecDeque;

/// After a connection could not be made, none is made in advance for so long.
const REFILL_PAUSE_NS: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    pub connections_max: usize,
    /// Kept open even when nothing happens.
    pub idle_min: usize,
    /// An idle connection is closed after this.
    pub idle_ns: u64,
    /// Calls that may wait beyond those a connection is being made for.
    pub queue_max: usize,
}

/// `C` names a connection.
#[derive(Debug)]
pub struct Pool<C> {
    limits: PoolLimits,
    /// Oldest first.
    idle: Vec<Idle<C>>,
    busy: usize,
    connecting: usize,
    /// The calls without a connection, by the index that the caller gave; oldest first.
    waiters: VecDeque<u32>,
    refill_after_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Idle<C> {
    conn: C,
    since_ns: u64,
}

/// Where a call gets its connection from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired<C> {
    /// This one, which was idle.
    Use(C),
    /// The caller opens one, and the call waits for it or for any other that is free earlier.
    Open,
    /// The call waits.
    Queue,
    /// Nowhere: the call is not made.
    Full,
}

impl<C: Copy + Eq> Pool<C> {
    pub fn new(limits: PoolLimits) -> Pool<C> {
        Pool {
            limits,
            idle: Vec::with_capacity(limits.connections_max),
            busy: 0,
            connecting: 0,
            // Besides those in the queue: who has a connection coming up, and who lost one.
            waiters: VecDeque::with_capacity(2 * limits.connections_max + limits.queue_max),
            refill_after_ns: 0,
        }
    }

    /// A call wants a connection.
    pub fn acquire(&mut self, call: u32) -> Acquired<C> {
        if let Some(idle) = self.idle.pop() {
            self.busy += 1;
            return Acquired::Use(idle.conn);
        }
        if self.waiters.len() >= self.connecting && self.open_count() < self.limits.connections_max {
            self.waiters.push_back(call);
            self.connecting += 1;
            return Acquired::Open;
        }
        if self.waiters.len() >= self.connecting + self.limits.queue_max {
            return Acquired::Full;
        }
        self.waiters.push_back(call);
        Acquired::Queue
    }

    /// A call lost its connection and is to be sent again, ahead of all others: on a new one, or when no more may be
    /// open, on whichever is free first.
    pub fn retry(&mut self, call: u32) -> Acquired<C> {
        let may_open = self.open_count() < self.limits.connections_max;
        if !may_open && let Some(idle) = self.idle.pop() {
            self.busy += 1;
            return Acquired::Use(idle.conn);
        }
        if self.waiters.len() == self.waiters.capacity() {
            return Acquired::Full;
        }
        self.waiters.push_front(call);
        self.connecting += usize::from(may_open);
        if may_open { Acquired::Open } else { Acquired::Queue }
    }

    /// A call gave up waiting. `false`: it did not wait.
    pub fn give_up(&mut self, call: u32) -> bool {
        match self.waiters.iter().position(|&waiter| waiter == call) {
            Some(at) => self.waiters.remove(at).is_some(),
            None => false,
        }
    }

    /// A connection is up. Returns the call that gets it; without one it is idle.
    pub fn connected(&mut self, conn: C, mono_ns: u64) -> Option<u32> {
        assert!(self.connecting > 0, "a connection came up that nobody opened");
        self.connecting -= 1;
        self.busy += 1;
        self.release(conn, mono_ns)
    }

    /// A connection could not be made. Returns the oldest call if there is no other connection coming up for it: it
    /// failed with it.
    pub fn connect_failed(&mut self, mono_ns: u64) -> Option<u32> {
        assert!(self.connecting > 0, "a connection failed that nobody opened");
        self.connecting -= 1;
        self.refill_after_ns = mono_ns + REFILL_PAUSE_NS;
        if self.waiters.len() > self.connecting { self.waiters.pop_front() } else { None }
    }

    /// A busy connection finished its call in good order. Returns the call that gets it next; without one it is idle.
    pub fn release(&mut self, conn: C, mono_ns: u64) -> Option<u32> {
        assert!(self.busy > 0, "a connection was released that was not busy");
        let next = self.waiters.pop_front();
        if next.is_none() {
            self.busy -= 1;
            self.idle.push(Idle { conn, since_ns: mono_ns });
        }
        next
    }

    /// A connection is gone or to be closed: an idle one, or else a busy one.
    pub fn discard(&mut self, conn: C) {
        match self.idle.iter().rposition(|idle| idle.conn == conn) {
            Some(at) => {
                self.idle.remove(at);
            }
            None => {
                assert!(self.busy > 0, "a connection was discarded that is not the pool's");
                self.busy -= 1;
            }
        }
    }

    /// Takes out a connection that was idle too long, for the caller to close. To be called until it has none.
    pub fn expire(&mut self, mono_ns: u64) -> Option<C> {
        let oldest = self.idle.first()?;
        if oldest.since_ns.saturating_add(self.limits.idle_ns) > mono_ns {
            return None;
        }
        Some(self.idle.remove(0).conn)
    }

    /// When [`Pool::expire`] will next have one.
    pub fn expires_at_ns(&self) -> Option<u64> {
        self.idle.first().map(|oldest| oldest.since_ns.saturating_add(self.limits.idle_ns))
    }

    /// Whether one more connection is wanted: for a call that lost its own, or to keep the minimum. `true` counts it
    /// as connecting, and the caller must open it. To be called until it says no.
    pub fn wants_open(&mut self, mono_ns: u64) -> bool {
        if self.open_count() >= self.limits.connections_max {
            return false;
        }
        let is_waited_for = self.waiters.len() > self.connecting;
        let is_below_minimum = self.open_count() < self.limits.idle_min && mono_ns >= self.refill_after_ns;
        let wants = is_waited_for || is_below_minimum;
        self.connecting += usize::from(wants);
        wants
    }

    /// Connections in all.
    pub fn open_count(&self) -> usize {
        self.idle.len() + self.busy + self.connecting
    }

    pub fn idle_count(&self) -> usize {
        self.idle.len()
    }

    pub fn busy_count(&self) -> usize {
        self.busy
    }

    pub fn connecting_count(&self) -> usize {
        self.connecting
    }

    pub fn waiting_count(&self) -> usize {
        self.waiters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: PoolLimits = PoolLimits { connections_max: 2, idle_min: 0, idle_ns: 100, queue_max: 1 };

    #[test]
    fn the_last_used_is_used_first_and_the_oldest_expires() {
        let mut pool = Pool::new(LIMITS);
        assert_eq!((pool.acquire(1), pool.acquire(2)), (Acquired::Open, Acquired::Open));
        assert_eq!((pool.connected('a', 0), pool.connected('b', 0)), (Some(1), Some(2)));
        assert_eq!((pool.release('a', 10), pool.release('b', 20)), (None, None));
        assert_eq!(pool.acquire(3), Acquired::Use('b'));
        assert_eq!(pool.release('b', 30), None);
        assert_eq!((pool.expires_at_ns(), pool.expire(109)), (Some(110), None));
        assert_eq!((pool.expire(110), pool.expire(110)), (Some('a'), None));
        assert_eq!(pool.acquire(4), Acquired::Use('b'));
    }

    #[test]
    fn calls_wait_in_order_and_may_give_up() {
        let mut pool = Pool::new(LIMITS);
        assert_eq!((pool.acquire(1), pool.acquire(2)), (Acquired::Open, Acquired::Open));
        assert_eq!((pool.acquire(3), pool.acquire(4)), (Acquired::Queue, Acquired::Full));
        assert!(pool.give_up(1));
        assert!(!pool.give_up(1));
        assert_eq!(pool.connected('a', 0), Some(2));
        assert_eq!(pool.release('a', 0), Some(3));
        assert_eq!(pool.connected('b', 0), None);
        assert_eq!((pool.busy_count(), pool.idle_count()), (1, 1));
    }

    #[test]
    fn who_lost_a_connection_comes_first() {
        let mut pool = Pool::new(PoolLimits { connections_max: 1, ..LIMITS });
        assert_eq!((pool.acquire(1), pool.connected('a', 0)), (Acquired::Open, Some(1)));
        assert_eq!(pool.acquire(2), Acquired::Queue);
        pool.discard('a');
        assert_eq!(pool.retry(1), Acquired::Open);
        assert!(!pool.wants_open(0), "the place is taken");
        assert_eq!((pool.connected('b', 0), pool.release('b', 0)), (Some(1), Some(2)));
        // The place is given away before the request is back.
        assert_eq!(pool.acquire(3), Acquired::Queue);
        pool.discard('b');
        assert!(pool.wants_open(0));
        assert_eq!(pool.retry(2), Acquired::Queue);
        assert_eq!((pool.connected('c', 0), pool.release('c', 0)), (Some(2), Some(3)));
        // Given away, and idle again meanwhile.
        assert_eq!((pool.release('c', 0), pool.retry(4)), (None, Acquired::Use('c')));
    }

    #[test]
    fn a_failed_connection_fails_one_call() {
        let mut pool: Pool<char> = Pool::new(LIMITS);
        assert_eq!(
            (pool.acquire(1), pool.acquire(2), pool.acquire(3)),
            (Acquired::Open, Acquired::Open, Acquired::Queue)
        );
        assert_eq!(pool.connect_failed(0), Some(1));
        assert!(pool.wants_open(0));
        assert!(!pool.wants_open(0));
        assert_eq!(pool.connect_failed(0), Some(2));
        assert_eq!(pool.connect_failed(0), Some(3));
        assert_eq!(pool.open_count(), 0);
    }

    #[test]
    fn the_minimum_is_kept_but_not_hammered() {
        let mut pool: Pool<char> = Pool::new(PoolLimits { idle_min: 2, ..LIMITS });
        assert!(pool.wants_open(0) && pool.wants_open(0) && !pool.wants_open(0));
        assert_eq!((pool.connect_failed(5), pool.connected('a', 5)), (None, None));
        assert!(!pool.wants_open(6));
        assert!(pool.wants_open(5 + REFILL_PAUSE_NS));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Acquire,
        GiveUp(u8),
        Connected,
        ConnectFailed,
        Release(u8),
        Discard(u8),
        /// The call of a busy connection lost it.
        Retry(u8),
        Pass(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Acquire),
            1 => any::<u8>().prop_map(Step::GiveUp),
            3 => Just(Step::Connected),
            1 => Just(Step::ConnectFailed),
            3 => any::<u8>().prop_map(Step::Release),
            1 => any::<u8>().prop_map(Step::Discard),
            1 => any::<u8>().prop_map(Step::Retry),
            1 => any::<u8>().prop_map(Step::Pass),
        ];
        proptest::collection::vec(step, 0..120)
    }

    /// Every connection and call by name, in plain lists.
    #[derive(Debug, Default)]
    struct Model {
        idle: Vec<(u32, u64)>,
        busy: Vec<(u32, u32)>,
        connecting: usize,
        waiting: Vec<u32>,
        next_conn: u32,
    }

    impl Model {
        fn open(&self) -> usize {
            self.idle.len() + self.busy.len() + self.connecting
        }

        /// The connection is free: the first to wait gets it.
        fn free(&mut self, conn: u32, now: u64) -> Option<u32> {
            if self.waiting.is_empty() {
                self.idle.push((conn, now));
                return None;
            }
            let call = self.waiting.remove(0);
            self.busy.push((conn, call));
            Some(call)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_agrees_with_plain_lists(steps in steps(), connections_max in 1_usize..5, queue_max in 0_usize..4) {
            let limits = PoolLimits { connections_max, idle_min: 0, idle_ns: 50, queue_max };
            let (mut pool, mut model) = (Pool::new(limits), Model::default());
            let mut now = 0;
            for (call, step) in (0_u32..).zip(steps) {
                match step {
                    Step::Acquire => {
                        let acquired = pool.acquire(call);
                        if let Some((conn, _)) = model.idle.pop() {
                            model.busy.push((conn, call));
                            prop_assert_eq!(acquired, Acquired::Use(conn));
                        } else if model.waiting.len() >= model.connecting && model.open() < connections_max {
                            model.connecting += 1;
                            model.waiting.push(call);
                            prop_assert_eq!(acquired, Acquired::Open);
                        } else if model.waiting.len() < model.connecting + queue_max {
                            model.waiting.push(call);
                            prop_assert_eq!(acquired, Acquired::Queue);
                        } else {
                            prop_assert_eq!(acquired, Acquired::Full);
                        }
                    }
                    Step::GiveUp(at) if !model.waiting.is_empty() => {
                        let call = model.waiting.remove(usize::from(at) % model.waiting.len());
                        prop_assert!(pool.give_up(call));
                    }
                    Step::Connected if model.connecting > 0 => {
                        model.connecting -= 1;
                        model.next_conn += 1;
                        let conn = model.next_conn;
                        prop_assert_eq!(pool.connected(conn, now), model.free(conn, now));
                    }
                    Step::ConnectFailed if model.connecting > 0 => {
                        model.connecting -= 1;
                        let fails = model.waiting.len() > model.connecting;
                        let expected = fails.then(|| model.waiting.remove(0));
                        prop_assert_eq!(pool.connect_failed(now), expected);
                    }
                    Step::Release(at) if !model.busy.is_empty() => {
                        let (conn, _) = model.busy.remove(usize::from(at) % model.busy.len());
                        prop_assert_eq!(pool.release(conn, now), model.free(conn, now));
                    }
                    Step::Discard(at) if model.busy.len() + model.idle.len() > 0 => {
                        let at = usize::from(at) % (model.busy.len() + model.idle.len());
                        let conn = match at.checked_sub(model.busy.len()) {
                            None => model.busy.remove(at).0,
                            Some(at) => model.idle.remove(at).0,
                        };
                        pool.discard(conn);
                    }
                    Step::Retry(at) if !model.busy.is_empty() => {
                        let (conn, call) = model.busy.remove(usize::from(at) % model.busy.len());
                        pool.discard(conn);
                        model.connecting += 1;
                        model.waiting.insert(0, call);
                        prop_assert_eq!(pool.retry(call), Acquired::Open);
                    }
                    Step::Pass(time) => {
                        now += u64::from(time);
                        while model.idle.first().is_some_and(|(_, since)| since + 50 <= now) {
                            prop_assert_eq!(pool.expire(now), Some(model.idle.remove(0).0));
                        }
                        prop_assert_eq!(pool.expire(now), None);
                    }
                    _ => {}
                }
                while pool.wants_open(now) {
                    model.connecting += 1;
                }
                prop_assert_eq!(pool.idle_count(), model.idle.len());
                prop_assert_eq!(pool.busy_count(), model.busy.len());
                prop_assert_eq!(pool.connecting_count(), model.connecting);
                prop_assert_eq!(pool.waiting_count(), model.waiting.len());
                // Nobody waits while a connection is idle, but who lost one and gets a new one; nor while there is room
                // to open one.
                prop_assert!(model.waiting.len() <= model.connecting || model.idle.is_empty());
                prop_assert!(model.waiting.len() <= model.connecting || model.open() == connections_max);
                prop_assert!(model.open() <= connections_max);
            }
        }
    }
}
