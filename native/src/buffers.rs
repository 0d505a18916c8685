//! Memory that is used again: fresh megabytes cost a page fault for every 4 KiB.

use std::sync::Mutex;

/// Smaller buffers come from the allocator, which keeps them warm itself.
const SMALLEST_KEPT: usize = 16 << 10;

/// Buffers that have been given back, by the power of two that they hold.
pub struct BufferPool {
    classes: Mutex<Pool>,
    max_bytes: usize,
}

#[derive(Default)]
struct Pool {
    classes: [Vec<Vec<u8>>; 28],
    bytes: usize,
}

fn class_of(capacity: usize) -> usize {
    capacity.next_power_of_two().trailing_zeros() as usize
}

impl BufferPool {
    /// A pool that keeps at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        BufferPool { classes: Mutex::default(), max_bytes }
    }

    /// An empty buffer with room for `capacity` bytes.
    pub fn take(&self, capacity: usize) -> Vec<u8> {
        let class = class_of(capacity);
        if capacity < SMALLEST_KEPT || class >= 28 {
            return Vec::with_capacity(capacity);
        }
        let mut pool = self.classes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match pool.classes[class].pop() {
            Some(buffer) => {
                pool.bytes -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(1 << class),
        }
    }

    /// Takes a buffer back.
    pub fn give(&self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity < SMALLEST_KEPT || !capacity.is_power_of_two() || class_of(capacity) >= 28 {
            return;
        }
        let mut pool = self.classes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if pool.bytes + capacity > self.max_bytes {
            return;
        }
        buffer.clear();
        pool.bytes += capacity;
        pool.classes[class_of(capacity)].push(buffer);
    }
}
