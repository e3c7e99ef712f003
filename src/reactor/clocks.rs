//! The only place of the runtimes that reads a clock: once per turn, through the vDSO, without a system call.

use crate::clock::Now;

/// Reads both clocks. `mono_ns` is CLOCK_MONOTONIC itself, so it may be handed to the kernel as an absolute deadline.
pub fn read() -> Now {
    let mono = read_one(libc::CLOCK_MONOTONIC);
    let wall = read_one(libc::CLOCK_REALTIME);
    Now {
        mono_ns: mono.tv_sec as u64 * 1_000_000_000 + mono.tv_nsec as u64,
        wall_ms: wall.tv_sec as u64 * 1_000 + wall.tv_nsec as u64 / 1_000_000,
    }
}

/// The monotonic clock alone, for the loop that spins.
pub fn read_mono_ns() -> u64 {
    let mono = read_one(libc::CLOCK_MONOTONIC);
    mono.tv_sec as u64 * 1_000_000_000 + mono.tv_nsec as u64
}

fn read_one(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec, and both clocks exist on every Linux.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(result, 0, "the system has no clock {clock}");
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run_forward() {
        let first = read();
        let second = read();
        assert!(second.mono_ns >= first.mono_ns && read_mono_ns() >= second.mono_ns);
        assert!(first.wall_ms > 1_700_000_000_000, "unix time in milliseconds");
    }
}
