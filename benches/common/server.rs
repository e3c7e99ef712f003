//! One shard, or two, without a kernel: what is sent is looked at and given back at once.

use std::collections::VecDeque;
use std::sync::Arc;

use pinion::clock::Now;
use pinion::config;
use pinion::identity::Uuid;
use pinion::ids::ShardId;
use pinion::metrics::ShardMetrics;
use pinion::reactor::{Buffer, ConnId, Event, Handler, Io};
use pinion::shard::{Epoch, Message, Plan, RING_MESSAGES, Setup, Shard};

use super::calls::{self, Request};
use super::profiles;
use super::random::{Random, hash};
use super::rules;

const CONN: ConnId = ConnId { slot: 0, generation: 1 };
/// Between two requests.
const STEP_NS: u64 = 10_000;

/// The runtime: virtual time, the one answer that is under way, and messages to the other shard.
struct MemoryIo {
    now: Now,
    sent: Option<Buffer>,
    posted: VecDeque<Message>,
    ring_messages: usize,
}

impl Io for MemoryIo {
    type Message = Message;

    fn now(&self) -> Now {
        self.now
    }

    fn send(&mut self, _: ConnId, buffer: Buffer) {
        assert!(self.sent.replace(buffer).is_none(), "one answer at a time");
    }

    fn connect(&mut self, _: std::net::SocketAddr) -> Option<ConnId> {
        None
    }

    fn close(&mut self, _: ConnId, _: bool) {
        panic!("the connection stays open");
    }

    fn pause_receive(&mut self, _: ConnId) {}

    fn resume_receive(&mut self, _: ConnId) {}

    fn stop_listening(&mut self) {}

    fn is_listening(&self) -> bool {
        false
    }

    fn post(&mut self, _: ShardId, message: Message) -> Result<(), Message> {
        if self.posted.len() == self.ring_messages {
            return Err(message);
        }
        self.posted.push_back(message);
        Ok(())
    }

    fn post_room(&self, _: ShardId) -> usize {
        self.ring_messages - self.posted.len()
    }
}

/// Shards of which the first has one connection, on which visitors call by turns.
pub struct Server {
    shards: Vec<(Shard, MemoryIo)>,
    requests: Vec<Request>,
    random: Random,
    visitors: u64,
    next: usize,
}

impl Server {
    /// Every visitor has called once before it is measured.
    pub fn new(rules: usize, segments: usize, visitors: u64) -> Server {
        Server::of_shards(1, rules, segments, visitors)
    }

    /// Two of them own half of the visitors each.
    pub fn of_shards(shards: u16, rules: usize, segments: usize, visitors: u64) -> Server {
        let loaded = config::load(&rules::config(rules, segments), "bench.toml")
            .unwrap_or_else(|faults| panic!("{}", faults.iter().map(ToString::to_string).collect::<String>()));
        let secret = profiles::secret();
        let ruleset = Arc::new(loaded.into_ruleset(&secret, 1).0);
        let setup = |id| Setup {
            id: ShardId(id),
            plan: plan(shards, visitors),
            epoch: Box::new(Epoch::new(&ruleset, |_| Box::new([]), |_| Arc::default())),
            metrics: Arc::new(ShardMetrics::default()),
            secret: profiles::secret(),
            entropy: [1; 32],
            opt_outs: Arc::new([]),
        };
        let ring_messages = if shards > 1 { RING_MESSAGES } else { 0 };
        let io = || MemoryIo {
            now: profiles::now(),
            sent: None,
            posted: VecDeque::with_capacity(ring_messages),
            ring_messages,
        };
        let mut server = Server {
            shards: (0..shards).map(|id| (Shard::new(setup(id)), io())).collect(),
            requests: calls::events(1_024, rules),
            random: Random::new(4),
            visitors,
            next: 0,
        };
        let peer = ([192, 0, 2, 1], 40_000).into();
        let (shard, io) = &mut server.shards[0];
        shard.on_event(io, Event::Accepted { conn: CONN, peer });
        (0..visitors).for_each(|visitor| _ = server.call(visitor));
        server
    }

    /// Few visitors who come all the time: each holds some 600 entries, of four days, and realises at nearly every call
    /// only what she has realised today already.
    pub fn hot(rules: usize, segments: usize) -> Server {
        const VISITORS: u64 = 4;
        const CALLS_A_DAY: u64 = 40;
        const TRAITS: u64 = 320;
        let mut server = Server::new(rules, segments, VISITORS);
        server.requests = calls::hot_events(256, rules, TRAITS);
        for days_ago in (0..4).rev() {
            server.shards[0].1.now.wall_ms = profiles::WALL_MS - days_ago * 24 * 3_600_000;
            (0..CALLS_A_DAY * VISITORS).for_each(|call| _ = server.call(call % VISITORS));
        }
        server
    }

    /// One request of a visitor who has been here before: from its bytes to the buffer's return, and one turn for it
    /// alone, which under load many requests share.
    pub fn serve(&mut self) -> u64 {
        let visitor = self.random.below(self.visitors);
        self.call(visitor)
    }

    fn call(&mut self, visitor: u64) -> u64 {
        self.next = (self.next + 1) % self.requests.len();
        let Request { bytes, uuid_at } = &mut self.requests[self.next];
        let uuid: &mut [u8; 38] = (&mut bytes[*uuid_at..*uuid_at + 38]).try_into().expect("38 digits");
        Uuid::write(profiles::uuid(visitor), uuid);
        self.shards.iter_mut().for_each(|(_, io)| io.now.mono_ns += STEP_NS);
        let (shard, io) = &mut self.shards[0];
        shard.on_event(io, Event::Received { conn: CONN, bytes });
        while self.deliver() {}
        let (shard, io) = &mut self.shards[0];
        let buffer = io.sent.take().expect("an answer");
        // The end of the body: traits and segments. The head is the same but for its date and id.
        let answer = buffer.bytes();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        let result = hash(&answer[answer.len() - 16..]);
        shard.on_event(io, Event::Sent { conn: CONN, buffer, ok: true });
        self.shards.iter_mut().for_each(|(shard, io)| _ = shard.on_turn(io));
        while self.deliver() {}
        result
    }

    /// Brings each shard what the other posted. Returns whether there was anything.
    fn deliver(&mut self) -> bool {
        let [(one, one_io), (other, other_io)] = &mut self.shards[..] else { return false };
        let is_any = one_io.posted.len() + other_io.posted.len() > 0;
        while let Some(message) = one_io.posted.pop_front() {
            other.on_event(other_io, Event::Message { from: ShardId(0), message });
        }
        while let Some(message) = other_io.posted.pop_front() {
            one.on_event(one_io, Event::Message { from: ShardId(1), message });
        }
        is_any
    }
}

fn plan(shards: u16, visitors: u64) -> Plan {
    Plan {
        shards,
        clients_max: 16,
        upstreams_max: 1,
        jobs_max: 16,
        calls_max: 16,
        errands_max: 0,
        small_buffers: 128,
        large_buffers: 4,
        profile_bytes: (visitors as usize * 400).max(4 << 20),
        id_map_bytes: 1 << 20,
        opt_outs_max: 64,
        meters: 1 << 10,
        sweep_buckets_per_upkeep: 64,
        idle_ns: 60_000_000_000,
    }
}
