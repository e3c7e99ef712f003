//! The life of the program: what keeps it from starting, what it reads again, and what can't keep it from ending.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::server::Connection;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pinion");

/// A folder for one test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = Folder(std::env::temp_dir().join(format!("pinion-lifetime-{name}-{}", std::process::id())));
        fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn config(&self, server: &str, rest: &str) -> String {
        let folder = self.0.display();
        let memory = if server.contains("memory_max") { "" } else { "memory_max = \"16MiB\"" };
        let text = format!(
            "[server]\nbase_domain = \"example.net\"\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
             shards = 1\nconnections_max = 64\ndata_dir = \"{folder}\"\n{memory}\n{server}\n\
             [[account]]\nalias = \"shop\"\norganisation = \"A1@AdobeOrg\"\n{rest}"
        );
        fs::write(self.0.join("pinion.toml"), text).unwrap();
        self.path("pinion.toml")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Program {
    process: Child,
    news: BufReader<ChildStdout>,
}

impl Program {
    fn start(command: &mut Command) -> Program {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let news = BufReader::new(process.stdout.take().unwrap());
        Program { process, news }
    }

    /// The rest of the next line of news that begins so; `None`, and loudly, where io_uring can't be had.
    fn line(&mut self, start: &str) -> Option<String> {
        let mut line = String::new();
        while self.news.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.strip_prefix(start) {
                return Some(rest.trim().to_owned());
            }
            line.clear();
        }
        let told = self.trouble();
        assert!(told.contains("io_uring"), "it ended without `{start}`: {told}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: no server without io_uring: {told}");
        None
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    fn trouble(&mut self) -> String {
        let mut told = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        told
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A test that failed leaves no process behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(config: &str) -> Program {
    Program::start(Command::new(PROGRAM).args(["serve", "--config", config]))
}

/// Ended with code 1 after one line.
#[track_caller]
fn refusal(command: &mut Command) -> String {
    let ended = command.output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), told.lines().count()), (Some(1), 1), "{told}");
    told
}

#[test]
fn a_port_in_use_is_not_shared() {
    let folder = Folder::new("port");
    let mut first = serve(&folder.config("", ""));
    let Some(url) = first.line("serving ") else { return };
    let address = url.trim_start_matches("http://").trim_end_matches("/event");
    let demo = ["demo", "--listen", address, "--page", "127.0.0.1:0"];
    let told = refusal(Command::new(PROGRAM).args(demo));
    assert!(told.contains(address) && told.contains("in use"), "{told}");
    first.signal("-TERM");
    assert_eq!(first.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_low_limit_on_open_files_is_told_by_either_runtime() {
    for runtime in ["uring", "glommio"] {
        let script =
            format!("ulimit -n 64; exec '{PROGRAM}' demo --listen 127.0.0.1:0 --page 127.0.0.1:0 --runtime {runtime}");
        let told = refusal(Command::new("sh").args(["-c", &script]));
        assert!(told.contains("open files is 64") || told.contains("io_uring"), "{told}");
    }
}

#[test]
fn memory_beyond_what_shards_can_use_is_told() {
    let folder = Folder::new("memory");
    let config = folder.config("memory_max = \"2TiB\"", "");
    for command in ["check", "serve"] {
        let told = refusal(Command::new(PROGRAM).args([command, "--config", &config]));
        assert!(told.contains("2TiB"), "{told}");
    }
}

#[test]
fn reloads_are_counted_and_what_waits_for_a_start_is_named() {
    let folder = Folder::new("reload");
    let mut program = serve(&folder.config("", ""));
    let Some(url) = program.line("admin ") else { return };
    let admin = url.trim_start_matches("http://").trim_end_matches("/metrics").parse().unwrap();
    let counted = |name: &str| {
        let metrics = Connection::to(admin).get("admin", "/metrics", "");
        let text = String::from_utf8(metrics.body).unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("{} ")).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((counted("pinion_reloads_total"), counted("pinion_reloads_failed_total")), (0, 0));
    folder.config("memory_max = \"2GiB\"\nregion = 7", "");
    program.signal("-HUP");
    assert_eq!(program.line("config read again: ").as_deref(), Some("ruleset 2"));
    assert_eq!((counted("pinion_reloads_total"), counted("pinion_reloads_failed_total")), (1, 0));
    folder.config("no_such_key = 1", "");
    program.signal("-HUP");
    let start = Instant::now();
    while counted("pinion_reloads_failed_total") == 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "the fault is not counted");
    }
    assert_eq!(counted("pinion_reloads_total"), 1);
    program.signal("-TERM");
    assert_eq!(program.process.wait().unwrap().code(), Some(0));
    let told = program.trouble();
    assert!(told.contains("[server] memory_max: ") && told.contains("no_such_key"), "{told}");
}

/// A partner's name for which the resolver waits for ever: its list of hosts is a pipe that nobody writes to.
#[test]
fn a_name_that_hangs_keeps_nothing_from_ending() {
    let allowed = Command::new("unshare").args(["-rm", "true"]).output();
    if !allowed.is_ok_and(|ended| ended.status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: a name that hangs: no namespace of our own can be had");
        return;
    }
    let folder = Folder::new("names");
    let pipe = folder.path("hosts");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let named = "[[data_source]]\nid = 1\naccount = \"shop\"\nname = \"p\"\n\
                 [[partner]]\nid = 1\nname = \"p\"\naccount = \"shop\"\ndata_source = 1\nurl = \"http://p.test/\"\n";
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let start = |config: &str| {
        let ours = ["-rm", "sh", "-c", script, &pipe, PROGRAM, "serve", "--config", config];
        Program::start(Command::new("unshare").args(ours))
    };
    // Before it serves.
    let mut program = start(&folder.config("", named));
    program.line("pinion ").expect("it says who it is before anything else");
    let ended_in = |mut program: Program| {
        let told = Instant::now();
        program.signal("-TERM");
        assert_eq!(program.process.wait().unwrap().code(), Some(0));
        told.elapsed()
    };
    assert!(ended_in(program) < Duration::from_secs(4), "the start is over without the name after 5 s");
    // While it serves.
    let mut program = start(&folder.config("", ""));
    if program.line("admin ").is_none() {
        return;
    }
    folder.config("", named);
    program.signal("-HUP");
    assert!(ended_in(program) < Duration::from_secs(4));
}
