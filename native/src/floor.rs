//! What a durable append to many files costs with bare system calls: what every figure of the engine is measured
//! against. Groups of appends go to random files through the page cache and, by mode, to a journal that was written
//! full of zeros and is used again; a second thread makes the files durable before their half of it is overwritten.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::files::{Errno, last_errno};

const BLOCK: usize = 4096;
const CHUNK: usize = 1 << 20;
/// The most groups that are measured.
const MAX_GROUPS: usize = 4_000_000;

/// What a group does after its appends are in the page cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    None,
    /// One write to the journal and its fdatasync.
    Journal,
    /// fdatasync of every file that was touched.
    EachFile,
}

impl Mode {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Mode::None),
            "journal" => Some(Mode::Journal),
            "eachFile" => Some(Mode::EachFile),
            _ => None,
        }
    }
}

/// What is to be measured.
pub struct Plan {
    pub files: usize,
    pub appends: usize,
    pub bytes: usize,
    pub seconds: f64,
    pub journal_bytes: usize,
    pub mode: Mode,
    /// Begins so many groups a second and counts a group's time from the moment it was due; 0 for as fast as it goes.
    pub groups_per_second: f64,
}

/// What was measured. Times in microseconds.
pub struct Measured {
    pub groups: f64,
    pub seconds: f64,
    pub recycles: f64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

#[derive(Default)]
struct Halves {
    wanted: u64,
    freed: u64,
    failed: Option<Errno>,
    ended: bool,
}

/// The thread that makes files durable, as seen from the thread that writes.
#[derive(Default)]
struct Behind {
    halves: Mutex<Halves>,
    changed: Condvar,
}

impl Behind {
    fn lock(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(&self, halves: MutexGuard<'a, Halves>) -> MutexGuard<'a, Halves> {
        self.changed.wait(halves).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn run(&self, journal: &File) {
        let mut halves = self.lock();
        loop {
            while halves.wanted == halves.freed && !halves.ended {
                halves = self.wait(halves);
            }
            if halves.ended {
                return;
            }
            drop(halves);
            // SAFETY: the descriptor is open as long as `journal` lives.
            let result =
                if unsafe { libc::syncfs(journal.as_raw_fd()) } == 0 { None } else { Some(last_errno()) };
            halves = self.lock();
            halves.freed += 1;
            halves.failed = halves.failed.or(result);
            self.changed.notify_all();
        }
    }

    /// A half is full: has what it covers synced, once the half before has been.
    fn next_half(&self) -> Result<(), Errno> {
        let mut halves = self.lock();
        while halves.wanted != halves.freed {
            halves = self.wait(halves);
        }
        halves.wanted += 1;
        self.changed.notify_all();
        halves.failed.map_or(Ok(()), Err)
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }
}

/// Measures in `directory`, which is made and removed again. Ends early, with what there is, once `cancelled`.
pub fn measure(directory: &Path, plan: &Plan, cancelled: &AtomicBool) -> Result<Measured, Errno> {
    std::fs::create_dir_all(directory).map_err(errno_of)?;
    let result = measure_in(directory, plan, cancelled);
    let _ = std::fs::remove_dir_all(directory);
    result
}

fn measure_in(directory: &Path, plan: &Plan, cancelled: &AtomicBool) -> Result<Measured, Errno> {
    let open = |name: &str| {
        File::options().read(true).write(true).create(true).truncate(true).open(directory.join(name))
    };
    let mut files = Vec::with_capacity(plan.files);
    for index in 0..plan.files {
        files.push(open(&format!("{index}.log")).map_err(errno_of)?);
    }
    let group = plan.appends * plan.bytes;
    let aligned = group.next_multiple_of(BLOCK);
    let journal_bytes = plan.journal_bytes.max(4 * aligned).next_multiple_of(CHUNK);
    let journal = open("journal").map_err(errno_of)?;
    if plan.mode == Mode::Journal {
        let zeros = vec![0; CHUNK];
        for at in (0..journal_bytes).step_by(CHUNK) {
            if cancelled.load(Ordering::Relaxed) {
                break;
            }
            journal.write_all_at(&zeros, at as u64).map_err(errno_of)?;
        }
    }
    journal.sync_all().map_err(errno_of)?;
    let behind = Behind::default();
    let mut run = Run {
        plan,
        cancelled,
        behind: &behind,
        files: &files,
        ends: vec![0; plan.files],
        journal: &journal,
        journal_bytes,
        at: 0,
        half: 0,
        seed: 1,
        touched: vec![0; plan.appends],
        data: vec![7; aligned],
        took: Vec::new(),
    };
    std::thread::scope(|scope| {
        let syncing =
            std::thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, || behind.run(&journal));
        syncing.map_err(errno_of)?;
        let result = run.measure();
        behind.end();
        result
    })
}

struct Run<'a> {
    plan: &'a Plan,
    cancelled: &'a AtomicBool,
    behind: &'a Behind,
    files: &'a [File],
    ends: Vec<u64>,
    journal: &'a File,
    journal_bytes: usize,
    /// Where the journal goes on, and in which half that is.
    at: usize,
    half: u8,
    seed: u32,
    touched: Vec<usize>,
    data: Vec<u8>,
    took: Vec<f64>,
}

impl Run<'_> {
    fn measure(&mut self) -> Result<Measured, Errno> {
        let start = Instant::now();
        let length = Duration::from_secs_f64(self.plan.seconds);
        let pace = self.plan.groups_per_second;
        while start.elapsed() < length
            && self.took.len() < MAX_GROUPS
            && !self.cancelled.load(Ordering::Relaxed)
        {
            let mut due = Instant::now();
            if pace > 0.0 {
                let planned = start + Duration::from_secs_f64(self.took.len() as f64 / pace);
                std::thread::sleep(planned.saturating_duration_since(due));
                due = planned;
            }
            self.group()?;
            self.took.push(due.elapsed().as_secs_f64() * 1e6);
        }
        let seconds = start.elapsed().as_secs_f64();
        let groups = self.took.len();
        self.took.sort_unstable_by(f64::total_cmp);
        let at = |share: usize| self.took.get((groups * share / 100).min(groups.max(1) - 1)).copied();
        Ok(Measured {
            groups: groups as f64,
            seconds,
            recycles: (self.behind.lock().freed / 2) as f64,
            p50: at(50).unwrap_or(0.0),
            p99: at(99).unwrap_or(0.0),
            max: at(100).unwrap_or(0.0),
        })
    }

    fn group(&mut self) -> Result<(), Errno> {
        let bytes = self.plan.bytes;
        for index in 0..self.plan.appends {
            self.seed = self.seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let file = (self.seed >> 8) as usize % self.files.len();
            let part = &self.data[index * bytes..(index + 1) * bytes];
            self.files[file].write_all_at(part, self.ends[file]).map_err(errno_of)?;
            self.ends[file] += bytes as u64;
            self.touched[index] = file;
        }
        match self.plan.mode {
            Mode::None => Ok(()),
            Mode::EachFile => {
                for file in &self.touched {
                    self.files[*file].sync_data().map_err(errno_of)?;
                }
                Ok(())
            }
            Mode::Journal => self.write_journal(),
        }
    }

    fn write_journal(&mut self) -> Result<(), Errno> {
        let end = self.at + self.data.len();
        let next = u8::from(end <= self.journal_bytes && end > self.journal_bytes / 2);
        if next != self.half {
            self.half = next;
            self.behind.next_half()?;
        }
        if end > self.journal_bytes {
            self.at = 0;
        }
        self.journal.write_all_at(&self.data, self.at as u64).map_err(errno_of)?;
        self.journal.sync_data().map_err(errno_of)?;
        self.at += self.data.len();
        Ok(())
    }
}

fn errno_of(error: std::io::Error) -> Errno {
    error.raw_os_error().unwrap_or(libc::EIO)
}
