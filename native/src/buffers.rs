//! Memory that is used again: fresh memory costs a page fault for every 4 KiB, more than filling it.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard};

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

/// The bytes of a group, in pieces of memory.
#[derive(Default)]
pub struct GroupBytes {
    /// All are full but the last one; if there are several, each has `CHUNK_BYTES`.
    chunks: Vec<Chunk>,
    length: usize,
    capacity: usize,
}

impl GroupBytes {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Appends a copy of `bytes`; memory comes from `pool`.
    pub fn push(&mut self, mut bytes: &[u8], pool: &BufferPool) {
        while !bytes.is_empty() {
            if self.length == self.capacity {
                self.add(pool.chunk());
            }
            let last = &self.chunks[self.chunks.len() - 1];
            let room = self.capacity - self.length;
            let (now, later) = bytes.split_at(bytes.len().min(room));
            // SAFETY: the last piece has `room` bytes left at its end, and nobody else has it.
            unsafe {
                let target = last.start.as_ptr().add(last.capacity - room);
                std::ptr::copy_nonoverlapping(now.as_ptr(), target, now.len());
            }
            self.length += now.len();
            bytes = later;
        }
    }

    /// `length` bytes from `start` on, as a system call takes them. Valid as long as nothing of `self` changes.
    pub fn slices(&self, start: usize, length: usize) -> impl Iterator<Item = libc::iovec> {
        assert!(start + length <= self.length);
        let end = start + length;
        let mut at = start;
        std::iter::from_fn(move || {
            if at == end {
                return None;
            }
            let chunk = &self.chunks[at / CHUNK_BYTES];
            let from = at % CHUNK_BYTES;
            let count = (end - at).min(CHUNK_BYTES - from);
            at += count;
            // SAFETY: `from` lies in this piece: all before it are full.
            let start = unsafe { chunk.start.as_ptr().add(from) };
            Some(libc::iovec { iov_base: start.cast(), iov_len: count })
        })
    }

    fn add(&mut self, chunk: Chunk) {
        assert!(
            self.chunks.first().is_none_or(|first| first.capacity == CHUNK_BYTES),
            "a small group that grows"
        );
        self.capacity += chunk.capacity;
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

    /// Nothing yet, with memory for a group of `capacity` bytes if that is little.
    pub fn take(&self, capacity: usize) -> GroupBytes {
        let mut bytes = GroupBytes::default();
        if capacity > 0 && capacity < self.small_bytes {
            bytes.add(Chunk::new(capacity));
        }
        bytes
    }

    /// Takes the memory of a group back.
    pub fn give(&self, bytes: GroupBytes) {
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

    fn read(bytes: &GroupBytes, start: usize, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for slice in bytes.slices(start, length) {
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
                for part in expected.chunks(9_973) {
                    bytes.push(part, &pool);
                }
                assert_eq!(bytes.len(), total);
                assert_eq!(read(&bytes, 0, total), expected);
                let middle = total / 3;
                assert_eq!(read(&bytes, middle, total - middle), expected[middle..]);
                assert!(!aligned || bytes.slices(0, total).all(|s| s.iov_base as usize % DIRECT_BYTES == 0));
                pool.give(bytes);
            }
        }
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
