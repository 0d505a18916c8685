//! Files by number: opened when first used, at most so many at once.

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::doubts::Doubts;
use crate::file_systems::{FileSystems, Watched};
use crate::open_file::{OpenFile, open_fd};
use crate::verified::Verified;

/// The number by which JavaScript names a file. Never used twice.
pub type FileId = u32;

/// An error of the system: its number.
pub type Errno = i32;

/// Where, and in which order, a file with unsynced writes was closed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ClosedDirty {
    device: u64,
    number: u64,
}

/// How many idle files every table may keep open.
const LEAST_FILES: usize = 8;

struct Entry {
    path: PathBuf,
    file: Option<Arc<OpenFile>>,
    /// Used since the clock hand last passed.
    recent: bool,
    /// The first failed sync. It is never retried: a later success would prove nothing.
    sync_failure: Option<Errno>,
    /// The file's name is known to be durable.
    name_synced: bool,
    /// The device of a file that was closed with writes that nothing has synced since. Only a sync of the whole file
    /// system tells of them.
    closed_dirty: Option<ClosedDirty>,
    verified: Arc<Verified>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<FileId, Entry>,
    /// The open files in the order in which the clock hand looks at them. May name files closed meanwhile.
    open: VecDeque<FileId>,
    last_id: FileId,
    /// Counts files that were closed with unsynced writes.
    closed_dirty: u64,
    doubts: Doubts,
}

impl Entry {
    fn fail(&mut self, errno: Errno) {
        self.sync_failure.get_or_insert(errno);
        // What is cached may not be what is stored.
        self.verified.remove(0, u64::MAX);
    }
}

/// All files of one engine. No system call that can block is made under its lock.
pub struct FileTable {
    inner: Mutex<Inner>,
    limit: AtomicUsize,
    systems: FileSystems,
}

impl FileTable {
    /// A table that keeps at most `limit` idle files open.
    pub fn new(limit: usize) -> Self {
        let limit = AtomicUsize::new(limit.max(LEAST_FILES));
        FileTable { inner: Mutex::default(), limit, systems: FileSystems::default() }
    }

    /// Keeps at most `limit` idle files open from now on. Surplus ones are closed by `make_room`.
    pub fn limit_to(&self, limit: usize) {
        self.limit.store(limit.max(LEAST_FILES), Ordering::Relaxed);
    }

    /// Whether there are more than that.
    pub fn is_over(&self) -> bool {
        self.lock().open.len() > self.limit.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A number for `path`. No I/O.
    pub fn register(&self, path: String) -> FileId {
        let mut inner = self.lock();
        inner.last_id += 1;
        let id = inner.last_id;
        inner.entries.insert(
            id,
            Entry {
                path: PathBuf::from(path),
                file: None,
                recent: false,
                sync_failure: None,
                name_synced: false,
                closed_dirty: None,
                verified: Arc::default(),
            },
        );
        id
    }

    /// Forgets a number; the descriptor is closed when its last user lets go.
    pub fn forget(&self, id: FileId) {
        let mut inner = self.lock();
        inner.doubts.end(id);
        let removed = inner.entries.remove(&id);
        drop(inner);
        drop(removed);
    }

    /// The file if it is open already.
    pub fn peek(&self, id: FileId) -> Option<Arc<OpenFile>> {
        let mut inner = self.lock();
        let entry = inner.entries.get_mut(&id)?;
        entry.recent = true;
        entry.file.clone()
    }

    /// The file, opened if need be; `create` makes a missing one.
    pub fn open(&self, id: FileId, create: bool) -> Result<Arc<OpenFile>, Errno> {
        loop {
            let (path, verified) = {
                let mut inner = self.lock();
                let entry = inner.entries.get_mut(&id).ok_or(libc::EBADF)?;
                entry.recent = true;
                if let Some(file) = &entry.file {
                    return Ok(file.clone());
                }
                (entry.path.clone(), entry.verified.clone())
            };
            self.make_room();
            let opened = OpenFile::open(&path, create, verified);
            if let Ok(file) = &opened
                && !self.systems.is_watched(file.device)
            {
                // Before anything is written. Where it cannot be done files are synced before they are closed.
                let _ = self.systems.watch(&path);
            }
            let mut inner = self.lock();
            let entry = inner.entries.get_mut(&id).ok_or(libc::EBADF)?;
            if let Some(other) = &entry.file {
                return Ok(other.clone());
            }
            // It has got another name meanwhile; what bears the old one may be another file.
            if entry.path != path {
                continue;
            }
            let opened = Arc::new(opened?);
            entry.file = Some(opened.clone());
            inner.open.push_back(id);
            return Ok(opened);
        }
    }

    /// The file bears another name from now on. Whoever uses it goes on with the same file.
    pub fn rename(&self, id: FileId, path: String) {
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            entry.path = PathBuf::from(path);
        }
    }

    /// Nothing of the file counts as checked any more.
    pub fn forget_checked(&self, id: FileId) {
        if let Some(entry) = self.lock().entries.get(&id) {
            entry.verified.remove(0, u64::MAX);
        }
    }

    /// The sync of this file that failed.
    pub fn sync_failure(&self, id: FileId) -> Option<Errno> {
        self.lock().entries.get(&id).and_then(|entry| entry.sync_failure)
    }

    /// Every later sync of this file fails with `errno`, of which somebody is told now.
    pub fn set_sync_failure(&self, id: FileId, errno: Errno) {
        let mut inner = self.lock();
        inner.doubts.end(id);
        if let Some(entry) = inner.entries.get_mut(&id) {
            entry.fail(errno);
        }
    }

    /// Makes all that was written to a file durable.
    pub fn sync_data(&self, id: FileId, file: &OpenFile) -> Result<(), Errno> {
        let (closed_dirty, doubt) = {
            let inner = self.lock();
            (inner.entries.get(&id).and_then(|entry| entry.closed_dirty), inner.doubts.of(id))
        };
        if let Some(closed) = closed_dirty {
            let system = self.systems.get(closed.device)?;
            let _turn = system.turn();
            self.sync_device(closed.device, &system)?;
        }
        file.sync_data()?;
        self.lock().doubts.settle(id, doubt);
        Ok(())
    }

    /// Makes everything durable that was written to the file system of `path` before the call. After a failure it fails
    /// until every file that had unsynced writes then has been synced by itself, or forgotten: the kernel tells an error
    /// once, and only a file's own descriptor still knows whether it is meant.
    pub fn sync_file_system(&self, path: &Path) -> Result<(), Errno> {
        let device = self.systems.watch(path)?;
        let system = self.systems.get(device)?;
        let _turn = system.turn();
        if let Some(errno) = self.lock().doubts.on_device(device) {
            return Err(errno);
        }
        self.sync_device(device, &system)
    }

    /// No file system can be synced as a whole any more, and no descriptor is kept for that.
    pub fn close_systems(&self) {
        self.systems.close();
    }

    /// To be called in the turn of the system.
    fn sync_device(&self, device: u64, system: &Watched) -> Result<(), Errno> {
        let mut open = Vec::new();
        let mut closed = Vec::new();
        for (id, entry) in &self.lock().entries {
            if let Some(noted) = entry.closed_dirty.filter(|noted| noted.device == device) {
                closed.push((*id, noted));
            }
            if let Some(file) = entry.file.as_ref().filter(|file| file.device == device && file.is_dirty()) {
                open.push((file.clone(), file.written()));
            }
        }
        if let Err(errno) = system.sync() {
            self.doubt_unsynced(device, errno);
            return Err(errno);
        }
        let mut inner = self.lock();
        for (id, noted) in closed {
            // Unless it was opened, written and closed again meanwhile.
            if let Some(entry) = inner.entries.get_mut(&id)
                && entry.closed_dirty == Some(noted)
            {
                entry.closed_dirty = None;
            }
        }
        drop(inner);
        for (file, written) in open {
            file.mark_synced(written);
        }
        Ok(())
    }

    /// A sync of the device failed: any file with unsynced writes may be why. Of one that has been closed no descriptor
    /// is left that could tell.
    fn doubt_unsynced(&self, device: u64, errno: Errno) {
        let mut inner = self.lock();
        let Inner { entries, doubts, .. } = &mut *inner;
        for (id, entry) in entries {
            let was_closed = entry.closed_dirty.is_some_and(|noted| noted.device == device);
            let is_open = |file: &Arc<OpenFile>| file.device == device && file.is_dirty();
            // Somebody knows of a failure that is not in doubt.
            let is_known = entry.sync_failure.is_some() && doubts.of(*id).is_none();
            if is_known || !(was_closed || entry.file.as_ref().is_some_and(is_open)) {
                continue;
            }
            doubts.raise(*id, device, errno);
            if was_closed {
                entry.fail(errno);
            }
        }
    }

    /// fsync of the directory that holds the file, once for every file.
    pub fn sync_name(&self, id: FileId) -> Result<(), Errno> {
        let path = match self.lock().entries.get(&id) {
            Some(entry) if !entry.name_synced => entry.path.clone(),
            _ => return Ok(()),
        };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(directory.unwrap_or(Path::new(".")))?;
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            entry.name_synced = true;
        }
        Ok(())
    }

    /// Closes idle files until one more fits. One with unsynced writes leaves a note of that, so that its next sync
    /// covers them; where that cannot be, or where its descriptor alone can tell of an error, it is synced before it is
    /// closed, and a failure is remembered.
    pub fn make_room(&self) {
        while let Some((id, file)) = self.choose_victim() {
            let watched = !file.is_dirty() || self.systems.is_watched(file.device);
            let doubt = self.lock().doubts.of(id);
            if !watched || doubt.is_some() {
                let result = file.sync_data();
                let mut inner = self.lock();
                let Inner { entries, doubts, .. } = &mut *inner;
                match (result, entries.get_mut(&id)) {
                    (Ok(()), _) => doubts.settle(id, doubt),
                    (Err(errno), Some(entry)) => {
                        entry.fail(errno);
                        doubts.raise(id, file.device, errno);
                    }
                    (Err(_), None) => {}
                }
            }
            let mut inner = self.lock();
            let number = inner.closed_dirty + 1;
            let doubted = inner.doubts.of(id).is_some();
            let Some(entry) = inner.entries.get_mut(&id) else { continue };
            // Two holders: the entry and this function.
            if Arc::strong_count(&file) > 2 || (doubted && entry.sync_failure.is_none()) {
                inner.open.push_back(id);
                continue;
            }
            entry.file = None;
            if file.is_dirty() {
                entry.closed_dirty = Some(ClosedDirty { device: file.device, number });
                inner.closed_dirty = number;
            }
        }
    }

    /// Takes the next file to close out of the clock, if there are too many.
    fn choose_victim(&self) -> Option<(FileId, Arc<OpenFile>)> {
        let mut inner = self.lock();
        let count = inner.open.len();
        let limit = self.limit.load(Ordering::Relaxed);
        if count < limit {
            return None;
        }
        for _ in 0..2 * count {
            let id = inner.open.pop_front()?;
            let Some(entry) = inner.entries.get_mut(&id) else {
                if inner.open.len() < limit {
                    return None;
                }
                continue;
            };
            let Some(file) = &entry.file else { continue };
            if Arc::strong_count(file) == 1 && !entry.recent {
                return Some((id, file.clone()));
            }
            entry.recent = false;
            inner.open.push_back(id);
        }
        None
    }
}

/// The error number of the last system call on this thread.
pub fn last_errno() -> Errno {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// How many descriptors this process may have, at most 2^20.
pub fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    let answered = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    if answered { limit.rlim_cur.min(1 << 20) as usize } else { 1024 }
}

/// Lets go of what the page cache holds of a file and need not keep: all that the kernel takes to be on the disk.
pub fn drop_cached(path: &Path) -> Result<(), Errno> {
    let fd = open_fd(path, libc::O_RDONLY)?;
    // SAFETY: the descriptor is open as long as `fd` lives.
    match unsafe { libc::posix_fadvise(fd.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        errno => Err(errno),
    }
}

fn sync_directory(path: &Path) -> Result<(), Errno> {
    let fd = open_fd(path, libc::O_RDONLY | libc::O_DIRECTORY)?;
    // SAFETY: the descriptor is open as long as `fd` lives.
    if unsafe { libc::fsync(fd.as_raw_fd()) } == 0 { Ok(()) } else { Err(last_errno()) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn table(limit: usize, files: usize) -> (FileTable, Vec<FileId>, PathBuf) {
        // Tests run at the same time, and each removes its own.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(format!("cordwood-files-{process}-{number}"));
        std::fs::create_dir_all(&directory).unwrap();
        let table = FileTable::new(limit);
        let name = |index| directory.join(format!("file-{index}")).to_string_lossy().into_owned();
        let ids = (0..files).map(|index| table.register(name(index))).collect();
        (table, ids, directory)
    }

    fn open_count(table: &FileTable) -> usize {
        table.lock().entries.values().filter(|entry| entry.file.is_some()).count()
    }

    #[test]
    fn keeps_no_more_idle_files_open_than_allowed_and_knows_what_was_closed_unsynced() {
        let (table, ids, directory) = table(10, 40);
        for id in &ids {
            let file = table.open(*id, true).unwrap();
            file.mark_dirty();
        }
        assert!(open_count(&table) <= 10);
        let closed: Vec<_> = ids.iter().filter(|id| table.peek(**id).is_none()).collect();
        assert!(closed.len() >= 30);
        let noted = |id: &FileId| table.lock().entries[id].closed_dirty.is_some();
        assert!(closed.iter().all(|id| noted(id)));
        // A sync of one makes the whole file system durable.
        let file = table.open(*closed[0], false).unwrap();
        table.sync_data(*closed[0], &file).unwrap();
        assert!(!noted(closed[0]));
        table.sync_file_system(&directory).unwrap();
        assert!(!file.is_dirty());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_error_of_the_file_system_is_told_until_each_file_that_may_be_meant_has_been_synced_by_itself() {
        let (table, ids, directory) = table(12, 3);
        let files: Vec<_> = ids.iter().map(|id| table.open(*id, true).unwrap()).collect();
        files[0].mark_dirty();
        files[1].mark_dirty();
        let system = table.systems.get(files[0].device).unwrap();
        *system.failing.lock().unwrap() = Some(libc::EIO);
        assert_eq!(table.sync_file_system(&directory), Err(libc::EIO));
        // The kernel has told it, and would not again.
        assert_eq!(table.sync_file_system(&directory), Err(libc::EIO));
        table.sync_data(ids[0], &files[0]).unwrap();
        table.sync_data(ids[2], &files[2]).unwrap();
        assert_eq!(table.sync_file_system(&directory), Err(libc::EIO));
        table.forget(ids[1]);
        assert_eq!(table.sync_file_system(&directory), Ok(()));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_error_of_the_file_system_is_not_lost_with_the_files_that_are_closed_for_others() {
        let (table, ids, directory) = table(8, 20);
        for id in &ids {
            table.open(*id, true).unwrap().mark_dirty();
        }
        let closed = *ids.iter().find(|id| table.peek(**id).is_none()).unwrap();
        let open = *ids.iter().find(|id| table.peek(**id).is_some()).unwrap();
        let device = table.peek(open).unwrap().device;
        let system = table.systems.get(device).unwrap();
        *system.failing.lock().unwrap() = Some(libc::EIO);
        assert_eq!(table.sync_file_system(&directory), Err(libc::EIO));
        assert_eq!(table.sync_failure(closed), Some(libc::EIO));
        // Those that make room have their own sync first.
        let first = directory.join("more").to_string_lossy().into_owned();
        for number in 0..16 {
            table.open(table.register(format!("{first}-{number}")), true).unwrap();
        }
        assert!(table.peek(open).is_none());
        assert_eq!(table.sync_failure(open), None);
        assert!(table.lock().doubts.of(open).is_none());
        // Nobody has been told yet of those that were closed.
        assert_eq!(table.sync_file_system(&directory), Err(libc::EIO));
        for id in ids.iter().filter(|id| table.sync_failure(**id).is_some()) {
            table.set_sync_failure(*id, libc::EIO);
        }
        assert_eq!(table.sync_file_system(&directory), Ok(()));
        // Nor is one told of twice.
        table.open(closed, false).unwrap().mark_dirty();
        *system.failing.lock().unwrap() = Some(libc::EIO);
        assert_eq!(table.sync_file_system(&directory), Err(libc::EIO));
        assert!(table.lock().doubts.of(closed).is_none());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn never_closes_a_file_in_use() {
        let (table, ids, directory) = table(9, 40);
        let held: Vec<_> = ids.iter().map(|id| table.open(*id, true).unwrap()).collect();
        assert_eq!(open_count(&table), 40);
        drop(held);
        let extra = table.register(directory.join("extra").to_string_lossy().into_owned());
        table.open(extra, true).unwrap();
        assert!(open_count(&table) <= 9);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn remembers_a_failed_sync_until_the_file_is_forgotten() {
        let (table, ids, directory) = table(8, 1);
        table.open(ids[0], true).unwrap();
        table.set_sync_failure(ids[0], libc::EIO);
        table.set_sync_failure(ids[0], libc::ENOSPC);
        assert_eq!(table.sync_failure(ids[0]), Some(libc::EIO));
        table.forget(ids[0]);
        assert_eq!(table.sync_failure(ids[0]), None);
        assert_eq!(table.open(ids[0], true).err(), Some(libc::EBADF));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
