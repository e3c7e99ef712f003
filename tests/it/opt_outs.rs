//! An acknowledged opt-out outlives the process, however that ends.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pinion::control::opt_outs::log::RECORD_BYTES;

use super::server::{Connection, Reply};

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
    /// `None`, and loudly, where io_uring can't be had.
    fn start(config: &Path) -> Option<Program> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_pinion"))
            .arg("serve")
            .arg("--config")
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
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
        let values = text.lines().filter(|line| line.starts_with(&format!("pinion_{name}{{")));
        values.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }
}

/// Why a server that can't start doesn't.
fn refusal(config: &Path) -> String {
    let ended = Command::new(env!("CARGO_BIN_EXE_pinion")).arg("serve").arg("--config").arg(config).output().unwrap();
    assert!(!ended.status.success());
    String::from_utf8(ended.stderr).unwrap()
}

#[test]
fn an_acknowledged_opt_out_survives_a_kill() {
    let folder = Folder(std::env::temp_dir().join(format!("pinion-program-opt-outs-{}", std::process::id())));
    let data_dir = folder.0.join("data");
    fs::create_dir_all(&folder.0).unwrap();
    let config = folder.0.join("pinion.toml");
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nbase_domain = \"example.net\"\nshards = 2\n\
         memory_max = \"16MiB\"\nconnections_max = 64\nopt_outs_max = 2\ndata_dir = {data_dir:?}\n\
         [[account]]\nalias = \"shop\"\norganisation = \"A1@AdobeOrg\"\n"
    );
    fs::write(&config, text).unwrap();

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
