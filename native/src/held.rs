//! Duplicates of descriptors that tell others that this engine may still write.

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard};

#[derive(Default)]
struct Inner {
    by_number: HashMap<u32, OwnedFd>,
    last_number: u32,
}

/// The duplicates by numbers that are never used twice.
#[derive(Default)]
pub struct Held {
    inner: Mutex<Inner>,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Keeps a duplicate; its number.
    pub fn hold(&self, descriptor: BorrowedFd<'_>) -> std::io::Result<u32> {
        let duplicate = descriptor.try_clone_to_owned()?;
        let mut inner = self.lock();
        inner.last_number += 1;
        let number = inner.last_number;
        inner.by_number.insert(number, duplicate);
        Ok(number)
    }

    /// Closes one.
    pub fn let_go(&self, number: u32) {
        let closed = self.lock().by_number.remove(&number);
        drop(closed);
    }

    /// Closes all of them.
    pub fn close(&self) {
        let closed = std::mem::take(&mut self.lock().by_number);
        drop(closed);
    }
}
