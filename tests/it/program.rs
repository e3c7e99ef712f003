//! The program as it is used: started, asked, told to end.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pinion");
/// The one word of each line about what serves, and the address behind it.
const LINES: [&str; 3] = ["serving", "admin", "page"];

struct Demo {
    process: Child,
    /// In the order of [`LINES`].
    addresses: Vec<String>,
}

impl Demo {
    /// `None`, and loudly, where io_uring can't be had.
    fn start() -> Option<Demo> {
        let any = "127.0.0.1:0";
        let mut process = Command::new(PROGRAM)
            .args(["demo", "--listen", any, "--page", any, "--admin", any])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut addresses = Vec::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let mut words = line.split_whitespace();
            if words.next() == LINES.get(addresses.len()).copied() {
                let url = words.next().unwrap().strip_prefix("http://").unwrap();
                addresses.push(url.split('/').next().unwrap().to_owned());
            }
            if addresses.len() == LINES.len() {
                return Some(Demo { process, addresses });
            }
        }
        let mut fault = String::new();
        process.stderr.take().unwrap().read_to_string(&mut fault).unwrap();
        assert_eq!(process.wait().unwrap().code(), Some(1), "{fault}");
        assert!(fault.contains("io_uring"), "{fault}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: no demo without io_uring: {fault}");
        None
    }

    fn get(&self, place: usize, path: &str, cookie: &str) -> String {
        ask(&self.addresses[place], path, cookie)
    }

    fn event(&self, cookie: &str) -> (String, serde_json::Value) {
        let answer = self.get(0, "/event?d_rtbd=json&d_cts=2&c_product=camera", cookie);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let set = head.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap();
        (set.split(';').next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
    }

    fn end(mut self, signal: &str) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // A test that failed leaves no process behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ask(address: &str, path: &str, cookie: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn has(answer: &serde_json::Value, list: &str, id: u32) -> bool {
    answer[list].as_array().unwrap().contains(&id.into())
}

/// Photo enthusiasts come from the quick partner alone, travel planners from the slow one alone.
#[test]
fn the_demo_answers_with_what_partners_told() {
    let Some(demo) = Demo::start() else { return };
    let (cookie, first) = demo.event("");
    assert!(has(&first, "segments", 11) && has(&first, "traits", 2001), "{first}");
    assert!(!has(&first, "segments", 15), "the slow partner has not answered yet: {first}");
    std::thread::sleep(Duration::from_millis(500));
    let (same, second) = demo.event(&cookie);
    assert_eq!((same, &second["uuid"]), (cookie, &first["uuid"]));
    assert!(has(&second, "segments", 11) && has(&second, "segments", 15), "{second}");

    assert!(demo.get(1, "/readyz", "").starts_with("HTTP/1.1 200 "));
    let metrics = demo.get(1, "/metrics", "");
    let late = |line: &&str| line.starts_with("pinion_partner_late_total") && line.contains("\"tortoise\"");
    let count: u64 =
        metrics.lines().filter(late).map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
    assert_eq!(count, 1);
    assert!(demo.get(0, "/metrics", "").starts_with("HTTP/1.1 404 "), "the data port serves the protocol alone");
    let page = demo.get(2, "/", "");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<title>pinion demo</title>"));
    assert_eq!(demo.end("-TERM"), Some(0));
}

#[test]
fn an_interrupt_ends_it_as_well() {
    let Some(demo) = Demo::start() else { return };
    assert_eq!(demo.end("-INT"), Some(0));
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

#[test]
fn a_config_is_checked() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let right = run(&["check", "--config", &format!("{folder}/docs/pinion.example.toml")]);
    let told = String::from_utf8(right.stdout).unwrap();
    assert_eq!(right.status.code(), Some(0));
    for part in ["memory plan", "highest lookup rates", " HTTP/1.1\nHost: "] {
        assert!(told.contains(part), "{told}");
    }
    assert!(told.contains("X-Api-Key: ****") && !told.contains("an-example-key"), "{told}");
    let wrong = run(&["check", "--config", &format!("{folder}/tests/cases/config/bad/references.toml")]);
    let told = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!((wrong.status.code(), wrong.stdout.len()), (Some(1), 0));
    assert!(told.contains("--> ") && told.contains("bad/references.toml:"), "{told}");
    assert_eq!(run(&["check"]).status.code(), Some(0), "the embedded default is right");
    assert_eq!(run(&["check", "--config", "no such file"]).status.code(), Some(1));
}

const RELOADED: &str = r#"
[server]
listen = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
base_domain = "example.net"
shards = 1
memory_max = "16MiB"
connections_max = 64
[[account]]
alias = "one"
organisation = "A1@AdobeOrg"
[[account]]
alias = "two"
organisation = "B2@AdobeOrg"
[[data_source]]
id = 10
account = "one"
name = "site"
[[data_source]]
id = 20
account = "two"
name = "site"
[[trait]]
id = 1
name = "seen"
data_source = 10
"#;

/// One account never gets another's visitors, and what a reload can't bring about is told.
#[test]
fn a_reload_is_told_what_it_can_not_do() {
    let folder = std::env::temp_dir().join(format!("pinion-program-reload-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let config = folder.join("pinion.toml");
    let text = RELOADED.replace("shards = 1\n", &format!("shards = 1\ndata_dir = {folder:?}\n"));
    fs::write(&config, &text).unwrap();
    let mut process = Command::new(PROGRAM)
        .arg("serve")
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut news = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut warnings = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let demo = Demo { process, addresses: Vec::new() };
    if !news.any(|line| line.starts_with("admin ")) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no server: {:?}", warnings.next());
        return;
    }
    let reload = |text: &str| {
        fs::write(&config, text).unwrap();
        let id = demo.process.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    };
    reload(&text.replace("data_source = 10", "data_source = 20"));
    assert!(warnings.any(|line| line == "trait 1 belongs to `A1@AdobeOrg` and would go to `B2@AdobeOrg`."));
    let partner = "[[partner]]\nid = 1\nname = \"wide\"\naccount = \"one\"\ndata_source = 10\n\
                   url = \"http://127.0.0.1:9/\"\nmax_connections = 300\n";
    reload(&format!("{text}{partner}"));
    assert!(warnings.any(|line| line.contains("`max_connections` come to 300, and each core has room for 256")));
    assert!(
        news.any(|line| line.starts_with("config read again: ruleset 2.")),
        "the one that was refused has no number"
    );
    assert_eq!(demo.end("-TERM"), Some(0));
    let _ = fs::remove_dir_all(&folder);
}

/// Whatever keeps it from serving, it is one line and an exit code.
#[test]
fn what_can_not_start_says_why_in_one_line() {
    let script = format!("ulimit -n 64; exec '{PROGRAM}' demo --listen 127.0.0.1:0 --page 127.0.0.1:0");
    let ended = Command::new("sh").args(["-c", &script]).output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), told.lines().count()), (Some(1), 1), "{told}");
    assert!(told.starts_with("pinion: can't serve: "), "{told}");
}
