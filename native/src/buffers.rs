//! Memory that is used again: fresh memory costs a page fault for every 4 KiB, more than filling it.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::lent::Lent;
use crate::open_file::DIRECT_BYTES;

/// What is kept comes in pieces of this size, whatever the group: any fits any.
const CHUNK_BYTES: usize = 64 << 10;
/// Memory for so few bytes comes from the allocator, which keeps it warm itself.
const SMALL_BYTES: usize = 16 << 10;

/// A piece of memory, aligned so that it can be written past the page cache.
struct Chunk {
    start: NonNull<u8>,
    capacity: usize,
}

// SAFETY: it is memory that nobody else has.
unsafe impl Send for Chunk {}

impl Chunk {
    fn new(capacity: usize) -> Self {
        let layout = Chunk::layout(capacity);
        // SAFETY: the layout has a size.
        let start = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        Chunk { start, capacity }
    }

    fn layout(capacity: usize) -> Layout {
        let align = if capacity < CHUNK_BYTES { 16 } else { DIRECT_BYTES };
        Layout::from_size_align(capacity, align).expect("a small power of two")
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: it was allocated with the same layout.
        unsafe { dealloc(self.start.as_ptr(), Chunk::layout(self.capacity)) };
    }
}

/// Bytes that lie one after the other in memory.
struct Slice {
    start: *const u8,
    length: usize,
}

// SAFETY: it lies in memory that whoever has the slice holds.
unsafe impl Send for Slice {}

/// The bytes of a group: copies, in pieces of memory, and bytes in lent memory, which it holds.
#[derive(Default)]
pub struct GroupBytes {
    /// Memory of copies: all are full but the last one, which has `room` bytes left.
    chunks: Vec<Chunk>,
    room: usize,
    slices: Vec<Slice>,
    lent: Vec<Arc<Lent>>,
    length: usize,
    /// The first slice of what is being added.
    first: usize,
}

impl GroupBytes {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Begins bytes that follow each other in a file; the number of their first slice.
    pub fn begin(&mut self) -> usize {
        self.first = self.slices.len();
        self.first
    }

    /// How many slices there are.
    pub fn slice_count(&self) -> usize {
        self.slices.len()
    }

    /// Appends a copy of `bytes`; memory comes from `pool`.
    pub fn push(&mut self, mut bytes: &[u8], pool: &BufferPool) {
        while !bytes.is_empty() {
            if self.room == 0 {
                self.add(pool.chunk());
            }
            let last = &self.chunks[self.chunks.len() - 1];
            let (now, later) = bytes.split_at(bytes.len().min(self.room));
            // SAFETY: the last piece has `room` bytes left at its end, and nobody else has it.
            let target = unsafe {
                let target = last.start.as_ptr().add(last.capacity - self.room);
                std::ptr::copy_nonoverlapping(now.as_ptr(), target, now.len());
                target
            };
            self.room -= now.len();
            self.note(target, now.len());
            bytes = later;
        }
    }

    /// Appends `bytes` as they are: they lie in lent memory that was given to `hold`.
    pub fn push_held(&mut self, bytes: &[u8]) {
        self.note(bytes.as_ptr(), bytes.len());
    }

    /// Keeps lent memory as long as this.
    pub fn hold(&mut self, lent: Arc<Lent>) {
        self.lent.push(lent);
    }

    /// Slices as a system call takes them. Valid as long as `self`, and only to be read.
    pub fn slices(&self, range: Range<usize>) -> impl Iterator<Item = libc::iovec> {
        let iovec =
            |slice: &Slice| libc::iovec { iov_base: slice.start.cast_mut().cast(), iov_len: slice.length };
        self.slices[range].iter().map(iovec)
    }

    fn note(&mut self, start: *const u8, length: usize) {
        self.length += length;
        if length == 0 {
            return;
        }
        let open = if self.slices.len() > self.first { self.slices.last_mut() } else { None };
        match open {
            Some(last) if last.start.wrapping_add(last.length) == start => last.length += length,
            _ => self.slices.push(Slice { start, length }),
        }
    }

    fn add(&mut self, chunk: Chunk) {
        assert!(
            self.chunks.first().is_none_or(|first| first.capacity == CHUNK_BYTES),
            "a small group that grows"
        );
        self.room = chunk.capacity;
        self.chunks.push(chunk);
    }
}

/// Pieces of memory that have been given back. What was given last is taken first.
pub struct BufferPool {
    kept: Mutex<Vec<Chunk>>,
    max_kept: usize,
    small_bytes: usize,
}

impl BufferPool {
    /// A pool that keeps at most `max_bytes`. If all of it is `aligned`, every group begins at a multiple of `DIRECT_BYTES`.
    pub fn new(max_bytes: usize, aligned: bool) -> Self {
        let small_bytes = if aligned { 0 } else { SMALL_BYTES };
        BufferPool { kept: Mutex::default(), max_kept: max_bytes / CHUNK_BYTES, small_bytes }
    }

    /// Nothing yet, with memory for copies of `capacity` bytes if that is little: no more may be copied then.
    pub fn take(&self, capacity: usize) -> GroupBytes {
        let mut bytes = GroupBytes::default();
        if capacity > 0 && capacity < self.small_bytes {
            bytes.add(Chunk::new(capacity));
        }
        bytes
    }

    /// Takes the memory of a group back, and lets go of what was lent.
    pub fn give(&self, bytes: GroupBytes) {
        drop(bytes.lent);
        let is_small = |chunk: &Chunk| chunk.capacity < CHUNK_BYTES;
        if bytes.chunks.first().is_none_or(is_small) {
            return;
        }
        let mut kept = self.lock();
        let count = bytes.chunks.len().min(self.max_kept.saturating_sub(kept.len()));
        let mut chunks = bytes.chunks;
        let rest = chunks.split_off(count);
        kept.append(&mut chunks);
        drop(kept);
        drop(rest);
    }

    /// Lets go of everything that is kept.
    pub fn trim(&self) {
        let kept = std::mem::take(&mut *self.lock());
        if !kept.is_empty() {
            drop(kept);
            give_back();
        }
    }

    fn chunk(&self) -> Chunk {
        let kept = self.lock().pop();
        kept.unwrap_or_else(|| Chunk::new(CHUNK_BYTES))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Chunk>> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Has the allocator give to the system what it has no use for.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &GroupBytes, range: Range<usize>) -> Vec<u8> {
        let mut all = Vec::new();
        for slice in bytes.slices(range) {
            // SAFETY: `bytes` lives, and does not change.
            all.extend(unsafe { std::slice::from_raw_parts(slice.iov_base.cast::<u8>(), slice.iov_len) });
        }
        all
    }

    #[test]
    fn holds_what_was_added_across_pieces_of_memory() {
        for aligned in [false, true] {
            let pool = BufferPool::new(1 << 20, aligned);
            for total in [1, SMALL_BYTES - 1, SMALL_BYTES, CHUNK_BYTES, 3 * CHUNK_BYTES + 5] {
                let expected: Vec<u8> = (0..total).map(|at| (at / 3) as u8).collect();
                let mut bytes = pool.take(total);
                bytes.begin();
                for part in expected.chunks(9_973) {
                    bytes.push(part, &pool);
                }
                assert_eq!(bytes.len(), total);
                assert_eq!(bytes.slice_count(), total.div_ceil(CHUNK_BYTES));
                assert_eq!(read(&bytes, 0..bytes.slice_count()), expected);
                let begins = |slice: libc::iovec| slice.iov_base as usize;
                assert!(!aligned || bytes.slices(0..1).map(begins).all(|at| at.is_multiple_of(DIRECT_BYTES)));
                pool.give(bytes);
            }
        }
    }

    #[test]
    fn mixes_copies_with_bytes_in_lent_memory_and_holds_that_until_it_is_given_back() {
        let pool = BufferPool::new(1 << 20, false);
        let lent = Lent::new(8192).unwrap();
        // SAFETY: nobody else has this memory.
        let memory = unsafe { std::slice::from_raw_parts_mut(lent.as_ptr(), 8192) };
        for (at, byte) in memory.iter_mut().enumerate() {
            *byte = (at / 5) as u8;
        }
        let weak = Arc::downgrade(&lent);
        let mut bytes = pool.take(2 * 8);
        bytes.hold(lent);
        let first = bytes.begin();
        bytes.push_held(&memory[4096..5000]);
        bytes.push_held(&memory[5000..5001]);
        bytes.push_held(&memory[7000..7000]);
        bytes.push(&[7; 8], &pool);
        let second = bytes.begin();
        bytes.push(&[8; 8], &pool);
        bytes.push_held(&memory[..10]);
        let end = bytes.begin();
        assert_eq!((bytes.len(), first, second, end), (905 + 8 + 8 + 10, 0, 2, 4));
        assert_eq!(read(&bytes, first..second), [&memory[4096..5001], &[7; 8]].concat());
        assert_eq!(read(&bytes, second..end), [&[8; 8][..], &memory[..10]].concat());
        // Nothing was copied, and what continues the slice before it is part of that.
        assert_eq!(bytes.slices(0..1).next().unwrap().iov_base, memory[4096..].as_mut_ptr().cast());
        assert!(weak.upgrade().is_some());
        pool.give(bytes);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn takes_the_same_memory_again_up_to_its_bound_and_none_once_it_is_trimmed() {
        let pool = BufferPool::new(2 * CHUNK_BYTES, false);
        let mut bytes = pool.take(3 * CHUNK_BYTES);
        bytes.push(&vec![7; 3 * CHUNK_BYTES], &pool);
        pool.give(bytes);
        assert_eq!(pool.lock().len(), 2);
        let mut again = pool.take(CHUNK_BYTES);
        again.push(&[1; CHUNK_BYTES], &pool);
        assert_eq!(pool.lock().len(), 1);
        pool.trim();
        assert_eq!(pool.lock().len(), 0);
    }
}
