//! Connections: take a request, wait as long as the profile says, answer or misbehave.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::glommio::Task;
use ::glommio::net::{TcpListener, TcpStream};
use ::glommio::timer::{Timer, sleep};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use socket2::{Domain, Protocol, Socket, Type};

use super::answer::{write_body, write_response, write_response_claiming};
use super::draw::{Purpose, draw, hash};
use super::profile::{FaultKind, Profile};
use super::request;
use super::statistics::{Statistics, count};

/// How long it takes at most to notice that the simulator is to end.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Counters of how often visitors were asked about: those who share one share its count, which changes nothing but
/// which of the same latencies and faults they meet.
const TURN_COUNTERS: usize = 1 << 18;
/// The tail of a log-normal distribution ends nowhere; ours does here.
const LATENCY_S_MAX: f64 = 3_600.0;
const READ_BYTES: usize = 8 * 1024;
const GARBAGE_BYTES: usize = 256;

/// What all connections have in common.
pub(super) struct Desk {
    profile: Profile,
    statistics: Arc<Statistics>,
    started: Instant,
    turns: RefCell<Box<[u32]>>,
}

/// What becomes of a connection after an answer.
enum After {
    Keep,
    Close,
    Reset,
}

/// Serves until `stop`; tells where, or why not.
pub(super) async fn run(
    desk: Desk,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    tell: SyncSender<io::Result<SocketAddr>>,
) {
    let until_stop = async {
        while !stop.load(Relaxed) {
            sleep(STOP_CHECK_INTERVAL).await;
        }
    };
    if desk.profile.refuses_everybody() {
        // The port is ours, and nobody listens: the kernel refuses.
        let bound = bind(address);
        // Nobody waits any more if this fails; the same goes for the others below.
        let _ = tell.send(bound.as_ref().map_err(copy).and_then(local_address));
        return until_stop.await;
    }
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => return drop(tell.send(Err(error.into()))),
    };
    let _ = tell.send(listener.local_addr().map_err(Into::into));
    let desk = Rc::new(desk);
    let tasks = Rc::new(RefCell::new(BTreeMap::new()));
    futures_lite::future::or(until_stop, accept(&desk, &tasks, &listener)).await;
    let left = std::mem::take(&mut *tasks.borrow_mut());
    for task in left.into_values() {
        task.cancel().await;
    }
    // The executor submits what the tasks left behind (cancellations, closes) before it looks at its timers.
    Timer::new(Duration::from_nanos(1)).await;
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("a socket without an IP address"))
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

type Tasks = Rc<RefCell<BTreeMap<u64, Task<()>>>>;

async fn accept(desk: &Rc<Desk>, tasks: &Tasks, listener: &TcpListener) {
    for number in 0.. {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(_) => {
                // Out of files, most likely: wait for some to be given back.
                sleep(STOP_CHECK_INTERVAL).await;
                continue;
            }
        };
        count(&desk.statistics.connections);
        // A connection that is slower than it could be is still one.
        let _ = stream.set_nodelay(true);
        let (desk, done) = (Rc::clone(desk), Rc::clone(tasks));
        let task = ::glommio::spawn_local(async move {
            serve(&desk, number, stream).await;
            done.borrow_mut().remove(&number).map(Task::detach);
        });
        tasks.borrow_mut().insert(number, task);
    }
}

async fn serve(desk: &Desk, number: u64, stream: TcpStream) {
    let fault = desk.profile.connection_fault(number);
    if let Some(fault) = fault {
        desk.statistics.count_fault(fault);
    }
    let mut connection = Connection { desk, stream, noise: number, body: Vec::new(), response: Vec::new() };
    let answers_max = match fault {
        Some(FaultKind::Refuse) => return connection.reset(),
        Some(FaultKind::CloseAfter { answers }) => answers,
        _ => u64::MAX,
    };
    // An error is the peer's: it closed while we were at it.
    if let Ok(After::Reset) = connection.talk(answers_max).await {
        connection.reset();
    }
}

impl Desk {
    pub(super) fn new(profile: Profile, statistics: Arc<Statistics>) -> Desk {
        let turns = RefCell::new(vec![0; TURN_COUNTERS].into_boxed_slice());
        Desk { profile, statistics, started: Instant::now(), turns }
    }

    /// How often this visitor was asked about before.
    fn next_turn(&self, visitor: u64) -> u64 {
        let mut turns = self.turns.borrow_mut();
        let turn = &mut turns[visitor as usize % TURN_COUNTERS];
        *turn = turn.wrapping_add(1);
        u64::from(*turn - 1)
    }
}

struct Connection<'a> {
    desk: &'a Desk,
    stream: TcpStream,
    /// Where its garbage begins.
    noise: u64,
    body: Vec<u8>,
    response: Vec<u8>,
}

impl Connection<'_> {
    async fn talk(&mut self, answers_max: u64) -> io::Result<After> {
        let (mut received, mut chunk) = (Vec::new(), vec![0; READ_BYTES]);
        let mut answers = 0;
        while answers < answers_max {
            let request = match request::parse(&received, &self.desk.profile.visitor) {
                Ok(Some(request)) => request,
                Ok(None) => {
                    let len = self.stream.read(&mut chunk).await?;
                    if len == 0 {
                        break;
                    }
                    received.extend_from_slice(&chunk[..len]);
                    continue;
                }
                Err(request::Unreadable) => {
                    count(&self.desk.statistics.unreadable);
                    break;
                }
            };
            let (visitor, bytes, is_last) = (hash(request.visitor_id), request.bytes, request.is_last);
            received.drain(..bytes);
            match self.answer(visitor).await? {
                After::Keep if !is_last => answers += 1,
                After::Keep => break,
                end => return Ok(end),
            }
        }
        Ok(After::Close)
    }

    async fn answer(&mut self, visitor: u64) -> io::Result<After> {
        let Desk { profile, statistics, .. } = self.desk;
        count(&statistics.requests);
        let turn = self.desk.next_turn(visitor);
        let running_ms = self.desk.started.elapsed().as_secs_f64() * 1e3;
        let delay_ms = profile.latency.draw_ms(&mut draw(profile.seed, Purpose::Latency, visitor, turn), running_ms);
        if delay_ms > 0.0 {
            sleep(Duration::from_secs_f64((delay_ms / 1e3).min(LATENCY_S_MAX))).await;
        }
        let fault = profile.request_fault(visitor, turn);
        if let Some(fault) = fault {
            statistics.count_fault(fault);
        }
        self.body.clear();
        self.response.clear();
        let status = write_body(profile, visitor, wall_s(), &mut self.body);
        self.write_response(status, fault);
        let is_whole = matches!(fault, None | Some(FaultKind::Drip { .. }));
        if is_whole {
            let is_hit = profile.knowledge(visitor).is_some();
            count(if is_hit { &statistics.hits } else { &statistics.misses });
        }
        self.send(fault).await
    }

    fn write_response(&mut self, status: u16, fault: Option<FaultKind>) {
        let Connection { body, response, .. } = self;
        match fault {
            Some(FaultKind::Garbage) => {
                let mut noise = draw(self.desk.profile.seed, Purpose::Noise, self.noise, 0);
                // No letter, so that it can't even begin like HTTP.
                response.push(0xff);
                response.resize_with(GARBAGE_BYTES, || noise.bits() as u8);
            }
            Some(FaultKind::BrokenJson) => {
                body.truncate(body.len() / 2);
                body.extend_from_slice(b"{\"");
                write_response(200, "", body, response);
            }
            Some(FaultKind::WrongLength) => {
                body.extend_from_slice(b"          ");
                let is_short = draw(self.desk.profile.seed, Purpose::Noise, self.noise, 1).below(2) == 0;
                let claimed = if is_short { body.len() + 7 } else { body.len() - 7 };
                write_response_claiming(200, "", claimed, body, response);
            }
            Some(FaultKind::Status500) => write_response(500, "", b"{}", response),
            Some(FaultKind::Status429) => write_response(429, "Retry-After: 1\r\n", b"{}", response),
            Some(FaultKind::BigBody { bytes }) => {
                body.clear();
                body.extend_from_slice(b"{\"padding\":\"");
                body.resize(bytes.max(body.len() + 2) - 2, b'x');
                body.extend_from_slice(b"\"}");
                write_response(200, "", body, response);
            }
            _ => write_response(status, "", body, response),
        }
    }

    async fn send(&mut self, fault: Option<FaultKind>) -> io::Result<After> {
        match fault {
            Some(FaultKind::Hang) => {
                self.read_to_end().await;
                return Ok(After::Close);
            }
            Some(FaultKind::Drip { every_ms }) => {
                for byte in self.response.chunks(1) {
                    self.stream.write_all(byte).await?;
                    sleep(Duration::from_millis(every_ms)).await;
                }
            }
            Some(FaultKind::ResetAt { byte }) => {
                let end = byte.min(self.response.len());
                self.stream.write_all(&self.response[..end]).await?;
                return Ok(After::Reset);
            }
            Some(FaultKind::HalfClose) => {
                let half = self.response.len() / 2;
                self.stream.write_all(&self.response[..half]).await?;
                self.stream.shutdown(Shutdown::Write).await?;
                self.read_to_end().await;
                return Ok(After::Close);
            }
            _ => self.stream.write_all(&self.response).await?,
        }
        Ok(After::Keep)
    }

    /// Until the peer has had enough.
    async fn read_to_end(&mut self) {
        let mut chunk = [0; 256];
        while self.stream.read(&mut chunk).await.is_ok_and(|len| len > 0) {}
    }

    /// Makes the end of the connection a reset.
    fn reset(&self) {
        // SAFETY: the stream owns the descriptor and outlives this borrow of it.
        let socket = unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) };
        // It fails only for what is no socket.
        let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    }
}

fn wall_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
