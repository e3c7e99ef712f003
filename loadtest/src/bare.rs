//! A server that answers everything with the same pixel: the floor below which nothing on this reactor can be. The
//! generator finds its own limit against it, and tests make it stall.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use pinion::reactor::mailbox::mesh;
use pinion::reactor::uring::{Config, Uring};
use pinion::reactor::{Buffer, ConnId, Event, Handler, Io, clocks};

/// How often the loop looks whether it is to end.
const LOOK_NS: u64 = 20_000_000;
const CONNECTIONS_MAX: u32 = 12_000;
/// The longest beginning of a request that is kept until its end comes.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: 43\r\n\r\n";
const PIXEL: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\
\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

/// The whole server stands still for `ns`, each `every_ns`.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    pub every_ns: u64,
    pub ns: u64,
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Bare {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Bare {
    /// # Errors
    /// When io_uring, the core or the address can't be had.
    pub fn start(listen: SocketAddr, core: Option<usize>, stall: Option<Stall>) -> io::Result<Bare> {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let mut handler = Pixels { stall, stop: Arc::clone(&stop), next_stall_ns: 0, connections: Vec::new() };
        let run = move || {
            let (mut endpoints, _control) = mesh::<()>(1, 8)?;
            let endpoint = endpoints.pop().ok_or_else(|| io::Error::other("no mailbox"))?;
            let config = Config {
                core,
                listeners: vec![listen],
                connections_max: CONNECTIONS_MAX,
                outgoing_max: 1,
                ..Config::default()
            };
            let mut uring = Uring::new(&config, endpoint)?;
            let _ = tell.send(uring.addresses()?[0]);
            uring.run(&mut handler)
        };
        let thread = thread::Builder::new().name("bare".to_owned()).spawn(run)?;
        match told.recv() {
            Ok(address) => Ok(Bare { address, stop, thread: Some(thread) }),
            Err(_) => Err(match thread.join() {
                Ok(Err(error)) => error,
                _ => io::Error::other("the bare server did not start"),
            }),
        }
    }

    /// Waits for ever, as a server does.
    pub fn serve(mut self) -> io::Result<()> {
        let thread = self.thread.take();
        thread.map_or(Ok(()), |thread| thread.join().map_err(|_| io::Error::other("the bare server panicked"))?)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Pixels {
    stall: Option<Stall>,
    stop: Arc<AtomicBool>,
    next_stall_ns: u64,
    connections: Vec<Connection>,
}

#[derive(Default)]
struct Connection {
    text: Vec<u8>,
    /// Requests that came while an answer was being sent.
    waiting: usize,
    /// Away while it is sent.
    buffer: Option<Buffer>,
}

impl Pixels {
    fn at(&mut self, conn: ConnId) -> &mut Connection {
        let slot = conn.slot as usize;
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, Connection::default);
        }
        &mut self.connections[slot]
    }

    fn answer(&mut self, io: &mut impl Io, conn: ConnId) {
        let connection = self.at(conn);
        if connection.waiting == 0 {
            return;
        }
        let Some(mut buffer) = connection.buffer.take() else { return };
        connection.waiting -= 1;
        buffer.clear();
        assert!(buffer.extend(HEAD) && buffer.extend(PIXEL), "the answer has a fixed length");
        io.send(conn, buffer);
    }
}

impl Handler<Uring<()>> for Pixels {
    fn on_event(&mut self, io: &mut Uring<()>, event: Event<'_, ()>) {
        match event {
            Event::Accepted { conn, .. } => {
                let connection = self.at(conn);
                (connection.waiting, connection.text) = (0, Vec::new());
                connection.buffer.get_or_insert_with(|| Buffer::with_capacity(256));
            }
            Event::Received { conn, bytes } => {
                let connection = self.at(conn);
                connection.text.extend_from_slice(bytes);
                let mut start = 0;
                while let Some(length) = request_length(&connection.text[start..]) {
                    start += length;
                    connection.waiting += 1;
                }
                connection.text.drain(..start);
                if connection.text.len() > REQUEST_BYTES_MAX {
                    return io.close(conn, true);
                }
                self.answer(io, conn);
            }
            Event::Sent { conn, buffer, ok } => {
                self.at(conn).buffer = Some(buffer);
                if ok {
                    self.answer(io, conn);
                }
            }
            Event::Ended { conn, .. } => io.close(conn, false),
            _ => {}
        }
    }

    fn on_turn(&mut self, io: &mut Uring<()>) -> Option<u64> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let now_ns = io.now().mono_ns;
        let mut next_ns = now_ns + LOOK_NS;
        if let Some(stall) = self.stall {
            if now_ns >= self.next_stall_ns {
                self.next_stall_ns = now_ns + stall.every_ns;
                while clocks::read_mono_ns() < now_ns + stall.ns {
                    std::hint::spin_loop();
                }
            }
            next_ns = next_ns.min(self.next_stall_ns);
        }
        Some(next_ns)
    }
}

/// How long the first request is, if all of it is there.
fn request_length(text: &[u8]) -> Option<usize> {
    let head = text.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    if !text.starts_with(b"POST") {
        return Some(head);
    }
    let lines = std::str::from_utf8(&text[..head]).ok()?.lines();
    let length =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = head + length.and_then(|(_, value)| value.trim().parse::<usize>().ok()).unwrap_or(0);
    (text.len() >= length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_end_with_their_bodies() {
        assert_eq!(request_length(b"GET / HTTP/1.1\r\n\r\nGET"), Some(18));
        assert_eq!(request_length(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(request_length(b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab"), None);
        assert_eq!(request_length(b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcd"), Some(41));
        assert_eq!(PIXEL.len(), 43);
    }
}
