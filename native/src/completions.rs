//! What other threads have to tell JavaScript, collected until it comes to fetch it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crate::files::{Errno, FileId};

/// Wakes JavaScript, from any thread.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// What a completion tells. The numbers are shared with `src/zerocopy/addon.ts`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Stage {
    /// A group, truncation or sync has ended; `errno` 0 is success, otherwise the write failed.
    Written = 0,
    /// A sync of the group failed.
    Synced = 1,
    /// The file could not be opened.
    Opened = 2,
    /// Ranges are in memory and good, or could not be read; or a file has been mapped.
    Checked = 3,
    /// A range is not what was written; `ColdReaders::take_damage` tells more.
    Damaged = 4,
    /// A connection has sent everything.
    Drained = 10,
    /// As `Drained`, after `end`.
    Flushed = 11,
    /// The socket failed.
    SocketFailed = 12,
    /// A file range could not be read.
    RangeFailed = 13,
    /// A file range is longer than the file.
    RangeShort = 14,
    /// A file range was checked again before it was sent, and is not what was written.
    RangeDamaged = 15,
}

/// Why an operation failed, and on which file.
pub type Failure = (Errno, FileId, Stage);

/// One event: the number of a group or connection, an errno, the file it is about, what happened.
#[derive(Clone, Copy)]
pub struct Completion {
    pub ticket: f64,
    pub errno: i32,
    pub file: u32,
    pub stage: Stage,
}

#[derive(Default)]
struct Pending {
    list: Vec<f64>,
    /// JavaScript has been woken and has not come yet.
    signalled: bool,
    /// How many announced events have not come yet.
    announced: usize,
}

/// Completions on their way: one wake-up for all that happen until JavaScript takes them.
pub struct Completions {
    pending: Mutex<Pending>,
    /// Of groups of which more than one file failed, by ticket: all of them.
    failures: Mutex<HashMap<u64, Vec<Failure>>>,
    /// None once JavaScript has been let go.
    wake: RwLock<Option<Wake>>,
}

impl Completions {
    pub fn new(wake: Wake) -> Self {
        Completions { pending: Mutex::default(), failures: Mutex::default(), wake: RwLock::new(Some(wake)) }
    }

    /// Wakes JavaScript no more: what holds its callback holds the engine with it.
    pub fn let_go(&self) {
        let wake = self.wake.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(wake);
    }

    /// Adds events and wakes JavaScript unless it is on its way.
    pub fn push(&self, events: &[Completion]) {
        self.add(events, 0, false);
    }

    /// Adds events that can wait for one that is announced; without one JavaScript is woken.
    pub fn push_patient(&self, events: &[Completion]) {
        self.add(events, 0, true);
    }

    /// An event will come by `push_announced`.
    pub fn announce(&self) {
        self.lock().announced += 1;
    }

    /// Adds events that have been announced.
    pub fn push_announced(&self, events: &[Completion]) {
        self.add(events, events.len(), false);
    }

    /// The event that tells of `failures` of a group, none for success. If there are several, the others are kept until
    /// JavaScript asks for them.
    pub fn ended(&self, ticket: f64, failures: Vec<Failure>) -> Completion {
        let (errno, file, stage) = failures.first().copied().unwrap_or((0, 0, Stage::Written));
        if failures.len() > 1 {
            let mut kept = self.failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            kept.insert(ticket as u64, failures);
        }
        Completion { ticket, errno, file, stage }
    }

    /// What failed in the group of a ticket, if that was more than what its event told.
    pub fn take_failures(&self, ticket: f64) -> Vec<Failure> {
        let mut kept = self.failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        kept.remove(&(ticket as u64)).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn add(&self, events: &[Completion], announced: usize, patient: bool) {
        if events.is_empty() {
            return;
        }
        let wake = {
            let mut pending = self.lock();
            pending.announced -= announced;
            for event in events {
                pending.list.extend_from_slice(&[
                    event.ticket,
                    f64::from(event.errno),
                    f64::from(event.file),
                    f64::from(event.stage as u8),
                ]);
            }
            let waits = patient && pending.announced > 0;
            !waits && !std::mem::replace(&mut pending.signalled, true)
        };
        if wake && let Some(wake) = &*self.wake.read().unwrap_or_else(PoisonError::into_inner) {
            wake();
        }
    }

    /// Moves events to `target`, four numbers each; how many numbers there are. When `target` is full there may be more.
    pub fn take(&self, target: &mut [f64]) -> usize {
        let mut pending = self.lock();
        let count = pending.list.len().min(target.len() / 4 * 4);
        target[..count].copy_from_slice(&pending.list[..count]);
        pending.list.drain(..count);
        pending.signalled = !pending.list.is_empty();
        count
    }
}
