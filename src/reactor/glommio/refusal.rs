//! Why there is no executor, in one line that ends with what to do about it.

use std::io;

use ::glommio::{BuilderErrorKind, GlommioError, ReactorErrorKind};

/// Asks for a ring of our own first: where io_uring is missing or forbidden, glommio panics instead of telling.
pub(super) fn probe() -> io::Result<()> {
    match io_uring::IoUring::new(2) {
        Ok(_) => Ok(()),
        Err(error) => Err(refuse(error.raw_os_error().unwrap_or(0))),
    }
}

/// What glommio has to say, in our words.
pub(super) fn explain(error: GlommioError<()>, core: Option<usize>) -> io::Error {
    match error {
        GlommioError::ReactorError(ReactorErrorKind::MemLockLimit(limit, needed)) => out_of_locked_memory(format!(
            "the limit on locked memory is {limit} bytes and glommio wants {needed} for each shard"
        )),
        GlommioError::BuilderError(BuilderErrorKind::NonExistentCpus { cpu }) => {
            io::Error::new(io::ErrorKind::InvalidInput, format!("can't run on core {cpu}: this machine has none"))
        }
        GlommioError::IoError(error) if error.raw_os_error() == Some(libc::ENOMEM) => refuse(libc::ENOMEM),
        other => {
            let place = core.map(|core| format!(" on core {core}")).unwrap_or_default();
            io::Error::other(format!("glommio can't start{place}: {other}"))
        }
    }
}

fn refuse(errno: i32) -> io::Error {
    match errno {
        libc::ENOSYS => io::Error::new(
            io::ErrorKind::Unsupported,
            "this kernel has no io_uring, which glommio needs too: run Linux 5.8 or newer",
        ),
        libc::EPERM | libc::EACCES => io::Error::new(
            io::ErrorKind::PermissionDenied,
            "io_uring is forbidden here: run `sysctl -w kernel.io_uring_disabled=0`, or allow io_uring_setup, \
             io_uring_enter and io_uring_register in the container's seccomp profile",
        ),
        libc::ENOMEM => out_of_locked_memory("no memory for io_uring".to_owned()),
        errno => io::Error::other(format!("io_uring can't be set up: {}", io::Error::from_raw_os_error(errno))),
    }
}

fn out_of_locked_memory(cause: String) -> io::Error {
    let remedy = "raise RLIMIT_MEMLOCK (`ulimit -l`, `LimitMEMLOCK=`) or run fewer shards";
    io::Error::new(io::ErrorKind::OutOfMemory, format!("{cause}: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_one_line() {
        let errors = [
            refuse(libc::ENOSYS),
            refuse(libc::EPERM),
            refuse(libc::ENOMEM),
            refuse(libc::EIO),
            explain(GlommioError::ReactorError(ReactorErrorKind::MemLockLimit(65_536, 524_288)), None),
            explain(GlommioError::IoError(io::Error::from_raw_os_error(libc::ENOMEM)), Some(1)),
            explain(GlommioError::BuilderError(BuilderErrorKind::NonExistentCpus { cpu: 77 }), Some(77)),
            explain(GlommioError::IoError(io::Error::from_raw_os_error(libc::EIO)), Some(1)),
        ];
        for error in errors {
            let line = error.to_string();
            assert!(line.len() > 20 && !line.contains('\n') && !line.contains("  "), "{line}");
        }
    }

    #[test]
    fn too_little_locked_memory_is_told_with_its_remedy() {
        let error = explain(GlommioError::ReactorError(ReactorErrorKind::MemLockLimit(65_536, 524_288)), None);
        let line = error.to_string();
        assert!(line.contains("65536") && line.contains("524288") && line.contains("ulimit -l"), "{line}");
    }
}
