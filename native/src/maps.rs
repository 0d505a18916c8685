//! Mapped files by number, at most so many at once. Bytes are copied out of them; nobody holds mapped memory.

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::files::{Errno, last_errno};
use crate::open_file::{open_fd, status};
use crate::residency::is_mapping_resident;
use crate::sigbus::{Guard, MAX_MAPPINGS};

/// The number by which JavaScript names a mapping. Never used twice.
pub type MapId = u32;

/// A whole file in memory.
pub struct Mapping {
    address: usize,
    length: usize,
    guard: Guard,
}

/// What became of a read.
pub enum MapRead {
    /// So many bytes were copied.
    Copied(usize),
    /// The bytes are not in memory.
    Cold,
    /// The mapping has been let go.
    Gone,
    /// A page could not be read.
    Faulty,
}

impl Mapping {
    fn open(path: &Path) -> Result<Self, Errno> {
        let fd = open_fd(path, libc::O_RDONLY)?;
        let length = status(&fd)?.st_size as usize;
        if length == 0 {
            return Ok(Mapping { address: 0, length, guard: Guard::new(0, 0)? });
        }
        // SAFETY: the kernel chooses the address. The file stays mapped after its descriptor is closed.
        let address = unsafe {
            libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if address == libc::MAP_FAILED {
            return Err(last_errno());
        }
        match Guard::new(address as usize, length) {
            Ok(guard) => Ok(Mapping { address: address as usize, length, guard }),
            Err(errno) => {
                // SAFETY: this is the mapping made above, and nobody else knows it.
                unsafe { libc::munmap(address, length) };
                Err(errno)
            }
        }
    }

    fn read(&self, target: &mut [u8], position: u64, wait: bool) -> MapRead {
        if self.guard.is_faulty() {
            return MapRead::Faulty;
        }
        let start = usize::try_from(position).map_or(self.length, |position| position.min(self.length));
        let count = target.len().min(self.length - start);
        if count == 0 {
            return MapRead::Copied(0);
        }
        let source = (self.address + start) as *const u8;
        let page_start = (start % crate::residency::page_bytes() as usize).min(start);
        // SAFETY: the page begins inside the mapping.
        let page = unsafe { source.sub(page_start) };
        if !wait && !is_mapping_resident(page, page_start + count) {
            return MapRead::Cold;
        }
        // SAFETY: `count` bytes from `source` on lie in the mapping, which lives as long as `self`; those that cannot
        // be read become zeros. `target` is memory of its own.
        unsafe { std::ptr::copy_nonoverlapping(source, target.as_mut_ptr(), count) };
        if self.guard.is_faulty() { MapRead::Faulty } else { MapRead::Copied(count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping belongs to this value, and reading it needs a reference.
            unsafe { libc::munmap(self.address as *mut libc::c_void, self.length) };
        }
    }
}

struct Entry {
    mapping: Arc<Mapping>,
    /// Used since the clock hand last passed.
    recent: bool,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<MapId, Entry>,
    /// In the order in which the clock hand looks at them. May name mappings that are gone.
    clock: VecDeque<MapId>,
    last_id: MapId,
}

/// The mappings of one engine.
pub struct MapTable {
    inner: Mutex<Inner>,
    limit: usize,
}

impl MapTable {
    /// A table of at most `limit` mappings, and of no more than leave room for those of another engine.
    pub fn new(limit: usize) -> Self {
        MapTable { inner: Mutex::default(), limit: limit.clamp(1, MAX_MAPPINGS / 2) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Maps a file; lets go of mappings that have been used least, if there are too many.
    pub fn map(&self, path: &Path) -> Result<MapId, Errno> {
        self.make_room(self.limit - 1);
        let mapping = match Mapping::open(path) {
            // The process has too many, whoever they belong to.
            Err(libc::ENOMEM) => {
                let count = self.lock().entries.len();
                self.make_room(count.saturating_sub(1));
                Mapping::open(path)
            }
            opened => opened,
        }?;
        let mut inner = self.lock();
        inner.last_id += 1;
        let id = inner.last_id;
        inner.entries.insert(id, Entry { mapping: Arc::new(mapping), recent: true });
        inner.clock.push_back(id);
        Ok(id)
    }

    /// Lets go of mappings until there are no more than `most`.
    fn make_room(&self, most: usize) {
        let mut dropped = Vec::new();
        let mut inner = self.lock();
        while inner.entries.len() > most {
            let Some(id) = inner.clock.pop_front() else { break };
            let Some(entry) = inner.entries.get_mut(&id) else { continue };
            if std::mem::take(&mut entry.recent) {
                inner.clock.push_back(id);
            } else {
                dropped.extend(inner.entries.remove(&id));
            }
        }
        drop(inner);
        drop(dropped);
    }

    /// The length of a mapped file when it was mapped.
    pub fn size(&self, id: MapId) -> usize {
        self.lock().entries.get(&id).map_or(0, |entry| entry.mapping.length)
    }

    /// Copies from `position` on until `target` is full or the file ends; waits for the disk only if it may.
    pub fn read(&self, id: MapId, target: &mut [u8], position: u64, wait: bool) -> MapRead {
        let mapping = {
            let mut inner = self.lock();
            let Some(entry) = inner.entries.get_mut(&id) else { return MapRead::Gone };
            entry.recent = true;
            entry.mapping.clone()
        };
        mapping.read(target, position, wait)
    }

    /// Lets go of a mapping.
    pub fn unmap(&self, id: MapId) {
        let removed = self.lock().entries.remove(&id);
        drop(removed);
    }
}

/// How many mappings the files of one engine may take: half of what the process may have.
pub fn mapping_limit() -> usize {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse::<usize>().unwrap_or(65_530) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// There is room for so many in the process: one test at a time.
    static ALONE: Mutex<()> = Mutex::new(());

    fn alone() -> MutexGuard<'static, ()> {
        ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn file(name: &str, length: usize) -> PathBuf {
        let path = std::env::temp_dir().join(format!("cordwood-maps-{}-{name}", std::process::id()));
        std::fs::write(&path, vec![7; length]).unwrap();
        path
    }

    #[test]
    fn reads_what_is_there_and_zeros_once_a_page_is_lost() {
        let _alone = alone();
        let path = file("cut", 10_000);
        let table = MapTable::new(4);
        let id = table.map(&path).unwrap();
        let mut target = [0; 16];
        assert!(matches!(table.read(id, &mut target, 9_990, false), MapRead::Copied(10)));
        assert_eq!(target[..11], [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0]);
        assert!(matches!(table.read(id, &mut target, 1 << 40, false), MapRead::Copied(0)));
        let mapping = table.lock().entries[&id].mapping.clone();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        // Asking first tells that the pages are gone; the access itself is what has to be survived.
        assert!(matches!(mapping.read(&mut target, 5000, false), MapRead::Cold));
        assert!(matches!(mapping.read(&mut target, 5000, true), MapRead::Faulty));
        assert_eq!(target, [0; 16]);
        assert!(matches!(table.read(id, &mut target, 0, false), MapRead::Faulty));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn one_that_has_as_many_as_it_may_maps_more_and_leaves_room_for_another() {
        let _alone = alone();
        let path = file("most", 100);
        let (table, other) = (MapTable::new(usize::MAX), MapTable::new(usize::MAX));
        for _ in 0..table.limit + 3 {
            table.map(&path).unwrap();
        }
        assert_eq!(table.lock().entries.len(), table.limit);
        let id = other.map(&path).unwrap();
        assert!(matches!(other.read(id, &mut [0; 1], 0, false), MapRead::Copied(1)));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn lets_go_of_one_where_the_process_has_no_room_for_more() {
        let _alone = alone();
        let path = file("full", 100);
        let table = MapTable::new(4);
        let first = table.map(&path).unwrap();
        // What others have: all that is left.
        let others: Vec<_> = std::iter::from_fn(|| Guard::new(0, 0).ok()).collect();
        table.map(&path).unwrap();
        assert!(matches!(table.read(first, &mut [0; 1], 0, false), MapRead::Gone));
        drop(others);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn lets_go_of_what_was_used_least() {
        let _alone = alone();
        let path = file("many", 100);
        let table = MapTable::new(4);
        let ids: Vec<_> = (0..20).map(|_| table.map(&path).unwrap()).collect();
        let mut target = [0; 1];
        let open = |id: &&MapId| matches!(table.read(**id, &mut [0; 1], 0, false), MapRead::Copied(1));
        assert!(ids.iter().filter(open).count() <= 4);
        assert!(matches!(table.read(ids[19], &mut target, 0, false), MapRead::Copied(1)));
        table.unmap(ids[19]);
        assert!(matches!(table.read(ids[19], &mut target, 0, false), MapRead::Gone));
        assert!(table.map(Path::new("/nowhere/at/all")).is_err());
        std::fs::remove_file(path).unwrap();
    }
}
