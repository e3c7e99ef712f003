//! A partner on a real socket that behaves as it is told.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Send these bytes after a while.
    Answer(Duration, Vec<u8>),
    /// Send these bytes one by one, so long apart.
    Drip(Duration, Vec<u8>),
    /// Send these bytes and break the connection.
    Reset(Vec<u8>),
    /// Send these bytes and close.
    Close(Vec<u8>),
    /// Send these bytes, end the sending side and go on reading.
    HalfClose(Vec<u8>),
    /// Send these bytes to the first request of each connection, and close at the second without a byte.
    Once(Vec<u8>),
    /// Send these bytes as soon as the lock is free: whoever holds it decides when.
    Held(Arc<Mutex<()>>, Vec<u8>),
    /// Close without a byte as soon as the lock is free.
    HeldClose(Arc<Mutex<()>>),
    /// Never answer.
    Hang,
}

pub struct Partner {
    pub address: SocketAddr,
    act: Arc<Mutex<Act>>,
    requests: Arc<AtomicU64>,
    heard: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

/// So many requests are kept as they came.
const HEARD_MAX: usize = 16;

/// A whole answer with a JSON body.
pub fn json(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

impl Partner {
    pub fn start(act: Act) -> Partner {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let act = Arc::new(Mutex::new(act));
        let requests = Arc::new(AtomicU64::new(0));
        let heard = Arc::new(Mutex::new(VecDeque::new()));
        let (acts, counted, kept) = (Arc::clone(&act), Arc::clone(&requests), Arc::clone(&heard));
        // Ends with the test process: a blocked accept has nothing to clean up.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (acts, counted, kept) = (Arc::clone(&acts), Arc::clone(&counted), Arc::clone(&kept));
                thread::spawn(move || serve(stream, &acts, &counted, &kept));
            }
        });
        Partner { address, act, requests, heard }
    }

    pub fn set(&self, act: Act) {
        *self.act.lock().expect("no holder panics") = act;
    }

    /// The latest requests, as they came, that nobody has taken yet.
    pub fn take_heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().expect("no holder panics").drain(..).collect()
    }

    /// Requests received so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(SeqCst)
    }
}

fn serve(mut stream: TcpStream, acts: &Mutex<Act>, counted: &AtomicU64, heard: &Mutex<VecDeque<Vec<u8>>>) {
    let _ = stream.set_nodelay(true);
    let mut pending = Vec::new();
    let mut served = 0;
    while let Some(request) = read_request(&mut stream, &mut pending) {
        keep(request, &mut heard.lock().expect("no holder panics"));
        let act = acts.lock().expect("no holder panics").clone();
        // From now on another act is for others.
        counted.fetch_add(1, SeqCst);
        served += 1;
        let written = match act {
            Act::Answer(delay, bytes) => {
                thread::sleep(delay);
                stream.write_all(&bytes)
            }
            Act::Drip(gap, bytes) => bytes.iter().try_for_each(|byte| {
                thread::sleep(gap);
                stream.write_all(&[*byte])
            }),
            Act::Reset(bytes) => {
                let _ = stream.write_all(&bytes);
                let socket = socket2::SockRef::from(&stream);
                let _ = socket.set_linger(Some(Duration::ZERO));
                return;
            }
            Act::Close(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Act::HalfClose(bytes) => {
                let _ = stream.write_all(&bytes);
                stream.shutdown(Shutdown::Write)
            }
            Act::Once(_) if served > 1 => return,
            Act::Once(bytes) => stream.write_all(&bytes),
            Act::Held(lock, bytes) => {
                drop(lock.lock());
                stream.write_all(&bytes)
            }
            Act::HeldClose(lock) => {
                drop(lock.lock());
                return;
            }
            Act::Hang => Ok(()),
        };
        if written.is_err() {
            return;
        }
    }
}

fn keep(request: Vec<u8>, heard: &mut VecDeque<Vec<u8>>) {
    if heard.len() == HEARD_MAX {
        heard.pop_front();
    }
    heard.push_back(request);
}

/// Takes one request off the stream; `None` when there are no more.
fn read_request(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(head) = pending.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&pending[..head]).to_ascii_lowercase();
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let total = head + 4 + length.unwrap_or(0usize);
            if pending.len() >= total {
                return Some(pending.drain(..total).collect());
            }
        }
        let mut room = [0; 4096];
        match stream.read(&mut room) {
            Ok(0) | Err(_) => return None,
            Ok(len) => pending.extend_from_slice(&room[..len]),
        }
    }
}
