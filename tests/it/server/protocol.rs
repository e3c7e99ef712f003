//! The protocol as data: each file `tests/cases/protocol/*.http` holds requests as clients send them and the answers
//! that they get, in order. All files are put to one server, of one core and of two, and must be answered the same;
//! those of `tests/cases/limits` to another, for which little is too much. `UPDATE_GOLDENS=1` rewrites the answers.
//!
//! A file is made of sections. `== request` holds the lines of one request; lines that begin with `# ` are comments.
//! Requests that follow each other without an answer in between are sent in one piece. `== answer` holds what came
//! back, but for the headers that every answer has (they are checked here) and its length. `== closed` says that the
//! server closed the connection then; the next request opens another. What is random has a name: `{id 1}` is the first
//! visitor or ECID that an answer told, and can be used in a later request.
//!
//! In the title of a request, `from 127.0.0.2` says where it comes from, `anew` that it opens another connection,
//! `, 9 times` that it is sent so often and the last answer is shown, and what stands behind a colon is for readers.
//! In its lines `\r`, `\n`, `\t`, `\\` and `\xHH` are escapes, `{3*ab}` is `ababab`, `{length}` the length of the
//! body, and a line `<100 Continue>` waits for that word. Lines of a body are joined.

mod names;
mod request;

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use pinion::config::file::Runtime;
use pinion::http::response::{Answer, ResponseParser};

use super::{Connection, Options, Reply, Server, URING};
use names::Names;
use request::{Part, Section};

pub const CONFIG: &str = include_str!("../../cases/protocol/config.toml");
pub const LIMITS_CONFIG: &str = include_str!("../../cases/limits/config.toml");

/// The host from which requests come unless they say otherwise.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

on_each_runtime!(
    requests_are_answered_as_the_protocol_says_by_one_core,
    requests_are_answered_as_the_protocol_says_by_two_cores,
    who_comes_too_often_is_told_so_by_one_core,
    who_comes_too_often_is_told_so_by_two_cores,
);

fn requests_are_answered_as_the_protocol_says_by_one_core(runtime: Runtime) {
    check(runtime, 1, "protocol", CONFIG);
}

fn requests_are_answered_as_the_protocol_says_by_two_cores(runtime: Runtime) {
    check(runtime, 2, "protocol", CONFIG);
}

/// Each shard counts by itself, and a file's requests come over one connection.
fn who_comes_too_often_is_told_so_by_one_core(runtime: Runtime) {
    check(runtime, 1, "limits", LIMITS_CONFIG);
}

fn who_comes_too_often_is_told_so_by_two_cores(runtime: Runtime) {
    check(runtime, 2, "limits", LIMITS_CONFIG);
}

/// The requests of all cases, for tests that need some; what only answers can tell is made up.
pub fn requests() -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    for path in paths("protocol") {
        let file = std::fs::read_to_string(path).unwrap();
        for Section { text, .. } in request::sections(&file).1 {
            requests.push(bytes(&text, &Names::made_up()));
        }
    }
    requests
}

/// A request without its pauses.
fn bytes(text: &str, names: &Names) -> Vec<u8> {
    let bytes = request::parts(text, names).into_iter().filter_map(|part| match part {
        Part::Bytes(bytes) => Some(bytes),
        Part::Continue => None,
    });
    bytes.flatten().collect()
}

fn paths(topic: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(topic);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "http"));
    paths.sort();
    assert!(paths.len() >= 3, "the cases are missing");
    paths
}

fn check(runtime: Runtime, shards: u16, topic: &str, config: &str) {
    let update = std::env::var_os("UPDATE_GOLDENS").is_some() && (runtime, shards) == (URING, 1);
    let server = Server::start(config, Options { shards, ..Options::on(runtime) });
    put_cases(&server, topic, update);
    let left_out = server.total(|totals| totals.destinations_dropped.value());
    assert_eq!(left_out, u64::from(topic == "protocol"), "what answers leave out is counted");
    server.assert_quiet();
}

/// Puts all cases of a topic to a server, which must answer them as recorded; or records what it answers.
pub fn put_cases(server: &Server, topic: &str, update: bool) {
    let mut faults = String::new();
    for path in &paths(topic) {
        let recorded = std::fs::read_to_string(path).unwrap();
        let found = run(server, path, &recorded);
        if update {
            std::fs::write(path, found).unwrap();
        } else if found != recorded {
            let name = path.file_name().unwrap().display();
            writeln!(faults, "--- {name}: {}", first_difference(&recorded, &found)).unwrap();
        }
    }
    assert!(faults.is_empty(), "UPDATE_GOLDENS=1 rewrites the answers\n{faults}");
}

fn first_difference(recorded: &str, found: &str) -> String {
    let (mut one, mut other) = (recorded.lines(), found.lines());
    let mut number = 1;
    loop {
        match (one.next(), other.next()) {
            (Some(one), Some(other)) if one == other => number += 1,
            (None, None) => return "line ends differ".to_owned(),
            (one, other) => return format!("line {number}\n  expected {one:?}\n  found    {other:?}"),
        }
    }
}

/// Puts a file's requests to the server; returns the file as it should be.
fn run(server: &Server, path: &Path, recorded: &str) -> String {
    let name = path.display();
    let (comment, sections) = request::sections(recorded);
    let mut out = comment;
    let mut names = Names::new(recorded);
    let mut connection: Option<(Ipv4Addr, Connection)> = None;
    for group in sections.chunk_by(|one, _| one.goes_on) {
        let mut heads = Vec::new();
        let (first, mut pending) = (&group[0], Vec::new());
        let from = first.from.unwrap_or(HERE);
        if first.anew || connection.as_ref().is_some_and(|(address, _)| *address != from) {
            connection = None;
        }
        let (_, client) = connection.get_or_insert_with(|| (from, connect(server, from)));
        for _ in 1..first.times {
            client.send(&bytes(&first.text, &names));
            receive(client, false).expect("an answer to each");
        }
        for Section { title, text, .. } in group {
            write!(out, "== {title}\n{text}\n\n").unwrap();
            let is_head = text.lines().any(|line| line.starts_with("HEAD "));
            heads.push((is_head, path_of(text)));
            for part in request::parts(text, &names) {
                match part {
                    Part::Bytes(bytes) => pending.extend(bytes),
                    Part::Continue => {
                        client.send(&std::mem::take(&mut pending));
                        await_continue(client);
                    }
                }
            }
        }
        client.send(&pending);
        let mut closed = false;
        for (to_head, path) in heads {
            let Some(reply) = receive(client, to_head) else {
                closed = true;
                break;
            };
            reply.check(Some(path));
            let answer = shown(&reply, to_head, &mut names);
            write!(out, "== answer\n{answer}\n").unwrap();
            closed = reply.header("Connection") == Some("close");
        }
        if closed {
            assert!(receive(client, false).is_none(), "{name}: an answer on a connection that was to close");
            out.push_str("== closed\n\n");
            connection = None;
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The path of a request's target; of one in absolute form, what stands behind the host.
fn path_of(text: &str) -> &str {
    let line = text.lines().find(|line| !line.starts_with("# ")).unwrap_or_default();
    let target = line.split(' ').nth(1).unwrap_or_default();
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => target,
    };
    path.split(['?', '\\']).next().unwrap_or_default()
}

/// Connects from one of this host's own addresses.
fn connect(server: &Server, from: Ipv4Addr) -> Connection {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of this host");
    socket.connect(&server.address.into()).expect("the server listens");
    Connection::of(socket.into())
}

fn await_continue(client: &mut Connection) {
    const WORD: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    while client.received.len() < WORD.len() {
        assert!(client.read_more(), "closed instead of 100 Continue");
    }
    assert_eq!(String::from_utf8_lossy(&client.received), String::from_utf8_lossy(WORD));
    client.received.clear();
}

/// The next answer, or `None` when the server closed instead.
fn receive(client: &mut Connection, to_head: bool) -> Option<Reply> {
    let mut parser = ResponseParser::new(to_head, 128 * 1024);
    loop {
        match parser.advance(&mut client.received) {
            Answer::Complete(response) => {
                let head = String::from_utf8_lossy(&client.received[..response.body.start]).trim_end().to_owned();
                let body = client.received[response.body].to_vec();
                client.received.drain(..response.consumed);
                return Some(Reply { status: response.status, head, body });
            }
            Answer::Fault(fault) => panic!("{fault:?} in {:?}", String::from_utf8_lossy(&client.received)),
            Answer::Incomplete if client.read_more() => {}
            Answer::Incomplete => return None,
        }
    }
}

/// One transparent pixel.
const PIXEL: &[u8; 43] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\
\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// What all answers have, whatever their status.
const USUAL: [(&str, &str); 3] = [
    ("P3P", "policyref=\"/w3c/p3p.xml\", CP=\"NOI NID CURa ADMa DEVa PSAa PSDa OUR SAMa BUS PUR COM NAV INT\""),
    ("X-Content-Type-Options", "nosniff"),
    ("Vary", "Origin"),
];

/// What all have that are not to be kept: all but the few that are the same for everybody.
const NOT_KEPT: [(&str, &str); 3] = [
    ("Cache-Control", "no-cache,no-store,must-revalidate,max-age=0,proxy-revalidate,no-transform,private"),
    ("Expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("Pragma", "no-cache"),
];

/// An answer as the cases show it.
fn shown(reply: &Reply, to_head: bool, names: &mut Names) -> String {
    let mut lines = reply.head.lines();
    let status = lines.next().unwrap_or_default();
    let mut out = status.strip_prefix("HTTP/1.1 ").unwrap_or(status).to_owned() + "\n";
    let tid = check_usual(reply);
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        let is_usual = USUAL.iter().chain(&NOT_KEPT).any(|usual| *usual == (name, value));
        if is_usual || ["Date", "X-TID", "DCS"].contains(&name) || (name == "Content-Length" && !to_head) {
            continue;
        }
        let value = if name == "Set-Cookie" { check_cookie(reply, value) } else { value.to_owned() };
        writeln!(out, "{name}: {}", names.hide(&value)).unwrap();
    }
    if reply.body == PIXEL {
        out.push_str("\n{pixel}\n");
    } else if !reply.body.is_empty() {
        let body = String::from_utf8_lossy(&reply.body).replace(&format!("\"tid\":\"{tid}\""), "\"tid\":\"{tid}\"");
        write!(out, "\n{}\n", names.hide(body.trim_end())).unwrap();
    }
    out
}

/// Checks what all answers have, each once; returns the `X-TID`.
fn check_usual(reply: &Reply) -> String {
    let head = &reply.head;
    let count = |name: &str| head.lines().skip(1).filter(|line| line.split(':').next() == Some(name)).count();
    for (name, value) in USUAL {
        assert_eq!((reply.header(name), count(name)), (Some(value), 1), "{name} in\n{head}");
    }
    let is_kept = reply.header("Cache-Control").is_some_and(|value| value.starts_with("public"));
    for (name, value) in NOT_KEPT {
        let expected = if is_kept { ("Cache-Control" == name).into() } else { 1 };
        assert_eq!(count(name), expected, "{name} in\n{head}");
        assert!(is_kept || reply.header(name) == Some(value), "{name} in\n{head}");
    }
    assert!(reply.header("Date").and_then(unix_s).is_some(), "{head}");
    let tid = reply.header("X-TID").expect("every answer has one");
    assert!(tid.len() == 12 && tid.ends_with('='), "{head}");
    let words: Vec<&str> = reply.header("DCS").unwrap_or_default().split(' ').collect();
    let [node, version, took, unit] = words[..] else { panic!("{head}") };
    assert_eq!((node, version, unit), ("node-1", env!("CARGO_PKG_VERSION"), "us"), "{head}");
    assert!(took.parse::<u64>().is_ok_and(|us| us < 10_000_000), "{head}");
    tid.to_owned()
}

/// A cookie expires when its age is reached: told in both ways, as clients read either.
fn check_cookie(reply: &Reply, cookie: &str) -> String {
    let part = |name: &str| cookie.split("; ").find_map(|part| part.strip_prefix(name)).expect("an age");
    let (age, expires) = (part("Max-Age="), part("Expires="));
    let now_s = reply.header("Date").and_then(unix_s).expect("checked before");
    assert_eq!(unix_s(expires), Some(now_s + age.parse::<u64>().expect("seconds")), "{cookie}");
    cookie.replace(expires, "{then}")
}

fn unix_s(date: &str) -> Option<u64> {
    pinion::http::date::parse(date.as_bytes())
}
