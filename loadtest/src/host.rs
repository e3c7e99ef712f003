//! The machine: what it is, what of it was taken away, and what a process used.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// What every result says about where it was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub commit: String,
    pub kernel: String,
    pub cpu: String,
    pub cores: usize,
    pub server_cores: Vec<usize>,
    pub generator_core: Option<usize>,
    /// Of the kernel, against faults of the CPU.
    pub mitigations: Vec<String>,
    /// How the generator was built.
    pub flags: String,
    /// Of generator and server alike: below 0, others on the machine stand back.
    pub nice: i32,
    pub date: String,
}

impl Host {
    pub fn read(cores: &Cores) -> Host {
        Host {
            commit: commit(),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            cpu: cpu(),
            cores: cores.all.len(),
            server_cores: cores.server.clone(),
            generator_core: cores.generator,
            mitigations: mitigations(),
            flags: flags(),
            nice: nice(),
            date: output("date", &["-u", "+%Y-%m-%d %H:%M:%S UTC"]),
        }
    }
}

/// Others on the machine stand back while this is there, as far as we may ask it: for the thread that made it and all
/// that it starts from then on, the server among them. What is measured is the server and not its neighbours.
#[derive(Debug)]
pub struct Priority {
    group_nice: Option<i32>,
}

/// Linux weighs the tasks of a terminal as one group, whose own niceness decides between groups.
const GROUP: &str = "/proc/self/autogroup";

impl Priority {
    pub fn raise() -> Priority {
        // SAFETY: touches no memory; 0 is the calling thread. Being refused changes nothing, and the result tells.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
        let text = fs::read_to_string(GROUP).unwrap_or_default();
        let before = text.rsplit(' ').next().and_then(|number| number.trim().parse().ok());
        let is_raised = before.is_some() && fs::write(GROUP, NICE.to_string()).is_ok();
        Priority { group_nice: before.filter(|_| is_raised) }
    }
}

impl Drop for Priority {
    fn drop(&mut self) {
        if let Some(nice) = self.group_nice {
            // The terminal goes on without us; if its group can't be set back, it ends with the terminal.
            let _ = fs::write(GROUP, nice.to_string());
        }
    }
}

const NICE: libc::c_int = -20;

fn nice() -> i32 {
    // SAFETY: touches no memory; 0 is the calling thread, which exists.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Who runs where.
#[derive(Clone, Debug, Default)]
pub struct Cores {
    pub all: Vec<usize>,
    pub server: Vec<usize>,
    pub generator: Option<usize>,
    /// The one core for all of a server that is not pinned otherwise.
    pub confined: Option<usize>,
}

impl Cores {
    /// The generator gets the last core, the server's shards the first ones. Where there are too few, nobody is
    /// pinned.
    pub fn share(shards: u16) -> Cores {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or("0");
        Cores::of(parse_list(list.trim()), shards)
    }

    /// All shards of the server on the first core, however many they are.
    pub fn confined() -> Cores {
        let cores = Cores::share(1);
        Cores { confined: cores.server.first().copied(), server: Vec::new(), ..cores }
    }

    fn of(all: Vec<usize>, shards: u16) -> Cores {
        if all.len() <= usize::from(shards) {
            return Cores { all, ..Cores::default() };
        }
        let server = all[..usize::from(shards)].to_vec();
        Cores { server, generator: all.last().copied(), all, confined: None }
    }
}

fn parse_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// What was in a run's way.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Disturbance {
    /// The share of our cores' time that the hypervisor gave to others.
    pub steal: f64,
    /// How much of the time the server's threads were able to run and had to wait for a core: whoever came meanwhile
    /// waited too, and no percentile above `1 - waited` says anything about the server alone.
    pub waited: Option<f64>,
}

/// The counters of our cores, as they stand.
#[derive(Clone, Debug)]
pub struct StealMeter {
    cores: Vec<usize>,
    total: u64,
    steal: u64,
}

impl StealMeter {
    /// `cores` empty: all of the machine.
    pub fn start(cores: &Cores) -> StealMeter {
        let mut ours = cores.server.clone();
        ours.extend(cores.generator);
        let (total, steal) = steal(&fs::read_to_string("/proc/stat").unwrap_or_default(), &ours);
        StealMeter { cores: ours, total, steal }
    }

    /// The share of our cores' time since the start that was stolen.
    pub fn end(&self) -> f64 {
        let (total, steal) = steal(&fs::read_to_string("/proc/stat").unwrap_or_default(), &self.cores);
        let ticks = total.saturating_sub(self.total).max(1);
        steal.saturating_sub(self.steal) as f64 / ticks as f64
    }
}

/// All ticks and those stolen, of some cores.
fn steal(stat: &str, cores: &[usize]) -> (u64, u64) {
    let (mut total, mut stolen) = (0, 0);
    for line in stat.lines() {
        let mut words = line.split_whitespace();
        let Some(core) = words.next().and_then(|name| name.strip_prefix("cpu")) else { continue };
        let is_ours = if cores.is_empty() { core.is_empty() } else { core.parse().is_ok_and(|n| cores.contains(&n)) };
        if is_ours {
            // user nice system idle iowait irq softirq steal; guest time is part of user's.
            let ticks: Vec<u64> = words.take(8).filter_map(|word| word.parse().ok()).collect();
            total += ticks.iter().sum::<u64>();
            stolen += ticks.get(7).copied().unwrap_or(0);
        }
    }
    (total, stolen)
}

/// What programs may still take.
pub fn memory_available_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| numbers(line).first().copied()).unwrap_or(0) * 1_024
}

/// What all threads of a process, the kernel's workers for its rings included, had of the cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreTime {
    pub used_ns: u64,
    /// Able to run while somebody else ran. `None`: the kernel keeps no scheduler statistics.
    pub waited_ns: Option<u64>,
}

impl CoreTime {
    pub fn of(pid: u32) -> Option<CoreTime> {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let mut sum = CoreTime::default();
        for thread in threads.flatten() {
            let path = thread.path();
            let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            if let [used_ns, waited_ns, ..] = numbers(&text)[..]
                && used_ns > 0
            {
                sum = sum.with(used_ns, Some(waited_ns));
            } else {
                let stat = fs::read_to_string(path.join("stat")).ok();
                sum = sum.with(stat.and_then(|text| ticks(&text)).unwrap_or(0) * 10_000_000, None);
            }
        }
        Some(sum)
    }

    /// Both together.
    pub fn with(self, used_ns: u64, waited_ns: Option<u64>) -> CoreTime {
        let waited_ns = waited_ns.map(|ns| self.waited_ns.unwrap_or(0) + ns).or(self.waited_ns);
        CoreTime { used_ns: self.used_ns + used_ns, waited_ns }
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// User and system ticks of `/proc/PID/stat`, of which there are 100 a second.
fn ticks(stat: &str) -> Option<u64> {
    // The name may hold anything, spaces and brackets included.
    let rest = stat.rsplit_once(')')?.1;
    let words: Vec<&str> = rest.split_whitespace().collect();
    Some(words.get(11)?.parse::<u64>().ok()? + words.get(12)?.parse::<u64>().ok()?)
}

fn commit() -> String {
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
    // Results that were just written are no change of what is measured.
    let sources = ["--", ":/", ":(top,exclude)docs"];
    let status = [&["status", "--porcelain", "--untracked-files=no"][..], &sources].concat();
    let is_changed = !output("git", &status).is_empty();
    if is_changed { format!("{commit}, with changes") } else { commit }
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name"));
    name.and_then(|line| line.split_once(':')).map_or("unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

fn mitigations() -> Vec<String> {
    let Ok(folder) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else { return Vec::new() };
    let mut lines: Vec<String> = folder
        .flatten()
        .filter_map(|file| {
            let state = fs::read_to_string(file.path()).ok()?;
            let state = state.trim().strip_prefix("Mitigation: ")?.to_owned();
            Some(format!("{}: {state}", file.file_name().to_string_lossy()))
        })
        .collect();
    lines.sort();
    lines
}

fn flags() -> String {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{profile}, {}", std::env::consts::ARCH)
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_read_of_our_cores_alone() {
        let stat = "cpu  10 0 10 70 0 0 0 10 0 0\ncpu0 1 1 1 1 1 1 1 93 5 5\ncpu1 50 0 0 50 0 0 0 0 0 0\nintr 1\n";
        assert_eq!(steal(stat, &[0]), (100, 93));
        assert_eq!(steal(stat, &[0, 1]), (200, 93));
        assert_eq!(steal(stat, &[]), (100, 10));
    }

    #[test]
    fn threads_with_strange_names_are_counted() {
        assert_eq!(ticks("7 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 31 11 0"), Some(42));
        assert!(CoreTime::of(std::process::id()).unwrap().used_ns > 0);
        assert_eq!(CoreTime::default().with(3, None).with(4, Some(1)), CoreTime { used_ns: 7, waited_ns: Some(1) });
    }

    #[test]
    fn the_generator_gets_the_last_core() {
        let cores = Cores::of(parse_list("0-1,4"), 1);
        assert_eq!((cores.server, cores.generator), (vec![0], Some(4)));
        assert_eq!(Cores::of(vec![0], 1).generator, None);
    }
}
