//! The limit on open files, which sockets count against whether they have a number in the process or lie in the table
//! of a ring.

use std::io;

/// Makes sure that the process may have so many, by raising its own limit as far as it is allowed to.
///
/// # Errors
/// One line that says what to do: the limit is lower, and others have set it.
pub fn allow(needed: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 || limit.rlim_cur >= needed {
        return Ok(());
    }
    if limit.rlim_max < needed {
        return Err(refusal(needed, limit.rlim_max));
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid rlimit. When it is refused, whoever needs the files is told.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    Ok(())
}

fn refusal(needed: u64, limit: u64) -> io::Error {
    io::Error::other(format!(
        "the limit on open files is {limit}, but what is configured needs {needed}: raise it (`ulimit -n`, \
         `LimitNOFILE=`) or lower `connections_max`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_kernel_has_is_refused_in_one_line() {
        let line = allow(u64::MAX - 1).unwrap_err().to_string();
        assert!(line.contains("LimitNOFILE=") && !line.contains('\n') && !line.contains("  "), "{line}");
        allow(16).unwrap();
    }
}
