//! Group writes: one thread that writes in order, neighbouring writes of a file as one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::buffers::BufferPool;
use crate::completions::{Completion, Completions, Stage};
use crate::files::{Errno, FileId, FileTable, OpenFile, last_errno};
use crate::syncer::{SyncWaiter, Syncer};

/// The most slices that one system call takes.
const MAX_SLICES: usize = 1024;
/// About how many bytes are written before their groups are completed.
const TURN_BYTES: usize = 8 << 20;
/// How much memory is kept for later groups.
const KEPT_BYTES: usize = 16 << 20;

/// One write of a group.
pub struct Write {
    pub file: FileId,
    pub position: u64,
    /// Where its bytes lie in the group's memory.
    pub start: usize,
    pub length: usize,
    /// A missing file is created.
    pub create: bool,
    pub sync: bool,
    /// The sync makes the file's name durable as well.
    pub sync_name: bool,
}

/// Writes that complete together.
pub struct Group {
    pub ticket: f64,
    pub bytes: Vec<u8>,
    pub writes: Vec<Write>,
}

/// Something for the writer to do, in the order of calls.
pub enum Operation {
    Group(Group),
    Truncate {
        ticket: f64,
        file: FileId,
        size: u64,
    },
    /// JavaScript has heard of the failed write of this file: what follows is written again.
    Forgive {
        file: FileId,
    },
}

impl Operation {
    fn bytes(&self) -> usize {
        if let Operation::Group(group) = self { group.bytes.len() } else { 0 }
    }
}

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

/// Bytes that lie one after the other in a file, and the operations they come from.
struct Run {
    file: FileId,
    position: u64,
    length: u64,
    slices: Vec<libc::iovec>,
    operations: Vec<usize>,
    create: bool,
}

enum Step {
    Write(Run),
    Truncate { operation: usize, file: FileId, size: u64 },
    Forgive { file: FileId },
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

/// The distinct files that the group wants synced, and whether by name too.
fn wanted_syncs(writes: &[Write], syncs: &mut Vec<(FileId, bool)>) {
    for write in writes.iter().filter(|write| write.sync) {
        syncs.push((write.file, write.sync_name));
    }
    if syncs.len() > 1 {
        // The name flag sorts last, and `dedup_by` hands over the later element first.
        syncs.sort_unstable();
        syncs.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            kept.1 |= same && later.1;
            same
        });
    }
}

/// Joins writes that continue each other. The order of what is done to one file stays.
fn plan(operations: &[Operation]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut last_run: HashMap<FileId, usize> = HashMap::new();
    for (index, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Truncate { file, size, .. } => {
                last_run.remove(file);
                steps.push(Step::Truncate { operation: index, file: *file, size: *size });
            }
            Operation::Forgive { file } => {
                last_run.remove(file);
                steps.push(Step::Forgive { file: *file });
            }
            Operation::Group(group) => {
                for write in &group.writes {
                    let bytes = &group.bytes[write.start..write.start + write.length];
                    let slice =
                        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
                    let joined = last_run.get(&write.file).and_then(|at| match &mut steps[*at] {
                        Step::Write(run) if run.takes(write) => Some(run),
                        _ => None,
                    });
                    match joined {
                        Some(run) => run.add(index, write, slice),
                        None => {
                            let mut run = Run::new(write);
                            run.add(index, write, slice);
                            last_run.insert(write.file, steps.len());
                            steps.push(Step::Write(run));
                        }
                    }
                }
            }
        }
    }
    steps
}

impl Run {
    fn new(write: &Write) -> Self {
        Run {
            file: write.file,
            position: write.position,
            length: 0,
            slices: Vec::new(),
            operations: Vec::new(),
            create: false,
        }
    }

    /// Whether `write` can be part of this run.
    fn takes(&self, write: &Write) -> bool {
        write.length == 0
            || self.slices.is_empty()
            || (self.position + self.length == write.position && self.slices.len() < MAX_SLICES)
    }

    fn add(&mut self, operation: usize, write: &Write, slice: libc::iovec) {
        if write.length > 0 {
            if self.slices.is_empty() {
                self.position = write.position;
            }
            self.slices.push(slice);
            self.length += write.length as u64;
        }
        self.create |= write.create;
        if self.operations.last() != Some(&operation) {
            self.operations.push(operation);
        }
    }
}

fn write_all(file: &OpenFile, slices: &mut [libc::iovec], position: u64) -> Result<(), Errno> {
    if slices.is_empty() {
        return Ok(());
    }
    if !file.writable {
        return Err(libc::EACCES);
    }
    let result = write_slices(file, slices, position);
    file.mark_dirty();
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
        if result == 0 {
            return Ok(());
        }
        let errno = last_errno();
        if errno != libc::EINTR {
            return Err(errno);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(writes: &[(FileId, u64, usize)]) -> Operation {
        let total = writes.iter().map(|(_, _, length)| length).sum();
        let mut start = 0;
        let writes = writes.iter().map(|&(file, position, length)| {
            start += length;
            let create = true;
            Write { file, position, start: start - length, length, create, sync: false, sync_name: false }
        });
        let writes = writes.collect();
        Operation::Group(Group { ticket: 0.0, bytes: vec![7; total], writes })
    }

    fn shape(operations: &[Operation]) -> Vec<String> {
        let shown = |step: Step| match step {
            Step::Write(run) => {
                format!("{}@{}+{} in {}", run.file, run.position, run.length, run.slices.len())
            }
            Step::Truncate { file, size, .. } => format!("{file} to {size}"),
            Step::Forgive { file } => format!("forgive {file}"),
        };
        plan(operations).into_iter().map(shown).collect()
    }

    #[test]
    fn joins_writes_that_continue_each_other_also_across_groups_and_other_files() {
        let operations =
            [group(&[(1, 0, 10), (2, 0, 5)]), group(&[(1, 10, 4)]), group(&[(2, 5, 1), (1, 14, 1)])];
        assert_eq!(shape(&operations), ["1@0+15 in 3", "2@0+6 in 2"]);
    }

    #[test]
    fn joins_nothing_across_a_gap_an_overlap_or_a_truncation() {
        let truncate = Operation::Truncate { ticket: 0.0, file: 1, size: 4 };
        let operations = [group(&[(1, 0, 10), (1, 11, 1), (1, 11, 2)]), truncate, group(&[(1, 13, 1)])];
        assert_eq!(
            shape(&operations),
            ["1@0+10 in 1", "1@11+1 in 1", "1@11+2 in 1", "1 to 4", "1@13+1 in 1"]
        );
    }

    #[test]
    fn takes_a_write_of_nothing_along() {
        assert_eq!(shape(&[group(&[(1, 0, 3), (1, 50, 0), (1, 3, 2)])]), ["1@0+5 in 2"]);
        assert_eq!(shape(&[group(&[(1, 9, 0), (1, 3, 2)])]), ["1@3+2 in 1"]);
    }
}
