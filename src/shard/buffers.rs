//! The shard's buffers: small ones for nearly everything, large ones for the few requests and answers that need them.

use crate::limits::{BUFFER_LARGE_BYTES, BUFFER_SMALL_BYTES};
use crate::reactor::Buffer;
use crate::reactor::buffer::Pool;

#[derive(Debug)]
pub(super) struct Buffers {
    small: Pool,
    large: Pool,
}

impl Buffers {
    pub(super) fn new(small_count: usize, large_count: usize) -> Buffers {
        Buffers { small: Pool::new(small_count, BUFFER_SMALL_BYTES), large: Pool::new(large_count, BUFFER_LARGE_BYTES) }
    }

    /// An empty buffer with room for `bytes`, the smallest that is free.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Buffer> {
        if bytes <= BUFFER_SMALL_BYTES
            && let Some(buffer) = self.small.take()
        {
            return Some(buffer);
        }
        if bytes <= BUFFER_LARGE_BYTES { self.large.take() } else { None }
    }

    pub(super) fn has(&self, bytes: usize) -> bool {
        let small = bytes <= BUFFER_SMALL_BYTES && self.small.free_count() > 0;
        small || bytes <= BUFFER_LARGE_BYTES && self.large.free_count() > 0
    }

    pub(super) fn take_small(&mut self) -> Option<Buffer> {
        self.small.take()
    }

    pub(super) fn take_large(&mut self) -> Option<Buffer> {
        self.large.take()
    }

    pub(super) fn give_back(&mut self, mut buffer: Buffer) {
        buffer.clear();
        if buffer.capacity() == BUFFER_SMALL_BYTES { self.small.put(buffer) } else { self.large.put(buffer) }
    }

    /// A buffer with `bytes` in it.
    pub(super) fn filled(&mut self, bytes: &[u8]) -> Option<Buffer> {
        let mut buffer = self.take(bytes.len())?;
        let fits = buffer.extend(bytes);
        debug_assert!(fits, "a buffer of the asked size was taken");
        Some(buffer)
    }

    /// Appends, moving to a larger buffer when the present one is too small. `false`: there was none.
    #[must_use]
    pub(super) fn append(&mut self, to: &mut Option<Buffer>, bytes: &[u8]) -> bool {
        let Some(mut old) = to.take() else {
            *to = self.filled(bytes);
            return to.is_some();
        };
        if old.extend(bytes) {
            *to = Some(old);
            return true;
        }
        let larger = if old.len() + bytes.len() <= BUFFER_LARGE_BYTES { self.large.take() } else { None };
        let grown = larger.map(|mut larger| {
            let fits = larger.extend(old.bytes()) && larger.extend(bytes);
            debug_assert!(fits, "the sum was checked");
            larger
        });
        match grown {
            Some(larger) => {
                *to = Some(larger);
                self.give_back(old);
                true
            }
            None => {
                *to = Some(old);
                false
            }
        }
    }

    pub(super) fn small_free(&self) -> usize {
        self.small.free_count()
    }

    pub(super) fn large_free(&self) -> usize {
        self.large.free_count()
    }
}
