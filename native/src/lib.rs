//! What JavaScript can call: one class for files and connections, a few functions for bytes. Numbers and bytes
//! only; nothing here knows of Kafka or of logs.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(not(target_os = "linux"))]
compile_error!("The addon is for Linux. Elsewhere cordwood runs on its portable implementation.");

mod aside;
mod batches;
mod buffers;
mod checksum;
mod codecs;
mod cold;
mod completions;
mod doubts;
mod file_systems;
mod files;
mod floor;
mod floor_run;
mod functions;
mod held;
mod lent;
mod maps;
mod open_file;
mod plan;
mod residency;
mod sender;
mod shares;
mod sigbus;
mod stores;
mod syncer;
mod transfer;
mod verified;
mod write_behind;
mod writer;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use napi::bindgen_prelude::{
    Array, Error, Float64Array, Float64ArraySlice, Function, Result, Status, Uint8ArraySlice,
};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use crate::aside::Aside;
use crate::batches::{Bounds, RANGE_NUMBERS};
use crate::cold::{ColdReaders, Range};
use crate::completions::{Completion, Completions, Stage};
use crate::files::FileTable;
use crate::held::Held;
use crate::lent::Lent;
use crate::maps::{MapRead, MapTable, mapping_limit};
use crate::plan::{Group, Operation, Write};
use crate::sender::Sender;
use crate::transfer::Part;
use crate::writer::Writer;

/// Flags of a write, in `Engine.submit`.
const SYNC: u32 = 1;
const SYNC_NAME: u32 = 2;
const MUST_EXIST: u32 = 4;

/// Orders of `Engine.submit`.
const URGENT: u32 = 1;
const BESIDE: u32 = 2;

/// What `border` returns: one more whenever a function here, or the meaning of a number, changes.
const BORDER: u32 = 11;

/// Which version of this border the addon was built with, so that JavaScript of another one does not use it.
#[napi]
pub fn border() -> u32 {
    BORDER
}

/// Files and connections with the threads that serve them.
#[napi]
pub struct Engine {
    files: Arc<FileTable>,
    completions: Arc<Completions>,
    writer: Writer,
    urgent: Writer,
    sender: Sender,
    cold: Arc<ColdReaders>,
    maps: Arc<MapTable>,
    aside: Aside,
    held: Held,
}

#[napi]
impl Engine {
    /// `wake` is called without arguments when `takeCompletions` has something to give. `syncThreads` files
    /// are synced at once; at most `maxOpenFiles` idle ones stay open, by default those of all engines together take a
    /// quarter of what the process may have.
    #[napi(constructor)]
    pub fn new(wake: Function<'_, (), ()>, sync_threads: u32, max_open_files: Option<u32>) -> Result<Self> {
        // Weak: it never keeps the process alive.
        let wake = wake.build_threadsafe_function::<()>().weak::<true>().build()?;
        let completions = Arc::new(Completions::new(Box::new(move || {
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        })));
        let files =
            max_open_files.map_or_else(shares::join, |limit| Arc::new(FileTable::new(limit as usize)));
        let writer = Writer::new(files.clone(), completions.clone(), sync_threads as usize);
        let urgent = writer.urgent();
        let cold = Arc::new(ColdReaders::new(files.clone(), completions.clone()));
        let sender = Sender::new(files.clone(), cold.clone(), completions.clone()).map_err(system_error)?;
        let maps = Arc::new(MapTable::new(max_open_files.map_or(mapping_limit(), |limit| limit as usize)));
        let (aside, held) = (Aside::default(), Held::default());
        let over = shares::over();
        if !over.is_empty() {
            // Where there is no thread the files are closed when their tables open the next.
            aside.run(move || over.iter().for_each(|table| table.make_room()));
        }
        Ok(Engine { files, completions, writer, urgent, sender, cold, maps, aside, held })
    }

    /// Fills `target` with four numbers an event: ticket or connection, errno, file, stage. Returns how many numbers there
    /// are; when `target` is full there may be more.
    #[napi]
    pub fn take_completions(&self, mut target: Float64ArraySlice<'_>) -> u32 {
        // SAFETY: JavaScript waits for this call.
        self.completions.take(unsafe { target.as_mut() }) as u32
    }

    /// A number for a path. No I/O.
    #[napi]
    pub fn register_file(&self, path: String) -> u32 {
        self.files.register(path)
    }

    /// Forgets a number. Its descriptor is closed when the last send that uses it has ended.
    #[napi]
    pub fn forget_file(&self, file: u32) {
        self.files.forget(file);
    }

    /// The file of a number bears another name from now on; sends and reads go on with it. No I/O.
    #[napi]
    pub fn rename_file(&self, file: u32, path: String) {
        self.files.rename(file, path);
    }

    /// Queues a group. `writes` holds four numbers a write: file, position, number of parts, flags. Its parts follow each other
    /// in `pieces`, two numbers each: where they begin in `memory` and how long they are; a beginning of -1 stands for the
    /// next element of `parts`. Bytes are copied, but for those in lent memory: they have to stay as they are until the
    /// completion. Only the first `count` writes count. `order`: 1 for an urgent group, which
    /// begins at once and is carried out in an order of urgent groups alone; 2 for one that nobody waits for before an
    /// urgent one that is queued right after it. Throws when the files have been closed.
    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn submit(
        &self,
        ticket: f64,
        writes: &[f64],
        count: u32,
        memory: &[u8],
        pieces: &[f64],
        parts: Array<'_>,
        order: u32,
    ) -> Result<()> {
        let writes = || writes.chunks_exact(4).take(count as usize);
        let piece_count: usize = writes().map(|write| write[2] as usize).sum();
        let pieces = || pieces.chunks_exact(2).take(piece_count);
        let writer = if order == URGENT { &self.urgent } else { &self.writer };
        let lent = Lent::around(memory);
        let is_copied = |piece: &&[f64]| lent.is_none() || piece[0] < 0.0;
        let mut bytes = writer.buffer(pieces().filter(is_copied).map(|piece| piece[1] as usize).sum());
        let is_lent = lent.is_some();
        if let Some(lent) = lent {
            bytes.hold(lent);
        }
        let mut group = Vec::with_capacity(count as usize);
        let mut next = pieces();
        let mut next_part = 0;
        for write in writes() {
            let (start, before) = (bytes.begin(), bytes.len());
            for _ in 0..write[2] as usize {
                let piece = next.next().ok_or_else(bad_argument)?;
                if piece[0] < 0.0 {
                    let part: &[u8] = parts.get(next_part)?.ok_or_else(bad_argument)?;
                    next_part += 1;
                    writer.add(part, &mut bytes);
                } else {
                    let from = piece[0] as usize;
                    let part = memory.get(from..from + piece[1] as usize).ok_or_else(bad_argument)?;
                    match is_lent {
                        true => bytes.push_held(part),
                        false => writer.copy(part, &mut bytes),
                    }
                }
            }
            let flags = write[3] as u32;
            group.push(Write {
                file: write[0] as u32,
                position: write[1] as u64,
                slices: start..bytes.slice_count(),
                length: bytes.len() - before,
                create: flags & MUST_EXIST == 0,
                sync: flags & SYNC != 0,
                sync_name: flags & SYNC_NAME != 0,
            });
        }
        push(writer, Operation::Group(Group { ticket, bytes, writes: group, patient: order == BESIDE }))?;
        if order == URGENT {
            writer.wake();
        }
        Ok(())
    }

    /// Queues a change of a file's length. Throws when the files have been closed.
    #[napi]
    pub fn truncate(&self, ticket: f64, file: u32, size: f64) -> Result<()> {
        push(&self.writer, Operation::Truncate { ticket, file, size: size as u64 })
    }

    /// Writes to `file` that are queued from now on are carried out again after the operation of `ticket` has failed on it,
    /// by itself or behind another one. Operations have to have rising tickets.
    #[napi]
    pub fn forgive(&self, file: u32, ticket: f64) {
        self.writer.forgive(file, ticket);
        self.urgent.forgive(file, ticket);
    }

    /// Makes everything durable that was written before the call to the file system of `path`. A failure tells
    /// nothing of single files; syncing each does.
    #[napi]
    pub fn sync_file_system(&self, ticket: f64, path: String) {
        let (files, completions) = (self.files.clone(), self.completions.clone());
        let started = self.aside.run(move || {
            let errno = files.sync_file_system(Path::new(&path)).err().unwrap_or(0);
            completions.push(&[Completion { ticket, errno, file: 0, stage: Stage::Synced }]);
        });
        if !started {
            let errno = libc::EAGAIN;
            self.completions.push(&[Completion { ticket, errno, file: 0, stage: Stage::Opened }]);
        }
    }

    /// Whether `count` ranges of whole batches are in memory and good. `plan` holds `RANGE_NUMBERS` a range: file,
    /// position, length and bounds. When false the ranges are read and checked aside, and a completion follows.
    #[napi]
    pub fn prepare(&self, ticket: f64, plan: &[f64], count: u32) -> bool {
        let ranges = plan.chunks_exact(RANGE_NUMBERS).take(count as usize).map(|range| Range {
            file: range[0] as u32,
            position: range[1] as u64,
            length: range[2] as u64,
            bounds: Bounds::of(range),
        });
        self.cold.prepare(ticket, ranges)
    }

    /// After a completion that tells of a failed group: three numbers for every file that failed (errno, file, stage), none if
    /// it was only the one that the completion names. The other files of the group are written and synced as asked.
    #[napi]
    pub fn take_failures(&self, ticket: f64) -> Float64Array {
        let failures = self.completions.take_failures(ticket).into_iter();
        let numbers = failures
            .flat_map(|(errno, file, stage)| [f64::from(errno), f64::from(file), f64::from(stage as u8)]);
        Float64Array::new(numbers.collect())
    }

    /// After a completion that tells of damage: where it begins, which fault it is, what was expected and found.
    #[napi]
    pub fn take_damage(&self, ticket: f64) -> Float64Array {
        Float64Array::new(self.cold.take_damage(ticket).map_or(Vec::new(), |damage| damage.to_vec()))
    }

    /// Fills `target` from an open file if all of that is in memory. Otherwise false, and as `forgetLost`.
    #[napi]
    pub fn read_resident(&self, file: u32, mut target: Uint8ArraySlice<'_>, position: f64) -> bool {
        // SAFETY: JavaScript waits for this call.
        let target = unsafe { target.as_mut() };
        let open = self.files.peek(file);
        if open.is_some_and(|open| open.read_resident(target, position as u64)) {
            return true;
        }
        self.forget_lost(file, position, target.len() as f64);
        false
    }

    /// To be called before a range is read elsewhere: nothing there counts as checked any more that has left memory.
    #[napi]
    pub fn forget_lost(&self, file: u32, position: f64, length: f64) {
        match self.files.peek(file) {
            Some(open) => residency::forget_lost(&open, position as u64, length as u64),
            None => self.files.forget_checked(file),
        }
    }

    /// Maps a file; the number of the mapping comes with the completion.
    #[napi]
    pub fn map_file(&self, ticket: f64, path: String) {
        let (maps, completions) = (self.maps.clone(), self.completions.clone());
        self.cold.run(move |_| {
            let (errno, file) = match maps.map(Path::new(&path)) {
                Ok(id) => (0, id),
                Err(errno) => (errno, 0),
            };
            completions.push(&[Completion { ticket, errno, file, stage: Stage::Checked }]);
        });
    }

    /// The length of a mapped file in bytes.
    #[napi]
    pub fn mapped_size(&self, map: u32) -> f64 {
        self.maps.size(map) as f64
    }

    /// Copies from a mapped file until `target` is full or the file ends; the number of bytes. -1: the bytes are not
    /// in memory, unless `wait` says to wait for them; -2: the mapping has been let go; -3: a page cannot be read.
    #[napi]
    pub fn read_mapped(&self, map: u32, mut target: Uint8ArraySlice<'_>, position: f64, wait: bool) -> f64 {
        // SAFETY: JavaScript waits for this call, and no file is mapped over its memory.
        match self.maps.read(map, unsafe { target.as_mut() }, position as u64, wait) {
            MapRead::Copied(count) => count as f64,
            MapRead::Cold => -1.0,
            MapRead::Gone => -2.0,
            MapRead::Faulty => -3.0,
        }
    }

    /// Lets go of a mapping.
    #[napi]
    pub fn unmap(&self, map: u32) {
        self.maps.unmap(map);
    }

    /// Starts what has been queued. To be called once after any number of `submit`, `truncate` and `forgive`. `beside` when
    /// all of that was submitted beside urgent groups.
    #[napi]
    pub fn wake_writer(&self, beside: bool) {
        match beside {
            true => self.writer.wake_beside(&self.urgent),
            false => self.writer.wake(),
        }
    }

    /// Takes over sending on a socket, through a duplicate of its descriptor; returns the connection's number.
    #[napi]
    pub fn attach(&self, socket: i32) -> Result<u32> {
        self.sender.attach(socket).map_err(system_error)
    }

    /// Sends one part of bytes. Returns how many bytes are queued on the connection.
    #[napi]
    pub fn send_bytes(&self, connection: u32, bytes: &[u8]) -> f64 {
        let part = Part::Bytes { bytes: Cow::Borrowed(bytes), at: 0 };
        self.sender.send(connection, VecDeque::from([part])) as f64
    }

    /// Sends `count` parts. `plan` holds `RANGE_NUMBERS` a part: file, position, length and bounds of a range; a file of 0
    /// stands for the next element of `bytes`. Returns how many bytes are queued on the connection.
    #[napi]
    pub fn send(&self, connection: u32, plan: &[f64], count: u32, bytes: Array<'_>) -> Result<f64> {
        let mut parts = VecDeque::with_capacity(count as usize);
        let mut next = 0;
        for part in plan.chunks_exact(RANGE_NUMBERS).take(count as usize) {
            if part[0] == 0.0 {
                let slice: &[u8] = bytes.get(next)?.ok_or_else(bad_argument)?;
                next += 1;
                parts.push_back(Part::Bytes { bytes: Cow::Borrowed(slice), at: 0 });
            } else {
                parts.push_back(Part::range(
                    part[0] as u32,
                    part[1] as u64,
                    part[2] as u64,
                    Bounds::of(part),
                ));
            }
        }
        Ok(self.sender.send(connection, parts) as f64)
    }

    /// Bytes queued on a connection.
    #[napi]
    pub fn unsent(&self, connection: u32) -> f64 {
        self.sender.unsent(connection) as f64
    }

    /// Nothing is sent after what is queued. True when nothing is; otherwise a completion follows.
    #[napi]
    pub fn end(&self, connection: u32) -> bool {
        self.sender.end(connection)
    }

    /// Lets go of a connection; `abort` shuts the stream down first. After `closeFiles` the last one ends sending.
    #[napi]
    pub fn detach(&self, connection: u32, abort: bool) {
        if self.sender.detach(connection, abort) {
            self.completions.let_go();
        }
    }

    /// Keeps a duplicate of a descriptor until `letGo`, or until an engine that nobody has closed has carried out all that is
    /// queued: what others may take for a sign that nothing is written here any more.
    #[napi]
    pub fn hold(&self, descriptor: i32) -> Result<u32> {
        if descriptor < 0 {
            return Err(bad_argument());
        }
        // SAFETY: JavaScript waits for this call, and has the descriptor open.
        Ok(self.held.hold(unsafe { BorrowedFd::borrow_raw(descriptor) })?)
    }

    /// Closes what `hold` gave a number of.
    #[napi]
    pub fn let_go(&self, held: u32) {
        self.held.let_go(held);
    }

    /// Carries out the writes that are queued, ends the threads that do so and closes the descriptors for whole file systems.
    /// Blocks until then. No connection is attached any more; once those that are have been detached, or at once when there is
    /// none, sending ends and `wake` is let go: no completion comes after that.
    #[napi]
    pub fn close_files(&self) {
        self.writer.stop();
        self.urgent.stop();
        // Before the sender: reads for connections that are gone hold its descriptors.
        self.cold.stop();
        self.aside.stop();
        self.files.close_systems();
        shares::leave(&self.files);
        if self.sender.close() {
            self.completions.let_go();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        shares::leave(&self.files);
        self.aside.stop();
        self.sender.stop();
        self.cold.stop();
        self.writer.stop();
        self.urgent.stop();
        self.held.close();
    }
}

fn push(writer: &Writer, operation: Operation) -> Result<()> {
    match writer.push(operation) {
        true => Ok(()),
        false => Err(Error::from_reason("the files have been closed")),
    }
}

fn bad_argument() -> Error {
    Error::from_status(Status::InvalidArg)
}

fn system_error(errno: files::Errno) -> Error {
    Error::from_reason(std::io::Error::from_raw_os_error(errno).to_string())
}
