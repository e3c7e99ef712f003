//! Pinning of the calling thread.

use std::io;

/// # Errors
/// When there is no such core for us.
pub(super) fn pin_to_core(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::other(format!("there is no core {core}")));
    }
    // SAFETY: a set of cores is a plain array of bits, for which all zeros is the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number is within the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set outlives the call, and its size is told.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    if result == 0 { Ok(()) } else { Err(io::Error::other(format!("no core {core} for us"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_such_core() {
        assert!(pin_to_core(1_000_000).is_err());
        assert!(pin_to_core(libc::CPU_SETSIZE as usize - 1).is_err());
    }
}
