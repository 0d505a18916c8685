//! What all engines of a process may keep open, in equal shares.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::files::{FileTable, descriptor_limit};

static SHARING: Mutex<Vec<Weak<FileTable>>> = Mutex::new(Vec::new());

/// A table that has its share of a quarter of the descriptors that the process may have. Those of others get smaller.
pub fn join() -> Arc<FileTable> {
    let table = Arc::new(FileTable::new(0));
    let mut sharing = lock();
    sharing.push(Arc::downgrade(&table));
    share_out(&mut sharing);
    table
}

/// Those that have more open than their share now is.
pub fn over() -> Vec<Arc<FileTable>> {
    lock().iter().filter_map(Weak::upgrade).filter(|table| table.is_over()).collect()
}

/// The table is used no more: others get what it had. Harmless for one that has no share.
pub fn leave(table: &Arc<FileTable>) {
    let mut sharing = lock();
    sharing.retain(|other| other.as_ptr() != Arc::as_ptr(table));
    share_out(&mut sharing);
}

fn share_out(sharing: &mut Vec<Weak<FileTable>>) {
    let tables: Vec<_> = sharing.iter().filter_map(Weak::upgrade).collect();
    sharing.retain(|table| table.strong_count() > 0);
    for table in &tables {
        table.limit_to(descriptor_limit() / 4 / tables.len());
    }
}

fn lock() -> MutexGuard<'static, Vec<Weak<FileTable>>> {
    SHARING.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
