//! A network, clocks and peers made of one seed: handlers run in it as they run on real sockets, in virtual time.
//!
//! Everything that happens is an action at a time, and actions of the same time run in random order. Bytes are cut
//! and delayed at random but keep their order within a connection and direction.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::SocketAddr;

use pinion::clock::Now;
use pinion::ids::ShardId;
use pinion::reactor::{Buffer, ConnId, Event, Handler};

use super::io::{Effect, SimIo};
use super::random::Random;

/// Whoever is at the other end of connections: a crowd of clients, or a partner. `link` names one connection.
pub trait Peer {
    /// A connection that this peer opened, or that was opened to it, is up.
    fn connected(&mut self, link: usize, to: &mut Outbox<'_>);
    fn received(&mut self, link: usize, bytes: &[u8], to: &mut Outbox<'_>);
    /// The server closed or broke the connection.
    fn closed(&mut self, link: usize, to: &mut Outbox<'_>);
    /// A time asked for by [`Outbox::wake`] has come.
    fn woken(&mut self, token: usize, to: &mut Outbox<'_>);
    /// How a connection attempt ends: refused, or never answered, or made after some time.
    fn on_connect(&mut self, random: &mut Random) -> Connect;
    /// Whether it takes nothing off a connection, so that what is sent never arrives.
    fn is_stalled(&mut self) -> bool {
        false
    }
}

/// The control thread: takes what shards say to it, and says something now and then.
pub trait Control<M> {
    fn take(&mut self, from: ShardId, message: M);
    /// What it says, and to which shard, in this order.
    fn work(&mut self) -> Vec<(usize, M)>;
}

pub enum Connect {
    Refused,
    Silence,
    After(u64),
}

/// What a peer does, relative to now.
pub struct Outbox<'a> {
    pub now_ns: u64,
    pub random: &'a mut Random,
    orders: Vec<(u64, Order)>,
}

enum Order {
    Bytes { link: usize, bytes: Vec<u8> },
    Finish { link: usize },
    Reset { link: usize },
    Open,
}

impl Outbox<'_> {
    /// Bytes that arrive at the server in one piece, `delay_ns` from now; never before what was sent earlier.
    pub fn send(&mut self, link: usize, delay_ns: u64, bytes: &[u8]) {
        self.orders.push((delay_ns, Order::Bytes { link, bytes: bytes.to_vec() }));
    }

    /// The same, cut at random.
    pub fn send_cut(&mut self, link: usize, mut delay_ns: u64, gap_ns: u64, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let len =
                if self.random.one_in(2) { rest.len() } else { 1 + self.random.below(rest.len() as u64) as usize };
            self.send(link, delay_ns, &rest[..len]);
            rest = &rest[len..];
            delay_ns += self.random.below(gap_ns + 1);
        }
    }

    pub fn finish(&mut self, link: usize, delay_ns: u64) {
        self.orders.push((delay_ns, Order::Finish { link }));
    }

    pub fn reset(&mut self, link: usize, delay_ns: u64) {
        self.orders.push((delay_ns, Order::Reset { link }));
    }

    /// Opens a connection to some shard; `connected` tells its link.
    pub fn open(&mut self, delay_ns: u64) {
        self.orders.push((delay_ns, Order::Open));
    }
}

/// One connection between a shard and a peer.
struct Link {
    shard: usize,
    conn: ConnId,
    peer: usize,
    /// Not before this may the next piece arrive, in either direction.
    to_server_ns: u64,
    to_peer_ns: u64,
    /// What waits at the server's side while it does not read.
    inbox: VecDeque<Arrival>,
    up: bool,
    /// What is sent to a peer that takes nothing.
    stuck: Option<Buffer>,
    /// The server's side is gone.
    gone: bool,
    ended: bool,
}

enum Arrival {
    Bytes(Vec<u8>),
    End { reset: bool },
}

enum Action<M> {
    ToServer { link: usize, arrival: Arrival },
    ToPeer { link: usize, bytes: Vec<u8> },
    Sent { link: usize, buffer: Buffer, ok: bool },
    Connected { link: usize, ok: bool },
    Closed { link: usize },
    PeerClosed { link: usize },
    Open { peer: usize },
    Wake { peer: usize, token: usize },
    Message { from: usize, to: usize, message: M },
    ToControl { from: usize, message: M },
    Control,
    Turn { shard: usize },
}

pub struct World<M, H> {
    pub now_ns: u64,
    pub wall_start_ms: u64,
    pub random: Random,
    pub shards: Vec<(H, SimIo<M>)>,
    pub peers: Vec<Box<dyn Peer>>,
    pub addresses: BTreeMap<SocketAddr, usize>,
    /// What a message between shards may take.
    pub post_delay_ns_max: u64,
    control: Box<dyn Control<M>>,
    /// When the last message from control arrives at each shard: they keep their order.
    from_control_ns: Vec<u64>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    actions: Vec<Option<Action<M>>>,
    turn_at_ns: Vec<u64>,
    /// Whether a shard's clock was read for the turn at hand: all events of a turn see the same time, so that the
    /// clock of one shard is behind another's.
    in_turn: Vec<bool>,
    ended: Vec<bool>,
}

/// Where messages from the control thread come from.
const CONTROL: usize = usize::MAX;

impl<M, H: Handler<SimIo<M>>> World<M, H> {
    pub fn new(seed: u64, shards: Vec<(H, SimIo<M>)>, control: Box<dyn Control<M>>) -> World<M, H> {
        let count = shards.len();
        World {
            now_ns: 1_000_000_000,
            wall_start_ms: 1_795_289_301_558,
            random: Random::new(seed),
            shards,
            peers: Vec::new(),
            addresses: BTreeMap::new(),
            post_delay_ns_max: 30_000,
            control,
            from_control_ns: vec![0; count],
            links: Vec::new(),
            queue: BinaryHeap::new(),
            actions: Vec::new(),
            turn_at_ns: vec![u64::MAX; count],
            in_turn: vec![false; count],
            ended: vec![false; count],
        }
    }

    pub fn add_peer(&mut self, peer: Box<dyn Peer>) -> usize {
        self.peers.push(peer);
        self.peers.len() - 1
    }

    pub fn wake_peer(&mut self, peer: usize, delay_ns: u64, token: usize) {
        self.schedule(self.now_ns + delay_ns, Action::Wake { peer, token });
    }

    /// A message from the control thread.
    pub fn tell(&mut self, shard: usize, message: M) {
        self.schedule(self.now_ns, Action::Message { from: CONTROL, to: shard, message });
    }

    pub fn has_ended(&self, shard: usize) -> bool {
        self.ended[shard]
    }

    /// Runs until nothing is left to happen before `end_ns` of virtual time.
    pub fn run_until(&mut self, end_ns: u64) {
        while let Some(Reverse((at_ns, _, _))) = self.queue.peek() {
            if *at_ns > end_ns {
                break;
            }
            let Reverse((at_ns, _, index)) = self.queue.pop().expect("peeked");
            self.now_ns = self.now_ns.max(at_ns);
            if let Some(action) = self.actions[index].take() {
                self.act(action);
            }
        }
        self.now_ns = self.now_ns.max(end_ns);
    }

    fn schedule(&mut self, at_ns: u64, action: Action<M>) {
        let order = self.random.next();
        self.queue.push(Reverse((at_ns, order, self.actions.len())));
        self.actions.push(Some(action));
    }

    fn act(&mut self, action: Action<M>) {
        match action {
            Action::ToServer { link, arrival } => {
                self.links[link].inbox.push_back(arrival);
                self.deliver(link);
            }
            Action::ToPeer { link, bytes } => self.peer_does(link, |peer, out| peer.received(link, &bytes, out)),
            Action::Sent { link, buffer, ok } => {
                let Link { shard, conn, .. } = self.links[link];
                self.shards[shard].1.slot_mut(conn).expect("sent before closed").sending = false;
                self.event(shard, Event::Sent { conn, buffer, ok });
            }
            Action::Connected { link, ok } => self.finish_connect(link, ok),
            Action::Closed { link } => {
                let Link { shard, conn, .. } = self.links[link];
                let slot = self.shards[shard].1.slot_mut(conn).expect("closed once");
                assert!(!slot.sending, "closed before the buffer came back");
                slot.open = false;
                self.links[link].gone = true;
                self.event(shard, Event::Closed { conn });
            }
            Action::PeerClosed { link } => self.peer_does(link, |peer, out| peer.closed(link, out)),
            Action::Open { peer } => self.open(peer),
            Action::Wake { peer, token } => self.peer_acts(peer, |peer, out| peer.woken(token, out)),
            Action::Message { from, to, message } => {
                if from != CONTROL {
                    self.shards[from].1.post_room[to] += 1;
                }
                let from = ShardId(if from == CONTROL { u16::MAX } else { from as u16 });
                self.event(to, Event::Message { from, message });
            }
            Action::ToControl { from, message } => {
                self.control.take(ShardId(from as u16), message);
                // Its disk takes its time, and others join meanwhile.
                let delay_ns = self.random.below(8_000_000);
                self.schedule(self.now_ns + delay_ns, Action::Control);
            }
            Action::Control => {
                for (to, message) in self.control.work() {
                    let at_ns = self.from_control_ns[to].max(self.now_ns + self.random.below(30_000)) + 1;
                    self.from_control_ns[to] = at_ns;
                    self.schedule(at_ns, Action::Message { from: CONTROL, to, message });
                }
            }
            Action::Turn { shard } => {
                if self.turn_at_ns[shard] <= self.now_ns {
                    self.turn(shard);
                }
            }
        }
    }

    fn open(&mut self, peer: usize) {
        let shard = self.random.below(self.shards.len() as u64) as usize;
        let io = &mut self.shards[shard].1;
        let conn = if io.accepting && !self.ended[shard] { io.open_slot(0, io.outgoing_start) } else { None };
        let Some(conn) = conn else {
            // The backlog waits.
            self.schedule(self.now_ns + 1_000_000, Action::Open { peer });
            return;
        };
        let link = self.new_link(shard, conn, peer);
        self.links[link].up = true;
        let peer_address = SocketAddr::from(([127, 0, 0, 1], 40_000 + (link % 20_000) as u16));
        self.event(shard, Event::Accepted { conn, peer: peer_address });
        self.peer_does(link, |peer, out| peer.connected(link, out));
    }

    fn new_link(&mut self, shard: usize, conn: ConnId, peer: usize) -> usize {
        self.links.push(Link {
            shard,
            conn,
            peer,
            to_server_ns: 0,
            to_peer_ns: 0,
            inbox: VecDeque::new(),
            up: false,
            stuck: None,
            gone: false,
            ended: false,
        });
        self.links.len() - 1
    }

    fn finish_connect(&mut self, link: usize, ok: bool) {
        let Link { shard, conn, .. } = self.links[link];
        let Some(slot) = self.shards[shard].1.slot_mut(conn) else { return };
        if slot.closing {
            return;
        }
        self.links[link].up = ok;
        self.event(shard, Event::Connected { conn, ok });
        if ok {
            self.peer_does(link, |peer, out| peer.connected(link, out));
        }
    }

    /// Hands over what has arrived, as long as the server reads.
    fn deliver(&mut self, link: usize) {
        loop {
            let Link { shard, conn, ended, .. } = self.links[link];
            let Some(slot) = self.shards[shard].1.slot_mut(conn) else { return };
            if slot.paused || slot.closing || ended {
                return;
            }
            match self.links[link].inbox.pop_front() {
                None => return,
                Some(Arrival::Bytes(bytes)) => self.event(shard, Event::Received { conn, bytes: &bytes }),
                Some(Arrival::End { reset }) => {
                    self.links[link].ended = true;
                    self.event(shard, Event::Ended { conn, reset });
                }
            }
        }
    }

    fn event(&mut self, shard: usize, event: Event<'_, M>) {
        if self.ended[shard] {
            return;
        }
        self.set_clock(shard);
        let (handler, io) = &mut self.shards[shard];
        handler.on_event(io, event);
        self.carry_out(shard);
        // Turns of a real loop hold several events.
        if self.random.one_in(2) {
            self.turn(shard);
        } else {
            self.turn_at_ns[shard] = self.now_ns;
            let later_ns = self.now_ns + self.random.below(20_000);
            self.schedule(later_ns, Action::Turn { shard });
        }
    }

    fn turn(&mut self, shard: usize) {
        if self.ended[shard] {
            return;
        }
        self.set_clock(shard);
        let (handler, io) = &mut self.shards[shard];
        match handler.on_turn(io) {
            None => self.ended[shard] = true,
            Some(at_ns) => {
                self.in_turn[shard] = false;
                self.turn_at_ns[shard] = at_ns;
                if at_ns != u64::MAX {
                    self.schedule(at_ns.max(self.now_ns + 1_000), Action::Turn { shard });
                }
            }
        }
        self.carry_out(shard);
    }

    fn set_clock(&mut self, shard: usize) {
        if std::mem::replace(&mut self.in_turn[shard], true) {
            return;
        }
        let wall_ms = self.wall_start_ms + self.now_ns / 1_000_000;
        self.shards[shard].1.now = Now { mono_ns: self.now_ns, wall_ms };
    }

    fn carry_out(&mut self, shard: usize) {
        let effects = std::mem::take(&mut self.shards[shard].1.effects);
        for effect in effects {
            match effect {
                Effect::Send { conn, buffer } => self.send(shard, conn, buffer),
                Effect::Connect { conn, address } => self.connect(shard, conn, address),
                Effect::Close { conn, abort } => self.close(shard, conn, abort),
                Effect::Resume { conn } => {
                    let link = self.link_of(shard, conn);
                    self.deliver(link);
                }
                Effect::Post { to, message } => {
                    let to = to.0 as usize;
                    if to < self.shards.len() {
                        let delay_ns = self.random.below(self.post_delay_ns_max);
                        self.schedule(self.now_ns + delay_ns, Action::Message { from: shard, to, message });
                    } else {
                        let delay_ns = self.random.below(30_000);
                        self.schedule(self.now_ns + delay_ns, Action::ToControl { from: shard, message });
                    }
                }
            }
        }
    }

    fn send(&mut self, shard: usize, conn: ConnId, buffer: Buffer) {
        let link = self.link_of(shard, conn);
        if self.peers[self.links[link].peer].is_stalled() {
            self.links[link].stuck = Some(buffer);
            return;
        }
        let mut at_ns = self.now_ns.max(self.links[link].to_peer_ns);
        let mut rest = buffer.bytes();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let len =
                if self.random.one_in(2) { rest.len() } else { 1 + self.random.below(rest.len() as u64) as usize };
            at_ns += 1_000 + self.random.below(20_000);
            pieces.push((at_ns, rest[..len].to_vec()));
            rest = &rest[len..];
        }
        for (at_ns, bytes) in pieces {
            self.schedule(at_ns, Action::ToPeer { link, bytes });
        }
        self.links[link].to_peer_ns = at_ns;
        self.schedule(at_ns, Action::Sent { link, buffer, ok: true });
    }

    fn connect(&mut self, shard: usize, conn: ConnId, address: SocketAddr) {
        let peer = *self.addresses.get(&address).expect("a simulated address");
        let link = self.new_link(shard, conn, peer);
        let outcome = self.peers[peer].on_connect(&mut self.random);
        let (delay_ns, ok) = match outcome {
            Connect::Silence => return,
            Connect::Refused => (self.random.below(50_000), false),
            Connect::After(delay_ns) => (delay_ns, true),
        };
        self.schedule(self.now_ns + delay_ns, Action::Connected { link, ok });
    }

    fn close(&mut self, shard: usize, conn: ConnId, abort: bool) {
        let link = self.link_of(shard, conn);
        let at_ns = self.now_ns.max(self.links[link].to_peer_ns) + 1_000 + self.random.below(20_000);
        if let Some(buffer) = self.links[link].stuck.take() {
            assert!(abort, "what is stuck would be waited for without end");
            self.schedule(at_ns, Action::Sent { link, buffer, ok: false });
        }
        if self.links[link].up {
            self.schedule(at_ns, Action::PeerClosed { link });
        }
        self.schedule(at_ns + 1, Action::Closed { link });
    }

    fn link_of(&self, shard: usize, conn: ConnId) -> usize {
        self.links.iter().rposition(|link| link.shard == shard && link.conn == conn).expect("a link of this world")
    }

    fn peer_does(&mut self, link: usize, act: impl FnOnce(&mut dyn Peer, &mut Outbox<'_>)) {
        self.peer_acts(self.links[link].peer, act);
    }

    fn peer_acts(&mut self, peer: usize, act: impl FnOnce(&mut dyn Peer, &mut Outbox<'_>)) {
        let mut outbox = Outbox { now_ns: self.now_ns, random: &mut self.random, orders: Vec::new() };
        act(self.peers[peer].as_mut(), &mut outbox);
        let orders = outbox.orders;
        for (delay_ns, order) in orders {
            let at_ns = self.now_ns + delay_ns;
            match order {
                Order::Open => self.schedule(at_ns, Action::Open { peer }),
                Order::Bytes { link, bytes } => self.arrives(link, at_ns, Arrival::Bytes(bytes)),
                Order::Finish { link } => self.arrives(link, at_ns, Arrival::End { reset: false }),
                Order::Reset { link } => self.arrives(link, at_ns, Arrival::End { reset: true }),
            }
        }
    }

    fn arrives(&mut self, link: usize, at_ns: u64, arrival: Arrival) {
        if self.links[link].gone {
            return;
        }
        let lag_ns = self.shards[self.links[link].shard].1.lag_ns;
        // Strictly later than the piece before: actions of one time run in random order.
        let at_ns = (at_ns + lag_ns).max(self.links[link].to_server_ns + 1);
        self.links[link].to_server_ns = at_ns;
        self.schedule(at_ns, Action::ToServer { link, arrival });
    }
}
