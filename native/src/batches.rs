//! Walks record batches (magic 2): length, magic, checksum, offsets and leader epochs within bounds. What is checked and
//! which number names which fault is shared with `src/runtime/node/batchCheck.ts`.

use crc_fast::{CrcAlgorithm, Digest};

/// Bytes of a batch before its records.
const HEADER_BYTES: usize = 61;
/// Bytes of a batch that its length does not count.
const PREFIX_BYTES: i64 = 12;
/// First byte that the checksum covers.
const CHECKSUMMED_FROM: usize = 21;
/// Beyond it numbers of JavaScript are not exact.
const MAX_OFFSET: i64 = (1 << 53) - 1;

/// What is wrong with a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FaultKind {
    /// The length is less than that of a header: `found` is the whole size it says.
    Length = 1,
    /// The magic is not 2.
    Magic = 2,
    /// The checksum is not that of the bytes.
    Checksum = 3,
    /// The base offset is below the end of the batch before, above it where there are no gaps, or beyond 2^53.
    Offset = 4,
    /// The batch is cut off: so many bytes of it are there.
    Cut = 5,
    /// The leader epoch is below that of the batch before, or above what can be.
    Epoch = 6,
}

/// What has to hold of batches beside what their checksums cover; see `BatchBounds` in `src/model/fileRange.ts`.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub min_offset: i64,
    pub gapless: bool,
    pub min_epoch: i32,
    pub max_epoch: i32,
}

/// How many numbers name a range: file, position, length, and its bounds. `src/zerocopy/rangePlan.ts` has the twin.
pub const RANGE_NUMBERS: usize = 7;

impl Bounds {
    /// The bounds in the numbers of a range.
    pub fn of(range: &[f64]) -> Self {
        Bounds {
            min_offset: range[3] as i64,
            gapless: range[4] != 0.0,
            min_epoch: range[5] as i32,
            max_epoch: range[6] as i32,
        }
    }
}

/// The first bad batch.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fault {
    pub kind: FaultKind,
    pub expected: f64,
    pub found: f64,
}

/// A walk over batches that arrive in pieces of any size.
pub struct BatchWalk {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header of the running batch that have arrived.
    filled: usize,
    /// Bytes of the running batch after its header that have not arrived.
    missing: u64,
    digest: Option<Digest>,
    gapless: bool,
    max_epoch: i32,
    /// The leader epoch of the last good batch: the next may not go back.
    pub last_epoch: i32,
    /// The offset after the last good batch: the next may not begin below it.
    pub next_offset: i64,
    /// Bytes of good batches so far.
    pub valid_bytes: u64,
    pub batches: u64,
}

impl BatchWalk {
    /// A walk over batches that keep to `bounds`.
    pub fn new(bounds: Bounds) -> Self {
        let header = [0; HEADER_BYTES];
        BatchWalk {
            header,
            filled: 0,
            missing: 0,
            digest: None,
            gapless: bounds.gapless,
            max_epoch: bounds.max_epoch,
            last_epoch: bounds.min_epoch,
            next_offset: bounds.min_offset,
            valid_bytes: 0,
            batches: 0,
        }
    }

    /// Bytes of the running batch, as far as that is known.
    pub fn current_bytes(&self) -> u64 {
        if self.filled < HEADER_BYTES { HEADER_BYTES as u64 } else { self.size() as u64 }
    }

    /// How many of them have arrived.
    pub fn arrived_bytes(&self) -> u64 {
        if self.filled < HEADER_BYTES { self.filled as u64 } else { self.current_bytes() - self.missing }
    }

    /// Goes on with the next bytes; the first fault ends the walk.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            if self.filled < HEADER_BYTES {
                let take = bytes.len().min(HEADER_BYTES - self.filled);
                let (head, rest) = bytes.split_at(take);
                self.header[self.filled..self.filled + take].copy_from_slice(head);
                self.filled += take;
                bytes = rest;
                if self.filled < HEADER_BYTES {
                    return Ok(());
                }
                self.begin()?;
            }
            let take = usize::try_from(self.missing).unwrap_or(usize::MAX).min(bytes.len());
            let (body, rest) = bytes.split_at(take);
            if let Some(digest) = &mut self.digest {
                digest.update(body);
            }
            self.missing -= take as u64;
            bytes = rest;
            if self.missing == 0 {
                self.finish()?;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Fault> {
        let size = self.size();
        if size < HEADER_BYTES as i64 {
            return Err(fault(FaultKind::Length, HEADER_BYTES as f64, size as f64));
        }
        let magic = self.header[16] as i8;
        if magic != 2 {
            return Err(fault(FaultKind::Magic, 2.0, f64::from(magic)));
        }
        let base = self.base_offset();
        let late = self.gapless && base != self.next_offset;
        if base < self.next_offset || late || base > MAX_OFFSET {
            return Err(fault(FaultKind::Offset, self.next_offset as f64, base as f64));
        }
        let epoch = self.epoch();
        if epoch < self.last_epoch || epoch > self.max_epoch {
            let expected = if epoch < self.last_epoch { self.last_epoch } else { self.max_epoch };
            return Err(fault(FaultKind::Epoch, f64::from(expected), f64::from(epoch)));
        }
        self.missing = (size - HEADER_BYTES as i64) as u64;
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&self.header[CHECKSUMMED_FROM..]);
        self.digest = Some(digest);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fault> {
        let Some(digest) = self.digest.take() else { return Ok(()) };
        let found = digest.finalize() as u32;
        let expected = self.int32(17) as u32;
        if found != expected {
            return Err(fault(FaultKind::Checksum, f64::from(expected), f64::from(found)));
        }
        self.last_epoch = self.epoch();
        self.next_offset = self.base_offset() + i64::from(self.int32(23)).max(0) + 1;
        self.valid_bytes += self.size() as u64;
        self.batches += 1;
        self.filled = 0;
        Ok(())
    }

    /// Of the running batch, once its header is there.
    fn size(&self) -> i64 {
        i64::from(self.int32(8)) + PREFIX_BYTES
    }

    fn base_offset(&self) -> i64 {
        i64::from_be_bytes(*self.header.first_chunk().unwrap_or(&[0; 8]))
    }

    fn epoch(&self) -> i32 {
        self.int32(12)
    }

    fn int32(&self, at: usize) -> i32 {
        let bytes = &self.header[at..at + 4];
        i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

fn fault(kind: FaultKind, expected: f64, found: f64) -> Fault {
    Fault { kind, expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min_offset: 5, gapless: false, min_epoch: i32::MIN, max_epoch: i32::MAX };

    fn batch(base: i64, records: i32, body: usize) -> Vec<u8> {
        let mut bytes = vec![7; HEADER_BYTES + body];
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes[8..12].copy_from_slice(&((HEADER_BYTES + body) as i32 - 12).to_be_bytes());
        bytes[16] = 2;
        bytes[23..27].copy_from_slice(&(records - 1).to_be_bytes());
        let crc = crate::checksum::crc32c(&bytes[CHECKSUMMED_FROM..], 0);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn walk(bytes: &[u8], piece: usize) -> (BatchWalk, Option<Fault>) {
        walk_in(BOUNDS, bytes, piece)
    }

    fn walk_in(bounds: Bounds, bytes: &[u8], piece: usize) -> (BatchWalk, Option<Fault>) {
        let mut walk = BatchWalk::new(bounds);
        let fault = bytes.chunks(piece).find_map(|piece| walk.feed(piece).err());
        (walk, fault)
    }

    #[test]
    fn finds_the_same_in_pieces_of_any_size() {
        let mut bytes: Vec<u8> = [batch(5, 3, 0), batch(8, 1, 1000), batch(20, 2, 33)].concat();
        let total = bytes.len() as u64;
        for piece in [1, 7, 61, 100, 5000] {
            let (walk, fault) = walk(&bytes, piece);
            assert_eq!((walk.valid_bytes, walk.next_offset, walk.batches, fault), (total, 22, 3, None));
            assert_eq!(walk.arrived_bytes(), 0);
        }
        let at = bytes.len() - 1;
        bytes[at] ^= 1;
        for piece in [1, 64, 5000] {
            let (walk, fault) = walk(&bytes, piece);
            assert_eq!(fault.map(|fault| fault.kind), Some(FaultKind::Checksum));
            assert_eq!((walk.valid_bytes, walk.next_offset), (total - 94, 9));
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let kind = |bytes: &[u8]| walk(bytes, 5000).1.map(|fault| fault.kind);
        let mut short = batch(5, 1, 10);
        short[8..12].copy_from_slice(&48_i32.to_be_bytes());
        assert_eq!(kind(&short), Some(FaultKind::Length));
        let mut magic = batch(5, 1, 10);
        magic[16] = 1;
        assert_eq!(kind(&magic), Some(FaultKind::Magic));
        assert_eq!(kind(&batch(4, 1, 10)), Some(FaultKind::Offset));
        assert_eq!(kind(&batch(1 << 53, 1, 10)), Some(FaultKind::Offset));
        let (cut, fault) = walk(&batch(5, 1, 10)[..70], 5000);
        assert_eq!((cut.current_bytes(), cut.arrived_bytes(), fault), (71, 70, None));
    }
    #[test]
    fn holds_offsets_and_epochs_to_their_bounds() {
        let in_epoch = |base: i64, epoch: i32| {
            let mut bytes = batch(base, 2, 10);
            bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
            bytes
        };
        let kind = |bounds: Bounds, batches: &[Vec<u8>]| {
            walk_in(bounds, &batches.concat(), 5000).1.map(|fault| fault.kind)
        };
        let gapless = Bounds { gapless: true, min_epoch: 3, max_epoch: 4, ..BOUNDS };
        assert_eq!(kind(gapless, &[in_epoch(5, 3), in_epoch(7, 4), in_epoch(9, 4)]), None);
        assert_eq!(kind(gapless, &[in_epoch(6, 3)]), Some(FaultKind::Offset));
        assert_eq!(kind(gapless, &[in_epoch(5, 3), in_epoch(8, 3)]), Some(FaultKind::Offset));
        assert_eq!(kind(BOUNDS, &[in_epoch(6, 3), in_epoch(9, 3)]), None);
        assert_eq!(kind(gapless, &[in_epoch(5, 2)]), Some(FaultKind::Epoch));
        assert_eq!(kind(gapless, &[in_epoch(5, 5)]), Some(FaultKind::Epoch));
        assert_eq!(kind(gapless, &[in_epoch(5, 4), in_epoch(7, 3)]), Some(FaultKind::Epoch));
    }
}
