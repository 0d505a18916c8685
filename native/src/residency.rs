//! What the page cache holds.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::files::last_errno;
use crate::open_file::OpenFile;

/// The number of the system call, the same on all machines. Linux 6.5 and later.
const SYS_CACHESTAT: libc::c_long = 451;
/// How finely lost memory is told from kept.
const PIECE_BYTES: u64 = 64 << 10;
/// How often pages are counted before they are taken for missing.
const COUNTS: usize = 5;
/// How far around a read the kernel may read as well.
pub const READ_AROUND_BYTES: u64 = 2 << 20;

#[repr(C)]
struct CachestatRange {
    offset: u64,
    length: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

static CACHESTAT_MISSING: AtomicBool = AtomicBool::new(false);

/// Whether all pages of the range are in the page cache.
pub fn is_resident(file: &OpenFile, position: u64, length: u64) -> bool {
    if length == 0 {
        return true;
    }
    let page = page_bytes();
    let pages = (position + length - 1) / page - position / page + 1;
    // The kernel ends its count early when others want the processor amid it (seen on 6.18): what is said to be missing is
    // counted again, with a time slice of its own.
    for _ in 0..COUNTS {
        match cached_pages(file.fd(), position, length) {
            Some(cached) if cached >= pages => return true,
            Some(_) => {}
            None => return is_resident_mapped(file.fd(), position, length),
        }
    }
    false
}

/// How many pages of the range are in the page cache; none where the kernel does not count them.
fn cached_pages(fd: RawFd, offset: u64, length: u64) -> Option<u64> {
    if CACHESTAT_MISSING.load(Ordering::Relaxed) {
        return None;
    }
    let range = CachestatRange { offset, length };
    let mut found = Cachestat::default();
    // SAFETY: both structures have the kernel's layout and outlive the call.
    let result = unsafe { libc::syscall(SYS_CACHESTAT, fd, &range, &mut found, 0) };
    if result == 0 {
        return Some(found.cached);
    }
    if matches!(last_errno(), libc::ENOSYS | libc::EPERM) {
        CACHESTAT_MISSING.store(true, Ordering::Relaxed);
    }
    None
}

/// The same through a mapping that is never touched, as older kernels tell it.
fn is_resident_mapped(fd: RawFd, position: u64, length: u64) -> bool {
    let page = page_bytes();
    let start = position / page * page;
    let length = (position + length - start) as usize;
    // SAFETY: the kernel chooses the address; nothing reads the memory.
    let address = unsafe {
        libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, fd, start as libc::off_t)
    };
    if address == libc::MAP_FAILED {
        return false;
    }
    let resident = is_mapping_resident(address.cast(), length);
    // SAFETY: this is the mapping made above.
    unsafe { libc::munmap(address, length) };
    resident
}

/// Whether all pages of mapped memory are in the page cache. `address` begins a page.
pub fn is_mapping_resident(address: *const u8, length: usize) -> bool {
    let page = page_bytes() as usize;
    let mut flags = [0_u8; 256];
    for start in (0..length).step_by(256 * page) {
        let bytes = (length - start).min(256 * page);
        // SAFETY: the memory is mapped, and there is a flag for each of its pages.
        let result =
            unsafe { libc::mincore(address.add(start).cast_mut().cast(), bytes, flags.as_mut_ptr().cast()) };
        if result != 0 || flags[..bytes.div_ceil(page)].iter().any(|flag| flag & 1 == 0) {
            return false;
        }
    }
    true
}

/// Forgets that pieces of the file were good which have left memory, in and around a range that is about to be
/// read: the read brings back what nobody has checked.
pub fn forget_lost(file: &OpenFile, position: u64, length: u64) {
    let end = position + length + READ_AROUND_BYTES;
    let mut start = position.saturating_sub(READ_AROUND_BYTES) / PIECE_BYTES * PIECE_BYTES;
    if !file.verified.touches(start, end) {
        return;
    }
    // The last pages of a file may be fewer than asked for.
    let size = file.size().unwrap_or(0);
    let is_kept = |from: u64, to: u64| from < size && is_resident(file, from, to.min(size) - from);
    // As a rule all of it is there.
    if is_kept(start, end) {
        return;
    }
    while start < end {
        let next = start + PIECE_BYTES;
        if file.verified.touches(start, next) && !is_kept(start, next) {
            file.verified.remove(start, next);
        }
        start = next;
    }
}

/// Bytes of a page.
pub fn page_bytes() -> u64 {
    // SAFETY: no preconditions.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if bytes > 0 { bytes as u64 } else { 4096 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::verified::Verified;

    const LENGTH: u64 = 8 << 20;

    fn file(name: &str) -> (OpenFile, std::path::PathBuf) {
        let path = std::env::temp_dir().join(format!("cordwood-residency-{}-{name}", std::process::id()));
        std::fs::write(&path, vec![7; LENGTH as usize]).unwrap();
        (OpenFile::open(&path, false, Arc::new(Verified::default())).unwrap(), path)
    }

    #[test]
    fn what_has_left_memory_is_not_there() {
        let (file, path) = file("left");
        assert!(is_resident(&file, 0, LENGTH));
        let half = LENGTH / 2;
        // The kernel keeps what somebody else has in hand at that moment.
        while is_resident(&file, half - 1, 2) {
            // SAFETY: the descriptor is open; the advice changes no memory of this process.
            unsafe {
                assert_eq!(libc::fsync(file.fd()), 0);
                libc::posix_fadvise(file.fd(), 0, half as libc::off_t, libc::POSIX_FADV_DONTNEED);
            }
        }
        assert!(!is_resident(&file, 0, LENGTH));
        assert!(is_resident(&file, half, half));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_in_memory_is_found_there_while_others_want_the_processor() {
        let (file, path) = file("busy");
        let busy = AtomicBool::new(true);
        std::thread::scope(|scope| {
            for _ in 0..2 * std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| while busy.load(Ordering::Relaxed) {});
            }
            let end = Instant::now() + Duration::from_millis(500);
            let mut missed = 0;
            // Most begin amid pages that the kernel keeps as one.
            for position in (0..LENGTH / 2).step_by(5000).cycle() {
                missed += usize::from(!is_resident(&file, position, 1 << 20));
                if Instant::now() > end {
                    break;
                }
            }
            busy.store(false, Ordering::Relaxed);
            assert_eq!(missed, 0);
        });
        std::fs::remove_file(path).unwrap();
    }
}
