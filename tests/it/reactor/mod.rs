//! Both runtimes over real sockets on the loopback: what the seam promises, checked from the other end of the wire.
//! Nothing waits for time to pass: handlers tell what they saw to the test's thread, which waits for that.

mod accepting;
mod bytes;
mod calling;
mod closing;
mod echo;
mod messages;
mod runtimes;
mod uring_alone;
mod without;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pinion::ids::ShardId;
use pinion::reactor::mailbox::{Endpoint, mesh};
use pinion::reactor::uring::{Config, Counters, Without};
use pinion::reactor::{Buffer, Handler};

use runtimes::{Glommio, Runtime, Uring};

const URING: Uring = Uring { without: Without::NOTHING };
const GLOMMIO: Glommio = Glommio;

/// What the tests' threads say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    Stop,
    Pause,
    Resume,
    StopListening,
    Ball(u32),
    Close { abort: bool },
    Accepted,
    Ended { reset: bool },
    Sent { ok: bool },
    Closed,
}

/// A runtime on a thread of its own.
struct Running<H> {
    address: SocketAddr,
    control: Endpoint<Note>,
    thread: JoinHandle<(H, Report)>,
}

/// What is left of a runtime that has ended.
#[derive(Clone, Copy, Debug)]
struct Report {
    counters: Counters,
    /// For clients, those of accepts under way included, and for connections of our own.
    slots_free: (usize, usize),
}

const LINGER: Duration = Duration::from_millis(100);

fn config() -> Config {
    Config {
        listeners: vec!["127.0.0.1:0".parse().unwrap()],
        connections_max: 256,
        outgoing_max: 16,
        receive_buffers: 64,
        receive_buffer_bytes: 1_024,
        linger_ns: LINGER.as_nanos() as u64,
        ..Config::default()
    }
}

fn start<R: Runtime, H>(runtime: R, config: Config, mut handler: H) -> Running<H>
where
    H: Handler<R::Loop> + Send + 'static,
{
    let (mut shards, control) = mesh(1, 8_192).unwrap();
    let mailbox = shards.pop().unwrap();
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        let report = runtime.run(&config, mailbox, &mut handler, |addresses| tell.send(addresses).unwrap()).unwrap();
        (handler, report)
    });
    let address = told.recv().unwrap().first().copied().unwrap_or(([0, 0, 0, 0], 0).into());
    Running { address, control, thread }
}

impl<H> Running<H> {
    fn tell(&mut self, note: Note) {
        self.control.post(ShardId(0), note).unwrap();
    }

    fn hear(&mut self) -> Note {
        loop {
            if let Some((_, note)) = self.control.pop() {
                return note;
            }
            self.control.wait();
        }
    }

    fn expect(&mut self, wanted: Note) {
        assert_eq!(self.hear(), wanted);
    }

    /// Waits until all that was told has been handled, and what came of it has had a few turns. Gives what was heard.
    fn settle(&mut self) -> Vec<Note> {
        let mut heard = Vec::new();
        for round in 0..4 {
            self.tell(Note::Ball(round));
            loop {
                match self.hear() {
                    Note::Ball(ball) if ball == round => break,
                    other => heard.push(other),
                }
            }
        }
        heard
    }

    fn stop(mut self) -> (H, Report) {
        self.tell(Note::Stop);
        self.thread.join().unwrap()
    }
}

fn filled(bytes: &[u8]) -> Buffer {
    let mut buffer = Buffer::with_capacity(bytes.len());
    assert!(buffer.extend(bytes));
    buffer
}

fn client(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
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
