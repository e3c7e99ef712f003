//! Every peer, started as its user starts it, asked twice over one connection, and gone afterwards. A peer whose
//! program isn't installed is skipped, loudly.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_loadtest");
/// Two, for our server remembers whom it has just asked about.
const VISITORS: [&str; 2] = ["38400000000000000000000000000000000017", "38400000000000000000000000000000000018"];

/// A command that says where it answers, and more when it ends.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    first_line: String,
    address: SocketAddr,
}

impl Running {
    /// `None`: what it needs is not installed.
    fn start(arguments: &[&str]) -> Option<Running> {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(first_line) = lines.next() else {
            let mut fault = String::new();
            child.stderr.take().unwrap().read_to_string(&mut fault).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(2), "{fault}");
            assert!(fault.contains("is missing"), "{arguments:?}: {fault}");
            let _ = writeln!(std::io::stderr(), "SKIPPED: {fault}");
            return None;
        };
        let first_line = first_line.unwrap();
        let after = first_line.split("answers on ").nth(1).unwrap_or_else(|| panic!("{first_line}"));
        let address = after.split(' ').next().unwrap().parse().unwrap();
        Some(Running { child, lines, first_line, address })
    }

    /// Ends it by SIGTERM and returns its last line.
    fn end(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let last = self.lines.map(Result::unwrap).last().unwrap_or_default();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{last}");
        last
    }
}

/// Asks twice over one connection and returns the second answer's body.
fn ask_twice(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut body = String::new();
    for visitor in VISITORS {
        let request = format!("GET /event?d_rtbd=json&d_cts=2&d_uuid={visitor} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        body = read_body(&mut stream);
    }
    body
}

fn read_body(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8_lossy(&body).into_owned()
}

fn check(name: &str, partner: Option<SocketAddr>, is_expected: impl Fn(&str) -> bool) {
    let mut arguments = vec!["peer", name, "--core", "0"];
    let partner = partner.map(|partner| partner.to_string());
    arguments.extend(partner.iter().flat_map(|partner| ["--partner", partner]));
    let Some(peer) = Running::start(&arguments) else { return };
    let body = ask_twice(peer.address);
    assert!(is_expected(&body), "{name}: {body:?}");
    let pids = peer.first_line.split(['[', ']']).nth(1).unwrap().to_owned();
    let address = peer.address;
    assert!(peer.end().contains("has worked for 0."), "{name}");
    for pid in pids.split(", ") {
        assert!(!Path::new("/proc").join(pid).exists(), "{name} left process {pid} behind");
    }
    TcpStream::connect(address).unwrap_err();
}

#[test]
fn pixels() {
    for name in ["nginx-empty-gif", "hyper", "bare"] {
        check(name, None, |body| body.len() >= 43 && body.starts_with("GIF89a"));
    }
}

#[test]
fn our_server_alone() {
    for name in ["uring", "glommio"] {
        check(name, None, |body| body.contains(VISITORS[1]));
    }
}

/// Each asks once for each event, and over one connection.
#[test]
fn who_asks_a_partner() {
    for name in ["nginx-lua", "uring", "glommio"] {
        let partner = Running::start(&["simulate"]).unwrap();
        // One shows the partner's names, the other its own segments that stand for them.
        let segments = if name == "nginx-lua" { r#""segments":["s"# } else { r#""segments":[1"# };
        check(name, Some(partner.address), |body| body.contains(VISITORS[1]) && body.contains(segments));
        let told = partner.end();
        let is_skipped = told.contains(" 0 requests");
        let asked = told.contains(": 1 connections, 2 requests: 2 hits");
        assert!(asked || is_skipped, "{name}: {told}");
    }
}

#[test]
fn a_peer_without_its_partner_says_so() {
    let output = Command::new(PROGRAM).args(["peer", "nginx-lua"]).output().unwrap();
    let fault = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && fault.contains("needs a partner"), "{fault}");
}
