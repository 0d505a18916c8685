//! Changes of one open file, noted as not durable yet.

use crate::files::{Errno, last_errno};
use crate::open_file::OpenFile;

/// Writes all of `slices` one after the other from `position` on.
pub fn write_all(file: &OpenFile, slices: &mut [libc::iovec], position: u64) -> Result<(), Errno> {
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

/// Changes the length of the file.
pub fn truncate(file: &OpenFile, size: u64) -> Result<(), Errno> {
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
