//! Which cores shards run on.

use crate::config::file::Server;

/// From this many cores up, one is left to the control thread and the system.
const CORES_WITH_ONE_SPARED: usize = 4;

/// One shard each, on a core or (`None`) wherever the system puts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub cores: Vec<Option<usize>>,
}

impl Layout {
    /// What the config asks for, on the cores that this process may use.
    pub fn of(server: &Server) -> Layout {
        let shards = server.shards.as_ref().map(|shards| usize::from(*shards.get_ref()));
        match &server.cores {
            Some(cores) => Layout { cores: cores.get_ref().iter().map(|core| Some(usize::from(*core))).collect() },
            None => Layout::on(&allowed(), shards),
        }
    }

    fn on(allowed: &[usize], shards: Option<usize>) -> Layout {
        // The first core is where interrupts tend to go.
        let spared = if allowed.len() >= CORES_WITH_ONE_SPARED { 1 } else { 0 };
        let shards = shards.unwrap_or(allowed.len() - spared).max(1);
        let free = if shards <= allowed.len() - spared { &allowed[spared..] } else { allowed };
        // More shards than cores would fight for the same one if they were pinned.
        let pinned = shards <= free.len();
        Layout { cores: (0..shards).map(|shard| pinned.then(|| free[shard])).collect() }
    }

    pub fn shards(&self) -> u16 {
        u16::try_from(self.cores.len()).expect("the config's number of shards has 16 bits")
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cores: Option<Vec<String>> = self.cores.iter().map(|core| Some((*core)?.to_string())).collect();
        match (cores, self.cores.len()) {
            (Some(cores), 1) => write!(f, "1 shard on core {}", cores[0]),
            (Some(cores), count) => write!(f, "{count} shards on cores {}", cores.join(", ")),
            (None, count) => write!(f, "{count} shards, not pinned: there are fewer cores"),
        }
    }
}

/// The cores that this process may run on, which in a container are seldom all.
fn allowed() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(|list| parse_list(list.trim())).unwrap_or_else(|| {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        (0..count).collect()
    })
}

/// Reads `0-2,5`.
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    (!cores.is_empty()).then_some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores() {
        assert_eq!(parse_list("0"), Some(vec![0]));
        assert_eq!(parse_list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_list(""), None);
        assert_eq!(parse_list("a-2"), None);
        assert!(!allowed().is_empty());
    }

    #[test]
    fn shards_get_cores_of_their_own() {
        let on = |allowed: &[usize], shards| Layout::on(allowed, shards).cores;
        assert_eq!(on(&[0, 1], None), [Some(0), Some(1)]);
        assert_eq!(on(&[4, 5, 6, 7], None), [Some(5), Some(6), Some(7)]);
        assert_eq!(on(&[4, 5, 6, 7], Some(4)), [Some(4), Some(5), Some(6), Some(7)]);
        assert_eq!(on(&[0, 1], Some(1)), [Some(0)]);
        assert_eq!(on(&[0], Some(2)), [None, None]);
    }

    #[test]
    fn layouts_are_told_in_words() {
        assert_eq!(Layout::on(&[0, 1], None).to_string(), "2 shards on cores 0, 1");
        assert_eq!(Layout::on(&[3], None).to_string(), "1 shard on core 3");
        assert_eq!(Layout::on(&[3], Some(2)).to_string(), "2 shards, not pinned: there are fewer cores");
    }
}
