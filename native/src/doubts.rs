//! Files that an error of their file system may be about. The kernel tells such an error once, and not of which file.

use std::collections::HashMap;

use crate::files::{Errno, FileId};

struct Doubt {
    device: u64,
    errno: Errno,
    number: u64,
}

/// What nobody has been told yet: each file until a sync of its own, or until it is forgotten.
#[derive(Default)]
pub struct Doubts {
    by_file: HashMap<FileId, Doubt>,
    last_number: u64,
}

impl Doubts {
    /// `file` may be what an error of its device was about.
    pub fn raise(&mut self, file: FileId, device: u64, errno: Errno) {
        self.last_number += 1;
        self.by_file.insert(file, Doubt { device, errno, number: self.last_number });
    }

    /// The error that `device` told, as long as a file is in doubt for it.
    pub fn on_device(&self, device: u64) -> Option<Errno> {
        self.by_file.values().find(|doubt| doubt.device == device).map(|doubt| doubt.errno)
    }

    /// The number of the doubt about `file`, to `settle` it once it has been synced.
    pub fn of(&self, file: FileId) -> Option<u64> {
        self.by_file.get(&file).map(|doubt| doubt.number)
    }

    /// A sync of `file` that began while its doubt had this number went well. One raised since then stays.
    pub fn settle(&mut self, file: FileId, number: Option<u64>) {
        if self.of(file) == number {
            self.by_file.remove(&file);
        }
    }

    /// What became of `file` has been told, or nobody asks any more.
    pub fn end(&mut self, file: FileId) {
        self.by_file.remove(&file);
    }
}
