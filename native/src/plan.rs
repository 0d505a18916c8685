//! What the writer is asked to do, and how it does much of that at once.

use std::collections::HashMap;
use std::ops::Range;

use crate::buffers::GroupBytes;
use crate::files::FileId;

/// The most slices that one system call takes.
pub const MAX_SLICES: usize = 1024;

/// One write of a group.
pub struct Write {
    pub file: FileId,
    pub position: u64,
    /// Which slices of the group are its bytes.
    pub slices: Range<usize>,
    pub length: usize,
    /// A missing file is created.
    pub create: bool,
    pub sync: bool,
    /// The sync makes the file's name durable as well.
    pub sync_name: bool,
}

/// Writes that complete together.
pub struct Group {
    pub ticket: f64,
    pub bytes: GroupBytes,
    pub writes: Vec<Write>,
    /// Nobody waits for it before an urgent group that is queued with it.
    pub patient: bool,
}

/// Something for the writer to do, in the order of calls.
pub enum Operation {
    Group(Group),
    Truncate {
        ticket: f64,
        file: FileId,
        size: u64,
    },
    /// JavaScript has heard that the operation of this ticket failed on this file: what follows is written again, unless
    /// an operation after that one has failed by itself meanwhile.
    Forgive {
        file: FileId,
        ticket: f64,
    },
}

impl Operation {
    /// The number of the completion that it is about. Later operations have higher ones.
    pub fn ticket(&self) -> f64 {
        match self {
            Operation::Group(group) => group.ticket,
            Operation::Truncate { ticket, .. } | Operation::Forgive { ticket, .. } => *ticket,
        }
    }

    /// How many bytes it writes.
    pub fn bytes(&self) -> usize {
        if let Operation::Group(group) = self { group.bytes.len() } else { 0 }
    }
}

/// Bytes that lie one after the other in a file, and the operations they come from.
pub struct Run {
    pub file: FileId,
    pub position: u64,
    length: u64,
    pub slices: Vec<libc::iovec>,
    /// Indices into the operations of the plan.
    pub operations: Vec<usize>,
    pub create: bool,
}

/// One thing to do; the steps of one file are in the order of calls.
pub enum Step {
    Write(Run),
    Truncate { operation: usize, file: FileId, size: u64 },
    Forgive { file: FileId, ticket: f64 },
}

/// The distinct files that the group wants synced, but for those that are not wanted any more, and whether by name too.
pub fn wanted_syncs(writes: &[Write], is_wanted: impl Fn(FileId) -> bool, syncs: &mut Vec<(FileId, bool)>) {
    for write in writes.iter().filter(|write| write.sync && is_wanted(write.file)) {
        syncs.push((write.file, write.sync_name));
    }
    if syncs.len() > 1 {
        // The name flag sorts last, and `dedup_by` hands over the later element first.
        syncs.sort_unstable();
        syncs.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            kept.1 |= same && later.1;
            same
        });
    }
}

/// Joins writes that continue each other. The order of what is done to one file stays.
pub fn plan(operations: &[Operation]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut last_run: HashMap<FileId, usize> = HashMap::new();
    for (index, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Truncate { file, size, .. } => {
                last_run.remove(file);
                steps.push(Step::Truncate { operation: index, file: *file, size: *size });
            }
            Operation::Forgive { file, ticket } => {
                last_run.remove(file);
                steps.push(Step::Forgive { file: *file, ticket: *ticket });
            }
            Operation::Group(group) => {
                for write in &group.writes {
                    let slices = group.bytes.slices(write.slices.clone());
                    let joined = last_run.get(&write.file).and_then(|at| match &mut steps[*at] {
                        Step::Write(run) if run.takes(write) => Some(run),
                        _ => None,
                    });
                    match joined {
                        Some(run) => run.add(index, write, slices),
                        None => {
                            let mut run = Run::new(write);
                            run.add(index, write, slices);
                            last_run.insert(write.file, steps.len());
                            steps.push(Step::Write(run));
                        }
                    }
                }
            }
        }
    }
    steps
}

impl Run {
    fn new(write: &Write) -> Self {
        Run {
            file: write.file,
            position: write.position,
            length: 0,
            slices: Vec::new(),
            operations: Vec::new(),
            create: false,
        }
    }

    /// Whether `write` can be part of this run.
    fn takes(&self, write: &Write) -> bool {
        write.length == 0
            || self.slices.is_empty()
            || (self.position + self.length == write.position && self.slices.len() < MAX_SLICES)
    }

    fn add(&mut self, operation: usize, write: &Write, slices: impl Iterator<Item = libc::iovec>) {
        if write.length > 0 {
            if self.slices.is_empty() {
                self.position = write.position;
            }
            self.slices.extend(slices);
            self.length += write.length as u64;
        }
        self.create |= write.create;
        if self.operations.last() != Some(&operation) {
            self.operations.push(operation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::BufferPool;

    fn group(writes: &[(FileId, u64, usize)]) -> Operation {
        let pool = BufferPool::new(0, false);
        let mut bytes = pool.take(writes.iter().map(|(_, _, length)| length).sum());
        let writes = writes.iter().map(|&(file, position, length)| {
            let start = bytes.begin();
            bytes.push(&vec![7; length], &pool);
            let slices = start..bytes.slice_count();
            Write { file, position, slices, length, create: true, sync: false, sync_name: false }
        });
        let writes = writes.collect();
        Operation::Group(Group { patient: false, ticket: 0.0, bytes, writes })
    }

    fn shape(operations: &[Operation]) -> Vec<String> {
        let shown = |step: Step| match step {
            Step::Write(run) => {
                format!("{}@{}+{} in {}", run.file, run.position, run.length, run.slices.len())
            }
            Step::Truncate { file, size, .. } => format!("{file} to {size}"),
            Step::Forgive { file, .. } => format!("forgive {file}"),
        };
        plan(operations).into_iter().map(shown).collect()
    }

    #[test]
    fn joins_writes_that_continue_each_other_also_across_groups_and_other_files() {
        let operations =
            [group(&[(1, 0, 10), (2, 0, 5)]), group(&[(1, 10, 4)]), group(&[(2, 5, 1), (1, 14, 1)])];
        assert_eq!(shape(&operations), ["1@0+15 in 3", "2@0+6 in 2"]);
    }

    #[test]
    fn joins_nothing_across_a_gap_an_overlap_or_a_truncation() {
        let truncate = Operation::Truncate { ticket: 0.0, file: 1, size: 4 };
        let operations = [group(&[(1, 0, 10), (1, 11, 1), (1, 11, 2)]), truncate, group(&[(1, 13, 1)])];
        assert_eq!(
            shape(&operations),
            ["1@0+10 in 1", "1@11+1 in 1", "1@11+2 in 1", "1 to 4", "1@13+1 in 1"]
        );
    }

    #[test]
    fn takes_a_write_of_nothing_along() {
        assert_eq!(shape(&[group(&[(1, 0, 3), (1, 50, 0), (1, 3, 2)])]), ["1@0+5 in 2"]);
        assert_eq!(shape(&[group(&[(1, 9, 0), (1, 3, 2)])]), ["1@3+2 in 1"]);
    }
}
