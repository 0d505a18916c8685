//! Rare work that may take seconds and may hold nothing else up: each piece in a thread of its own.

use std::sync::{Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Threads that are under way.
#[derive(Default)]
pub struct Aside {
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Aside {
    fn lock(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs `body` in a new thread. False when the system gives none.
    pub fn run(&self, body: impl FnOnce() + Send + 'static) -> bool {
        let spawned =
            std::thread::Builder::new().name("cordwood-aside".into()).stack_size(128 << 10).spawn(body);
        let mut threads = self.lock();
        threads.retain(|thread| !thread.is_finished());
        spawned.map(|thread| threads.push(thread)).is_ok()
    }

    /// Waits for all of them.
    pub fn stop(&self) {
        let threads = std::mem::take(&mut *self.lock());
        for thread in threads {
            let _ = thread.join();
        }
    }
}
