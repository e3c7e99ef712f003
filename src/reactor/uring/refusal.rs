//! Why no ring could be made, in one line that ends with what to do about it.

use std::fmt;
use std::io;

/// The kernel, or whoever configured it, refuses what the runtime needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// ENOSYS: no io_uring in this kernel.
    Missing,
    /// EINVAL: io_uring is there, but not the flags of Linux 6.1.
    Old,
    /// EPERM with `kernel.io_uring_disabled` set.
    Sysctl(u8),
    /// EPERM without: a seccomp filter.
    Seccomp,
    /// ENOMEM.
    Memory,
    /// Anything else, as an errno.
    Other(i32),
}

impl Refusal {
    /// Reads the reason out of the error of `io_uring_setup` or `io_uring_register`.
    pub(super) fn of(error: &io::Error) -> Refusal {
        match error.raw_os_error().unwrap_or(0) {
            libc::ENOSYS => Refusal::Missing,
            libc::EINVAL => Refusal::Old,
            libc::EPERM | libc::EACCES => match sysctl() {
                0 => Refusal::Seccomp,
                value => Refusal::Sysctl(value),
            },
            libc::ENOMEM => Refusal::Memory,
            errno => Refusal::Other(errno),
        }
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        let kind = match refusal {
            Refusal::Missing | Refusal::Old => io::ErrorKind::Unsupported,
            Refusal::Sysctl(_) | Refusal::Seccomp => io::ErrorKind::PermissionDenied,
            Refusal::Memory => io::ErrorKind::OutOfMemory,
            Refusal::Other(_) => io::ErrorKind::Other,
        };
        io::Error::new(kind, refusal)
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Missing => write!(f, "this kernel has no io_uring: run Linux 6.1 or newer"),
            Refusal::Old => write!(
                f,
                "this kernel's io_uring is too old: run Linux 6.1 or newer, or choose `--runtime glommio` (5.10 or \
                 newer)"
            ),
            Refusal::Sysctl(value) => write!(
                f,
                "io_uring is switched off here (kernel.io_uring_disabled = {value}): run `sysctl -w \
                 kernel.io_uring_disabled=0`"
            ),
            Refusal::Seccomp => write!(
                f,
                "a seccomp filter forbids io_uring: allow io_uring_setup, io_uring_enter and io_uring_register in the \
                 container's profile (docker: `--security-opt seccomp=unconfined` or a profile of your own)"
            ),
            Refusal::Memory => {
                write!(f, "no memory for io_uring: raise the memory limit or RLIMIT_MEMLOCK (`ulimit -l`)")
            }
            Refusal::Other(errno) => {
                write!(f, "io_uring can't be set up: {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

fn sysctl() -> u8 {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_one_line() {
        let all = [
            Refusal::Missing,
            Refusal::Old,
            Refusal::Sysctl(2),
            Refusal::Seccomp,
            Refusal::Memory,
            Refusal::Other(libc::EIO),
        ];
        for refusal in all {
            let line = io::Error::from(refusal).to_string();
            assert!(line.len() > 20 && !line.contains('\n') && !line.contains("  "), "{line}");
        }
    }

    #[test]
    fn errnos_are_told_apart() {
        let of = |errno| Refusal::of(&io::Error::from_raw_os_error(errno));
        assert_eq!(of(libc::ENOSYS), Refusal::Missing);
        assert_eq!(of(libc::EINVAL), Refusal::Old);
        assert!(matches!(of(libc::EPERM), Refusal::Seccomp | Refusal::Sysctl(_)));
        assert_eq!(of(libc::EIO), Refusal::Other(libc::EIO));
    }
}
