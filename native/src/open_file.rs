//! One file that is open.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::files::{Errno, last_errno};
use crate::verified::Verified;

/// A file that is open. It stays open as long as somebody holds it.
pub struct OpenFile {
    fd: OwnedFd,
    pub writable: bool,
    /// The file system that it lies on.
    pub device: u64,
    /// Counts writes; equal to `synced` when everything written is durable.
    written: AtomicU64,
    synced: AtomicU64,
    /// Where bytes begin and end that lie in the page cache and are too few to begin with.
    gathered: Mutex<(u64, u64)>,
    /// What is known to be good; shared with whoever opens the file again.
    pub verified: Arc<Verified>,
    /// The same file, written past the page cache; none where the system does not do that.
    direct: OnceLock<Option<OwnedFd>>,
}

/// Positions, lengths and addresses of what is written past the page cache are multiples of it.
pub const DIRECT_BYTES: usize = 4096;

impl OpenFile {
    /// Opens the file, for reading alone where writing is not allowed.
    pub fn open(path: &Path, create: bool, verified: Arc<Verified>) -> Result<Self, Errno> {
        let flags = libc::O_RDWR | if create { libc::O_CREAT } else { 0 };
        let (fd, writable) = match open_fd(path, flags) {
            Ok(fd) => (fd, true),
            Err(libc::EACCES | libc::EROFS | libc::EPERM) if !create => {
                (open_fd(path, libc::O_RDONLY)?, false)
            }
            Err(errno) => return Err(errno),
        };
        // Otherwise whoever sends what is in memory, and may not wait, submits reads of what follows it.
        // SAFETY: the descriptor is open; the advice changes no memory.
        unsafe { libc::posix_fadvise(fd.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) };
        let device = status(&fd)?.st_dev;
        let (written, synced) = (AtomicU64::new(0), AtomicU64::new(0));
        let gathered = Mutex::new((0, 0));
        Ok(OpenFile { fd, writable, device, written, synced, gathered, verified, direct: OnceLock::new() })
    }

    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// A descriptor that writes past the page cache, opened when it is first asked for.
    pub fn direct_fd(&self) -> Option<RawFd> {
        let open = || {
            // By the descriptor: the file may have got another name.
            let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
            open_fd(Path::new(&path), libc::O_RDWR | libc::O_DIRECT).ok()
        };
        self.direct.get_or_init(open).as_ref().map(|fd| fd.as_raw_fd())
    }

    /// The length in bytes.
    pub fn size(&self) -> Result<u64, Errno> {
        Ok(status(&self.fd)?.st_size as u64)
    }

    /// To be called after bytes or the length have changed, while the file is still held, and before they begin to:
    /// what the system fails to store meanwhile is already told of a file with unsynced writes.
    pub fn mark_dirty(&self) {
        self.written.fetch_add(1, Ordering::Release);
    }

    /// How many writes there have been.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// The first `written` writes are durable.
    pub fn mark_synced(&self, written: u64) {
        self.synced.fetch_max(written, Ordering::Release);
    }

    pub fn is_dirty(&self) -> bool {
        self.written() != self.synced.load(Ordering::Acquire)
    }

    /// Adds written bytes to those that were gathered right before them; gives start and length of all once there are `least`.
    pub fn gather(&self, position: u64, length: u64, least: u64) -> Option<(u64, u64)> {
        let mut gathered = self.gathered.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let start = if gathered.1 == position { gathered.0 } else { position };
        let end = position + length;
        if end - start < least {
            *gathered = (start, end);
            return None;
        }
        *gathered = (end, end);
        Some((start, end - start))
    }

    /// Has the system begin to write these bytes of the page cache to the disk, without waiting for it and without a promise.
    pub fn begin_writing(&self, start: u64, length: u64) {
        #[cfg(target_os = "linux")]
        // SAFETY: the descriptor is open as long as `self` lives; the call changes no memory.
        unsafe {
            let (at, count) = (start as libc::off64_t, length as libc::off64_t);
            libc::sync_file_range(self.fd(), at, count, libc::SYNC_FILE_RANGE_WRITE);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (start, length);
    }

    /// fdatasync; covers every write that ended before the call.
    pub fn sync_data(&self) -> Result<(), Errno> {
        let covered = self.written();
        loop {
            // SAFETY: the descriptor is open as long as `self` lives.
            if unsafe { libc::fdatasync(self.fd()) } == 0 {
                self.mark_synced(covered);
                return Ok(());
            }
            let errno = last_errno();
            if errno != libc::EINTR {
                return Err(errno);
            }
        }
    }

    /// Reads until `target` is full or the file ends; the number of bytes read.
    pub fn read(&self, target: &mut [u8], position: u64) -> Result<usize, Errno> {
        let mut filled = 0;
        while filled < target.len() {
            let rest = &mut target[filled..];
            // SAFETY: the kernel writes at most `rest.len()` bytes to `rest`.
            let count = unsafe {
                let at = (position + filled as u64) as libc::off_t;
                libc::pread(self.fd(), rest.as_mut_ptr().cast(), rest.len(), at)
            };
            match count {
                0 => break,
                1.. => filled += count as usize,
                _ => match last_errno() {
                    libc::EINTR => {}
                    errno => return Err(errno),
                },
            }
        }
        Ok(filled)
    }

    /// Fills `target` if all of that is in memory; false if not, or if the file ends before.
    pub fn read_resident(&self, target: &mut [u8], position: u64) -> bool {
        let slice = libc::iovec { iov_base: target.as_mut_ptr().cast(), iov_len: target.len() };
        // SAFETY: the kernel writes at most `target.len()` bytes to `target`.
        let count = unsafe { libc::preadv2(self.fd(), &slice, 1, position as libc::off_t, libc::RWF_NOWAIT) };
        count == target.len() as isize
    }
}

/// Opens a path; closed when it is dropped.
pub fn open_fd(path: &Path, flags: libc::c_int) -> Result<OwnedFd, Errno> {
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

/// What the system tells of an open file.
pub fn status(fd: &OwnedFd) -> Result<libc::stat, Errno> {
    // SAFETY: all zeros is a valid `stat`, which the call fills.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, `found` is a valid place for the answer.
    if unsafe { libc::fstat(fd.as_raw_fd(), &mut found) } == 0 { Ok(found) } else { Err(last_errno()) }
}
