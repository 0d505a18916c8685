//! Files by number: opened when first used, at most so many at once.

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The number by which JavaScript names a file. Never used twice.
pub type FileId = u32;

/// An error of the system: its number.
pub type Errno = i32;

/// A file that is open. It stays open as long as somebody holds it.
pub struct OpenFile {
    fd: OwnedFd,
    pub writable: bool,
    /// Counts writes; equal to `synced` when everything written is durable.
    written: AtomicU64,
    synced: AtomicU64,
}

impl OpenFile {
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// To be called after bytes or the length have changed, while the file is still held.
    pub fn mark_dirty(&self) {
        self.written.fetch_add(1, Ordering::Release);
    }

    fn is_dirty(&self) -> bool {
        self.written.load(Ordering::Acquire) != self.synced.load(Ordering::Acquire)
    }

    /// fdatasync; covers every write that ended before the call.
    pub fn sync_data(&self) -> Result<(), Errno> {
        let covered = self.written.load(Ordering::Acquire);
        loop {
            // SAFETY: the descriptor is open as long as `self` lives.
            if unsafe { libc::fdatasync(self.fd()) } == 0 {
                self.synced.fetch_max(covered, Ordering::Release);
                return Ok(());
            }
            let errno = last_errno();
            if errno != libc::EINTR {
                return Err(errno);
            }
        }
    }
}

struct Entry {
    path: PathBuf,
    file: Option<Arc<OpenFile>>,
    /// Used since the clock hand last passed.
    recent: bool,
    /// The first failed sync. It is never retried: a later success would prove nothing.
    sync_failure: Option<Errno>,
    /// The file's name is known to be durable.
    name_synced: bool,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<FileId, Entry>,
    /// The open files in the order in which the clock hand looks at them. May name files closed meanwhile.
    open: VecDeque<FileId>,
    last_id: FileId,
}

/// All files of one engine. No system call that can block is made under its lock.
pub struct FileTable {
    inner: Mutex<Inner>,
    limit: usize,
}

impl FileTable {
    /// A table that keeps at most `limit` idle files open.
    pub fn new(limit: usize) -> Self {
        FileTable { inner: Mutex::default(), limit: limit.max(8) }
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
            },
        );
        id
    }

    /// Forgets a number; the descriptor is closed when its last user lets go.
    pub fn forget(&self, id: FileId) {
        let removed = self.lock().entries.remove(&id);
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
        let path = {
            let mut inner = self.lock();
            let entry = inner.entries.get_mut(&id).ok_or(libc::EBADF)?;
            entry.recent = true;
            if let Some(file) = &entry.file {
                return Ok(file.clone());
            }
            entry.path.clone()
        };
        self.make_room();
        let opened = Arc::new(open_file(&path, create)?);
        let mut inner = self.lock();
        let entry = inner.entries.get_mut(&id).ok_or(libc::EBADF)?;
        if let Some(other) = &entry.file {
            return Ok(other.clone());
        }
        entry.file = Some(opened.clone());
        inner.open.push_back(id);
        Ok(opened)
    }

    /// The sync of this file that failed.
    pub fn sync_failure(&self, id: FileId) -> Option<Errno> {
        self.lock().entries.get(&id).and_then(|entry| entry.sync_failure)
    }

    /// Every later sync of this file fails with `errno`.
    pub fn set_sync_failure(&self, id: FileId, errno: Errno) {
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            entry.sync_failure.get_or_insert(errno);
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

    /// Closes idle files until one more fits, clean ones first. When all that are idle have unsynced writes one
    /// is synced before it is closed; its failure is remembered.
    fn make_room(&self) {
        loop {
            let Some((id, file)) = self.choose_victim() else { return };
            if file.is_dirty()
                && let Err(errno) = file.sync_data()
            {
                self.set_sync_failure(id, errno);
            }
            let mut inner = self.lock();
            if let Some(entry) = inner.entries.get_mut(&id) {
                // Two holders: the entry and this function.
                if Arc::strong_count(&file) == 2 && (!file.is_dirty() || entry.sync_failure.is_some()) {
                    entry.file = None;
                } else {
                    inner.open.push_back(id);
                }
            }
            drop(inner);
            drop(file);
        }
    }

    /// Takes the next file to close out of the clock, if there are too many.
    fn choose_victim(&self) -> Option<(FileId, Arc<OpenFile>)> {
        let mut inner = self.lock();
        let count = inner.open.len();
        if count < self.limit {
            return None;
        }
        let mut dirty: Option<FileId> = None;
        for _ in 0..2 * count {
            let id = inner.open.pop_front()?;
            let Some(entry) = inner.entries.get_mut(&id) else {
                if inner.open.len() < self.limit {
                    return None;
                }
                continue;
            };
            let Some(file) = &entry.file else { continue };
            let in_use = Arc::strong_count(file) > 1;
            if !in_use && !entry.recent && !file.is_dirty() {
                return Some((id, file.clone()));
            }
            if !in_use && file.is_dirty() {
                dirty.get_or_insert(id);
            }
            entry.recent = false;
            inner.open.push_back(id);
        }
        let id = dirty?;
        inner.open.retain(|other| *other != id);
        let file = inner.entries.get(&id)?.file.clone()?;
        Some((id, file))
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

/// Descriptors for `syncfs`, by device. They stay open: the kernel tells an error of writing back to those that were
/// open when it happened.
#[derive(Default)]
pub struct FileSystems {
    by_device: Mutex<HashMap<libc::dev_t, Arc<OwnedFd>>>,
}

impl FileSystems {
    /// Makes everything durable that was written to the file system of `path` before the call.
    pub fn sync(&self, path: &Path) -> Result<(), Errno> {
        let opened = open_fd(path, libc::O_RDONLY)?;
        // SAFETY: all zeros is a valid `stat`, which the call fills.
        let mut found: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, `found` is a valid place for the answer.
        if unsafe { libc::fstat(opened.as_raw_fd(), &mut found) } != 0 {
            return Err(last_errno());
        }
        let fd = {
            let mut known = self.by_device.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            known.entry(found.st_dev).or_insert_with(|| Arc::new(opened)).clone()
        };
        loop {
            // SAFETY: the descriptor is open as long as `fd` lives.
            if unsafe { libc::syncfs(fd.as_raw_fd()) } == 0 {
                return Ok(());
            }
            let errno = last_errno();
            if errno != libc::EINTR {
                return Err(errno);
            }
        }
    }
}

fn open_file(path: &Path, create: bool) -> Result<OpenFile, Errno> {
    let flags = libc::O_RDWR | if create { libc::O_CREAT } else { 0 };
    let (fd, writable) = match open_fd(path, flags) {
        Ok(fd) => (fd, true),
        Err(libc::EACCES | libc::EROFS | libc::EPERM) if !create => (open_fd(path, libc::O_RDONLY)?, false),
        Err(errno) => return Err(errno),
    };
    Ok(OpenFile { fd, writable, written: AtomicU64::new(0), synced: AtomicU64::new(0) })
}

fn open_fd(path: &Path, flags: libc::c_int) -> Result<OwnedFd, Errno> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| libc::EINVAL)?;
    loop {
        // SAFETY: `path` ends with a zero byte and outlives the call.
        let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644) };
        if fd >= 0 {
            // SAFETY: the descriptor was just opened and belongs to nobody else.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        let errno = last_errno();
        if errno != libc::EINTR {
            return Err(errno);
        }
    }
}

fn sync_directory(path: &Path) -> Result<(), Errno> {
    let fd = open_fd(path, libc::O_RDONLY | libc::O_DIRECTORY)?;
    // SAFETY: the descriptor is open as long as `fd` lives.
    if unsafe { libc::fsync(fd.as_raw_fd()) } == 0 { Ok(()) } else { Err(last_errno()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(limit: usize, files: usize) -> (FileTable, Vec<FileId>, PathBuf) {
        let directory = std::env::temp_dir().join(format!("cordwood-files-{}-{limit}", std::process::id()));
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
    fn keeps_no_more_idle_files_open_than_allowed_and_syncs_before_it_closes() {
        let (table, ids, directory) = table(10, 40);
        for id in &ids {
            let file = table.open(*id, true).unwrap();
            file.mark_dirty();
        }
        assert!(open_count(&table) <= 10);
        assert!(ids.iter().any(|id| table.peek(*id).is_none()));
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
