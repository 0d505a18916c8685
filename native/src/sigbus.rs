//! Survives read errors of mapped files: the kernel tells them as SIGBUS. For an address inside a mapping that is
//! registered here the page becomes one of zeros and the mapping is marked faulty; any other SIGBUS goes to whoever
//! handled it before.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::files::{Errno, last_errno};
use crate::residency::page_bytes;

/// The most mappings that there can be at once in the process.
pub const MAX_MAPPINGS: usize = 32 << 10;

/// A registered mapping. Written while nobody reads through the mapping; the handler runs in the thread that does.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    faulty: AtomicBool,
}

#[expect(clippy::declare_interior_mutable_const, reason = "each element of the array is to be its own")]
const EMPTY: Slot =
    Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0), faulty: AtomicBool::new(false) };

static SLOTS: [Slot; MAX_MAPPINGS] = [EMPTY; MAX_MAPPINGS];
/// Slots from here on have never been used.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Who handled the signal before; leaked, since a handler may look at it at any time.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());
/// Slots that are free again.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

fn free_slots() -> MutexGuard<'static, Vec<usize>> {
    FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A mapping whose read errors are survived, until it is dropped. Nothing may read it afterwards.
pub struct Guard {
    slot: usize,
}

impl Guard {
    /// Guards the mapping of `length` bytes at `start`.
    pub fn new(start: usize, length: usize) -> Result<Self, Errno> {
        let mut free = free_slots();
        install()?;
        let slot = match free.pop() {
            Some(slot) => slot,
            None => {
                let slot = USED.load(Ordering::Acquire);
                if slot == MAX_MAPPINGS {
                    return Err(libc::ENOMEM);
                }
                USED.store(slot + 1, Ordering::Release);
                slot
            }
        };
        SLOTS[slot].faulty.store(false, Ordering::Release);
        SLOTS[slot].end.store(start + length, Ordering::Release);
        SLOTS[slot].start.store(start, Ordering::Release);
        Ok(Guard { slot })
    }

    /// Whether a page could not be read.
    pub fn is_faulty(&self) -> bool {
        SLOTS[self.slot].faulty.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        SLOTS[self.slot].start.store(0, Ordering::Release);
        SLOTS[self.slot].end.store(0, Ordering::Release);
        free_slots().push(self.slot);
    }
}

/// Makes the handler below the process's, unless it is. Called under the lock of the free slots.
fn install() -> Result<(), Errno> {
    // SAFETY: all zeros is a valid `sigaction`; both calls get valid places.
    unsafe {
        let mut current: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut current) != 0 {
            return Err(last_errno());
        }
        if current.sa_sigaction == handler_address() {
            return Ok(());
        }
        PREVIOUS.store(Box::into_raw(Box::new(current)), Ordering::Release);
        let mut ours: libc::sigaction = std::mem::zeroed();
        ours.sa_sigaction = handler_address();
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut ours.sa_mask);
        if libc::sigaction(libc::SIGBUS, &ours, std::ptr::null_mut()) != 0 {
            return Err(last_errno());
        }
    }
    Ok(())
}

fn handler_address() -> libc::sighandler_t {
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_sigbus;
    handler as libc::sighandler_t
}

/// Calls nothing but system calls and atomics: it may have interrupted anything.
extern "C" fn on_sigbus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands over a valid `info`; `errno` is the thread's own.
    unsafe {
        let errno = *libc::__errno_location();
        // Codes above zero are the kernel's; others were sent by somebody and carry no address.
        if (*info).si_code <= 0 || !heal((*info).si_addr() as usize) {
            pass_on(signal, info, context);
        }
        *libc::__errno_location() = errno;
    }
}

/// Puts a page of zeros at an address inside a registered mapping. False for any other address.
fn heal(address: usize) -> bool {
    let used = USED.load(Ordering::Acquire);
    let Some(slot) = SLOTS[..used].iter().find(|slot| {
        (slot.start.load(Ordering::Acquire)..slot.end.load(Ordering::Acquire)).contains(&address)
    }) else {
        return false;
    };
    let page = page_bytes() as usize;
    // SAFETY: the page lies in a mapping of this addon, which is only ever read.
    let healed = unsafe {
        libc::mmap(
            (address / page * page) as *mut libc::c_void,
            page,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    slot.faulty.store(true, Ordering::Release);
    healed != libc::MAP_FAILED
}

/// Does what would have been done without the handler.
///
/// # Safety
/// The arguments are those of a signal handler.
unsafe fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: what is stored there is never freed; the previous handler is called as it was registered.
    unsafe {
        let previous = PREVIOUS.load(Ordering::Acquire);
        let address = if previous.is_null() { libc::SIG_DFL } else { (*previous).sa_sigaction };
        let was_sent = (*info).si_code <= 0;
        if address == libc::SIG_IGN && was_sent {
            return;
        }
        if address == libc::SIG_DFL || address == libc::SIG_IGN {
            // The access is tried again when this returns, and then ends the process; a sent signal is sent again.
            libc::signal(signal, libc::SIG_DFL);
            if was_sent {
                libc::raise(signal);
            }
        } else if (*previous).sa_flags & libc::SA_SIGINFO != 0 {
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                std::mem::transmute(address);
            handler(signal, info, context);
        } else {
            let handler: extern "C" fn(libc::c_int) = std::mem::transmute(address);
            handler(signal);
        }
    }
}
