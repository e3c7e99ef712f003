//! The ring itself: set up with what the kernel offers, filled, entered and drained.
//!
//! Everything here runs on one thread, and with DEFER_TASKRUN the kernel touches our memory within `io_uring_enter`
//! of that thread only (or in a worker on its behalf); without it, within any system call of that thread. The type
//! can't leave its thread: it is not `Send`.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{Builder, CompletionQueue, EnterFlags, IoUring, SubmissionQueue, Submitter, cqueue, squeue};

use super::refusal::Refusal;
use super::token::Token;
use super::turn::COMPLETIONS_PER_TURN;
use super::without::Without;

/// Submissions that fit before the kernel must take them.
const SUBMISSIONS: u32 = 1_024;
/// The kernel's own bound.
const COMPLETIONS_MAX: u32 = 64 * 1_024;

pub(super) struct Ring {
    submitter: Submitter<'static>,
    submissions: SubmissionQueue<'static>,
    completions: CompletionQueue<'static>,
    /// Flags of every wait, as far as this kernel knows them.
    wait_flags: EnterFlags,
    absolute_timeout: bool,
    /// Submissions whose last completion has not come.
    under_way: u32,
    /// Calls of io_uring_enter.
    pub(super) enters: u64,
    /// Last, so that it is dropped after those that borrow from it.
    owned: OwnedRing,
}

/// How long `enter` may stay in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// Only hand submissions over; completions are left where they are.
    Submit,
    /// Hand over and collect what is complete.
    Collect,
    /// Wait for a completion, until the monotonic time `deadline_ns` (`u64::MAX`: for ever).
    Until { now_ns: u64, deadline_ns: u64 },
}

/// One completion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) token: Token,
    /// Bytes, or a negative errno.
    pub(super) result: i32,
    /// The operation goes on and will complete again.
    pub(super) more: bool,
    /// The provided buffer that was filled.
    pub(super) buffer: Option<u16>,
}

impl Ring {
    /// A ring whose completion queue holds `completions` at least, or as many as the kernel allows.
    pub(super) fn new(completions: u32, without: Without) -> io::Result<Ring> {
        let mut ring = Ring::open(completions, without).map_err(|error| io::Error::from(Refusal::of(&error)))?;
        // Both save a little per call; a kernel that has one of them not works as well.
        if !without.ring_fd {
            let _ = ring.submitter.register_ring_fd();
        }
        if ring.owned.ring().params().is_feature_no_iowait() {
            ring.wait_flags |= EnterFlags::NO_IOWAIT;
        }
        ring.absolute_timeout = ring.knows(EnterFlags::ABS_TIMER);
        Ok(ring)
    }

    fn open(completions: u32, without: Without) -> io::Result<Ring> {
        let completions = completions.next_power_of_two().clamp(8 * SUBMISSIONS, COMPLETIONS_MAX);
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(completions)
            .dontfork();
        if !without.defer_taskrun {
            builder.setup_defer_taskrun();
        }
        let ring =
            build_with(&builder, |builder| builder.setup_no_sqarray()).or_else(|_| builder.build(SUBMISSIONS))?;

        let owned = OwnedRing(NonNull::from(Box::leak(Box::new(ring))));
        // SAFETY: the box was leaked just now, so nothing else refers to the ring; it lives until `owned` is dropped,
        // which is after the three parts, as `owned` is the last field; the parts don't leave this struct.
        let (submitter, submissions, completions) = unsafe { (*owned.0.as_ptr()).split() };
        Ok(Ring {
            submitter,
            submissions,
            completions,
            wait_flags: EnterFlags::GETEVENTS | EnterFlags::EXT_ARG,
            absolute_timeout: false,
            under_way: 0,
            enters: 0,
            owned,
        })
    }

    /// Whether the kernel takes `flag`: it answers unknown ones with EINVAL before it does anything.
    fn knows(&self, flag: EnterFlags) -> bool {
        let flags = (EnterFlags::GETEVENTS | EnterFlags::EXT_ARG | flag).bits();
        // SAFETY: submits nothing, waits for nothing, and `SubmitArgs` is what EXT_ARG announces.
        unsafe { self.submitter.enter(0, 0, flags, Some(&SubmitArgs::new())) }.is_ok()
    }

    pub(super) fn fd(&self) -> RawFd {
        self.owned.ring().as_raw_fd()
    }

    /// For the registrations at start.
    pub(super) fn submitter(&self) -> &Submitter<'static> {
        &self.submitter
    }

    pub(super) fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Queues one submission; hands the queue to the kernel first when it is full.
    ///
    /// # Safety
    /// * Memory that `entry` points to must stay valid, and unread if the kernel writes it, until the completion.
    /// * `entry`'s user_data must be a [`Token`], and it must post completions as [`super::token::Op`] says.
    #[inline]
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry, token: Token) {
        // SAFETY: as our caller promises.
        unsafe { self.push_linked(&[(entry.clone(), token)]) }
    }

    /// Queues a chain of submissions, which must reach the kernel together.
    ///
    /// # Safety
    /// As for [`Ring::push`], for each of them.
    #[inline]
    pub(super) unsafe fn push_linked<const COUNT: usize>(&mut self, entries: &[(squeue::Entry, Token); COUNT]) {
        while self.submissions.capacity() - self.submissions.len() < COUNT {
            self.enter(Stay::Submit).expect("handing over submissions fails only for a bug of ours");
        }
        for (entry, token) in entries {
            let entry = entry.clone().user_data(token.bits());
            // SAFETY: as our caller promises.
            unsafe { self.submissions.push(&entry) }.expect("there is room");
            self.under_way += u32::from(token.op.always_completes());
        }
    }

    /// The next completion that is there already.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Completion> {
        loop {
            let entry = self.completions.next()?;
            let Some(token) = Token::from_bits(entry.user_data()) else { continue };
            let more = cqueue::more(entry.flags());
            if !more && token.op.always_completes() {
                self.under_way -= 1;
            }
            let buffer = cqueue::buffer_select(entry.flags());
            return Some(Completion { token, result: entry.result(), more, buffer });
        }
    }

    /// Makes the completions that arrived visible to [`Ring::pop`], and the places of those taken free again.
    #[inline]
    pub(super) fn refresh(&mut self) {
        self.completions.sync();
    }

    /// Completions that [`Ring::pop`] would give.
    pub(super) fn ready(&self) -> usize {
        self.completions.len()
    }

    /// Whether so many completions wait that no more should be asked for.
    pub(super) fn is_crowded(&self) -> bool {
        self.completions.len() > self.completions.capacity() / 2
    }

    /// Whether more is there, or in the kernel, than one turn takes.
    pub(super) fn is_behind(&self) -> bool {
        self.has_deferred_work() || self.completions.len() > COMPLETIONS_PER_TURN
    }

    /// Whether the kernel has work for us that it does only when entered.
    pub(super) fn has_deferred_work(&self) -> bool {
        self.submissions.taskrun() || self.submissions.cq_overflow()
    }

    /// The one system call.
    #[inline]
    pub(super) fn enter(&mut self, stay: Stay) -> io::Result<()> {
        self.completions.sync();
        self.submissions.sync();
        let count = self.submissions.len() as u32;
        self.enters += 1;
        let result = match stay {
            // SAFETY: no argument is passed.
            Stay::Submit => unsafe { self.submitter.enter::<libc::sigset_t>(count, 0, 0, None) },
            Stay::Collect => {
                // SAFETY: no argument is passed.
                unsafe { self.submitter.enter::<libc::sigset_t>(count, 0, EnterFlags::GETEVENTS.bits(), None) }
            }
            Stay::Until { now_ns, deadline_ns } => self.enter_until(count, now_ns, deadline_ns),
        };
        self.submissions.sync();
        self.completions.sync();
        match result.map_err(|error| (error.raw_os_error(), error)) {
            Ok(_) => Ok(()),
            // The time is up; a signal; no memory for the moment; completions must be taken first.
            Err((Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY), _)) => Ok(()),
            Err((_, error)) => Err(error),
        }
    }

    fn enter_until(&self, count: u32, now_ns: u64, deadline_ns: u64) -> io::Result<usize> {
        let mut flags = self.wait_flags;
        let mut args = SubmitArgs::new();
        let time;
        if deadline_ns != u64::MAX {
            let time_ns = if self.absolute_timeout { deadline_ns } else { deadline_ns.saturating_sub(now_ns) };
            time = Timespec::new().sec(time_ns / 1_000_000_000).nsec((time_ns % 1_000_000_000) as u32);
            args = args.timespec(&time);
            if self.absolute_timeout {
                flags |= EnterFlags::ABS_TIMER;
            }
        }
        // SAFETY: `args` and the time it points to outlive the call, and EXT_ARG announces them.
        unsafe { self.submitter.enter(count, 1, flags.bits(), Some(&args)) }
    }
}

fn build_with(builder: &Builder, extend: impl Fn(&mut Builder) -> &mut Builder) -> io::Result<IoUring> {
    extend(&mut builder.clone()).build(SUBMISSIONS)
}

/// A ring at an address that doesn't change, freed when dropped.
struct OwnedRing(NonNull<IoUring>);

impl OwnedRing {
    fn ring(&self) -> &IoUring {
        // SAFETY: the pointer comes from a leaked box and is freed in `drop` only; after `split` nobody changes the
        // ring through a `&mut`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for OwnedRing {
    fn drop(&mut self) {
        // SAFETY: the pointer comes from a leaked box, and what borrowed from it was dropped before.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::Op;
    use super::*;
    use crate::reactor::clocks;
    use io_uring::opcode;

    #[test]
    fn more_submissions_than_the_queue_holds() {
        let mut ring = Ring::new(0, Without::default()).unwrap();
        let count = 3 * SUBMISSIONS + 7;
        for slot in 0..count {
            // SAFETY: a nop points to nothing and completes once, as `Cancel` is said to.
            unsafe { ring.push(&opcode::Nop::new().build(), Token::new(Op::Cancel, 5, slot)) };
        }
        assert_eq!(ring.under_way(), count);
        ring.enter(Stay::Collect).unwrap();
        for slot in 0..count {
            let completion = ring.pop().unwrap();
            assert_eq!((completion.token, completion.result), (Token::new(Op::Cancel, 5, slot), 0));
        }
        assert!(ring.pop().is_none() && ring.under_way() == 0);
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        for absolute in [true, false] {
            let mut ring = Ring::new(0, Without::default()).unwrap();
            ring.absolute_timeout &= absolute;
            let now_ns = clocks::read_mono_ns();
            ring.enter(Stay::Until { now_ns, deadline_ns: now_ns + 20_000_000 }).unwrap();
            let slept_ns = clocks::read_mono_ns() - now_ns;
            assert!((19_000_000..1_000_000_000).contains(&slept_ns), "{slept_ns}");
            ring.enter(Stay::Until { now_ns, deadline_ns: now_ns }).unwrap();
        }
    }
}
