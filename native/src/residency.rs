//! What the page cache holds.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::files::last_errno;
use crate::open_file::OpenFile;

/// The number of the system call, the same on all machines. Linux 6.5 and later.
const SYS_CACHESTAT: libc::c_long = 451;
/// How finely lost memory is told from kept.
const PIECE_BYTES: u64 = 64 << 10;
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
    if CACHESTAT_MISSING.load(Ordering::Relaxed) {
        return is_resident_mapped(file.fd(), position, length);
    }
    let page = page_bytes();
    let first = position / page;
    let last = (position + length - 1) / page;
    let range = CachestatRange { offset: position, length };
    let mut found = Cachestat::default();
    // SAFETY: both structures have the kernel's layout and outlive the call.
    let result = unsafe { libc::syscall(SYS_CACHESTAT, file.fd(), &range, &mut found, 0) };
    if result != 0 {
        if matches!(last_errno(), libc::ENOSYS | libc::EPERM) {
            CACHESTAT_MISSING.store(true, Ordering::Relaxed);
        }
        return is_resident_mapped(file.fd(), position, length);
    }
    found.cached > last - first
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
