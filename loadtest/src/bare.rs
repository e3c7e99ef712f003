//! A constant pixel by our own reactor: it finds where requests end and reads nothing in them. No server can be had
//! for less on this reactor, so this is the floor that others are measured from; the generator finds its own limit
//! against it, and tests make it stall.
//!
//! Bodies are not told from heads: what the generator posts holds no empty line.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use pinion::ids::ShardId;
use pinion::reactor::mailbox::{Endpoint, mesh};
use pinion::reactor::uring::{Config, Uring};
use pinion::reactor::{Buffer, ConnId, Event, Handler, Io, clocks};

use crate::peers::matching::Matching;

/// One transparent pixel.
pub const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xf9\x04\x01\x00\x00\
    \x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: 43\r\n\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";
const CONNECTIONS_MAX: u32 = 12_000;

/// The whole server stands still for `ns`, each `every_ns`.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    pub every_ns: u64,
    pub ns: u64,
}

/// What it does besides answering.
pub enum Besides {
    Nothing,
    Stalls(Stall),
    /// For each request.
    Matches(Box<Matching>),
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Bare {
    pub address: SocketAddr,
    control: Endpoint<()>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Bare {
    /// # Errors
    /// When io_uring, the core or the address can't be had.
    pub fn start(listen: SocketAddr, core: Option<usize>, besides: Besides) -> io::Result<Bare> {
        let (mut shards, control) = mesh::<()>(1, 8)?;
        let mailbox = shards.pop().ok_or_else(|| io::Error::other("a mesh of one has one"))?;
        let (tell, told) = mpsc::channel();
        let run = move || {
            let config = Config {
                core,
                listeners: vec![listen],
                connections_max: CONNECTIONS_MAX,
                outgoing_max: 1,
                ..Config::default()
            };
            let mut uring = Uring::new(&config, mailbox)?;
            let mut floor = Floor::new(besides);
            let _ = tell.send(uring.addresses()?[0]);
            uring.run(&mut floor)
        };
        let thread = thread::Builder::new().name("bare".to_owned()).spawn(run)?;
        match told.recv() {
            Ok(address) => Ok(Bare { address, control, thread: Some(thread) }),
            Err(_) => Err(match thread.join() {
                Ok(Err(error)) => error,
                _ => io::Error::other("the bare server did not start"),
            }),
        }
    }

    /// Waits until the server fails, for it never ends by itself.
    pub fn serve(mut self) -> io::Result<()> {
        let thread = self.thread.take();
        thread.map_or(Ok(()), |thread| thread.join().map_err(|_| io::Error::other("the bare server panicked"))?)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Nothing else is ever posted, so there is room.
            let _ = self.control.post(ShardId(0), ());
            let _ = thread.join();
        }
    }
}

struct Floor {
    clients: Vec<Client>,
    besides: Besides,
    next_stall_ns: u64,
    is_ending: bool,
}

struct Client {
    /// Holds the answer; away while it is sent.
    answer: Option<Buffer>,
    /// Answers that wait for the one under way.
    owed: u32,
    /// How many bytes of a head's end the last reception ended with.
    matched: usize,
}

impl Floor {
    fn new(besides: Besides) -> Floor {
        let client = || {
            let mut answer = Buffer::with_capacity(HEAD.len() + GIF.len());
            assert!(answer.extend(HEAD) && answer.extend(GIF), "it is made to measure");
            Client { answer: Some(answer), owed: 0, matched: 0 }
        };
        let clients = (0..CONNECTIONS_MAX).map(|_| client()).collect();
        Floor { clients, besides, next_stall_ns: 0, is_ending: false }
    }

    fn client(&mut self, conn: ConnId) -> &mut Client {
        &mut self.clients[conn.slot as usize]
    }
}

impl Client {
    fn answer<I: Io>(&mut self, io: &mut I, conn: ConnId) {
        if self.owed > 0
            && let Some(answer) = self.answer.take()
        {
            self.owed -= 1;
            io.send(conn, answer);
        }
    }
}

impl<I: Io<Message = ()>> Handler<I> for Floor {
    fn on_event(&mut self, io: &mut I, event: Event<'_, ()>) {
        match event {
            Event::Accepted { conn, .. } => {
                let client = self.client(conn);
                (client.owed, client.matched) = (0, 0);
            }
            Event::Received { conn, bytes } => {
                let client = self.client(conn);
                let count = count_ends(&mut client.matched, bytes);
                client.owed += count;
                if let Besides::Matches(matching) = &mut self.besides {
                    (0..count).for_each(|_| matching.evaluate());
                }
                self.client(conn).answer(io, conn);
            }
            Event::Sent { conn, buffer, ok } => {
                let client = self.client(conn);
                client.answer = Some(buffer);
                if ok {
                    client.answer(io, conn);
                }
            }
            Event::Ended { conn, .. } => {
                self.client(conn).owed = 0;
                io.close(conn, false);
            }
            Event::Message { .. } => self.is_ending = true,
            Event::Connected { .. } | Event::Closed { .. } => {}
        }
    }

    fn on_turn(&mut self, io: &mut I) -> Option<u64> {
        if self.is_ending {
            return None;
        }
        let Besides::Stalls(stall) = self.besides else { return Some(u64::MAX) };
        let now_ns = io.now().mono_ns;
        if now_ns >= self.next_stall_ns {
            self.next_stall_ns = now_ns + stall.every_ns;
            while clocks::read_mono_ns() < now_ns + stall.ns {
                std::hint::spin_loop();
            }
        }
        Some(self.next_stall_ns)
    }
}

/// How many heads end in `bytes`; `matched` carries what may be a part of an end from one reception to the next.
fn count_ends(matched: &mut usize, bytes: &[u8]) -> u32 {
    let mut rest = bytes;
    let mut count = 0;
    // Byte by byte through what was begun before; one that turns out to be none leaves at most its own beginning.
    while let ([first, after @ ..], 1..) = (rest, *matched) {
        *matched = match (*first == HEAD_END[*matched], *first) {
            (true, _) => *matched + 1,
            (false, b'\r') => 1,
            (false, _) => 0,
        };
        if *matched == HEAD_END.len() {
            count += 1;
            *matched = 0;
        }
        rest = after;
    }
    let mut done = 0;
    for at in memchr::memmem::find_iter(rest, HEAD_END) {
        count += 1;
        done = at + HEAD_END.len();
    }
    let tail = &rest[done..];
    if !tail.is_empty() {
        *matched = (1..HEAD_END.len()).rev().find(|len| tail.ends_with(&HEAD_END[..*len])).unwrap_or(0);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pixel_is_as_long_as_it_says() {
        assert_eq!(GIF.len(), 43);
    }

    #[test]
    fn ends_are_found_however_the_bytes_come() {
        for (text, expected) in [
            ("GET / HTTP/1.1\r\n\r\n", 1),
            ("a\r\n\r\nb\r\n\r\n\r\n\r\nc\r\n", 3),
            ("\r\r\n\r\n\n\r\n\r", 1),
            ("\r\n\r\r\n\r\nx", 1),
        ] {
            let text = text.as_bytes();
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let mut matched = 0;
                    let parts = [&text[..first], &text[first..second], &text[second..]];
                    let count: u32 = parts.iter().map(|part| count_ends(&mut matched, part)).sum();
                    assert_eq!(count, expected, "{text:?} in {parts:?}");
                }
            }
        }
    }
}
