//! A thousand connections that send requests without waiting for answers, behind a partner that takes 50 ms, leave
//! other visitors their budget, and nothing behind.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pinion::config::file::Runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

use super::partner::{Act, Partner, json};
use super::{Connection, Options, Server, alone};

const CONFIG: &str = include_str!("flood.toml");
const PHOTO: &str = r#"{"segment":[{"segment_id":"photo","ttl":86400}]}"#;
const CONNECTIONS: usize = 1_000;
/// Others, in each of two accounts.
const VISITORS: usize = 4;
const LASTS: Duration = Duration::from_secs(2);
/// Requests that a flooding connection sends in one piece.
const PIPELINED: usize = 16;
const BUDGET_MS: f64 = 50.0;
/// What may be added by two cores that flood, partners and visitors share with the server. A server that counts a
/// budget from when it gets around to reading keeps visitors of the flooded account waiting for 65 ms; one that lets a
/// flood take all reception blocks, for seconds.
const SLACK_MS: f64 = 10.0;

on_each_runtime!(a_flood_leaves_others_their_budget,);

fn a_flood_leaves_others_their_budget(runtime: Runtime) {
    let _alone = alone();
    raise_open_files_max();
    let mut p99s_ms = Vec::new();
    while p99s_ms.len() < 3 {
        let (p99_ms, known_share) = round(runtime);
        if p99_ms <= BUDGET_MS + SLACK_MS && known_share >= 0.5 {
            return;
        }
        p99s_ms.push((p99_ms, known_share));
    }
    panic!("others' 99th percentile was never within {BUDGET_MS} + {SLACK_MS} ms with their segments: {p99s_ms:.2?}");
}

/// Floods a server for a while. Returns the worse of two 99th percentiles, in milliseconds: of visitors of the flooded
/// account, and of visitors of another; and which share of the latter's answers held their partner's segment.
fn round(runtime: Runtime) -> (f64, f64) {
    let slow = Background::start(|ended, ready| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let _ = ready.send(listener.local_addr().expect("it is bound"));
        tokio::spawn(answer_slowly(listener));
        ended.await;
    });
    let quick = Partner::start(Act::Answer(Duration::ZERO, json(PHOTO)));
    let options =
        Options { partners: vec![slow.said, quick.address], connections_max: CONNECTIONS + 24, ..Options::on(runtime) };
    let server = Server::start(CONFIG, options);
    let address = server.address;
    let flood = Background::start(move |ended, ready| async move {
        for _ in 0..CONNECTIONS {
            let socket = TcpSocket::new_v4().expect("a socket");
            // A few batches on their way are flood enough; the kernel's own memory for sockets is not what is tested.
            socket.set_send_buffer_size(16 * 1024).expect("a socket");
            let stream = socket.connect(address).await.expect("the server takes so many");
            tokio::spawn(flood_one(stream));
        }
        let _ = ready.send(address);
        ended.await;
    });
    let answered_before = server.total(|totals| totals.requests.value());
    let measured = ["flooded", "quiet"].map(|account| {
        let visit = |_| thread::spawn(move || measure(address, account));
        (0..VISITORS).map(visit).collect::<Vec<_>>()
    });
    let [(flooded, _), (quiet, known)] = measured.map(join);
    let answered = server.total(|totals| totals.requests.value()) - answered_before;
    let connections = server.gauge(|gauges| gauges.connections.value());
    println!(
        "flood: {:.0} answers/s over {connections} connections, {} calls of the slow partner",
        answered as f64 / LASTS.as_secs_f64(),
        server.partner(0).totals.calls.value(),
    );
    report("same account", &flooded);
    report("other account", &quiet);
    println!("lag of the loop at the end: {} us", server.gauge(|gauges| gauges.lag_microseconds.value()));
    println!("other account: {known} of {} answers held the segment", quiet.len());
    assert!(connections >= CONNECTIONS as u64, "the flood went on to the end");
    assert_eq!(server.total(|totals| totals.connections_flood_closed.value() + totals.overloaded.value()), 0);
    drop((flood, slow));
    server.assert_quiet();
    (percentile(&flooded, 99).max(percentile(&quiet, 99)), known as f64 / quiet.len() as f64)
}

/// Visits one at a time, each of a new visitor. Returns how long they took, in milliseconds, and how many answers held
/// a segment.
fn measure(address: SocketAddr, account: &str) -> (Vec<f64>, usize) {
    let host = format!("{account}.example.net");
    let mut client = Connection::to(address);
    let (mut took_ms, mut known) = (Vec::new(), 0);
    // Not the flood's own first moments, in which a thousand connections open.
    client.get(&host, "/event?d_rtbd=json", "");
    let begin = Instant::now();
    while begin.elapsed() < LASTS {
        let start = Instant::now();
        let reply = client.get(&host, "/event?d_rtbd=json&d_cts=2", "");
        took_ms.push(start.elapsed().as_secs_f64() * 1e3);
        assert_eq!(reply.status, 200, "{}", reply.head);
        known += usize::from(!reply.ids("segments").is_empty());
    }
    (took_ms, known)
}

/// All visitors' times, ascending, and how many of their answers held a segment.
fn join(visitors: Vec<JoinHandle<(Vec<f64>, usize)>>) -> (Vec<f64>, usize) {
    let visitors = visitors.into_iter().map(|visitor| visitor.join().expect("all were answered"));
    let (times, known): (Vec<_>, Vec<_>) = visitors.unzip();
    let mut took_ms = times.concat();
    took_ms.sort_by(f64::total_cmp);
    (took_ms, known.iter().sum())
}

fn percentile(ascending: &[f64], percent: usize) -> f64 {
    ascending[(ascending.len() * percent / 100).min(ascending.len() - 1)]
}

fn report(who: &str, took_ms: &[f64]) {
    let [median, p99, worst] = [50, 99, 100].map(|percent| percentile(took_ms, percent));
    println!("{who}: {} calls, median {median:.2} ms, p99 {p99:.2}, worst {worst:.2}", took_ms.len());
}

/// Sends requests as fast as the server reads, and reads whatever comes.
async fn flood_one(stream: TcpStream) {
    let requests = b"GET /event?d_rtbd=json HTTP/1.1\r\nHost: flooded.example.net\r\n\r\n".repeat(PIPELINED);
    let (mut from, mut to) = stream.into_split();
    let read = async {
        let mut room = vec![0; 16 * 1024];
        while matches!(from.read(&mut room).await, Ok(1..)) {}
    };
    let write = async { while to.write_all(&requests).await.is_ok() {} };
    tokio::join!(read, write);
}

/// A partner that takes 50 ms for each answer.
async fn answer_slowly(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut room = vec![0; 16 * 1024];
            // The server asks one question at a time, and a small one comes in one piece.
            while matches!(stream.read(&mut room).await, Ok(1..)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Asynchronous work on a thread of its own, until it is dropped.
struct Background {
    said: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Returns when `work` has said an address.
    fn start<F: Future<Output = ()>>(
        work: impl FnOnce(Ended, mpsc::Sender<SocketAddr>) -> F + Send + 'static,
    ) -> Background {
        let (end, ended) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(work(Ended(ended), ready));
        };
        let thread = thread::spawn(run);
        Background { said: is_ready.recv().expect("it is ready"), end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok(), "the work in the background failed");
        }
    }
}

/// Resolves when the owner wants no more.
struct Ended(oneshot::Receiver<()>);

impl IntoFuture for Ended {
    type Output = ();
    type IntoFuture = Pin<Box<dyn Future<Output = ()>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { drop(self.0.await) })
    }
}

/// Both ends of the flood's connections are files of this process.
fn raise_open_files_max() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one limit.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid limit, and raising the soft one up to the hard one is always allowed.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}
