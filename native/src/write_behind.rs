//! Bytes that are safe in the journal and lie in the page cache: the disk is told to begin with them while nobody waits for
//! it. Otherwise a sync of many megabytes at once stands in the way of the journal.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::open_file::OpenFile;

/// A call for less than that costs more than it spares.
const LEAST_BYTES: u64 = 128 << 10;
/// So much is begun with even if the disk is never free.
const MOST_BYTES: u64 = 16 << 20;

/// Bytes of one file that lie one after the other.
struct Stretch {
    file: Arc<OpenFile>,
    start: u64,
    length: u64,
}

#[derive(Default)]
struct Behind {
    stretches: Vec<Stretch>,
    bytes: u64,
}

/// What the disk may begin with.
#[derive(Default)]
pub struct WriteBehind {
    behind: Mutex<Behind>,
}

impl WriteBehind {
    /// Notes bytes that have been written to the page cache, together with what of this file was too little before.
    pub fn add(&self, file: &Arc<OpenFile>, position: u64, length: u64) {
        let Some((start, length)) = file.gather(position, length, LEAST_BYTES) else { return };
        let mut behind = self.lock();
        behind.bytes += length;
        behind.stretches.push(Stretch { file: file.clone(), start, length });
    }

    pub fn is_empty(&self) -> bool {
        self.lock().stretches.is_empty()
    }

    /// Begins with everything if there is too much of it.
    pub fn bound(&self) {
        if self.lock().bytes > MOST_BYTES {
            self.begin();
        }
    }

    /// Has the system begin to write everything; does not wait for it. What fails is told by the sync that has to come.
    pub fn begin(&self) {
        let stretches = std::mem::take(&mut *self.lock()).stretches;
        for Stretch { file, start, length } in stretches {
            file.begin_writing(start, length);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Behind> {
        self.behind.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_with_what_comes_together_and_leaves_what_is_little() {
        let path = std::env::temp_dir().join(format!("cordwood-behind-{}", std::process::id()));
        let file = Arc::new(OpenFile::open(&path, true, Arc::default()).unwrap());
        let behind = WriteBehind::default();
        behind.add(&file, 0, LEAST_BYTES / 2);
        assert!(behind.is_empty());
        behind.add(&file, LEAST_BYTES / 2, LEAST_BYTES / 2);
        assert_eq!(behind.lock().stretches[0].start, 0);
        assert_eq!(behind.lock().bytes, LEAST_BYTES);
        // Somewhere else: what was gathered there is left to the sync.
        behind.add(&file, LEAST_BYTES, 10);
        behind.add(&file, 7 * LEAST_BYTES, LEAST_BYTES);
        assert_eq!(behind.lock().stretches[1].start, 7 * LEAST_BYTES);
        behind.bound();
        assert!(!behind.is_empty());
        behind.add(&file, 8 * LEAST_BYTES, MOST_BYTES);
        behind.bound();
        assert!(behind.is_empty());
        std::fs::remove_file(path).unwrap();
    }
}
