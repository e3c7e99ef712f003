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

/// A fixed number of buffers of one size. What is taken must be put back; an empty pool is a bound that was reached,
/// and its caller has an answer for that.
pub struct Pool {
    free: Vec<Buffer>,
    buffer_bytes: usize,
    count: usize,
}

impl Pool {
    /// Allocates all `count` buffers and touches every page of them, so that no page fault is left for later.
    pub fn new(count: usize, buffer_bytes: usize) -> Pool {
        let mut free = Vec::with_capacity(count);
        free.resize_with(count, || {
            let mut buffer = Buffer::with_capacity(buffer_bytes);
            buffer.block_mut().fill(0);
            buffer
        });
        Pool { free, buffer_bytes, count }
    }

    /// An empty buffer, or `None` when all are out. The one that came back last goes out first: its lines are warm.
    pub fn take(&mut self) -> Option<Buffer> {
        self.free.pop()
    }

    /// # Panics
    /// When the buffer is of another size or more come back than went out: it belongs to another pool.
    pub fn put(&mut self, mut buffer: Buffer) {
        assert!(buffer.capacity() == self.buffer_bytes && self.free.len() < self.count, "a buffer of another pool");
        buffer.clear();
        self.free.push(buffer);
    }

    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// How many buffers there are in all.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many can be taken now.
    pub fn free_count(&self) -> usize {
        self.free.len()
    }

    /// How many are out.
    pub fn taken_count(&self) -> usize {
        self.count - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extend_takes_all_or_nothing() {
        let mut buffer = Buffer::with_capacity(8);
        assert!(buffer.extend(b"hello"));
        assert!(!buffer.extend(b"four"));
        assert_eq!(buffer.bytes(), b"hello");
        assert!(buffer.extend(b"you"));
        buffer.consume(5);
        assert_eq!(buffer.bytes(), b"you");
    }

    #[test]
    fn a_pool_lends_what_it_has_and_no_more() {
        let mut pool = Pool::new(2, 16);
        let mut first = pool.take().unwrap();
        let second = pool.take().unwrap();
        assert!(pool.take().is_none());
        assert_eq!((pool.free_count(), pool.taken_count(), pool.count()), (0, 2, 2));

        assert!(first.extend(b"left over"));
        pool.put(first);
        assert!(pool.take().unwrap().is_empty(), "comes back empty");
        pool.put(second);
    }

    #[test]
    #[should_panic(expected = "another pool")]
    fn a_pool_refuses_a_strange_buffer() {
        let mut pool = Pool::new(1, 16);
        let _lent = pool.take();
        pool.put(Buffer::with_capacity(32));
    }
}
