//! What the runtime can be told to do without, so that the worth of each thing can be measured: the same program, on
//! another of the kernel's paths. Each way is whole and correct, but it is there for measuring (`--reactor-without`),
//! not for serving.

use std::str::FromStr;

/// `true`: do without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// Receptions that stay: each completes once and is submitted anew.
    pub multishot: bool,
    /// Blocks that the kernel takes from a shared ring: each reception brings a block of ours along, which it occupies
    /// for as long as its connection is silent. Without it there is no multishot either.
    pub buffer_ring: bool,
    /// DEFER_TASKRUN: completions are prepared at any of the thread's ways into the kernel, not only when it waits.
    pub defer_taskrun: bool,
    /// Direct descriptors: sockets are files of the process, and connecting takes two system calls more.
    pub fixed_files: bool,
    /// The ring's own descriptor registered: each call looks it up.
    pub ring_fd: bool,
}

impl Without {
    /// How it serves.
    pub const NOTHING: Without =
        Without { multishot: false, buffer_ring: false, defer_taskrun: false, fixed_files: false, ring_fd: false };
}

/// By the names that the command line has.
pub const FEATURES: [&str; 5] = ["multishot", "buffer-ring", "defer-taskrun", "fixed-files", "ring-fd"];

impl FromStr for Without {
    type Err = String;

    /// Reads names joined by commas.
    fn from_str(text: &str) -> Result<Without, String> {
        let mut without = Without::NOTHING;
        for name in text.split(',').filter(|name| !name.is_empty()) {
            let feature = match name {
                "multishot" => &mut without.multishot,
                "buffer-ring" => &mut without.buffer_ring,
                "defer-taskrun" => &mut without.defer_taskrun,
                "fixed-files" => &mut without.fixed_files,
                "ring-fd" => &mut without.ring_fd,
                _ => return Err(format!("`{name}` is none of {}", FEATURES.join(", "))),
            };
            *feature = true;
        }
        Ok(without)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        assert_eq!("".parse(), Ok(Without::default()));
        for name in FEATURES {
            assert_ne!(name.parse(), Ok(Without::default()), "{name}");
        }
        let both: Without = "multishot,ring-fd".parse().unwrap();
        assert_eq!(both, Without { multishot: true, ring_fd: true, ..Without::default() });
        assert!("speed".parse::<Without>().unwrap_err().contains("fixed-files"));
    }
}
