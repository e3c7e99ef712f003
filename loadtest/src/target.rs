//! Who is offered the load: our own server with the standard job, a peer, or whatever answers at an address.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::ValueEnum as _;
use pinion::reactor::uring::Without;

use crate::host::{CoreTime, Cores};
use crate::peers::{self, Peer};
use crate::scenario::Scenario;
use crate::standard;

/// How long a server may take until it serves: tables are touched and rules compiled first.
const START: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our server, on the runtime that it chooses or on this one.
    Pinion { runtime: Option<&'static str> },
    /// Our server, its reactor without some of what makes it fast.
    Without { features: String },
    /// Another program, or our own server with nothing but the built-in config.
    Peer(peers::Name),
    /// Started by someone else: its CPU can't be read.
    At(SocketAddr),
}

impl Kind {
    /// # Errors
    /// A text for a person.
    pub fn parse(name: &str) -> Result<Kind, String> {
        match name {
            "pinion" => Ok(Kind::Pinion { runtime: None }),
            "uring" => Ok(Kind::Pinion { runtime: Some("uring") }),
            "glommio" => Ok(Kind::Pinion { runtime: Some("glommio") }),
            _ if name.starts_with(WITHOUT) => {
                let features = name[WITHOUT.len()..].to_owned();
                features.parse::<Without>()?;
                Ok(Kind::Without { features })
            }
            _ => {
                let address = name.parse().map(Kind::At);
                let peer = peers::Name::from_str(name, false).map(Kind::Peer);
                let names =
                    "uring, glommio, bare, bare-matcher, nginx-empty-gif, nginx-lua, hyper, without-FEATURE or ADDRESS";
                peer.or(address).map_err(|_| format!("no peer `{name}`: {names}"))
            }
        }
    }

    pub fn name(&self) -> String {
        match self {
            Kind::Pinion { runtime: None } => "pinion".to_owned(),
            Kind::Pinion { runtime: Some(runtime) } => format!("pinion on {runtime}"),
            Kind::Without { features } => format!("pinion without {features}"),
            Kind::Peer(name) => name.as_str().to_owned(),
            Kind::At(address) => address.to_string(),
        }
    }
}

/// A target that answers; processes of ours end with it.
#[derive(Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// All of its processes.
    pub pids: Vec<u32>,
    child: Option<Child>,
    _peer: Option<Peer>,
}

impl Target {
    /// Starts it and waits until it serves. Its config and what it says are kept in `folder`.
    ///
    /// # Errors
    /// A text for a person.
    pub fn start(
        kind: &Kind,
        scenario: &Scenario,
        cores: &Cores,
        partners: &[SocketAddr],
        folder: &Path,
    ) -> Result<Target, String> {
        match kind {
            Kind::At(address) => Ok(Target { address: *address, pids: Vec::new(), child: None, _peer: None }),
            Kind::Peer(name) => {
                let setup = peers::Setup {
                    core: cores.server.first().copied(),
                    partner: partners.first().copied(),
                    ..peers::Setup::default()
                };
                let peer = peers::start(*name, &setup).map_err(|absence| absence.to_string())?;
                Ok(Target { address: peer.address, pids: peer.pids(), child: None, _peer: Some(peer) })
            }
            Kind::Pinion { .. } | Kind::Without { .. } => {
                let path = folder.join("server.toml");
                fs::write(&path, standard::config(scenario, &cores.server, partners, folder))
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                let mut command = on_core(cores.confined, &program()?);
                command.arg("serve").arg("--config").arg(&path);
                match kind {
                    Kind::Pinion { runtime: Some(runtime) } => command.args(["--runtime", runtime]),
                    Kind::Without { features } => command.args(["--runtime", "uring", "--reactor-without", features]),
                    _ => &mut command,
                };
                Target::spawn(command, folder)
            }
        }
    }

    /// Resident memory, in bytes.
    pub fn memory_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pids.first()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
    }

    /// What all its threads had of the cores so far.
    pub fn core_time(&self) -> Option<CoreTime> {
        let times = self.pids.iter().map(|pid| CoreTime::of(*pid));
        times.reduce(|sum, next| Some(sum?.with(next?.used_ns, next?.waited_ns)))?
    }

    fn spawn(mut command: Command, folder: &Path) -> Result<Target, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let fault = |error: std::io::Error| format!("{name}: {error}");
        let mut log = File::create(folder.join("server.log")).map_err(fault)?;
        let errors = log.try_clone().map_err(fault)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().map_err(fault)?;
        let output = child.stdout.take().ok_or("no output")?;
        let (tell, told) = mpsc::channel();
        // Lives as long as the server talks.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = writeln!(log, "{line}");
                if let Some(address) = serving(&line) {
                    let _ = tell.send(address);
                }
            }
        });
        let address = ([0, 0, 0, 0], 0).into();
        let mut target = Target { address, pids: vec![child.id()], child: Some(child), _peer: None };
        target.address = told.recv_timeout(START).map_err(|_| {
            let said = fs::read_to_string(folder.join("server.log")).unwrap_or_default();
            let first: Vec<&str> = said.lines().take(8).collect();
            format!("{name} does not serve:\n{}", first.join("\n"))
        })?;
        Ok(target)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It keeps nothing, so it need not be asked.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What the names of targets whose reactor lacks something begin with.
const WITHOUT: &str = "without-";

/// The program, where its threads may choose their cores, or all on this one.
fn on_core(core: Option<usize>, program: &Path) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// The address in `serving http://127.0.0.1:8080/event`.
fn serving(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("serving http://")?.split('/').next()?.parse().ok()
}

/// Our server beside this program. Under cargo it is built first, so that it is never an old one that is measured.
fn program() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = this.with_file_name("pinion");
    if path.exists() && std::env::var_os("CARGO").is_none() {
        return Ok(path);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).args(["build", "--quiet", "--bin", "pinion"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let built = command.status().is_ok_and(|status| status.success());
    if built && path.exists() { Ok(path) } else { Err(format!("{} is missing: build it", path.display())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named() {
        assert_eq!(Kind::parse("glommio"), Ok(Kind::Pinion { runtime: Some("glommio") }));
        assert_eq!(Kind::parse("127.0.0.1:80"), Ok(Kind::At("127.0.0.1:80".parse().unwrap())));
        assert_eq!(Kind::parse("without-multishot,ring-fd").unwrap().name(), "pinion without multishot,ring-fd");
        assert!(Kind::parse("without-speed").is_err());
        assert!(Kind::parse("apache").unwrap_err().contains("bare"));
        assert_eq!(serving("serving http://127.0.0.1:8080/event"), Some("127.0.0.1:8080".parse().unwrap()));
        assert_eq!(serving("admin   http://127.0.0.1:9090/metrics"), None);
    }
}
