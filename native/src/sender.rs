//! Sends on duplicates of the connections' descriptors: at once what does not block, the rest from one thread.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::cold::{ColdReaders, Failure, warm};
use crate::completions::{Completion, Completions, Stage};
use crate::files::{Errno, FileTable, last_errno};
use crate::transfer::{Caller, INLINE_BYTES, Outcome, Part, SHARED_INLINE_BYTES, advance};

/// The number by which JavaScript names a connection. Never used twice.
pub type ConnectionId = u32;

/// How much of a range is read at once for a connection that waits for it.
const COLD_BYTES: u64 = 1 << 20;

/// For how long after two connections were answered in turns the event loop counts as shared by them.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// What the thread is woken with; no connection has this number.
const WAKE: u64 = u64::MAX;

#[derive(Default)]
struct State {
    queue: VecDeque<Part<'static>>,
    /// The sender's thread has the parts in its hands.
    busy: bool,
    owes_drain: bool,
    ending: bool,
    closed: bool,
}

struct Connection {
    id: ConnectionId,
    socket: OwnedFd,
    state: Mutex<State>,
    unsent: AtomicU64,
    shared: Arc<Shared>,
}

impl Connection {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Ends the stream for both descriptors, so that a send that runs now comes back.
    fn shut_down(&self) {
        // SAFETY: the descriptor is open as long as `self` lives.
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RDWR) };
    }

    /// Has the thread look at this connection once when the socket takes bytes.
    fn arm(&self) {
        let mut event =
            libc::epoll_event { events: (libc::EPOLLOUT | libc::EPOLLONESHOT) as u32, u64: self.id.into() };
        // SAFETY: both descriptors are open, `event` outlives the call.
        unsafe {
            libc::epoll_ctl(
                self.shared.epoll.as_raw_fd(),
                libc::EPOLL_CTL_MOD,
                self.socket.as_raw_fd(),
                &mut event,
            );
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The kernel forgets a descriptor by itself only once all its duplicates are closed.
        // SAFETY: both descriptors are open; Linux takes no event for this operation.
        unsafe {
            libc::epoll_ctl(
                self.shared.epoll.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                self.socket.as_raw_fd(),
                std::ptr::null_mut(),
            );
        }
    }
}

struct Shared {
    epoll: OwnedFd,
    wake: OwnedFd,
    connections: Mutex<HashMap<ConnectionId, Arc<Connection>>>,
    files: Arc<FileTable>,
    cold: Arc<ColdReaders>,
    completions: Arc<Completions>,
    stopped: AtomicBool,
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What a sender has until it is closed. Its descriptors are closed when the last of those who may use them lets go: the
/// thread, connections, reads for them that are under way.
struct Running {
    shared: Arc<Shared>,
    /// Started with the first connection.
    thread: Option<JoinHandle<()>>,
    /// Ends with the last connection.
    closing: bool,
}

struct Caches {
    scratch: Vec<u8>,
    last_id: ConnectionId,
    /// Whom the event loop answered last.
    answered: ConnectionId,
    /// When that was last another one than the time before.
    changed: Option<Instant>,
}

impl Caches {
    /// Bytes that the event loop may move for `id` now.
    fn inline_bytes(&mut self, id: ConnectionId) -> u64 {
        let now = Instant::now();
        if self.answered != id {
            self.answered = id;
            self.changed = Some(now);
        }
        match self.changed {
            Some(changed) if now - changed < SHARED_FOR => SHARED_INLINE_BYTES,
            _ => INLINE_BYTES,
        }
    }
}

/// The sender of one engine.
pub struct Sender {
    /// None once it has been closed.
    running: Mutex<Option<Running>>,
    caches: Mutex<Caches>,
}

impl Sender {
    pub fn new(
        files: Arc<FileTable>,
        cold: Arc<ColdReaders>,
        completions: Arc<Completions>,
    ) -> Result<Self, Errno> {
        // SAFETY: no preconditions; the results are checked before they are owned.
        let (epoll, wake) = unsafe {
            (
                owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))?,
                owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?,
            )
        };
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: WAKE };
        // SAFETY: both descriptors are open, `event` outlives the call.
        let added =
            unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, wake.as_raw_fd(), &mut event) };
        if added != 0 {
            return Err(last_errno());
        }
        let shared = Arc::new(Shared {
            epoll,
            wake,
            connections: Mutex::default(),
            files,
            cold,
            completions,
            stopped: AtomicBool::new(false),
        });
        let running = Running { shared, thread: None, closing: false };
        let caches = Caches { scratch: Vec::new(), last_id: 0, answered: 0, changed: None };
        Ok(Sender { running: Mutex::new(Some(running)), caches: Mutex::new(caches) })
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn caches(&self) -> MutexGuard<'_, Caches> {
        self.caches.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What a new connection needs, with the thread running.
    fn start(&self) -> Result<Arc<Shared>, Errno> {
        let mut running = self.running();
        let Some(Running { shared, thread, closing: false }) = running.as_mut() else {
            return Err(libc::ESHUTDOWN);
        };
        if thread.is_none() {
            let shared = shared.clone();
            let spawned = std::thread::Builder::new()
                .name("cordwood-send".into())
                .stack_size(256 << 10)
                .spawn(move || run(&shared));
            *thread = Some(spawned.map_err(|error| error.raw_os_error().unwrap_or(libc::EAGAIN))?);
        }
        Ok(shared.clone())
    }

    /// Takes over sending on `socket`, through a duplicate. Nobody else may send on it any more. Fails once the sender is
    /// being closed.
    pub fn attach(&self, socket: RawFd) -> Result<ConnectionId, Errno> {
        let shared = self.start()?;
        let id = {
            let mut caches = self.caches();
            caches.last_id += 1;
            caches.last_id
        };
        // SAFETY: duplicating checks the number; the result is checked before it is owned.
        let socket = unsafe { owned(libc::fcntl(socket, libc::F_DUPFD_CLOEXEC, 0))? };
        let mut event = libc::epoll_event { events: libc::EPOLLONESHOT as u32, u64: id.into() };
        let (epoll, raw) = (shared.epoll.as_raw_fd(), socket.as_raw_fd());
        // SAFETY: both descriptors are open, `event` outlives the call.
        if unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, raw, &mut event) } != 0 {
            return Err(last_errno());
        }
        let connection = Connection {
            id,
            socket,
            state: Mutex::default(),
            unsent: AtomicU64::new(0),
            shared: shared.clone(),
        };
        shared.connections().insert(id, Arc::new(connection));
        Ok(id)
    }

    fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.running().as_ref()?.shared.connections().get(&id).cloned()
    }

    /// Sends what goes at once and queues the rest. Returns the bytes that are queued now; a failure is told
    /// through the completions.
    pub fn send(&self, id: ConnectionId, mut parts: VecDeque<Part<'_>>) -> u64 {
        let Some(connection) = self.get(id) else { return 0 };
        let mut state = connection.lock();
        if state.closed || state.ending {
            return 0;
        }
        let total: u64 = parts.iter().map(Part::remaining).sum();
        let mut sent = 0;
        if state.queue.is_empty() && !state.busy {
            let mut caches = self.caches();
            let socket = connection.socket.as_raw_fd();
            let files = &connection.shared.files;
            let caller = Caller::EventLoop { most: caches.inline_bytes(id) };
            match advance(socket, &mut parts, files, caller, &mut caches.scratch, &mut sent) {
                Outcome::Done => return 0,
                Outcome::Later | Outcome::Cold => connection.arm(),
                Outcome::Failed(stage, errno, file) => {
                    state.closed = true;
                    let failure = Completion { ticket: id.into(), errno, file, stage };
                    connection.shared.completions.push(&[failure]);
                    return 0;
                }
            }
        }
        // Counted before the other thread can see the parts.
        let unsent = connection.unsent.fetch_add(total - sent, Ordering::AcqRel) + total - sent;
        state.owes_drain = true;
        state.queue.extend(parts.into_iter().map(|part| part.into_owned(&connection.shared.files)));
        unsent
    }

    /// Bytes queued on a connection.
    pub fn unsent(&self, id: ConnectionId) -> u64 {
        self.get(id).map_or(0, |connection| connection.unsent.load(Ordering::Acquire))
    }

    /// Nothing more is sent after what is queued. True when nothing is queued; otherwise a completion follows.
    pub fn end(&self, id: ConnectionId) -> bool {
        let Some(connection) = self.get(id) else { return true };
        let mut state = connection.lock();
        state.ending = true;
        !state.closed && state.queue.is_empty() && !state.busy
    }

    /// Drops what is queued and lets go of the duplicate. `abort` shuts the stream down first. True when that was the last
    /// connection of a sender that is being closed, and it is now.
    pub fn detach(&self, id: ConnectionId, abort: bool) -> bool {
        let closing = {
            let running = self.running();
            let Some(Running { shared, closing, .. }) = running.as_ref() else { return false };
            let Some(connection) = shared.connections().remove(&id) else { return false };
            let mut state = connection.lock();
            state.closed = true;
            state.queue.clear();
            if abort {
                connection.shut_down();
            }
            *closing
        };
        closing && self.close()
    }

    /// Takes no more connections. Those that are there go on, so that answers that are on their way arrive; once there is none
    /// the thread has ended and the descriptors are closed. True when that is so.
    pub fn close(&self) -> bool {
        if let Some(Running { shared, closing, .. }) = self.running().as_mut() {
            *closing = true;
            if !shared.connections().is_empty() {
                return false;
            }
        }
        self.stop();
        true
    }

    /// Shuts every connection down, ends the thread and closes the descriptors.
    pub fn stop(&self) {
        // Without the lock: whoever is asked for a connection meanwhile has none.
        let Some(Running { shared, thread, .. }) = self.running().take() else { return };
        shared.stopped.store(true, Ordering::Release);
        let connections: Vec<_> = shared.connections().drain().collect();
        for (_, connection) in connections {
            connection.lock().closed = true;
            connection.shut_down();
        }
        let one: u64 = 1;
        // SAFETY: eight bytes are read from `one`.
        unsafe { libc::write(shared.wake.as_raw_fd(), (&raw const one).cast(), 8) };
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// Owns a descriptor that a system call returned.
///
/// # Safety
/// `fd` is negative or belongs to nobody else.
unsafe fn owned(fd: RawFd) -> Result<OwnedFd, Errno> {
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: by the function's own precondition.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The sender's thread: gives every connection whose socket takes bytes its turn.
fn run(shared: &Shared) {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
    let mut scratch = Vec::new();
    let mut told = Vec::new();
    while !shared.stopped.load(Ordering::Acquire) {
        // SAFETY: the kernel writes at most as many events as there is room for.
        let count = unsafe {
            libc::epoll_wait(shared.epoll.as_raw_fd(), events.as_mut_ptr(), events.len() as libc::c_int, -1)
        };
        if count < 0 && last_errno() != libc::EINTR {
            return;
        }
        for event in &events[..count.max(0) as usize] {
            let id = event.u64;
            let connection = match ConnectionId::try_from(id) {
                Ok(id) => shared.connections().get(&id).cloned(),
                Err(_) => None,
            };
            if let Some(connection) = connection {
                told.extend(take_turn(&connection, &mut scratch));
            }
        }
        shared.completions.push(&told);
        told.clear();
    }
}

/// Has the cold readers read the range that comes next; the connection goes on once it is there.
fn wait_for_front(connection: &Arc<Connection>) {
    let (id, held, part, whole, bounds) = match connection.lock().queue.front() {
        Some(Part::Range { id, held, position, length, whole, bounds, .. }) => {
            (*id, held.clone(), (*position, (*length).min(COLD_BYTES)), *whole, *bounds)
        }
        _ => return connection.arm(),
    };
    let connection = connection.clone();
    let cold = connection.shared.cold.clone();
    cold.run(move |scratch| {
        let files = &connection.shared.files;
        let opened = held.map_or_else(|| files.open(id, false), Ok).map_err(Failure::Read);
        let result = opened.and_then(|file| warm(&file, whole, bounds, part, scratch).map(|()| file));
        let mut state = connection.lock();
        if state.closed {
            return;
        }
        match result {
            Ok(file) => {
                // Nobody else takes from the front meanwhile: the socket is not watched.
                if let Some(Part::Range { held, warm, .. }) = state.queue.front_mut() {
                    *held = Some(file);
                    *warm = true;
                }
                drop(state);
                connection.arm();
            }
            Err(failure) => {
                state.closed = true;
                state.queue.clear();
                let (errno, stage) = match failure {
                    Failure::Read(errno) => (errno, Stage::RangeFailed),
                    Failure::Damaged { .. } => (0, Stage::RangeDamaged),
                };
                let ticket = connection.id.into();
                connection.shared.completions.push(&[Completion { ticket, errno, file: id, stage }]);
            }
        }
    });
}

/// Sends what the socket takes; returns what JavaScript has to know.
fn take_turn(connection: &Arc<Connection>, scratch: &mut Vec<u8>) -> Option<Completion> {
    let mut parts = {
        let mut state = connection.lock();
        if state.closed || state.busy || state.queue.is_empty() {
            return None;
        }
        state.busy = true;
        std::mem::take(&mut state.queue)
    };
    let mut sent = 0;
    let socket = connection.socket.as_raw_fd();
    let files = &connection.shared.files;
    let outcome = advance(socket, &mut parts, files, Caller::Sender, scratch, &mut sent);
    let mut state = connection.lock();
    state.busy = false;
    connection.unsent.fetch_sub(sent, Ordering::AcqRel);
    if state.closed {
        return None;
    }
    if let Outcome::Failed(stage, errno, file) = outcome {
        // JavaScript closes the connection. Shutting it down here could reach it as an orderly end first.
        state.closed = true;
        state.queue.clear();
        return Some(Completion { ticket: connection.id.into(), errno, file, stage });
    }
    parts.append(&mut state.queue);
    state.queue = parts;
    if !state.queue.is_empty() {
        drop(state);
        match outcome {
            Outcome::Cold => wait_for_front(connection),
            _ => connection.arm(),
        }
        return None;
    }
    let owed = std::mem::take(&mut state.owes_drain);
    let stage = if state.ending { Stage::Flushed } else { Stage::Drained };
    (owed || state.ending).then_some(Completion { ticket: connection.id.into(), errno: 0, file: 0, stage })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn sender() -> Sender {
        let files = Arc::new(FileTable::new(8));
        let completions = Arc::new(Completions::new(Box::new(|| {})));
        let cold = Arc::new(ColdReaders::new(files.clone(), completions.clone()));
        Sender::new(files, cold, completions).unwrap()
    }

    fn bytes(bytes: &[u8]) -> VecDeque<Part<'_>> {
        VecDeque::from([Part::Bytes { bytes: Cow::Borrowed(bytes), at: 0 }])
    }

    #[test]
    fn one_without_connections_is_closed_at_once_and_takes_none() {
        let sender = sender();
        let (socket, _peer) = UnixStream::pair().unwrap();
        // The thread is running.
        let id = sender.attach(socket.as_raw_fd()).unwrap();
        assert!(!sender.detach(id, false));
        let shared = Arc::downgrade(&sender.running().as_ref().unwrap().shared);
        assert!(sender.close());
        assert!(shared.upgrade().is_none());
        assert_eq!(sender.attach(socket.as_raw_fd()), Err(libc::ESHUTDOWN));
        assert_eq!(sender.send(id, bytes(b"late")), 0);
        assert!(sender.close());
    }

    #[test]
    fn what_is_queued_arrives_after_close_and_the_last_connection_ends_it() {
        let sender = sender();
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let id = sender.attach(socket.as_raw_fd()).unwrap();
        let shared = Arc::downgrade(&sender.running().as_ref().unwrap().shared);
        let answer = vec![7; 4 << 20];
        assert!(sender.send(id, bytes(&answer)) > 0);
        assert!(!sender.close());
        assert_eq!(sender.attach(socket.as_raw_fd()), Err(libc::ESHUTDOWN));
        let mut arrived = vec![0; answer.len()];
        peer.read_exact(&mut arrived).unwrap();
        assert!(arrived == answer);
        assert!(sender.detach(id, true));
        assert!(shared.upgrade().is_none());
    }
}
