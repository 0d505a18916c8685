//! Moves the parts of a message into a socket: bytes, and stretches of files without passing through memory.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::Arc;

use crate::batches::Bounds;
use crate::completions::Stage;
use crate::files::{Errno, FileId, FileTable, last_errno};
use crate::open_file::OpenFile;
use crate::residency::is_resident;

/// Ranges up to this length are copied next to their neighbours and sent with them in one call.
const COPIED_RANGE: u64 = 16 << 10;
/// The most that one such call sends.
const COPIED_BYTES: u64 = 128 << 10;
/// The most that one sendfile moves.
const SENDFILE_BYTES: u64 = 1 << 20;
/// How much one connection may move before others have their turn.
const TURN_BYTES: u64 = 4 << 20;
/// How much the event loop moves: beyond it the other thread goes on beside it. More than the MiB that a consumer
/// asks of a partition by default: each change of threads costs more than sending what is left.
pub const INLINE_BYTES: u64 = 5 << 18;
/// The same while other connections are answered as well, who wait for it: a MiB takes as long as ten appends.
pub const SHARED_INLINE_BYTES: u64 = 256 << 10;

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
        /// Position and length that the range had at first: where batches begin and end.
        whole: (u64, u64),
        bounds: Bounds,
        /// The cold readers have just read what comes next of it: it may be waited for.
        warm: bool,
    },
}

impl Part<'_> {
    /// A part that is not in memory.
    pub fn range(id: FileId, position: u64, length: u64, bounds: Bounds) -> Self {
        Part::Range { id, held: None, position, length, whole: (position, length), bounds, warm: false }
    }

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
            Part::Range { position, length, warm, .. } => {
                *position += count;
                *length -= count;
                *warm = false;
            }
        }
    }

    /// The part with memory of its own, and with its file if that is open.
    pub fn into_owned(self, files: &FileTable) -> Part<'static> {
        match self {
            Part::Bytes { bytes, at } => Part::Bytes { bytes: Cow::Owned(bytes[at..].to_vec()), at: 0 },
            Part::Range { id, held, position, length, whole, bounds, warm } => Part::Range {
                id,
                held: held.or_else(|| files.peek(id)),
                position,
                length,
                whole,
                bounds,
                warm,
            },
        }
    }
}

/// Why `advance` came back.
#[derive(Clone, Copy)]
pub enum Outcome {
    /// Everything has been handed to the kernel.
    Done,
    /// The socket is full, or others have to have their turn, or the event loop may not go on.
    Later,
    /// The next part is a range that has to be waited for.
    Cold,
    /// The stream is broken.
    Failed(Stage, Errno, FileId),
}

/// Whose thread it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The event loop, which moves `most` bytes at most.
    EventLoop { most: u64 },
    /// The sender's own thread.
    Sender,
}

impl Caller {
    /// What to do about a range that has to be waited for: neither waits.
    fn deferred(self) -> Outcome {
        if self == Caller::Sender { Outcome::Cold } else { Outcome::Later }
    }
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
    let turn = match caller {
        Caller::EventLoop { most } => most,
        Caller::Sender => TURN_BYTES,
    };
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
        let result = match gather(parts, files, scratch) {
            Ok(Gathered::Nothing) => match send_front(socket, parts, files, stop - *sent) {
                Ok(Some(result)) => Ok(result),
                Ok(None) => return caller.deferred(),
                Err(failure) => Err(failure),
            },
            Ok(Gathered::Deferred) => return caller.deferred(),
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
    /// The first part is a range that has to be waited for.
    Deferred,
    /// This many parts are in the scratch memory.
    Copied(usize),
}

/// Copies the small parts at the front into `scratch`, so that they leave in one call.
fn gather(parts: &VecDeque<Part<'_>>, files: &FileTable, scratch: &mut Vec<u8>) -> Result<Gathered, Failure> {
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
            Part::Range { id, held, position, length, warm, .. } => {
                let Some(file) = file_of(files, *id, held) else { break };
                if !read_range(&file, *warm, *id, *position, *length as usize, scratch)? {
                    break;
                }
            }
        }
        count += 1;
    }
    Ok(if count == 0 { Gathered::Deferred } else { Gathered::Copied(count) })
}

/// The file of a range if it is open.
fn file_of(files: &FileTable, id: FileId, held: &Option<Arc<OpenFile>>) -> Option<Arc<OpenFile>> {
    held.clone().or_else(|| files.peek(id))
}

/// Appends a range to `scratch`. False, with nothing appended, when it has to be waited for and may not be.
fn read_range(
    file: &OpenFile,
    warm: bool,
    id: FileId,
    position: u64,
    length: usize,
    scratch: &mut Vec<u8>,
) -> Result<bool, Failure> {
    let start = scratch.len();
    scratch.resize(start + length, 0);
    let target = &mut scratch[start..];
    if file.read_resident(target, position) {
        return Ok(true);
    }
    if !warm {
        // Not in memory, the end of the file, or an error: the cold readers find out which.
        scratch.truncate(start);
        return Ok(false);
    }
    let count = file.read(target, position).map_err(|errno| (Stage::RangeFailed, errno, id))?;
    if count < length { Err((Stage::RangeShort, 0, id)) } else { Ok(true) }
}

/// Sends the first part by itself, `limit` bytes of it at most. Returns the bytes taken and whether the socket
/// is full; none when the part has to be waited for.
fn send_front(
    socket: RawFd,
    parts: &VecDeque<Part<'_>>,
    files: &FileTable,
    limit: u64,
) -> Result<Option<(u64, bool)>, Failure> {
    match &parts[0] {
        Part::Bytes { bytes, at } => {
            let rest = &bytes[*at..];
            let now = &rest[..rest.len().min(limit as usize)];
            let taken = send(socket, now, parts.len() > 1 || now.len() < rest.len())?;
            Ok(Some((taken, taken < now.len() as u64)))
        }
        Part::Range { id, held, position, length, warm, .. } => {
            let Some(file) = file_of(files, *id, held) else { return Ok(None) };
            let wanted = (*length).min(limit).min(SENDFILE_BYTES);
            if !*warm && !is_resident(&file, *position, wanted) {
                return Ok(None);
            }
            send_file(socket, &file, *id, *position, wanted).map(Some)
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
    wanted: u64,
) -> Result<(u64, bool), Failure> {
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
