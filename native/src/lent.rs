//! Memory that JavaScript fills and the writer's threads read: what lies in it is written without a copy.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::open_file::DIRECT_BYTES;

/// A piece of memory that has been lent. It stays as long as JavaScript or a queued write holds it, wherever its end is
/// noticed: threads of the addon outlive the environment that the memory was lent to.
pub struct Lent {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: nothing here looks into the memory; whoever does sees to it that nobody writes to it meanwhile.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

/// All memory that is lent in this process, by where it begins.
static LENT: Mutex<BTreeMap<usize, Weak<Lent>>> = Mutex::new(BTreeMap::new());

impl Lent {
    /// At least `length` bytes that can be written past the page cache; none when the system has none to give.
    pub fn new(length: usize) -> Option<Arc<Self>> {
        let length = length.max(1).checked_next_multiple_of(DIRECT_BYTES)?;
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping at a place that the system chooses.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        let lent = Arc::new(Lent { start: NonNull::new(start.cast())?, length });
        registry().insert(lent.start.as_ptr() as usize, Arc::downgrade(&lent));
        Some(lent)
    }

    /// The lent memory that all of `bytes` lie in.
    pub fn around(bytes: &[u8]) -> Option<Arc<Self>> {
        let start = bytes.as_ptr() as usize;
        let lent = registry().range(..=start).next_back()?.1.upgrade()?;
        (start + bytes.len() <= lent.start.as_ptr() as usize + lent.length).then_some(lent)
    }

    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // First: other memory may come to lie there at once.
        registry().remove(&(self.start.as_ptr() as usize));
        // SAFETY: it was mapped with this length, and nobody holds it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

fn registry() -> MutexGuard<'static, BTreeMap<usize, Weak<Lent>>> {
    LENT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(lent: &Lent, from: usize, length: usize) -> &[u8] {
        // SAFETY: the tests stay inside the memory, or look at nothing but the address.
        unsafe { std::slice::from_raw_parts(lent.as_ptr().add(from), length) }
    }

    #[test]
    fn knows_what_lies_in_lent_memory_and_nothing_else() {
        let lent = Lent::new(3 * DIRECT_BYTES - 7).unwrap();
        assert!((lent.as_ptr() as usize).is_multiple_of(DIRECT_BYTES));
        assert!(bytes(&lent, 0, 3 * DIRECT_BYTES).iter().all(|byte| *byte == 0));
        for (from, length) in [(0, 1), (0, 3 * DIRECT_BYTES), (3 * DIRECT_BYTES - 1, 1), (5, 0)] {
            let found = Lent::around(bytes(&lent, from, length)).unwrap();
            assert!(Arc::ptr_eq(&found, &lent));
        }
        assert!(Lent::around(bytes(&lent, 1, 3 * DIRECT_BYTES)).is_none());
        assert!(Lent::around(&vec![7; 100_000]).is_none());
        assert!(Lent::around(&[]).is_none());
    }

    #[test]
    fn is_forgotten_and_given_back_with_its_last_holder() {
        let lent = Lent::new(DIRECT_BYTES).unwrap();
        let start = lent.as_ptr() as usize;
        let queued = Lent::around(bytes(&lent, 0, 9)).unwrap();
        drop(lent);
        assert_eq!(bytes(&queued, 0, 9), [0; 9]);
        let weak = Arc::downgrade(&queued);
        drop(queued);
        assert!(weak.upgrade().is_none());
        // Another test may have got the place meanwhile, not the same memory.
        assert!(registry().get(&start).is_none_or(|found| !Weak::ptr_eq(found, &weak)));
    }

    #[test]
    fn what_cannot_be_had_is_not_lent() {
        assert!(Lent::new(usize::MAX).is_none());
        assert!(Lent::new(usize::MAX / 2).is_none());
    }
}
