//! What pinion is measured against, each started by one call and ended by dropping what that returns.
//!
//! Every peer is a process of its own, so that all of its CPU time is its own and can be read as such.
#![allow(clippy::disallowed_methods, reason = "whoever waits for a process sleeps")]

pub mod command;
mod hyper;
pub mod matching;
mod nginx;
mod pin;
mod process;
mod server;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use self::process::Process;

/// Who there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// nginx answering its built-in pixel.
    #[value(alias = "nginx")]
    NginxEmptyGif,
    /// nginx with lua asking a partner and answering its segments.
    NginxLua,
    /// Our own server on its main runtime.
    Uring,
    /// Our own server on its second runtime.
    Glommio,
    /// A constant pixel by hyper on tokio.
    Hyper,
    /// A constant pixel by our own reactor and nothing else: the floor.
    Bare,
    /// The same, with the standard job's rules evaluated for each.
    BareMatcher,
}

/// How a peer is to be started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Port 0: one that is free.
    pub listen: SocketAddr,
    /// The one core for its work.
    pub core: Option<usize>,
    /// Whom to ask about visitors: `nginx-lua` must know, our own server may.
    pub partner: Option<SocketAddr>,
    /// What our own server is to serve, instead of the built-in config. Where it listens, on which core and where it
    /// keeps its files is still said here.
    pub config: Option<PathBuf>,
    /// Our own server's program; without it, the one beside this program.
    pub server: Option<PathBuf>,
    /// The program that has `peer hyper`, `peer bare` and `peer bare-matcher`; without it, this one.
    pub program: Option<PathBuf>,
}

/// A peer that answers.
#[derive(Debug)]
pub struct Peer {
    pub address: SocketAddr,
    process: Process,
    /// Config and files of the process; goes after it.
    _folder: Folder,
}

/// Why a peer is not there.
#[derive(Debug)]
pub enum Absence {
    /// Something isn't installed: a reason to skip it, not to fail.
    Missing {
        what: String,
        remedy: &'static str,
    },
    Failed(io::Error),
}

/// Starts a peer and waits until it answers.
///
/// # Errors
/// What is missing, or what went wrong.
pub fn start(name: Name, setup: &Setup) -> Result<Peer, Absence> {
    let address = free_address(setup.listen)?;
    let folder = Folder::new(name)?;
    let command = match name {
        Name::NginxEmptyGif => nginx::empty_gif(address, setup, folder.path())?,
        Name::NginxLua => nginx::lua(address, setup, folder.path())?,
        Name::Uring => server::command("uring", address, setup, folder.path())?,
        Name::Glommio => server::command("glommio", address, setup, folder.path())?,
        Name::Hyper | Name::Bare | Name::BareMatcher => own_command(name, address, setup)?,
    };
    let process = Process::start(command, address)?;
    Ok(Peer { address, process, _folder: folder })
}

impl Peer {
    /// The process and those that it started.
    pub fn pids(&self) -> Vec<u32> {
        self.process.pids()
    }

    /// What all of its threads have worked so far. Two readings around a run, and the run's requests, make its CPU
    /// time per request.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        self.process.cpu_time()
    }
}

impl Name {
    /// As the command line has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::NginxEmptyGif => "nginx-empty-gif",
            Name::NginxLua => "nginx-lua",
            Name::Uring => "uring",
            Name::Glommio => "glommio",
            Name::Hyper => "hyper",
            Name::Bare => "bare",
            Name::BareMatcher => "bare-matcher",
        }
    }
}

impl Default for Setup {
    fn default() -> Setup {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Setup { listen, core: None, partner: None, config: None, server: None, program: None }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absence::Missing { what, remedy } => write!(f, "{what} is missing: {remedy}"),
            Absence::Failed(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Absence {
    fn from(error: io::Error) -> Absence {
        Absence::Failed(error)
    }
}

/// Sleeps until SIGINT or SIGTERM.
///
/// # Errors
/// When signals can't be had.
pub fn wait_for_signal(announce: impl FnOnce()) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // Not before the signals are taken: whoever reads it may end this process at once.
        announce();
        futures_lite::future::or(interrupt.recv(), terminate.recv()).await;
        Ok(())
    })
}

/// This program's own `peer NAME`.
fn own_command(name: Name, address: SocketAddr, setup: &Setup) -> Result<Command, Absence> {
    let program = setup.program.clone().map_or_else(std::env::current_exe, Ok)?;
    let mut command = Command::new(program);
    command.arg("peer").arg(name.as_str()).arg("--listen").arg(address.to_string());
    if let Some(core) = setup.core {
        command.arg("--core").arg(core.to_string());
    }
    Ok(command)
}

/// A peer is told where to listen, so a free port is chosen for it. Another process might take it in between; then
/// the peer says so.
fn free_address(listen: SocketAddr) -> io::Result<SocketAddr> {
    if listen.port() == 0 { TcpListener::bind(listen)?.local_addr() } else { Ok(listen) }
}

/// A folder of a peer's own, removed with it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new(name: Name) -> io::Result<Folder> {
        for attempt in 0.. {
            let path = std::env::temp_dir().join(format!("pinion-{}-{}-{attempt}", name.as_str(), std::process::id()));
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Folder(path)),
            }
        }
        unreachable!("one of so many names is free")
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the folder for temporary files goes with the next start of the machine.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
