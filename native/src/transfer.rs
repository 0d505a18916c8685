//! Moves the parts of a message into a socket: bytes, and stretches of files without passing through memory.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::completions::Stage;
use crate::files::{Errno, FileId, FileTable, OpenFile, last_errno};

/// Ranges up to this length are copied next to their neighbours and sent with them in one call.
const COPIED_RANGE: u64 = 16 << 10;
/// The most that one such call sends.
const COPIED_BYTES: u64 = 128 << 10;
/// The most that one sendfile moves.
const SENDFILE_BYTES: u64 = 1 << 20;
/// How much one connection may move before others have their turn.
const TURN_BYTES: u64 = 4 << 20;
/// How much the calling thread moves: beyond it the other thread goes on beside it. More than the MiB that a consumer
/// asks of a partition by default: each change of threads costs more than sending what is left.
const INLINE_BYTES: u64 = 5 << 18;

/// One part of a message.
pub enum Part<'a> {
    Bytes {
        bytes: Cow<'a, [u8]>,
        at: usize,
    },
    /// `held` keeps the file open while the range waits, so that it may be removed meanwhile.
    Range {
        id: FileId,
        held: Option<Arc<OpenFile>>,
        position: u64,
        length: u64,
    },
}

impl Part<'_> {
    /// Bytes still to be sent.
    pub fn remaining(&self) -> u64 {
        match self {
            Part::Bytes { bytes, at } => (bytes.len() - at) as u64,
            Part::Range { length, .. } => *length,
        }
    }

    fn skip(&mut self, count: u64) {
        match self {
            Part::Bytes { at, .. } => *at += count as usize,
            Part::Range { position, length, .. } => {
                *position += count;
                *length -= count;
            }
        }
    }

    /// The part with memory of its own, and with its file if that is open.
    pub fn into_owned(self, files: &FileTable) -> Part<'static> {
        match self {
            Part::Bytes { bytes, at } => Part::Bytes { bytes: Cow::Owned(bytes[at..].to_vec()), at: 0 },
            Part::Range { id, held, position, length } => {
                Part::Range { id, held: held.or_else(|| files.peek(id)), position, length }
            }
        }
    }
}

/// Why `advance` came back.
#[derive(Clone, Copy)]
pub enum Outcome {
    /// Everything has been handed to the kernel.
    Done,
    /// The socket is full, or others have to have their turn, or the next part may block the calling thread.
    Later,
    /// The stream is broken.
    Failed(Stage, Errno, FileId),
}

/// Whose thread it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The event loop: touches only files that are open and pages that are in memory.
    EventLoop,
    /// The sender's own thread, which may wait for the disk.
    Sender,
}

/// Sends as much of `parts` as goes without waiting for the socket; `sent` grows by the bytes handed over.
pub fn advance(
    socket: RawFd,
    parts: &mut VecDeque<Part<'_>>,
    files: &FileTable,
    caller: Caller,
    scratch: &mut Vec<u8>,
    sent: &mut u64,
) -> Outcome {
    let turn = if caller == Caller::EventLoop { INLINE_BYTES } else { TURN_BYTES };
    let stop = *sent + turn;
    loop {
        while parts.front().is_some_and(|part| part.remaining() == 0) {
            parts.pop_front();
        }
        if parts.is_empty() {
            return Outcome::Done;
        }
        if *sent >= stop {
            return Outcome::Later;
        }
        let result = match gather(parts, files, caller, scratch) {
            Ok(Gathered::Nothing) => send_front(socket, parts, files, caller, stop - *sent),
            Ok(Gathered::Deferred) => return Outcome::Later,
            Ok(Gathered::Copied(count)) => {
                let more = parts.len() > count;
                send(socket, scratch, more).map(|taken| (taken, taken < scratch.len() as u64))
            }
            Err(failure) => Err(failure),
        };
        match result {
            Ok((taken, stopped)) => {
                *sent += taken;
                skip(parts, taken);
                if stopped && parts.iter().any(|part| part.remaining() > 0) {
                    return Outcome::Later;
                }
            }
            Err((stage, errno, file)) => return Outcome::Failed(stage, errno, file),
        }
    }
}

type Failure = (Stage, Errno, FileId);

fn skip(parts: &mut VecDeque<Part<'_>>, mut count: u64) {
    while count > 0 {
        let Some(front) = parts.front_mut() else { return };
        let step = count.min(front.remaining());
        front.skip(step);
        count -= step;
        if front.remaining() == 0 {
            parts.pop_front();
        }
    }
}

enum Gathered {
    /// The first part is better sent by itself.
    Nothing,
    /// The first part is a range that the event loop may not read.
    Deferred,
    /// This many parts are in the scratch memory.
    Copied(usize),
}

/// Copies the small parts at the front into `scratch`, so that they leave in one call.
fn gather(
    parts: &VecDeque<Part<'_>>,
    files: &FileTable,
    caller: Caller,
    scratch: &mut Vec<u8>,
) -> Result<Gathered, Failure> {
    let small = |part: &Part<'_>| part.remaining() <= COPIED_RANGE;
    if !small(&parts[0]) || (matches!(parts[0], Part::Bytes { .. }) && !parts.get(1).is_some_and(small)) {
        return Ok(Gathered::Nothing);
    }
    scratch.clear();
    let mut count = 0;
    for part in parts {
        if !small(part) || scratch.len() as u64 + part.remaining() > COPIED_BYTES {
            break;
        }
        match part {
            Part::Bytes { bytes, at } => scratch.extend_from_slice(&bytes[*at..]),
            Part::Range { id, held, position, length } => {
                let Some(file) = file_of(files, caller, *id, held)? else { break };
                if !read_range(&file, caller, *id, *position, *length as usize, scratch)? {
                    break;
                }
            }
        }
        count += 1;
    }
    Ok(if count == 0 { Gathered::Deferred } else { Gathered::Copied(count) })
}

/// The file of a range; none when the caller would have to wait for it.
fn file_of(
    files: &FileTable,
    caller: Caller,
    id: FileId,
    held: &Option<Arc<OpenFile>>,
) -> Result<Option<Arc<OpenFile>>, Failure> {
    match (held, caller) {
        (Some(file), _) => Ok(Some(file.clone())),
        (None, Caller::EventLoop) => Ok(files.peek(id)),
        (None, Caller::Sender) => {
            files.open(id, false).map(Some).map_err(|errno| (Stage::RangeFailed, errno, id))
        }
    }
}

/// Appends a range to `scratch`. False, with nothing appended, when the caller would have to wait for it.
fn read_range(
    file: &OpenFile,
    caller: Caller,
    id: FileId,
    position: u64,
    length: usize,
    scratch: &mut Vec<u8>,
) -> Result<bool, Failure> {
    let start = scratch.len();
    scratch.reserve(length);
    if caller == Caller::EventLoop {
        let target =
            libc::iovec { iov_base: scratch.spare_capacity_mut().as_mut_ptr().cast(), iov_len: length };
        // SAFETY: `target` is the vector's spare room of at least `length` bytes.
        let count =
            unsafe { libc::preadv2(file.fd(), &target, 1, position as libc::off_t, libc::RWF_NOWAIT) };
        if count != length as isize {
            // Not in memory, the end of the file, or an error: the other thread finds out which.
            return Ok(false);
        }
    } else {
        let mut filled = 0;
        while filled < length {
            let target = scratch.spare_capacity_mut()[filled..].as_mut_ptr();
            // SAFETY: `target` has room for `length - filled` bytes.
            let count = unsafe {
                let at = position + filled as u64;
                libc::pread(file.fd(), target.cast(), length - filled, at as libc::off_t)
            };
            match count {
                0 => return Err((Stage::RangeShort, 0, id)),
                1.. => filled += count as usize,
                _ => match last_errno() {
                    libc::EINTR => {}
                    errno => return Err((Stage::RangeFailed, errno, id)),
                },
            }
        }
    }
    // SAFETY: the system call has filled `length` bytes after `start`.
    unsafe { scratch.set_len(start + length) };
    Ok(true)
}

/// Sends the first part by itself, `limit` bytes of it at most. Returns the bytes taken and whether the socket
/// is full or the caller would have to wait.
fn send_front(
    socket: RawFd,
    parts: &VecDeque<Part<'_>>,
    files: &FileTable,
    caller: Caller,
    limit: u64,
) -> Result<(u64, bool), Failure> {
    match &parts[0] {
        Part::Bytes { bytes, at } => {
            let rest = &bytes[*at..];
            let now = &rest[..rest.len().min(limit as usize)];
            let taken = send(socket, now, parts.len() > 1 || now.len() < rest.len())?;
            Ok((taken, taken < now.len() as u64))
        }
        Part::Range { id, held, position, length } => {
            let Some(file) = file_of(files, caller, *id, held)? else { return Ok((0, true)) };
            if caller == Caller::EventLoop && !is_resident(&file, *position, (*length).min(limit)) {
                return Ok((0, true));
            }
            send_file(socket, &file, *id, *position, (*length).min(limit))
        }
    }
}

fn send(socket: RawFd, bytes: &[u8], more: bool) -> Result<u64, Failure> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 };
    loop {
        // SAFETY: `bytes` is borrowed for the call.
        let taken = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), flags) };
        if taken >= 0 {
            return Ok(taken as u64);
        }
        match last_errno() {
            libc::EINTR => {}
            libc::EAGAIN => return Ok(0),
            errno => return Err((Stage::SocketFailed, errno, 0)),
        }
    }
}

fn send_file(
    socket: RawFd,
    file: &OpenFile,
    id: FileId,
    position: u64,
    length: u64,
) -> Result<(u64, bool), Failure> {
    let wanted = length.min(SENDFILE_BYTES);
    let mut offset = position as libc::off_t;
    loop {
        // SAFETY: both descriptors are open during the call, `offset` is a valid place.
        let moved = unsafe { libc::sendfile(socket, file.fd(), &mut offset, wanted as usize) };
        match moved {
            0 => return Err((Stage::RangeShort, 0, id)),
            1.. => return Ok((moved as u64, (moved as u64) < wanted)),
            _ => match last_errno() {
                libc::EINTR => {}
                libc::EAGAIN => return Ok((0, true)),
                errno @ (libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN | libc::ETIMEDOUT) => {
                    return Err((Stage::SocketFailed, errno, 0));
                }
                errno => return Err((Stage::RangeFailed, errno, id)),
            },
        }
    }
}

/// The number of the system call, the same on all machines. Linux 6.5 and later.
const SYS_CACHESTAT: libc::c_long = 451;

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

/// Whether all pages of the range are in the page cache. False where the kernel cannot tell.
fn is_resident(file: &OpenFile, position: u64, length: u64) -> bool {
    if CACHESTAT_MISSING.load(Ordering::Relaxed) {
        return false;
    }
    let page = page_bytes();
    let first = position / page;
    let last = (position + length - 1) / page;
    let range = CachestatRange { offset: position, length };
    let mut found = Cachestat::default();
    // SAFETY: both structures have the kernel's layout and outlive the call.
    let result = unsafe { libc::syscall(SYS_CACHESTAT, file.fd(), &range, &mut found, 0) };
    if result != 0 {
        if last_errno() == libc::ENOSYS {
            CACHESTAT_MISSING.store(true, Ordering::Relaxed);
        }
        return false;
    }
    found.cached > last - first
}

fn page_bytes() -> u64 {
    // SAFETY: no preconditions.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if bytes > 0 { bytes as u64 } else { 4096 }
}
