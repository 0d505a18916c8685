//! Two threads that wait for the disk, so that nobody else has to: they read ranges ahead and check them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::batches::{BatchWalk, Bounds, Fault, FaultKind};
use crate::completions::{Completion, Completions, Stage};
use crate::files::{Errno, FileId, FileTable};
use crate::open_file::OpenFile;
use crate::residency::{READ_AROUND_BYTES, forget_lost, is_resident};

const THREADS: usize = 2;
const CHUNK: usize = 256 << 10;

/// Whole batches of one file.
pub struct Range {
    pub file: FileId,
    pub position: u64,
    pub length: u64,
    pub bounds: Bounds,
}

impl Range {
    fn end(&self) -> u64 {
        self.position + self.length
    }
}

/// Why a range cannot be sent.
#[derive(Clone, Copy)]
pub enum Failure {
    Read(Errno),
    /// The bytes from `position` on are not a batch that may follow the one before.
    Damaged {
        position: u64,
        fault: Fault,
    },
}

/// Work for the threads; they lend it their memory.
type Job = Box<dyn FnOnce(&mut Vec<u8>) + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle_threads: usize,
    threads: Vec<JoinHandle<()>>,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// The cold readers of one engine.
pub struct ColdReaders {
    shared: Arc<Shared>,
    files: Arc<FileTable>,
    completions: Arc<Completions>,
    /// What JavaScript has not fetched yet: damage, by ticket.
    damages: Arc<Mutex<HashMap<u64, [f64; 4]>>>,
}

impl ColdReaders {
    pub fn new(files: Arc<FileTable>, completions: Arc<Completions>) -> Self {
        ColdReaders { shared: Arc::default(), files, completions, damages: Arc::default() }
    }

    /// Runs `job` once a thread is free; at once, in the calling thread, if the system gives none or they have been stopped.
    pub fn run(&self, job: impl FnOnce(&mut Vec<u8>) + Send + 'static) {
        let mut queue = self.shared.lock();
        if queue.stopped {
            // A connection that outlives the files. Nobody would end a thread that is started now.
            drop(queue);
            job(&mut Vec::new());
            return;
        }
        if queue.idle_threads <= queue.jobs.len() && queue.threads.len() < THREADS {
            let shared = self.shared.clone();
            let spawned = std::thread::Builder::new()
                .name("cordwood-cold".into())
                .stack_size(256 << 10)
                .spawn(move || shared.serve());
            queue.threads.extend(spawned);
            if queue.threads.is_empty() {
                drop(queue);
                job(&mut Vec::new());
                return;
            }
        }
        queue.jobs.push_back(Box::new(job));
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// True when all ranges are in memory and have been checked. Otherwise a completion follows, once they are.
    pub fn prepare(&self, ticket: f64, ranges: impl Iterator<Item = Range>) -> bool {
        let cold: Vec<Range> = ranges.filter(|range| !self.is_prepared(range)).collect();
        if cold.is_empty() {
            return true;
        }
        let (files, completions, damages) =
            (self.files.clone(), self.completions.clone(), self.damages.clone());
        self.run(move |scratch| {
            let mut completion = Completion { ticket, errno: 0, file: 0, stage: Stage::Checked };
            for range in cold {
                let checked = files
                    .open(range.file, false)
                    .map_err(Failure::Read)
                    .and_then(|file| check(&file, range.position, range.length, range.bounds, scratch));
                let Err(failure) = checked else { continue };
                completion.file = range.file;
                match failure {
                    Failure::Read(errno) => completion.errno = errno,
                    Failure::Damaged { position, fault } => {
                        completion.stage = Stage::Damaged;
                        let told =
                            [position as f64, f64::from(fault.kind as u8), fault.expected, fault.found];
                        let mut damages = damages.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        damages.insert(ticket as u64, told);
                    }
                }
                break;
            }
            completions.push(&[completion]);
        });
        false
    }

    fn is_prepared(&self, range: &Range) -> bool {
        let file = self.files.peek(range.file);
        file.is_some_and(|file| {
            file.verified.covers(range.position, range.end())
                && is_resident(&file, range.position, range.length)
        })
    }

    /// What was found in place of good batches, after a completion that says so: position, fault, expected, found.
    pub fn take_damage(&self, ticket: f64) -> Option<[f64; 4]> {
        let mut damages = self.damages.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        damages.remove(&(ticket as u64))
    }

    /// Carries out what is queued, then ends the threads.
    pub fn stop(&self) {
        let threads = {
            let mut queue = self.shared.lock();
            queue.stopped = true;
            std::mem::take(&mut queue.threads)
        };
        self.shared.wake.notify_all();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn serve(&self) {
        let mut scratch = Vec::new();
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                job(&mut scratch);
                queue = self.lock();
            } else if queue.stopped {
                return;
            } else {
                queue.idle_threads += 1;
                queue = self.wake.wait(queue).unwrap_or_else(|poisoned| poisoned.into_inner());
                queue.idle_threads -= 1;
            }
        }
    }
}

/// Reads a range into memory. What was checked before is checked again: who asks has seen that it had left memory.
pub fn warm(
    file: &OpenFile,
    range: (u64, u64),
    bounds: Bounds,
    part: (u64, u64),
    scratch: &mut Vec<u8>,
) -> Result<(), Failure> {
    if file.verified.covers(range.0, range.0 + range.1) {
        return check(file, range.0, range.1, bounds, scratch);
    }
    read(file, part.0, part.1, scratch, |_| Ok(())).map(|_| ())
}

/// Reads a range and checks that it is whole batches within their bounds.
fn check(
    file: &OpenFile,
    position: u64,
    length: u64,
    bounds: Bounds,
    scratch: &mut Vec<u8>,
) -> Result<(), Failure> {
    // What the kernel reads around it comes from the disk as well.
    forget_lost(file, position, length);
    let end = position + length;
    file.verified.remove(position, end);
    let mut walk = BatchWalk::new(bounds);
    read_ahead(file, position, length);
    let result = read(file, position, length, scratch, |bytes| walk.feed(bytes));
    let good = position + walk.valid_bytes;
    file.verified.add(position, good);
    let fault = match result? {
        Some(fault) => fault,
        None if good == end => {
            read_ahead(file, end, length);
            return Ok(());
        }
        None => Fault {
            kind: FaultKind::Cut,
            expected: walk.current_bytes() as f64,
            found: walk.arrived_bytes() as f64,
        },
    };
    Err(Failure::Damaged { position: good, fault })
}

/// Reads a range piece by piece, up to the end of the file, until `take` finds a fault.
fn read(
    file: &OpenFile,
    position: u64,
    length: u64,
    scratch: &mut Vec<u8>,
    mut take: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<Option<Fault>, Failure> {
    scratch.resize(CHUNK, 0);
    let mut at = position;
    let end = position + length;
    while at < end {
        let wanted = (end - at).min(CHUNK as u64) as usize;
        let count = file.read(&mut scratch[..wanted], at).map_err(Failure::Read)?;
        if let Err(fault) = take(&scratch[..count]) {
            return Ok(Some(fault));
        }
        if count < wanted {
            break;
        }
        at += count as u64;
    }
    Ok(None)
}

/// Has the kernel begin to fetch a range, or what a sequential reader wants after it.
fn read_ahead(file: &OpenFile, position: u64, length: u64) {
    let length = length.min(READ_AROUND_BYTES) as usize;
    // SAFETY: the descriptor is open as long as `file` lives.
    unsafe { libc::readahead(file.fd(), position as libc::off64_t, length) };
}
