//! An acknowledged opt-out outlives the process, however that ends.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pinion::control::opt_outs::log::RECORD_BYTES;

use super::server::{Connection, Reply};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pinion");
const ONE: &str = "00000000000000000010000000000000000001";
const TWO: &str = "00000000000000000020000000000000000002";
const THREE: &str = "00000000000000000030000000000000000003";

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Program {
    process: Child,
    data: SocketAddr,
    admin: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL: nothing gets a chance to be finished.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Program {
    fn start(config: &Path) -> Option<Program> {
        Program::start_by(Command::new(PROGRAM).arg("serve").arg("--config").arg(config))
    }

    /// `None`, and loudly, where io_uring can't be had.
    fn start_by(command: &mut Command) -> Option<Program> {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut addresses = Vec::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let url = line.split_whitespace().nth(1).and_then(|word| word.strip_prefix("http://"));
            addresses.extend(url.map(|url| url.split('/').next().unwrap().parse::<SocketAddr>().unwrap()));
            if let [data, admin] = addresses[..] {
                return Some(Program { process, data, admin });
            }
        }
        let mut fault = String::new();
        process.stderr.take().unwrap().read_to_string(&mut fault).unwrap();
        process.wait().unwrap();
        assert!(fault.contains("io_uring"), "{fault}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: no server without io_uring: {fault}");
        None
    }

    fn get(&self, target: &str) -> Reply {
        Connection::to(self.data).get("shop.example.net", target, "")
    }

    /// The errors that a visitor's call is answered with.
    fn errors(&self, uuid: &str) -> Option<String> {
        self.get(&format!("/event?d_rtbd=json&d_uuid={uuid}")).header("X-Error").map(str::to_owned)
    }

    fn metric(&self, name: &str) -> u64 {
        let text = Connection::to(self.admin).get("admin", "/metrics", "").body;
        let text = String::from_utf8(text).unwrap();
        let is_meant = |line: &&str| line.split(['{', ' ']).next() == Some(&format!("pinion_{name}"));
        let values = text.lines().filter(is_meant);
        values.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    /// What it told of trouble until it was killed.
    fn trouble(mut self) -> String {
        self.process.kill().unwrap();
        let mut told = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        told
    }
}

/// A folder with a config of so many opt-outs, and the folder where they are kept.
fn configured(name: &str, opt_outs_max: usize) -> (Folder, PathBuf, PathBuf) {
    let folder = Folder(std::env::temp_dir().join(format!("pinion-program-{name}-{}", std::process::id())));
    let (data_dir, config) = (folder.0.join("data"), folder.0.join("pinion.toml"));
    fs::create_dir_all(&folder.0).unwrap();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nbase_domain = \"example.net\"\nshards = 2\n\
         memory_max = \"16MiB\"\nconnections_max = 64\nopt_outs_max = {opt_outs_max}\ndata_dir = {data_dir:?}\n\
         [[account]]\nalias = \"shop\"\norganisation = \"A1@AdobeOrg\"\n"
    );
    fs::write(&config, text).unwrap();
    (folder, data_dir, config)
}

/// Why a server that can't start doesn't.
fn refusal(config: &Path) -> String {
    let ended = Command::new(PROGRAM).arg("serve").arg("--config").arg(config).output().unwrap();
    assert!(!ended.status.success());
    String::from_utf8(ended.stderr).unwrap()
}

#[test]
fn an_acknowledged_opt_out_survives_a_kill() {
    let (_folder, data_dir, config) = configured("opt-outs", 2);
    let Some(program) = Program::start(&config) else { return };
    assert_eq!(program.errors(ONE), None);
    let answer = program.get(&format!("/demoptout?d_rtbd=json&d_uuid={ONE}"));
    assert_eq!((answer.status, &answer.json()["d_optout"][0]), (200, &"global".into()));
    let told = refusal(&config);
    assert!(told.contains("another server uses this folder"), "{told}");
    drop(program);

    // The same one came twice at a time, and the next one was being written as the power went.
    let whole = fs::read(data_dir.join("opt-outs")).unwrap();
    assert_eq!(whole.len(), 3 * RECORD_BYTES, "a name, a fingerprint, an opt-out");
    let mut log = OpenOptions::new().append(true).open(data_dir.join("opt-outs")).unwrap();
    log.write_all(&whole[2 * RECORD_BYTES..]).unwrap();
    log.write_all(&[0xa5; 20]).unwrap();
    let Some(program) = Program::start(&config) else { return };
    assert_eq!(program.errors(ONE).as_deref(), Some("171"));
    assert_eq!(program.errors(TWO), None);
    // Named three times, kept once: there is room for no more.
    let cookies = format!("Cookie: demdex={TWO}; dpm={TWO}\r\n");
    let mut client = Connection::to(program.data);
    assert_eq!(client.get("shop.example.net", &format!("/demoptout.jpg?d_uuid={TWO}"), &cookies).status, 200);
    assert_eq!(fs::metadata(data_dir.join("opt-outs")).unwrap().len(), 5 * RECORD_BYTES as u64);
    assert_eq!(program.errors(TWO).as_deref(), Some("171"));
    // There is no room for a third: the browser is told to keep it, and nobody that it was done.
    let refused = program.get(&format!("/demoptout.jpg?d_uuid={THREE}"));
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    assert!(refused.header("Set-Cookie").unwrap().starts_with("demdex=NOTARGET; "));
    assert_eq!((program.errors(THREE), program.metric("opt_outs_refused_total")), (None, 1));
    drop(program);

    let Some(program) = Program::start(&config) else { return };
    let errors = [ONE, TWO, THREE].map(|uuid| program.errors(uuid));
    assert_eq!(errors, [Some("171".to_owned()), Some("171".to_owned()), None]);
    drop(program);

    // Under another secret they would not hold.
    let secret = fs::read(data_dir.join("secret")).unwrap();
    fs::remove_file(data_dir.join("secret")).unwrap();
    let told = refusal(&config);
    assert!(told.contains("this file is gone, and with another secret the 2 opt-outs"), "{told}");
    fs::write(data_dir.join("secret"), "07".repeat(32)).unwrap();
    let told = refusal(&config);
    assert!(told.contains("the secret is not the one under which these 2 opt-outs were kept"), "{told}");
    fs::write(data_dir.join("secret"), secret).unwrap();
    let Some(program) = Program::start(&config) else { return };
    assert_eq!(program.errors(TWO).as_deref(), Some("171"));
}

/// As on a full disk: what can't be kept is refused, and who runs the server hears of it, once.
#[test]
fn a_log_that_takes_no_more_is_told() {
    let (_folder, _, config) = configured("full-disk", 1_000);
    // Files end at one block, which holds a few opt-outs. To write beyond it is an error rather than a signal then.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" serve --config \"$1\"";
    let Some(program) = Program::start_by(Command::new("sh").arg("-c").arg(script).arg(PROGRAM).arg(config)) else {
        return;
    };
    let uuid = |number: u64| format!("0000000000000000009{number:019}");
    let opt_out = |number: u64| program.get(&format!("/demoptout?d_rtbd=json&d_uuid={}", uuid(number))).status;
    assert_eq!((opt_out(1), program.metric("opt_outs_room")), (200, 999));
    let refused = (2..100).find(|number| opt_out(*number) != 200).expect("a full log");
    assert_eq!((opt_out(refused), program.errors(&uuid(refused))), (503, None));
    assert_eq!(program.errors(&uuid(refused - 1)).as_deref(), Some("171"));
    let numbers = ["opt_outs_log_failures_total", "opt_outs_refused_total", "opt_outs_room"];
    assert_eq!(numbers.map(|name| program.metric(name)), [2, 2, 0]);
    let told = program.trouble();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.starts_with("pinion: opt-outs can't be kept, and are refused until that is mended: "), "{told}");
}
