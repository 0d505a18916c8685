//! Group writes: one thread that writes in order, neighbouring writes of a file as one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::buffers::BufferPool;
use crate::completions::{Completion, Completions, Stage};
use crate::files::{Errno, FileId, FileTable, last_errno};
use crate::open_file::OpenFile;
use crate::plan::{Operation, Step, plan, wanted_syncs};
use crate::syncer::{SyncWaiter, Syncer};

/// About how many bytes are written before their groups are completed.
const TURN_BYTES: usize = 8 << 20;
/// How much memory is kept for later groups.
const KEPT_BYTES: usize = 16 << 20;

#[derive(Default)]
struct Queue {
    operations: VecDeque<Operation>,
    /// The thread waits for operations.
    asleep: bool,
    stopped: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    files: Arc<FileTable>,
    completions: Arc<Completions>,
    syncer: Syncer,
    pool: BufferPool,
}

/// The writer of one engine.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub fn new(files: Arc<FileTable>, completions: Arc<Completions>, sync_threads: usize) -> Self {
        let syncer = Syncer::new(files.clone(), completions.clone(), sync_threads);
        let shared = Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            files,
            completions,
            syncer,
            pool: BufferPool::new(KEPT_BYTES),
        };
        Writer { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// Memory for the bytes of a group.
    pub fn buffer(&self, capacity: usize) -> Vec<u8> {
        self.shared.pool.take(capacity)
    }

    /// Queues an operation, which `wake` starts. False when the writer has been stopped or its thread cannot be
    /// started.
    pub fn push(&self, operation: Operation) -> bool {
        if !self.start() {
            return false;
        }
        let mut queue = self.shared.lock();
        if queue.stopped {
            return false;
        }
        queue.operations.push_back(operation);
        true
    }

    /// Starts what has been queued. Apart from `push` because waking the thread is a system call, which many
    /// groups can share, and because what is found together is written together.
    pub fn wake(&self) {
        let mut queue = self.shared.lock();
        let wake = !queue.operations.is_empty() && std::mem::take(&mut queue.asleep);
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
    }

    fn start(&self) -> bool {
        let mut thread = self.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if thread.is_none() {
            let shared = self.shared.clone();
            let spawned = std::thread::Builder::new()
                .name("cordwood-write".into())
                .stack_size(256 << 10)
                .spawn(move || shared.run());
            *thread = spawned.ok();
        }
        thread.is_some()
    }

    /// Carries out what is queued, syncs included, then ends the threads.
    pub fn stop(&self) {
        self.shared.lock().stopped = true;
        self.shared.wake.notify_all();
        let thread = self.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        self.shared.syncer.stop();
    }
}

/// Why an operation failed, and on which file.
type Failure = (Errno, FileId, Stage);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn run(&self) {
        // Files with a failed write that JavaScript has not heard of.
        let mut failed: HashMap<FileId, Failure> = HashMap::new();
        while let Some(operations) = self.take() {
            self.carry_out(operations, &mut failed);
        }
    }

    /// The next operations, or none when the writer is stopped and nothing is left.
    fn take(&self) -> Option<Vec<Operation>> {
        let mut queue = self.lock();
        while queue.operations.is_empty() {
            if queue.stopped {
                return None;
            }
            queue.asleep = true;
            queue = self.wake.wait(queue).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        queue.asleep = false;
        let mut bytes = 0;
        let mut count = 0;
        for operation in &queue.operations {
            bytes += operation.bytes();
            count += 1;
            if bytes >= TURN_BYTES {
                break;
            }
        }
        Some(queue.operations.drain(..count).collect())
    }

    fn carry_out(&self, operations: Vec<Operation>, failed: &mut HashMap<FileId, Failure>) {
        let steps = plan(&operations);
        let mut outcome: Vec<Option<Failure>> = vec![None; operations.len()];
        let mut open: HashMap<FileId, Arc<OpenFile>> = HashMap::new();
        for step in steps {
            match step {
                Step::Forgive { file } => {
                    failed.remove(&file);
                }
                Step::Truncate { operation, file, size } => {
                    let result =
                        self.use_file(file, false, failed, &mut open, |opened| truncate(opened, size));
                    if let Err(failure) = result {
                        outcome[operation] = Some(failure);
                    }
                }
                Step::Write(mut run) => {
                    let slices = &mut run.slices;
                    let result = self.use_file(run.file, run.create, failed, &mut open, |opened| {
                        write_all(opened, slices, run.position)
                    });
                    if let Err(failure) = result {
                        for operation in run.operations {
                            outcome[operation].get_or_insert(failure);
                        }
                    }
                }
            }
        }
        self.complete(operations, &outcome, &open);
    }

    /// Runs `body` on an open file, unless an earlier write to it failed; a failure stops later ones.
    fn use_file(
        &self,
        id: FileId,
        create: bool,
        failed: &mut HashMap<FileId, Failure>,
        open: &mut HashMap<FileId, Arc<OpenFile>>,
        body: impl FnOnce(&OpenFile) -> Result<(), Errno>,
    ) -> Result<(), Failure> {
        if let Some(failure) = failed.get(&id) {
            return Err(*failure);
        }
        let file = match open.get(&id) {
            Some(file) => file.clone(),
            None => self.files.open(id, create).map_err(|errno| (errno, id, Stage::Opened)).inspect_err(
                |failure| {
                    failed.insert(id, *failure);
                },
            )?,
        };
        let result = body(&file).map_err(|errno| (errno, id, Stage::Written));
        open.insert(id, file);
        result.inspect_err(|failure| {
            failed.insert(id, *failure);
        })
    }

    fn complete(
        &self,
        operations: Vec<Operation>,
        outcome: &[Option<Failure>],
        open: &HashMap<FileId, Arc<OpenFile>>,
    ) {
        let mut done = Vec::with_capacity(operations.len());
        let mut syncs: Vec<(FileId, bool)> = Vec::new();
        for (operation, outcome) in operations.into_iter().zip(outcome) {
            let ticket = match &operation {
                Operation::Group(group) => group.ticket,
                Operation::Truncate { ticket, .. } => *ticket,
                Operation::Forgive { .. } => continue,
            };
            if let Operation::Group(group) = operation {
                syncs.clear();
                if outcome.is_none() {
                    wanted_syncs(&group.writes, &mut syncs);
                }
                self.pool.give(group.bytes);
                if !syncs.is_empty() {
                    let waiter = SyncWaiter::new(ticket, syncs.len());
                    for (id, name) in &syncs {
                        // Present: every write of a group that succeeded has opened its file.
                        if let Some(file) = open.get(id) {
                            self.syncer.request(*id, file, *name, &waiter);
                        }
                    }
                    continue;
                }
            }
            let (errno, file, stage) = outcome.unwrap_or((0, 0, Stage::Written));
            done.push(Completion { ticket, errno, file, stage });
        }
        self.completions.push(&done);
    }
}

fn write_all(file: &OpenFile, slices: &mut [libc::iovec], position: u64) -> Result<(), Errno> {
    if slices.is_empty() {
        return Ok(());
    }
    if !file.writable {
        return Err(libc::EACCES);
    }
    let end = position + slices.iter().map(|slice| slice.iov_len as u64).sum::<u64>();
    let result = write_slices(file, slices, position);
    file.mark_dirty();
    match result {
        // What was written here needs no check as long as it stays in memory.
        Ok(()) => file.verified.add(position, end),
        Err(_) => file.verified.remove(position, end),
    }
    result
}

fn write_slices(file: &OpenFile, slices: &mut [libc::iovec], mut position: u64) -> Result<(), Errno> {
    let mut first = 0;
    while first < slices.len() {
        let rest = &slices[first..];
        // SAFETY: every slice lies in the memory of a group that outlives the call, and nobody writes to it.
        let written = unsafe {
            libc::pwritev(file.fd(), rest.as_ptr(), rest.len() as libc::c_int, position as libc::off_t)
        };
        if written < 0 {
            let errno = last_errno();
            if errno == libc::EINTR {
                continue;
            }
            return Err(errno);
        }
        if written == 0 {
            return Err(libc::EIO);
        }
        position += written as u64;
        let mut left = written as usize;
        while first < slices.len() && left >= slices[first].iov_len {
            left -= slices[first].iov_len;
            first += 1;
        }
        if left > 0 {
            let slice = &mut slices[first];
            // SAFETY: `left` is less than the slice's length.
            slice.iov_base = unsafe { slice.iov_base.cast::<u8>().add(left) }.cast();
            slice.iov_len -= left;
        }
    }
    Ok(())
}

fn truncate(file: &OpenFile, size: u64) -> Result<(), Errno> {
    if !file.writable {
        return Err(libc::EACCES);
    }
    loop {
        // SAFETY: the descriptor is open as long as `file` lives.
        let result = unsafe { libc::ftruncate(file.fd(), size as libc::off_t) };
        file.mark_dirty();
        file.verified.remove(size, u64::MAX);
        if result == 0 {
            return Ok(());
        }
        let errno = last_errno();
        if errno != libc::EINTR {
            return Err(errno);
        }
    }
}
