//! The memory that the kernel receives into: blocks of one size which it takes from a shared ring and hands to us
//! filled. What we are done with goes back to the ring; the kernel sees all that came back in a turn at once.
//!
//! Without that ring (`Without::buffer_ring`), we choose a block for each reception ourselves.

use std::io;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::ring::Ring;

/// The one group of provided buffers.
pub(super) const GROUP: u16 = 0;
const NONE: u16 = u16::MAX;
/// Above this, multishot receive loses to a plain one.
const BLOCK_BYTES_MAX: u32 = 16 * 1024;
const COUNT_MAX: u16 = 32 * 1024;

pub(super) struct Receptions {
    /// The ring's entries; `None`: there is no ring.
    entries: Option<Pages>,
    /// Without a ring, the blocks that nobody has.
    free: Vec<u16>,
    blocks: Rc<Blocks>,
    /// Free-running, as the kernel wants it; the place is this modulo the count.
    tail: u16,
    published: u16,
    /// Blocks that the kernel handed out and that have not come back.
    lent: u16,
    /// Filled blocks that wait until a paused connection reads on: each connection's form a list.
    held: Box<[Held]>,
}

#[derive(Clone, Copy)]
struct Held {
    next: u16,
    len: u16,
}

/// A connection's blocks that wait, in order.
#[derive(Clone, Copy)]
pub(super) struct HeldList {
    first: u16,
    last: u16,
}

/// The blocks' memory. Shared by reference count, so that bytes lent to a handler can't be freed under it.
pub(super) struct Blocks {
    pages: Pages,
    block_bytes: u32,
    count: u16,
}

impl Receptions {
    /// Allocates `count` blocks, a power of two, and gives them all to the kernel.
    pub(super) fn new(ring: &Ring, count: u16, block_bytes: u32) -> io::Result<Receptions> {
        check_sizes(count, block_bytes)?;
        let entries = Pages::new(usize::from(count) * size_of::<BufRingEntry>())?;
        // SAFETY: the pages hold `count` entries and are unmapped only when `Receptions` is dropped, which its owner
        // does after the ring has gone or with no operation under way.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries.start.as_ptr() as u64, count, GROUP, 0)? };
        Receptions::of(count, block_bytes, Some(entries))
    }

    /// Allocates blocks for us to choose from: at least one for each of `slots` connections, since a reception has its
    /// block for as long as it waits.
    pub(super) fn without_ring(count: u16, block_bytes: u32, slots: u32) -> io::Result<Receptions> {
        let needed = slots.next_power_of_two().min(u32::from(COUNT_MAX)) as u16;
        let count = count.max(needed);
        check_sizes(count, block_bytes)?;
        Receptions::of(count, block_bytes, None)
    }

    fn of(count: u16, block_bytes: u32, entries: Option<Pages>) -> io::Result<Receptions> {
        let pages = Pages::new(usize::from(count) * block_bytes as usize)?;
        let free = Vec::with_capacity(if entries.is_none() { usize::from(count) } else { 0 });
        let mut receptions = Receptions {
            entries,
            free,
            blocks: Rc::new(Blocks { pages, block_bytes, count }),
            tail: 0,
            published: 0,
            lent: count,
            held: vec![Held { next: NONE, len: 0 }; usize::from(count)].into_boxed_slice(),
        };
        for block in 0..count {
            receptions.give_back(block);
        }
        receptions.publish();
        Ok(receptions)
    }

    pub(super) fn blocks(&self) -> Rc<Blocks> {
        Rc::clone(&self.blocks)
    }

    /// Counts a block that the kernel handed out. Each must be given back.
    #[inline]
    pub(super) fn took_one(&mut self) {
        self.lent += 1;
    }

    /// Without a ring: a block for one reception, with its address and size. It must be given back.
    pub(super) fn lend(&mut self) -> Option<(u16, *mut u8, u32)> {
        let block = self.free.pop()?;
        self.lent += 1;
        Some((block, self.blocks.address(block), self.blocks.block_bytes))
    }

    /// How many blocks the kernel has, those in completions that we have not seen included.
    pub(super) fn available(&self) -> usize {
        usize::from(self.blocks.count - self.lent)
    }

    /// Puts a block back into the ring, for the kernel to see at the next [`Receptions::publish`].
    #[inline]
    pub(super) fn give_back(&mut self, block: u16) {
        self.lent -= 1;
        let Some(entries) = &self.entries else { return self.free.push(block) };
        let place = usize::from(self.tail & (self.blocks.count - 1));
        let address = self.blocks.address(block);
        // SAFETY: `place` is below the count that the pages were made for. The kernel reads this entry only once the
        // tail is beyond it, and never writes it.
        unsafe {
            let entry = &mut *entries.start.as_ptr().cast::<BufRingEntry>().add(place);
            entry.set_addr(address as u64);
            entry.set_len(self.blocks.block_bytes);
            entry.set_bid(block);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what came back.
    pub(super) fn publish(&mut self) {
        let Some(entries) = self.entries.as_ref().filter(|_| self.tail != self.published) else { return };
        // SAFETY: the pages begin with the ring's first entry, which holds the tail, aligned; the kernel reads it
        // atomically and nobody else has a reference to it.
        unsafe {
            let tail = BufRingEntry::tail(entries.start.as_ptr().cast()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
        self.published = self.tail;
    }

    /// Appends a filled block to a connection's list.
    pub(super) fn hold(&mut self, list: &mut HeldList, block: u16, len: usize) {
        self.held[usize::from(block)] = Held { next: NONE, len: len as u16 };
        if list.first == NONE {
            list.first = block;
        } else {
            self.held[usize::from(list.last)].next = block;
        }
        list.last = block;
    }

    /// Takes the oldest block and its length from a connection's list.
    pub(super) fn unhold(&mut self, list: &mut HeldList) -> Option<(u16, usize)> {
        let block = list.first;
        let held = self.held.get(usize::from(block))?;
        list.first = held.next;
        Some((block, usize::from(held.len)))
    }
}

impl HeldList {
    pub(super) const EMPTY: HeldList = HeldList { first: NONE, last: NONE };

    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE
    }
}

impl Blocks {
    /// The first `len` bytes of a block that the kernel filled.
    ///
    /// # Safety
    /// The kernel must have handed `block` out, and it must not be given back while the slice is in use.
    pub(super) unsafe fn bytes(&self, block: u16, len: usize) -> &[u8] {
        assert!(len <= self.block_bytes as usize);
        // SAFETY: the block lies within the pages and all of it is initialised (the pages came zeroed); the kernel
        // doesn't write it, as our caller promises.
        unsafe { std::slice::from_raw_parts(self.address(block), len) }
    }

    fn address(&self, block: u16) -> *mut u8 {
        assert!(block < self.count);
        // SAFETY: the pages hold `count` blocks of that size.
        unsafe { self.pages.start.as_ptr().add(usize::from(block) * self.block_bytes as usize) }
    }
}

fn check_sizes(count: u16, block_bytes: u32) -> io::Result<()> {
    if count.is_power_of_two() && count <= COUNT_MAX && (1..=BLOCK_BYTES_MAX).contains(&block_bytes) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "receive buffers: their count must be a power of two up to 32768, their size at most 16384 bytes",
    ))
}

/// Anonymous pages, present from the start.
struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

impl Pages {
    fn new(bytes: usize) -> io::Result<Pages> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Pages { start: NonNull::new(start.cast()).expect("a mapping is never at null"), bytes })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; whoever holds pointers into it holds the owner too.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::Without;
    use super::*;

    #[test]
    fn sizes_that_cannot_work_are_refused() {
        let ring = Ring::new(0, Without::default()).unwrap();
        assert!(Receptions::new(&ring, 3, 2048).is_err());
        assert!(Receptions::new(&ring, 4, 0).is_err());
        assert!(Receptions::new(&ring, 4, BLOCK_BYTES_MAX + 1).is_err());
        assert!(Receptions::new(&ring, 4, 2048).is_ok());
    }

    #[test]
    fn held_blocks_come_back_in_order() {
        let ring = Ring::new(0, Without::default()).unwrap();
        let mut receptions = Receptions::new(&ring, 8, 64).unwrap();
        let (mut left, mut right) = (HeldList::EMPTY, HeldList::EMPTY);
        for (block, len) in [(3, 10), (1, 20), (6, 30)] {
            receptions.hold(&mut left, block, len);
            receptions.hold(&mut right, block + 1, len + 1);
        }
        assert_eq!(receptions.unhold(&mut left), Some((3, 10)));
        receptions.hold(&mut left, 0, 5);
        let rest: Vec<_> = std::iter::from_fn(|| receptions.unhold(&mut left)).collect();
        assert_eq!(rest, [(1, 20), (6, 30), (0, 5)]);
        assert!(left.is_empty());
        let other: Vec<_> = std::iter::from_fn(|| receptions.unhold(&mut right)).collect();
        assert_eq!(other, [(4, 11), (2, 21), (7, 31)]);
        receptions.hold(&mut left, 5, 1);
        assert_eq!(receptions.unhold(&mut left), Some((5, 1)), "an emptied list can be filled again");
    }
}
