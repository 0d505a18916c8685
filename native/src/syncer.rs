//! fdatasync of many files at once, shared by all groups that wait for one file.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::completions::{Completions, Failure, Stage};
use crate::files::{Errno, FileId, FileTable};
use crate::open_file::OpenFile;

/// A group whose writes are in the page cache and which waits for syncs.
pub struct SyncWaiter {
    ticket: f64,
    missing: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
}

impl SyncWaiter {
    /// Completes after `files` syncs. `failures` are those of other files of the group.
    pub fn new(ticket: f64, files: usize, failures: Vec<Failure>) -> Arc<Self> {
        Arc::new(SyncWaiter { ticket, missing: AtomicUsize::new(files), failures: Mutex::new(failures) })
    }

    /// `Stage::Opened` when a sync was not tried.
    fn fail(&self, errno: Errno, file: FileId, stage: Stage) {
        self.lock().push((errno, file, stage));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Failure>> {
        self.failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One file's turn: who waits for the next sync of it.
struct Turn {
    file: Arc<OpenFile>,
    waiting: Vec<Arc<SyncWaiter>>,
    name: bool,
}

#[derive(Default)]
struct State {
    turns: HashMap<FileId, Turn>,
    ready: VecDeque<FileId>,
    idle_threads: usize,
    threads: Vec<JoinHandle<()>>,
    stopped: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    files: Arc<FileTable>,
    completions: Arc<Completions>,
    /// Called before every sync.
    #[cfg(test)]
    on_sync: Box<dyn Fn() + Send + Sync>,
}

/// A few threads that sync files, started as they are needed.
pub struct Syncer {
    shared: Arc<Shared>,
    max_threads: usize,
    stack_bytes: usize,
}

impl Syncer {
    pub fn new(files: Arc<FileTable>, completions: Arc<Completions>, max_threads: usize) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            files,
            completions,
            #[cfg(test)]
            on_sync: Box::new(|| {}),
        };
        Syncer { shared: Arc::new(shared), max_threads: max_threads.max(1), stack_bytes: 128 << 10 }
    }

    /// Syncs `file` after this call, for `waiter` and all others that ask before the sync begins. `name` also
    /// makes the file's creation durable. Syncs in the calling thread if the system gives no other.
    pub fn request(&self, id: FileId, file: &Arc<OpenFile>, name: bool, waiter: &Arc<SyncWaiter>) {
        let mut state = self.shared.lock();
        if let Some(turn) = state.turns.get_mut(&id) {
            // Queued, or running with a new turn to follow: `Shared::run` queues it again.
            turn.waiting.push(waiter.clone());
            turn.name |= name;
            return;
        }
        state.turns.insert(id, Turn { file: file.clone(), waiting: vec![waiter.clone()], name });
        state.ready.push_back(id);
        // A thread that has been woken counts as idle until it comes for its turn.
        if state.idle_threads >= state.ready.len() {
            self.shared.wake.notify_one();
        } else if state.threads.len() < self.max_threads {
            let shared = self.shared.clone();
            let spawned = std::thread::Builder::new()
                .name("cordwood-sync".into())
                .stack_size(self.stack_bytes)
                .spawn(move || shared.run());
            match spawned {
                Ok(thread) => state.threads.push(thread),
                // Nobody would ever come for the turn.
                Err(_) if state.threads.is_empty() => drop(self.shared.drain(state)),
                Err(_) => {}
            }
        }
    }

    /// Carries out what is queued, then ends the threads.
    pub fn stop(&self) {
        let threads = {
            let mut state = self.shared.lock();
            state.stopped = true;
            std::mem::take(&mut state.threads)
        };
        self.shared.wake.notify_all();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            state = self.drain(state);
            if state.stopped {
                return;
            }
            state.idle_threads += 1;
            state = self.wake.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            state.idle_threads -= 1;
        }
    }

    /// Serves turns until none is queued.
    fn drain<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while let Some(id) = state.ready.pop_front() {
            let Some(turn) = state.turns.get_mut(&id) else { continue };
            let served = std::mem::take(&mut turn.waiting);
            let name = std::mem::take(&mut turn.name);
            let file = turn.file.clone();
            drop(state);
            self.serve(id, &file, name, &served);
            state = self.lock();
            if state.turns.get(&id).is_some_and(|turn| turn.waiting.is_empty()) {
                state.turns.remove(&id);
            } else {
                state.ready.push_back(id);
            }
        }
        state
    }

    fn serve(&self, id: FileId, file: &OpenFile, name: bool, served: &[Arc<SyncWaiter>]) {
        #[cfg(test)]
        (self.on_sync)();
        let outcome = sync_file(&self.files, id, file, name);
        let mut done = Vec::with_capacity(served.len());
        for waiter in served {
            if let Err((errno, stage)) = outcome {
                waiter.fail(errno, id, stage);
            }
            if waiter.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
                let failures = std::mem::take(&mut *waiter.lock());
                done.push(self.completions.ended(waiter.ticket, failures));
            }
        }
        self.completions.push(&done);
    }
}

/// Syncs a file, unless a sync of it has failed before; `name` also makes its creation durable. A failure is remembered.
pub fn sync_file(files: &FileTable, id: FileId, file: &OpenFile, name: bool) -> Result<(), (Errno, Stage)> {
    let outcome = match files.sync_failure(id) {
        Some(errno) => Err((errno, Stage::Synced)),
        None => {
            let synced = files.sync_data(id, file).map_err(|errno| (errno, Stage::Synced));
            synced.and_then(|()| if name { sync_name(files, id) } else { Ok(()) })
        }
    };
    if let Err((errno, Stage::Synced)) = outcome {
        files.set_sync_failure(id, errno);
    }
    outcome
}

/// Without a descriptor for the directory nothing was tried and nothing is lost: not a failed sync.
fn sync_name(files: &FileTable, id: FileId) -> Result<(), (Errno, Stage)> {
    files.sync_name(id).map_err(|errno| match errno {
        libc::EMFILE | libc::ENFILE => (errno, Stage::Opened),
        _ => (errno, Stage::Synced),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    #[test]
    fn syncs_two_files_at_once_also_where_one_thread_has_nothing_to_do() {
        let directory = std::env::temp_dir().join(format!("cordwood-syncers-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let files = Arc::new(FileTable::new(8));
        let completions = Arc::new(Completions::new(Box::new(|| {})));
        let mut syncer = Syncer::new(files.clone(), completions.clone(), 4);
        // The second and the third sync wait for each other.
        let in_vain = Arc::new(AtomicBool::new(false));
        let (counted, noted) = (Arc::new((Mutex::new(0), Condvar::new())), in_vain.clone());
        Arc::get_mut(&mut syncer.shared).unwrap().on_sync = Box::new(move || {
            let (count, changed) = &*counted;
            let mut count = count.lock().unwrap();
            *count += 1;
            changed.notify_all();
            let is_alone = |count: &mut i32| *count == 2;
            let bound = Duration::from_secs(10);
            if changed.wait_timeout_while(count, bound, is_alone).unwrap().1.timed_out() {
                noted.store(true, Ordering::Release);
            }
        });
        let request = |number: i32| {
            let id = files.register(directory.join(number.to_string()).to_string_lossy().into_owned());
            let file = files.open(id, true).unwrap();
            syncer.request(id, &file, false, &SyncWaiter::new(number.into(), 1, Vec::new()));
        };
        let mut done = [0.0; 64];
        let mut count = 0;
        request(1);
        while syncer.shared.lock().idle_threads == 0 {
            std::thread::yield_now();
        }
        count += completions.take(&mut done) / 4;
        request(2);
        request(3);
        while count < 3 {
            count += completions.take(&mut done) / 4;
            std::thread::yield_now();
        }
        assert!(!in_vain.load(Ordering::Acquire));
        syncer.stop();
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn syncs_in_the_calling_thread_when_the_system_gives_no_other() {
        let path = std::env::temp_dir().join(format!("cordwood-syncer-{}", std::process::id()));
        let files = Arc::new(FileTable::new(8));
        let id = files.register(path.to_string_lossy().into_owned());
        let file = files.open(id, true).unwrap();
        let completions = Arc::new(Completions::new(Box::new(|| {})));
        let mut syncer = Syncer::new(files, completions.clone(), 4);
        // More than there are addresses.
        syncer.stack_bytes = 1 << 50;
        for ticket in [7.0, 8.0] {
            syncer.request(id, &file, true, &SyncWaiter::new(ticket, 1, Vec::new()));
            let mut done = [0.0; 8];
            assert_eq!(completions.take(&mut done), 4);
            assert_eq!(done[..2], [ticket, 0.0]);
        }
        syncer.stop();
        std::fs::remove_file(path).unwrap();
    }
}
