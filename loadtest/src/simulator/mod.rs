//! A data partner for tests and measurements: real sockets, every answer format, any latency, faults on demand.
//!
//! It shares no code with the server, so that a mistake of the one can't hide the same mistake of the other, and runs
//! on glommio, on a thread of its own. What it says follows from its profile's seed and the visitor alone; latencies
//! and faults follow from the visitor and how often this visitor was asked about.
#![allow(clippy::disallowed_methods, reason = "a partner lives by its own clock, as real ones do")]

mod answer;
pub mod command;
mod draw;
pub mod profile;
mod request;
mod serve;
pub mod statistics;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ::glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

pub use self::profile::Profile;
use self::serve::Desk;
use self::statistics::{Counts, Statistics};

/// Registered for files, which there are none of: the least that glommio takes, for locked memory is scarce.
const IO_MEMORY_BYTES: usize = 64 * 1024;
/// How long tasks may keep the executor from looking for new completions and timers that are due.
const PREEMPT_INTERVAL: Duration = Duration::from_millis(1);

/// A partner that answers. It ends when dropped.
#[derive(Debug)]
pub struct Simulator {
    pub address: SocketAddr,
    statistics: Arc<Statistics>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a partner on a free port of the loopback, its thread pinned to `core`.
///
/// # Errors
/// A profile that can't be, no io_uring, no such core.
pub fn start(profile: &Profile, core: Option<usize>) -> io::Result<Simulator> {
    start_at(profile, SocketAddr::from(([127, 0, 0, 1], 0)), core)
}

/// The same, at an address.
///
/// # Errors
/// As [`start`], and an address that can't be had.
pub fn start_at(profile: &Profile, address: SocketAddr, core: Option<usize>) -> io::Result<Simulator> {
    profile.check().map_err(io::Error::other)?;
    let (statistics, stop) = (Arc::new(Statistics::default()), Arc::new(AtomicBool::new(false)));
    let (tell, told) = mpsc::sync_channel(1);
    let desk = (profile.clone(), Arc::clone(&statistics), Arc::clone(&stop));
    let thread = thread::Builder::new().name(format!("partner-{}", profile.name)).spawn(move || {
        let (profile, statistics, stop) = desk;
        match executor(core) {
            Ok(executor) => executor.run(serve::run(Desk::new(profile, statistics), address, stop, tell)),
            // Whoever started us waits for this.
            Err(error) => drop(tell.send(Err(error))),
        }
    })?;
    let address = told.recv().map_err(|_| io::Error::other("the partner's thread has ended"))??;
    Ok(Simulator { address, statistics, stop, thread: Some(thread) })
}

impl Simulator {
    pub fn counts(&self) -> Counts {
        self.statistics.counts()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic over there has said what it had to say.
            let _ = thread.join();
        }
    }
}

fn executor(core: Option<usize>) -> io::Result<LocalExecutor> {
    LocalExecutorBuilder::new(core.map_or(Placement::Unbound, Placement::Fixed))
        .io_memory(IO_MEMORY_BYTES)
        .preempt_timer(PREEMPT_INTERVAL)
        .make()
        .map_err(|error| io::Error::other(format!("the partner simulator needs io_uring: {error}")))
}
