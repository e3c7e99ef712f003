//! The main runtime over real sockets on the loopback: what the seam promises, checked from the other end of the wire.

mod without;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pinion::ids::ShardId;
use pinion::reactor::mailbox::{Endpoint, mesh};
use pinion::reactor::uring::{Config, Counters, Uring, Without};
use pinion::reactor::{Buffer, ConnId, Event, Handler, Io};

/// What the tests' threads say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    Stop,
    Pause,
    Resume,
    Accepting(bool),
    Ball(u32),
}

type Loop = Uring<Note>;

/// A runtime on a thread of its own.
struct Running<H> {
    address: SocketAddr,
    control: Endpoint<Note>,
    thread: JoinHandle<(H, Counters, (usize, usize))>,
}

thread_local! {
    /// What runtimes of this test do without.
    static WITHOUT: Cell<Without> = Cell::default();
}

fn config() -> Config {
    Config {
        without: WITHOUT.get(),
        listeners: vec!["127.0.0.1:0".parse().unwrap()],
        connections_max: 256,
        outgoing_max: 16,
        receive_buffers: 64,
        receive_buffer_bytes: 1024,
        linger_ns: 300_000_000,
        ..Config::default()
    }
}

fn start<H: Handler<Loop> + Send + 'static>(config: Config, mut handler: H) -> Running<H> {
    let (mut shards, control) = mesh(1, 64).unwrap();
    let mailbox = shards.pop().unwrap();
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut uring = Uring::new(&config, mailbox).unwrap();
        tell.send(uring.addresses().unwrap()).unwrap();
        uring.run(&mut handler).unwrap();
        (handler, uring.counters(), uring.slots_free())
    });
    let address = told.recv().unwrap().first().copied().unwrap_or(([0, 0, 0, 0], 0).into());
    Running { address, control, thread }
}

impl<H> Running<H> {
    fn tell(&mut self, note: Note) {
        self.control.post(ShardId(0), note).unwrap();
    }

    fn stop(mut self) -> (H, Counters, (usize, usize)) {
        self.tell(Note::Stop);
        self.thread.join().unwrap()
    }
}

/// Sends back what comes, in order, and keeps the books.
#[derive(Default)]
struct Echo {
    stopping: bool,
    /// Don't stop before so many connections are closed.
    closed_before_stop: usize,
    /// Give up on a connection after its first answer, by this `abort`.
    close_after_answer: Option<bool>,
    conns: HashMap<u32, EchoConn>,
    accepted: usize,
    closed: usize,
    ended: Vec<bool>,
    sent_failed: usize,
    peers: HashSet<SocketAddr>,
    received_paused_bytes: usize,
    paused: bool,
}

#[derive(Default)]
struct EchoConn {
    generation: u32,
    waiting: Vec<u8>,
    sending: bool,
    ended: bool,
    closing: bool,
}

impl Echo {
    fn push(&mut self, io: &mut Loop, conn: ConnId) {
        let state = self.conns.get_mut(&conn.slot).unwrap();
        if state.sending || state.closing {
            return;
        }
        if !state.waiting.is_empty() {
            let mut buffer = Buffer::with_capacity(state.waiting.len());
            assert!(buffer.extend(&state.waiting));
            state.waiting.clear();
            state.sending = true;
            io.send(conn, buffer);
        } else if state.ended {
            state.closing = true;
            io.close(conn, false);
        }
    }
}

impl Handler<Loop> for Echo {
    fn on_event(&mut self, io: &mut Loop, event: Event<'_, Note>) {
        match event {
            Event::Accepted { conn, peer } => {
                self.accepted += 1;
                self.peers.insert(peer);
                let state = EchoConn { generation: conn.generation, ..EchoConn::default() };
                assert!(self.conns.insert(conn.slot, state).is_none(), "a slot with two tenants");
            }
            Event::Received { conn, bytes } => {
                if self.paused {
                    self.received_paused_bytes += bytes.len();
                }
                let state = self.conns.get_mut(&conn.slot).unwrap();
                assert!(state.generation == conn.generation && !state.ended && !state.closing);
                state.waiting.extend_from_slice(bytes);
                self.push(io, conn);
            }
            Event::Ended { conn, reset } => {
                self.ended.push(reset);
                let state = self.conns.get_mut(&conn.slot).unwrap();
                assert!(!std::mem::replace(&mut state.ended, true), "ends once");
                self.push(io, conn);
            }
            Event::Sent { conn, ok, .. } => {
                let state = self.conns.get_mut(&conn.slot).unwrap();
                assert!(std::mem::replace(&mut state.sending, false), "comes back once");
                self.sent_failed += usize::from(!ok);
                if let Some(abort) = self.close_after_answer
                    && !state.closing
                {
                    state.closing = true;
                    io.close(conn, abort);
                }
                self.push(io, conn);
            }
            Event::Closed { conn } => {
                let state = self.conns.remove(&conn.slot).expect("closes once");
                assert!(state.closing && !state.sending && state.generation == conn.generation);
                self.closed += 1;
            }
            Event::Message { from, message } => {
                assert_eq!(from, ShardId::CONTROL);
                let ids = self.conns.iter().map(|(&slot, state)| ConnId { slot, generation: state.generation });
                match message {
                    Note::Stop => self.stopping = true,
                    Note::Pause => {
                        self.paused = true;
                        ids.for_each(|conn| io.pause_receive(conn));
                    }
                    Note::Resume => {
                        self.paused = false;
                        ids.for_each(|conn| io.resume_receive(conn));
                    }
                    Note::Accepting(accepting) => io.set_accepting(accepting),
                    Note::Ball(_) => io.post(ShardId::CONTROL, message).unwrap(),
                }
            }
            Event::Connected { .. } => panic!("nothing was connected"),
        }
    }

    fn on_turn(&mut self, _: &mut Loop) -> Option<u64> {
        (!self.stopping || self.closed < self.closed_before_stop).then_some(u64::MAX)
    }
}

fn echo_until(closed_before_stop: usize) -> Echo {
    Echo { closed_before_stop, ..Echo::default() }
}

fn client(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn pattern(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i.wrapping_mul(31).wrapping_add(seed * 7 + i / 251)) as u8).collect()
}

/// Writes from a thread of its own, so that neither side can block the other.
fn echo_through(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut writer = stream.try_clone().unwrap();
    let outgoing = bytes.to_vec();
    let thread = thread::spawn(move || writer.write_all(&outgoing).unwrap());
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    thread.join().unwrap();
    back
}

/// Sees all messages that the runtime has before it, handled.
fn settle<H>(running: &mut Running<H>) {
    running.tell(Note::Ball(1));
    while running.control.pop().is_none() {
        running.control.wait();
    }
}

#[test]
fn echoes_and_tells_the_peer() {
    let running = start(config(), echo_until(1));
    let mut stream = client(running.address);
    for round in 0..50 {
        assert_eq!(echo_through(&mut stream, &pattern(round * 13 + 1, round)), pattern(round * 13 + 1, round));
    }
    let peer = stream.local_addr().unwrap();
    drop(stream);
    let (echo, counters, _) = running.stop();
    assert_eq!(echo.peers, HashSet::from([peer]));
    assert_eq!((echo.accepted, echo.closed, echo.ended.as_slice()), (1, 1, &[false][..]));
    assert!(counters.accepts == 1 && counters.receives >= 50 && counters.sends >= 50 && counters.closes == 1);
}

#[test]
fn listens_on_ipv6_as_well() {
    let listeners = vec!["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
    let running = start(Config { listeners, ..config() }, Echo::default());
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"six"), b"six");
    let peer = stream.local_addr().unwrap();
    assert!(peer.is_ipv6());
    let (echo, ..) = running.stop();
    assert!(echo.peers.contains(&peer));
}

#[test]
fn sends_more_than_the_sockets_hold() {
    let running = start(config(), Echo::default());
    let mut stream = client(running.address);
    let bytes = pattern(24 << 20, 3);
    assert!(echo_through(&mut stream, &bytes) == bytes, "bytes lost or out of order");
    drop(stream);
    let (echo, ..) = running.stop();
    assert_eq!(echo.sent_failed, 0);
}

#[test]
fn starving_connections_all_get_their_turn() {
    let tiny = Config { receive_buffers: 4, receive_buffer_bytes: 128, ..config() };
    let running = start(tiny, Echo::default());
    let address = running.address;
    let threads: Vec<_> = (0..12)
        .map(|seed| {
            thread::spawn(move || {
                let bytes = pattern(100_000, seed);
                assert!(echo_through(&mut client(address), &bytes) == bytes);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let (_, counters, _) = running.stop();
    assert!(counters.receives_starved > 0, "the test is to make them starve");
}

#[test]
fn two_thousand_connections_leave_every_slot_free() {
    let running = start(Config { connections_max: 300, ..config() }, echo_until(2_000));
    let address = running.address;
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            thread::spawn(move || {
                for round in 0..25 {
                    let mut streams: Vec<_> = (0..20).map(|_| client(address)).collect();
                    for (i, stream) in streams.iter_mut().enumerate() {
                        stream.write_all(&pattern(40, seed + round + i)).unwrap();
                    }
                    for (i, stream) in streams.iter_mut().enumerate() {
                        let mut back = [0; 40];
                        stream.read_exact(&mut back).unwrap();
                        assert_eq!(back[..], pattern(40, seed + round + i));
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let (echo, counters, (clients, outgoing)) = running.stop();
    assert_eq!((echo.accepted, echo.closed, echo.conns.len()), (2_000, 2_000, 0));
    assert_eq!((counters.accepts, counters.closes), (2_000, 2_000));
    // Sixteen accepts under way keep a slot each.
    assert_eq!((clients, outgoing), (300 - 16, 16));
}

#[test]
fn a_full_table_lets_clients_wait() {
    let running = start(Config { connections_max: 3, ..config() }, Echo::default());
    let mut streams: Vec<_> = (0..5).map(|_| client(running.address)).collect();
    for stream in &mut streams[..3] {
        assert_eq!(echo_through(stream, b"in"), b"in");
    }
    streams[3].set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    streams[3].write_all(b"me").unwrap();
    assert!(streams[3].read(&mut [0; 2]).is_err(), "there is no place");
    streams.remove(0);
    let mut back = [0; 2];
    streams[2].set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    streams[2].read_exact(&mut back).unwrap();
    assert_eq!(&back, b"me");
    let (echo, ..) = running.stop();
    assert_eq!(echo.accepted, 4);
}

#[test]
fn accepting_can_be_stopped_and_taken_up_again() {
    let mut running = start(config(), Echo::default());
    assert_eq!(echo_through(&mut client(running.address), b"on"), b"on");
    running.tell(Note::Accepting(false));
    settle(&mut running);
    settle(&mut running);
    let mut waiting = client(running.address);
    waiting.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    waiting.write_all(b"off").unwrap();
    assert!(waiting.read(&mut [0; 3]).is_err());
    running.tell(Note::Accepting(true));
    waiting.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut back = [0; 3];
    waiting.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"off");
    running.stop();
}

#[test]
fn a_paused_connection_gets_nothing_and_loses_nothing() {
    let mut running = start(config(), Echo::default());
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"open"), b"open");
    let bytes = pattern(300_000, 5);
    let mut writer = stream.try_clone().unwrap();
    let outgoing = bytes.clone();
    let writing = thread::spawn(move || writer.write_all(&outgoing).unwrap());
    let reading = thread::spawn(move || {
        let mut back = vec![0; 300_000];
        stream.read_exact(&mut back).unwrap();
        (stream, back)
    });
    for round in 0..40 {
        running.tell(Note::Pause);
        if round % 3 != 0 {
            settle(&mut running);
        }
        thread::sleep(Duration::from_micros(300));
        running.tell(Note::Resume);
        if round % 2 != 0 {
            settle(&mut running);
        }
    }
    writing.join().unwrap();
    let (_stream, back) = reading.join().unwrap();
    assert!(back == bytes, "bytes lost or out of order");
    let (echo, ..) = running.stop();
    assert_eq!(echo.received_paused_bytes, 0);
}

#[test]
fn the_end_comes_after_the_bytes_before_it_even_when_paused() {
    let mut running = start(config(), Echo::default());
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"open"), b"open");
    running.tell(Note::Pause);
    stream.write_all(b"last words").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    thread::sleep(Duration::from_millis(30));
    running.tell(Note::Resume);
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"last words");
    running.stop();
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let running = start(config(), echo_until(1));
    let mut stream = client(running.address);
    let bytes = pattern(200_000, 9);
    let mut writer = stream.try_clone().unwrap();
    let outgoing = bytes.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&outgoing).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == bytes);
    let (echo, ..) = running.stop();
    assert_eq!((echo.closed, echo.ended.as_slice()), (1, &[false][..]));
}

#[test]
fn a_reset_is_told_as_one() {
    let running = start(config(), echo_until(1));
    let stream = client(running.address);
    echo_through(&mut stream.try_clone().unwrap(), b"hello");
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let (echo, _, (clients, _)) = running.stop();
    assert_eq!((echo.closed, echo.ended.as_slice()), (1, &[true][..]));
    assert_eq!(clients, 256 - 16);
}

#[test]
fn closing_sends_the_answer_first_even_if_bytes_are_unread() {
    let echo = Echo { close_after_answer: Some(false), ..Echo::default() };
    let running = start(config(), echo);
    for _ in 0..20 {
        let mut stream = client(running.address);
        stream.write_all(b"question").unwrap();
        thread::sleep(Duration::from_millis(2));
        // What comes after the answer must not turn it into a reset.
        let _ = stream.write_all(&[b'x'; 3000]);
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back.starts_with(b"question"));
    }
    let (echo, ..) = running.stop();
    assert_eq!(echo.sent_failed, 0);
}

#[test]
fn a_client_that_never_closes_is_cut_off() {
    let echo = Echo { close_after_answer: Some(false), ..echo_until(1) };
    let running = start(config(), echo);
    let mut stream = client(running.address);
    assert_eq!(echo_through(&mut stream, b"x"), b"x");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "our side is closed at once");
    let begun = Instant::now();
    while stream.write_all(b"more").is_ok() && begun.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(begun.elapsed() > Duration::from_millis(150) && begun.elapsed() < Duration::from_secs(2));
    let (echo, ..) = running.stop();
    assert_eq!(echo.closed, 1);
}

#[test]
fn an_abort_resets() {
    let echo = Echo { close_after_answer: Some(true), ..echo_until(1) };
    let running = start(config(), echo);
    let mut stream = client(running.address);
    stream.write_all(b"x").unwrap();
    let mut back = Vec::new();
    let error = stream.read_to_end(&mut back).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let (echo, ..) = running.stop();
    assert_eq!(echo.closed, 1);
}

/// Sends more than the peer takes, then aborts.
#[derive(Default)]
struct Stuck {
    conn: Option<ConnId>,
    history: Vec<&'static str>,
    stopping: bool,
    events_before_stop: usize,
}

impl Handler<Loop> for Stuck {
    fn on_event(&mut self, io: &mut Loop, event: Event<'_, Note>) {
        match event {
            Event::Accepted { conn, .. } => {
                self.conn = Some(conn);
                let mut buffer = Buffer::with_capacity(32 << 20);
                buffer.set_len(32 << 20);
                io.send(conn, buffer);
            }
            Event::Sent { ok, .. } => self.history.push(if ok { "sent" } else { "unsent" }),
            Event::Closed { .. } => self.history.push("closed"),
            Event::Message { message: Note::Ball(_), .. } => io.close(self.conn.unwrap(), false),
            Event::Message { message: Note::Pause, .. } => io.close(self.conn.unwrap(), true),
            Event::Message { .. } => self.stopping = true,
            _ => self.history.push("other"),
        }
    }

    fn on_turn(&mut self, _: &mut Loop) -> Option<u64> {
        (!self.stopping || self.history.len() < self.events_before_stop).then_some(u64::MAX)
    }
}

#[test]
fn an_abort_gives_a_stuck_buffer_back_before_it_closes() {
    let mut running = start(config(), Stuck { events_before_stop: 2, ..Stuck::default() });
    let stream = client(running.address);
    // The first byte tells that the send is under way.
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    // Closing politely waits for the send; aborting after all doesn't.
    running.tell(Note::Ball(0));
    thread::sleep(Duration::from_millis(20));
    running.tell(Note::Pause);
    let (stuck, ..) = running.stop();
    assert_eq!(stuck.history, ["unsent", "closed"]);
    drop(stream);
}

#[test]
fn a_runtime_may_end_with_everything_under_way() {
    let running = start(config(), Stuck::default());
    let streams: Vec<_> = (0..10).map(|_| client(running.address)).collect();
    streams.iter().for_each(|stream| assert_eq!(stream.peek(&mut [0]).unwrap(), 1));
    let begun = Instant::now();
    running.stop();
    assert!(begun.elapsed() < Duration::from_secs(1), "the kernel lets go at once");
    drop(streams);
}

/// Opens connections to `target`, says something and closes after the answer.
struct Caller {
    target: SocketAddr,
    left: usize,
    open: usize,
    up: usize,
    refused: usize,
    answers: usize,
    cancel_at_once: bool,
}

impl Caller {
    fn new(target: SocketAddr, left: usize) -> Caller {
        Caller { target, left, open: 0, up: 0, refused: 0, answers: 0, cancel_at_once: false }
    }
}

impl Handler<Loop> for Caller {
    fn on_event(&mut self, io: &mut Loop, event: Event<'_, Note>) {
        match event {
            Event::Connected { conn, ok: true } => {
                self.up += 1;
                let mut buffer = Buffer::with_capacity(16);
                assert!(buffer.extend(b"anyone there?"));
                io.send(conn, buffer);
            }
            Event::Connected { conn, ok: false } => {
                self.refused += 1;
                io.close(conn, false);
            }
            Event::Received { conn, bytes } => {
                assert_eq!(bytes, b"anyone there?");
                self.answers += 1;
                io.close(conn, self.answers.is_multiple_of(2));
            }
            Event::Closed { .. } => self.open -= 1,
            Event::Sent { ok, .. } => assert!(ok),
            other => panic!("{other:?}"),
        }
    }

    fn on_turn(&mut self, io: &mut Loop) -> Option<u64> {
        while self.left > 0 {
            let Some(conn) = io.connect(self.target) else { break };
            self.left -= 1;
            self.open += 1;
            if self.cancel_at_once {
                io.close(conn, false);
            }
        }
        (self.open > 0).then_some(u64::MAX)
    }
}

fn call(caller: Caller) -> (Caller, Counters, (usize, usize)) {
    let running = start(Config { listeners: Vec::new(), outgoing_max: 4, ..config() }, caller);
    running.thread.join().unwrap()
}

#[test]
fn connects_as_often_as_slots_allow() {
    let server = start(config(), Echo::default());
    let (caller, counters, slots) = call(Caller::new(server.address, 50));
    assert_eq!((caller.up, caller.answers, caller.refused), (50, 50, 0));
    assert_eq!((counters.connects, counters.closes, slots.1), (50, 50, 4));
    server.stop();
}

#[test]
fn a_refused_connection_is_told_and_closed() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (caller, _, slots) = call(Caller::new(nobody, 9));
    assert_eq!((caller.up, caller.refused, slots.1), (0, 9, 4));
}

#[test]
fn a_connect_that_hangs_can_be_given_up() {
    // A listener whose backlog is full drops what comes, so connecting hangs.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let full = socket.local_addr().unwrap().as_socket().unwrap();
    let _first = TcpStream::connect(full).unwrap();
    let begun = Instant::now();
    let (caller, _, slots) = call(Caller { cancel_at_once: true, ..Caller::new(full, 8) });
    assert_eq!((caller.up, caller.refused, slots.1), (0, 0, 4), "no word of it after close");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

/// Two shards throw a ball to each other.
struct Player {
    id: u16,
    other: ShardId,
    throws: u32,
    last: u32,
    stopping: bool,
}

impl Handler<Loop> for Player {
    fn on_event(&mut self, io: &mut Loop, event: Event<'_, Note>) {
        let Event::Message { from, message: Note::Ball(ball) } = event else { panic!("{event:?}") };
        assert!(from == self.other || from == ShardId::CONTROL);
        assert!(ball == 0 || ball == self.last + if self.last == 0 { ball } else { 2 });
        self.last = ball;
        if ball < self.throws {
            io.post(self.other, Note::Ball(ball + 1)).unwrap();
        } else {
            io.post(ShardId::CONTROL, Note::Ball(ball)).unwrap();
        }
        self.stopping = ball + 1 >= self.throws;
    }

    fn on_turn(&mut self, _: &mut Loop) -> Option<u64> {
        (!self.stopping).then_some(u64::MAX)
    }
}

fn ping_pong(throws: u32, spin_ns: u64) -> Vec<Counters> {
    let (shards, mut control) = mesh(2, 8).unwrap();
    let (tell, told) = mpsc::channel();
    let threads: Vec<_> = shards
        .into_iter()
        .map(|mailbox| {
            let (tell, config) = (tell.clone(), config());
            thread::spawn(move || {
                let id = mailbox.id().0;
                let cores = thread::available_parallelism().unwrap().get();
                let core = (cores > 1).then_some(usize::from(id));
                let config = Config { core, listeners: Vec::new(), spin_ns, ..config };
                let mut uring = Uring::new(&config, mailbox).unwrap();
                tell.send(()).unwrap();
                let mut player = Player { id, other: ShardId(1 - id), throws, last: 0, stopping: false };
                uring.run(&mut player).unwrap();
                assert!(player.last + 1 >= throws, "player {}", player.id);
                uring.counters()
            })
        })
        .collect();
    told.recv().unwrap();
    told.recv().unwrap();
    control.post(ShardId(0), Note::Ball(0)).unwrap();
    loop {
        control.wait();
        if let Some((_, note)) = control.pop() {
            assert_eq!(note, Note::Ball(throws));
            break;
        }
    }
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn shards_that_sleep_wake_each_other() {
    let counters = ping_pong(10_000, 0);
    let wakes: u64 = counters.iter().map(|counters| counters.wakes).sum();
    assert!(wakes > 0 && wakes <= 10_001, "{wakes}");
}

#[test]
fn shards_that_spin_need_not_be_woken() {
    let counters = ping_pong(2_000, 50_000_000);
    let wakes: u64 = counters.iter().map(|counters| counters.wakes).sum();
    assert!(wakes < 500, "{wakes}");
}

#[test]
fn control_gets_an_answer_each_time() {
    let mut running = start(config(), Echo::default());
    for _ in 0..2_000 {
        settle(&mut running);
    }
    let (_, counters, _) = running.stop();
    assert_eq!(counters.messages, 2_001);
}

/// Wants a turn every five milliseconds.
struct Ticker {
    turns: u32,
    begun_ns: u64,
    late_ns_max: u64,
    wanted_ns: u64,
}

impl Handler<Loop> for Ticker {
    fn on_event(&mut self, _: &mut Loop, event: Event<'_, Note>) {
        panic!("{event:?}");
    }

    fn on_turn(&mut self, io: &mut Loop) -> Option<u64> {
        let now_ns = io.now().mono_ns;
        if self.turns == 0 {
            self.begun_ns = now_ns;
        } else {
            assert!(now_ns >= self.wanted_ns, "too early");
            self.late_ns_max = self.late_ns_max.max(now_ns - self.wanted_ns);
        }
        self.turns += 1;
        self.wanted_ns = now_ns + 5_000_000;
        (self.turns <= 40).then_some(self.wanted_ns)
    }
}

#[test]
fn turns_come_when_they_are_wanted() {
    let ticker = Ticker { turns: 0, begun_ns: 0, late_ns_max: 0, wanted_ns: 0 };
    let running = start(config(), ticker);
    let (ticker, counters, _) = running.thread.join().unwrap();
    assert_eq!(ticker.turns, 41);
    assert!(ticker.late_ns_max < 100_000_000, "{}", ticker.late_ns_max);
    // One system call for each turn: an idle loop sleeps.
    assert!(counters.enters <= 44, "{}", counters.enters);
}
