//! A counter in the kernel that a sleeping loop can wait for: the way to wake a loop that has no ring to be messaged.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

/// One eventfd. Written by whoever wakes, read by the one who slept.
pub struct EventFd(File);

impl EventFd {
    /// `blocking` decides what a read of a zero counter does. A ring that waits for the counter needs a blocking one
    /// (with O_NONBLOCK it would answer EAGAIN instead of waiting); an epoll loop needs the other.
    pub fn new(blocking: bool) -> io::Result<EventFd> {
        let flags = libc::EFD_CLOEXEC | if blocking { 0 } else { libc::EFD_NONBLOCK };
        // SAFETY: takes no pointer.
        let fd = unsafe { libc::eventfd(0, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        Ok(EventFd(unsafe { File::from_raw_fd(fd) }))
    }

    /// Wakes. An error is impossible but for a counter at its maximum, and then the reader is awake as it is.
    pub fn signal(&self) {
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Takes the counter back to zero. On a blocking one this waits until it is not zero.
    pub fn clear(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_add_up_and_clear_takes_all() {
        let event = EventFd::new(false).unwrap();
        event.signal();
        event.signal();
        event.clear();
        assert_eq!((&event.0).read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
