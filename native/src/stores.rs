//! Changes of one open file, noted as not durable yet.

use std::os::fd::RawFd;

use crate::files::{Errno, last_errno};
use crate::open_file::{DIRECT_BYTES, OpenFile};
use crate::plan::MAX_SLICES;

/// Writes all of `slices` one after the other from `position` on.
pub fn write_all(file: &OpenFile, slices: &mut [libc::iovec], position: u64) -> Result<(), Errno> {
    if slices.is_empty() {
        return Ok(());
    }
    if !file.writable {
        return Err(libc::EACCES);
    }
    let end = position + slices.iter().map(|slice| slice.iov_len as u64).sum::<u64>();
    file.mark_dirty();
    let result = write_slices(file.fd(), slices, position);
    file.mark_dirty();
    match result {
        // What was written here needs no check as long as it stays in memory.
        Ok(()) => file.verified.add(position, end),
        Err(_) => file.verified.remove(position, end),
    }
    result
}

/// As `write_all`, but past the page cache where that can be: what nobody reads soon costs less to write and to sync.
pub fn write_past_cache(file: &OpenFile, slices: &mut [libc::iovec], position: u64) -> Result<(), Errno> {
    let is_aligned = |slice: &libc::iovec| {
        (slice.iov_base as usize).is_multiple_of(DIRECT_BYTES) && slice.iov_len.is_multiple_of(DIRECT_BYTES)
    };
    let fits = position.is_multiple_of(DIRECT_BYTES as u64) && slices.iter().all(is_aligned);
    let direct = if fits && file.writable { file.direct_fd() } else { None };
    let Some(fd) = direct else { return write_all(file, slices, position) };
    let end = position + slices.iter().map(|slice| slice.iov_len as u64).sum::<u64>();
    // Changed as far as they were written, if that ends in the middle of one.
    let mut rest = slices.to_vec();
    file.mark_dirty();
    let result = write_slices(fd, &mut rest, position);
    file.mark_dirty();
    file.verified.remove(position, end);
    match result {
        // There are file systems that refuse it only here.
        Err(libc::EINVAL) => write_all(file, slices, position),
        result => result,
    }
}

fn write_slices(fd: RawFd, slices: &mut [libc::iovec], mut position: u64) -> Result<(), Errno> {
    let mut first = 0;
    while first < slices.len() {
        let rest = &slices[first..slices.len().min(first + MAX_SLICES)];
        // SAFETY: every slice lies in the memory of a group that outlives the call, and nobody writes to it.
        let written =
            unsafe { libc::pwritev(fd, rest.as_ptr(), rest.len() as libc::c_int, position as libc::off_t) };
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
    file.mark_dirty();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn slice(bytes: &[u8]) -> libc::iovec {
        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
    }

    #[test]
    fn writes_more_slices_than_one_system_call_takes() {
        let path = std::env::temp_dir().join(format!("cordwood-slices-{}", std::process::id()));
        let file = OpenFile::open(&path, true, Arc::default()).unwrap();
        let memory: Vec<u8> = (0..10 * (2 * MAX_SLICES + 3)).map(|at| (at / 7) as u8).collect();
        let mut slices: Vec<libc::iovec> = memory.chunks(10).map(slice).collect();
        write_all(&file, &mut slices, 0).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), memory);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn writes_the_same_past_the_cache_and_through_it() {
        let path = std::env::temp_dir().join(format!("cordwood-stores-{}", std::process::id()));
        let file = OpenFile::open(&path, true, Arc::default()).unwrap();
        let memory: Vec<u8> = (0..5 * DIRECT_BYTES).map(|at| (at / 7) as u8).collect();
        let from = memory.as_ptr().align_offset(DIRECT_BYTES);
        let aligned = &memory[from..from + 2 * DIRECT_BYTES];
        let odd = &memory[1..4000];
        write_past_cache(&file, &mut [slice(aligned)], 0).unwrap();
        write_past_cache(&file, &mut [slice(odd)], 2 * DIRECT_BYTES as u64).unwrap();
        write_past_cache(&file, &mut [slice(&aligned[DIRECT_BYTES..])], 0).unwrap();
        assert!(file.is_dirty());
        file.sync_data().unwrap();
        let expected = [&aligned[DIRECT_BYTES..], &aligned[DIRECT_BYTES..], odd].concat();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        std::fs::remove_file(path).unwrap();
    }
}
