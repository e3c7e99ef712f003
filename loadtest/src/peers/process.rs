//! A peer's process: started, waited for until it answers, measured, ended.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::host::CoreTime;

const POLL_INTERVAL: Duration = Duration::from_millis(10);
const START_POLLS_MAX: u32 = 1_000;
const END_POLLS_MAX: u32 = 300;

#[derive(Debug)]
pub(super) struct Process {
    child: Child,
}

impl Process {
    /// Returns when something accepts connections at `address`.
    pub(super) fn start(mut command: Command, address: SocketAddr) -> io::Result<Process> {
        let program = command.get_program().to_owned();
        let fault = |text: String| io::Error::other(format!("{}: {text}", program.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process { child: command.spawn().map_err(|error| fault(error.to_string()))? };
        for _ in 0..START_POLLS_MAX {
            if let Some(status) = process.child.try_wait()? {
                return Err(fault(format!("ended at once ({status})")));
            }
            if TcpStream::connect(address).is_ok() {
                return Ok(process);
            }
            thread::sleep(POLL_INTERVAL);
        }
        Err(fault(format!("doesn't answer on {address}")))
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.child.id()];
        let mut next = 0;
        while next < pids.len() {
            for thread in threads(pids[next]) {
                let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
                pids.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
            next += 1;
        }
        pids
    }

    /// What its threads had of the cores so far.
    pub(super) fn cpu_time(&self) -> io::Result<Duration> {
        let used_ns = self.pids().into_iter().filter_map(CoreTime::of).map(|time| time.used_ns).sum();
        if used_ns == 0 { Err(io::Error::other("the process has ended")) } else { Ok(Duration::from_nanos(used_ns)) }
    }
}

fn threads(pid: u32) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"));
    entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

impl Drop for Process {
    /// Asks first, so that a process that has others of its own (nginx its worker) can end them.
    fn drop(&mut self) {
        // SAFETY: a signal touches no memory; the child isn't waited for yet, so the number is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        for _ in 0..END_POLLS_MAX {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL_INTERVAL);
        }
        // It has had its time. Neither fails unless it has ended after all.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
