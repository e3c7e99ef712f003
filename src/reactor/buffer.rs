//! Memory that changes hands instead of being shared: a buffer is owned by whoever works with it (a connection, a
//! parked request, the kernel through the runtime, another core), so no lifetime and no lock is needed between them.

use std::fmt;

/// A fixed block of bytes and how many of them are filled. Moving it moves a pointer; the block stays where it is.
pub struct Buffer {
    block: Box<[u8]>,
    len: u32,
}

impl Buffer {
    /// Allocates: called at start only, when pools are filled.
    pub fn with_capacity(bytes: usize) -> Buffer {
        Buffer { block: vec![0; bytes].into_boxed_slice(), len: 0 }
    }

    pub fn capacity(&self) -> usize {
        self.block.len()
    }

    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The filled part.
    pub fn bytes(&self) -> &[u8] {
        &self.block[..self.len as usize]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.block[..self.len as usize]
    }

    /// The whole block, to be written before [`Buffer::set_len`].
    pub fn block_mut(&mut self) -> &mut [u8] {
        &mut self.block
    }

    /// # Panics
    /// When `len` is beyond the capacity.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.block.len());
        self.len = len as u32;
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends `bytes`, or nothing (`false`) when they don't fit.
    #[must_use]
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        let start = self.len as usize;
        let Some(room) = self.block.get_mut(start..start + bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.len += bytes.len() as u32;
        true
    }

    /// Drops the first `count` filled bytes and moves the rest to the front.
    pub fn consume(&mut self, count: usize) {
        self.block.copy_within(count..self.len as usize, 0);
        self.len -= count as u32;
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({}/{})", self.len, self.block.len())
    }
}
