//! Group writes: one thread that writes in order, neighbouring writes of a file as one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::buffers::{BufferPool, GroupBytes};
use crate::completions::{Completions, Failure, Stage};
use crate::files::{Errno, FileId, FileTable};
use crate::lent::Lent;
use crate::open_file::OpenFile;
use crate::plan::{Operation, Step, plan, wanted_syncs};
use crate::stores::{truncate, write_all, write_past_cache};
use crate::syncer::{SyncWaiter, Syncer, sync_file};
use crate::write_behind::WriteBehind;

/// About how many bytes are written before their groups are completed.
const TURN_BYTES: usize = 8 << 20;
/// How much memory is kept for later groups: as much as may be queued, since each fresh page costs more than filling it.
const KEPT_BYTES: usize = 64 << 20;
/// How long nothing is written before that memory is let go.
const IDLE: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Queue {
    operations: VecDeque<Operation>,
    /// The thread waits for operations.
    asleep: bool,
    /// The disk has nothing better to do than what lies in the page cache.
    disk_is_free: bool,
    started: bool,
    stopped: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    files: Arc<FileTable>,
    completions: Arc<Completions>,
    pool: BufferPool,
    behind: WriteBehind,
    role: Role,
}

/// Why nothing is written to a file, and the first ticket that it was told to.
struct Failed {
    failure: Failure,
    ticket: f64,
}

enum Role {
    /// Threads of the syncer make durable what has been written while more is written.
    Common(Syncer),
    /// The writer's thread syncs what it has written; what comes meanwhile is written together after that. It wakes this
    /// writer when it begins.
    Urgent(Arc<Shared>),
}

/// One of the two writers of an engine: one for everything, and one for what somebody waits for most, the journal.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub fn new(files: Arc<FileTable>, completions: Arc<Completions>, sync_threads: usize) -> Self {
        let syncer = Syncer::new(files.clone(), completions.clone(), sync_threads);
        Writer::in_role(Role::Common(syncer), files, completions)
    }

    /// A writer for urgent groups beside this one, on the same files.
    pub fn urgent(&self) -> Self {
        let Shared { files, completions, .. } = &*self.shared;
        Writer::in_role(Role::Urgent(self.shared.clone()), files.clone(), completions.clone())
    }

    fn in_role(role: Role, files: Arc<FileTable>, completions: Arc<Completions>) -> Self {
        let aligned = matches!(role, Role::Urgent(_));
        let shared = Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            files,
            completions,
            pool: BufferPool::new(KEPT_BYTES, aligned),
            behind: WriteBehind::default(),
            role,
        };
        Writer { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// Memory for the bytes of a group of which at most `capacity` are copied.
    pub fn buffer(&self, capacity: usize) -> GroupBytes {
        self.shared.pool.take(capacity)
    }

    /// Copies bytes of a group into its memory. What is urgent lies where it can be written past the page cache.
    pub fn copy(&self, part: &[u8], bytes: &mut GroupBytes) {
        bytes.push(part, &self.shared.pool);
    }

    /// As `copy`, but bytes in lent memory stay where they are, and that memory is held.
    pub fn add(&self, part: &[u8], bytes: &mut GroupBytes) {
        match Lent::around(part) {
            Some(lent) => {
                bytes.hold(lent);
                bytes.push_held(part);
            }
            None => self.copy(part, bytes),
        }
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
        if let Role::Urgent(_) = self.shared.role {
            self.shared.completions.announce();
        }
        queue.operations.push_back(operation);
        true
    }

    /// Writes to `file` that are queued from now on are carried out again after the operation of `ticket` has failed on it.
    pub fn forgive(&self, file: FileId, ticket: f64) {
        let mut queue = self.shared.lock();
        // Nothing has failed where nothing has been written yet, and once it has been stopped there is nothing to forgive.
        if queue.started && !queue.stopped {
            queue.operations.push_back(Operation::Forgive { file, ticket });
        }
    }

    /// Starts what has been queued. Apart from `push` because waking the thread is a system call, which many
    /// groups can share, and because what is found together is written together.
    pub fn wake(&self) {
        self.shared.wake_thread();
    }

    /// As `wake`, unless `urgent` will do so in a moment, when it begins with what is queued there: that spares the caller a
    /// system call.
    pub fn wake_beside(&self, urgent: &Writer) {
        // Nobody is woken for what is forgiven there.
        let is_group = |operation: &Operation| matches!(operation, Operation::Group(_));
        let is_coming = urgent.shared.lock().operations.iter().any(is_group);
        if !is_coming {
            self.shared.wake_thread();
        }
    }

    fn start(&self) -> bool {
        let mut thread = self.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if thread.is_none() {
            let shared = self.shared.clone();
            let name = if let Role::Common(_) = shared.role { "cordwood-write" } else { "cordwood-jrnl" };
            let spawned = std::thread::Builder::new()
                .name(name.into())
                .stack_size(256 << 10)
                .spawn(move || shared.run());
            *thread = spawned.ok();
            self.shared.lock().started = thread.is_some();
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
        if let Role::Common(syncer) = &self.shared.role {
            syncer.stop();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn run(&self) {
        // Files with a failed write that JavaScript has not heard of.
        let mut failed = HashMap::new();
        while let Some(operations) = self.take() {
            if let Role::Urgent(common) = &self.role {
                common.wake_thread();
            }
            self.carry_out(operations, &mut failed);
            match &self.role {
                Role::Urgent(common) => common.use_free_disk(),
                Role::Common(_) => self.behind.bound(),
            }
        }
    }

    /// Has the thread of this writer begin to write what lies in the page cache, unless it has something else to do.
    fn use_free_disk(&self) {
        if self.behind.is_empty() {
            return;
        }
        let mut queue = self.lock();
        queue.disk_is_free = true;
        let wake = std::mem::take(&mut queue.asleep);
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
    }

    fn wake_thread(&self) {
        let mut queue = self.lock();
        let wake = !queue.operations.is_empty() && std::mem::take(&mut queue.asleep);
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
    }

    /// The next operations, or none when the writer is stopped and nothing is left.
    fn take(&self) -> Option<Vec<Operation>> {
        let mut queue = self.lock();
        let mut trimmed = false;
        while queue.operations.is_empty() {
            if queue.stopped {
                return None;
            }
            if std::mem::take(&mut queue.disk_is_free) {
                drop(queue);
                self.behind.begin();
                queue = self.lock();
                continue;
            }
            queue.asleep = true;
            if trimmed {
                queue = self.wake.wait(queue).unwrap_or_else(|poisoned| poisoned.into_inner());
                continue;
            }
            let waited = self.wake.wait_timeout(queue, IDLE).unwrap_or_else(|poisoned| poisoned.into_inner());
            queue = waited.0;
            if waited.1.timed_out() {
                trimmed = true;
                drop(queue);
                self.pool.trim();
                queue = self.lock();
            }
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

    fn carry_out(&self, operations: Vec<Operation>, failed: &mut HashMap<FileId, Failed>) {
        let steps = plan(&operations);
        // Nothing is allocated for operations that succeed.
        let mut outcome: Vec<Vec<Failure>> = vec![Vec::new(); operations.len()];
        let mut open: HashMap<FileId, Arc<OpenFile>> = HashMap::new();
        for step in steps {
            match step {
                Step::Forgive { file, ticket } => {
                    // Who waited behind an earlier failure may be told of that late: it says nothing of a new one.
                    if failed.get(&file).is_some_and(|failed| failed.ticket <= ticket) {
                        failed.remove(&file);
                    }
                }
                Step::Truncate { operation, file, size } => {
                    let ticket = operations[operation].ticket();
                    let result = self
                        .use_file((file, ticket), false, failed, &mut open, |opened| truncate(opened, size));
                    if let Err(failure) = result {
                        outcome[operation].push(failure);
                    }
                }
                Step::Write(mut run) => {
                    let first = &operations[run.operations[0]];
                    let behind = matches!(first, Operation::Group(group) if group.patient);
                    let length: u64 = run.slices.iter().map(|slice| slice.iov_len as u64).sum();
                    let slices = &mut run.slices;
                    let write = if let Role::Urgent(_) = self.role { write_past_cache } else { write_all };
                    let result =
                        self.use_file((run.file, first.ticket()), run.create, failed, &mut open, |opened| {
                            write(opened, slices, run.position)
                        });
                    match result {
                        Ok(()) if behind => {
                            if let Some(file) = open.get(&run.file) {
                                self.behind.add(file, run.position, length);
                            }
                        }
                        Ok(()) => {}
                        Err(failure) => {
                            for operation in run.operations {
                                outcome[operation].push(failure);
                            }
                        }
                    }
                }
            }
        }
        self.complete(operations, outcome, &open);
    }

    /// Runs `body` on an open file, unless an earlier write to it failed; a failure stops later ones.
    fn use_file(
        &self,
        (id, ticket): (FileId, f64),
        create: bool,
        failed: &mut HashMap<FileId, Failed>,
        open: &mut HashMap<FileId, Arc<OpenFile>>,
        body: impl FnOnce(&OpenFile) -> Result<(), Errno>,
    ) -> Result<(), Failure> {
        if let Some(failed) = failed.get(&id) {
            return Err(failed.failure);
        }
        let mut note = |failure: &Failure| {
            failed.insert(id, Failed { failure: *failure, ticket });
        };
        let file = match open.get(&id) {
            Some(file) => file.clone(),
            None => self
                .files
                .open(id, create)
                .map_err(|errno| (errno, id, Stage::Opened))
                .inspect_err(&mut note)?,
        };
        let result = body(&file).map_err(|errno| (errno, id, Stage::Written));
        open.insert(id, file);
        result.inspect_err(note)
    }

    fn complete(
        &self,
        operations: Vec<Operation>,
        outcome: Vec<Vec<Failure>>,
        open: &HashMap<FileId, Arc<OpenFile>>,
    ) {
        let mut done = Vec::with_capacity(operations.len());
        let mut syncs: Vec<(FileId, bool)> = Vec::new();
        let mut all_patient = true;
        // What this thread syncs itself, each file once for all groups, and how that ended.
        let mut synced: HashMap<FileId, (bool, Result<(), Failure>)> = HashMap::new();
        for (operation, mut failures) in operations.into_iter().zip(outcome) {
            let ticket = match &operation {
                Operation::Group(group) => group.ticket,
                Operation::Truncate { ticket, .. } => {
                    all_patient = false;
                    *ticket
                }
                Operation::Forgive { .. } => continue,
            };
            if let Operation::Group(group) = operation {
                all_patient &= group.patient;
                syncs.clear();
                let is_whole = |id: FileId| failures.iter().all(|(_, failed, _)| *failed != id);
                wanted_syncs(&group.writes, is_whole, &mut syncs);
                self.pool.give(group.bytes);
                if let Role::Common(syncer) = &self.role
                    && !syncs.is_empty()
                {
                    let waiter = SyncWaiter::new(ticket, syncs.len(), failures);
                    for (id, name) in &syncs {
                        // Present: every write that succeeded has opened its file.
                        if let Some(file) = open.get(id) {
                            syncer.request(*id, file, *name, &waiter);
                        }
                    }
                    continue;
                }
                for (id, name) in &syncs {
                    if let Some(file) = open.get(id)
                        && let Err(failure) = self.sync_once(*id, file, *name, &mut synced)
                    {
                        failures.push(failure);
                    }
                }
            }
            done.push(self.completions.ended(ticket, failures));
        }
        match self.role {
            Role::Urgent(_) => self.completions.push_announced(&done),
            Role::Common(_) if all_patient => self.completions.push_patient(&done),
            Role::Common(_) => self.completions.push(&done),
        }
    }

    /// Syncs a file unless that has been done since it was written.
    fn sync_once(
        &self,
        id: FileId,
        file: &OpenFile,
        name: bool,
        synced: &mut HashMap<FileId, (bool, Result<(), Failure>)>,
    ) -> Result<(), Failure> {
        if let Some((with_name, result)) = synced.get(&id)
            && (*with_name || !name)
        {
            return *result;
        }
        let result = sync_file(&self.files, id, file, name).map_err(|(errno, stage)| (errno, id, stage));
        synced.insert(id, (name, result));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Group, Write};
    use std::path::PathBuf;

    struct World {
        writer: Writer,
        completions: Arc<Completions>,
        files: Arc<FileTable>,
        directory: PathBuf,
        last_ticket: f64,
    }

    impl World {
        fn new(name: &str) -> Self {
            let directory =
                std::env::temp_dir().join(format!("cordwood-writer-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&directory).unwrap();
            let files = Arc::new(FileTable::new(8));
            let completions = Arc::new(Completions::new(Box::new(|| {})));
            let writer = Writer::new(files.clone(), completions.clone(), 1);
            World { writer, completions, files, directory, last_ticket: 0.0 }
        }

        fn file(&self, name: &str) -> FileId {
            self.files.register(self.directory.join(name).to_string_lossy().into_owned())
        }

        /// Queues one byte; its ticket.
        fn write(&mut self, writer: &Writer, file: FileId, position: u64, patient: bool) -> f64 {
            self.last_ticket += 1.0;
            let mut bytes = writer.buffer(1);
            let start = bytes.begin();
            writer.copy(b"x", &mut bytes);
            let slices = start..bytes.slice_count();
            let (create, sync) = (true, false);
            let write = Write { file, position, slices, length: 1, create, sync, sync_name: false };
            let group = Group { ticket: self.last_ticket, bytes, writes: vec![write], patient };
            assert!(writer.push(Operation::Group(group)));
            self.last_ticket
        }

        /// Waits for so many ends: ticket and errno.
        fn ends(&self, count: usize) -> Vec<(f64, f64)> {
            let mut ends = Vec::new();
            let mut events = [0.0; 400];
            while ends.len() < count {
                let length = self.completions.take(&mut events);
                ends.extend(events[..length].chunks(4).map(|event| (event[0], event[1])));
                std::thread::yield_now();
            }
            ends
        }
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.writer.stop();
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }

    #[test]
    fn who_is_told_late_of_an_earlier_failure_forgives_no_later_one() {
        let mut world = World::new("forgive");
        let common = Writer { shared: world.writer.shared.clone(), thread: Mutex::default() };
        let log = world.file("log");
        let mut attempt = |position: u64| {
            let ticket = world.write(&common, log, position, false);
            common.wake();
            let (ended, errno) = world.ends(1)[0];
            assert_eq!(ended, ticket);
            (ticket, errno != 0.0)
        };
        let beyond = i64::MAX as u64;
        let (_, failed) = attempt(beyond);
        assert!(failed);
        let (behind, failed) = attempt(0);
        assert!(failed);
        common.forgive(log, behind);
        assert!(!attempt(0).1);
        let (later, failed) = attempt(beyond);
        assert!(failed);
        common.forgive(log, behind);
        assert!(attempt(1).1);
        common.forgive(log, later);
        assert!(!attempt(1).1);
        common.stop();
    }

    #[test]
    fn a_group_beside_is_written_though_something_is_forgiven_to_the_urgent_writer() {
        let mut world = World::new("beside");
        let common = Writer { shared: world.writer.shared.clone(), thread: Mutex::default() };
        let urgent = common.urgent();
        let (log, journal) = (world.file("log"), world.file("journal"));
        for (writer, file) in [(&common, log), (&urgent, journal)] {
            world.write(writer, file, 0, false);
            writer.wake();
            world.ends(1);
            while !writer.shared.lock().asleep {
                std::thread::yield_now();
            }
        }
        urgent.forgive(log, 1.0);
        world.write(&common, log, 1, true);
        common.wake_beside(&urgent);
        let queue = common.shared.lock();
        assert!(!queue.asleep || queue.operations.is_empty());
        drop(queue);
        urgent.stop();
        common.stop();
    }
}
