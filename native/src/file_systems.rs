//! Whole file systems made durable at once.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::files::{Errno, last_errno};
use crate::open_file::{open_fd, status};

/// A file system whose errors are noticed.
pub struct Watched {
    root: OwnedFd,
    turn: Mutex<()>,
    /// What the next `sync` fails with.
    #[cfg(test)]
    pub failing: Mutex<Option<Errno>>,
}

impl Watched {
    fn new(root: OwnedFd) -> Self {
        Watched {
            root,
            turn: Mutex::default(),
            #[cfg(test)]
            failing: Mutex::default(),
        }
    }

    /// Whoever syncs holds it until what came of that is noted: who comes next is not told of the same error again.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Makes everything durable that was written before the call. Fails also when something could not be written since
    /// the last call.
    pub fn sync(&self) -> Result<(), Errno> {
        #[cfg(test)]
        if let Some(errno) = self.failing.lock().unwrap().take() {
            return Err(errno);
        }
        loop {
            // SAFETY: the descriptor is open as long as `self` lives.
            if unsafe { libc::syncfs(self.root.as_raw_fd()) } == 0 {
                return Ok(());
            }
            let errno = last_errno();
            if errno != libc::EINTR {
                return Err(errno);
            }
        }
    }
}

#[derive(Default)]
struct Known {
    by_device: HashMap<u64, Arc<Watched>>,
    closed: bool,
}

/// Descriptors for `syncfs`, by device. They stay open until `close`: the kernel tells an error of writing back to those
/// that were open when it happened, also when the file that it concerns was not.
#[derive(Default)]
pub struct FileSystems {
    known: Mutex<Known>,
}

impl FileSystems {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The device of `path`; errors of writing back to it are noticed from now on.
    pub fn watch(&self, path: &Path) -> Result<u64, Errno> {
        let opened = open_fd(path, libc::O_RDONLY)?;
        let device = status(&opened)?.st_dev;
        if !self.is_watched(device) {
            let root = root_of(path, device).unwrap_or(opened);
            let mut known = self.lock();
            if known.closed {
                return Err(libc::EBADF);
            }
            known.by_device.entry(device).or_insert_with(|| Arc::new(Watched::new(root)));
        }
        Ok(device)
    }

    /// Whether errors of writing back to `device` are noticed.
    pub fn is_watched(&self, device: u64) -> bool {
        self.lock().by_device.contains_key(&device)
    }

    /// The file system of `device`, if it is watched.
    pub fn get(&self, device: u64) -> Result<Arc<Watched>, Errno> {
        self.lock().by_device.get(&device).cloned().ok_or(libc::EBADF)
    }

    /// Closes the descriptors, each once no sync uses it any more. No device is watched from now on.
    pub fn close(&self) {
        let closed = {
            let mut known = self.lock();
            known.closed = true;
            std::mem::take(&mut known.by_device)
        };
        drop(closed);
    }
}

/// Which mount `path` is on: a number that no other mount has until the system is started again. Not known to systems that
/// give such numbers again.
pub fn unique_mount(path: &Path) -> Option<u64> {
    const MNT_ID_UNIQUE: libc::c_uint = 0x4000;
    /// Where the number is in what `statx` fills, after the 64 bits of mask and block size; see linux/stat.h.
    const MNT_ID_AT: usize = 0x90;
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut found = [0u64; 32];
    // SAFETY: the path ends with a zero, and `struct statx` has 256 bytes.
    let code = unsafe {
        libc::syscall(libc::SYS_statx, libc::AT_FDCWD, path.as_ptr(), 0, MNT_ID_UNIQUE, found.as_mut_ptr())
    };
    // The mask of what was filled is the first 32 bits.
    let mask = found[0].to_ne_bytes();
    let mask = u32::from_ne_bytes([mask[0], mask[1], mask[2], mask[3]]);
    (code == 0 && mask & MNT_ID_UNIQUE != 0).then(|| found[MNT_ID_AT / 8])
}

/// The highest directory above `path` that is on the same device, so that no directory of somebody's is held open.
fn root_of(path: &Path, device: u64) -> Option<OwnedFd> {
    let path = std::fs::canonicalize(path).ok()?;
    let mut highest = None;
    for above in path.ancestors() {
        match open_fd(above, libc::O_RDONLY | libc::O_DIRECTORY) {
            Ok(fd) if status(&fd).is_ok_and(|found| found.st_dev == device) => highest = Some(fd),
            // A file, to begin with.
            Err(libc::ENOTDIR) => {}
            _ => break,
        }
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_watched_or_synced_once_they_have_been_closed() {
        let systems = FileSystems::default();
        let path = std::env::temp_dir();
        let device = systems.watch(&path).unwrap();
        let system = Arc::downgrade(&systems.get(device).unwrap());
        systems.get(device).unwrap().sync().unwrap();
        systems.close();
        assert!(system.upgrade().is_none());
        assert_eq!(systems.watch(&path), Err(libc::EBADF));
        assert_eq!(systems.get(device).err(), Some(libc::EBADF));
        assert!(!systems.is_watched(device));
    }
}
