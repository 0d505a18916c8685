//! Functions that need no engine: checksums, batches, codecs.

use std::path::Path;

use napi::Env;
use napi::bindgen_prelude::{ArrayBuffer, BufferSlice, Error, Float64ArraySlice, Result, Uint8ArraySlice};
use napi_derive::napi;

use crate::batches::{BatchWalk, Bounds};
use crate::codecs::{Codec, CodecError};
use crate::lent::Lent;
use crate::{bad_argument, checksum, codecs, file_systems, files};

/// Has the next reads of a file come from the disk, except for what is not written to it yet. Best effort: false
/// when it cannot be done.
#[napi]
pub fn drop_cached(path: String) -> bool {
    files::drop_cached(Path::new(&path)).is_ok()
}

/// The number of the mount that `path` is on, which no other mount gets before the system is started again; none where the
/// system has no such numbers.
#[napi]
pub fn mount_of(path: String) -> Option<String> {
    file_systems::unique_mount(Path::new(&path)).map(|id| id.to_string())
}

/// Memory of `bytes` bytes, all zero, that `Engine.submit` does not copy: what is submitted of it has to stay as it is until the
/// completion. None where there is no such memory. A runtime that keeps all memory itself gives memory like any other.
#[napi]
pub fn lend(env: &Env, bytes: u32) -> Result<Option<ArrayBuffer<'_>>> {
    let Some(lent) = Lent::new(bytes as usize) else { return Ok(None) };
    let start = lent.as_ptr();
    // SAFETY: the memory has as many bytes, and is held until the array is gone.
    let array = unsafe { ArrayBuffer::from_external(env, start, bytes as usize, lent, |_, lent| drop(lent)) };
    array.map(Some)
}

/// CRC-32C of `bytes`, continuing from `seed`.
#[napi(js_name = "crc32c")]
pub fn crc32c(bytes: &[u8], seed: u32) -> u32 {
    checksum::crc32c(bytes, seed)
}

/// Walks record batches that keep to bounds. Fills `result` with: bytes of good batches, the offset after them, their number,
/// which fault ended the walk (0 for none), what was expected and found, the leader epoch of the last good one.
#[napi]
pub fn check_batches(
    bytes: &[u8],
    min_offset: f64,
    gapless: bool,
    min_epoch: i32,
    max_epoch: i32,
    mut result: Float64ArraySlice<'_>,
) {
    let mut walk = BatchWalk::new(Bounds { min_offset: min_offset as i64, gapless, min_epoch, max_epoch });
    let fault = walk.feed(bytes).err();
    let (kind, expected, found) =
        fault.map_or((0.0, 0.0, 0.0), |fault| (f64::from(fault.kind as u8), fault.expected, fault.found));
    let values = [
        walk.valid_bytes as f64,
        walk.next_offset as f64,
        walk.batches as f64,
        kind,
        expected,
        found,
        f64::from(walk.last_epoch),
    ];
    // SAFETY: JavaScript waits for this call, and `bytes` is another array.
    for (place, value) in unsafe { result.as_mut() }.iter_mut().zip(values) {
        *place = value;
    }
}

/// Stamps every 4 KiB block in place: CRC-32C of all that follows it, `generation`, number of the block, `sequence`.
/// Throws unless `blocks` holds whole blocks.
#[napi]
pub fn seal_blocks(mut blocks: Uint8ArraySlice<'_>, generation: u32, sequence: f64) -> Result<()> {
    // SAFETY: JavaScript waits for this call.
    let blocks = unsafe { blocks.as_mut() };
    if !blocks.len().is_multiple_of(checksum::BLOCK_BYTES) {
        return Err(bad_argument());
    }
    checksum::seal_blocks(blocks, generation, sequence as u64);
    Ok(())
}

/// Compresses with "snappy", "lz4" or "zstd".
#[napi]
pub fn compress<'env>(env: &'env Env, codec: String, bytes: &[u8]) -> Result<BufferSlice<'env>> {
    let codec = Codec::from_name(&codec).ok_or_else(bad_argument)?;
    given(env, codecs::compress(codec, bytes))
}

/// Decompresses; an error whose message starts with "too large" when the result has more than `maxBytes`.
#[napi]
pub fn decompress<'env>(
    env: &'env Env,
    codec: String,
    bytes: &[u8],
    max_bytes: f64,
) -> Result<BufferSlice<'env>> {
    let codec = Codec::from_name(&codec).ok_or_else(bad_argument)?;
    given(env, codecs::decompress(codec, bytes, max_bytes as usize))
}

/// A copy in memory of JavaScript's own, which it counts and frees as it needs room. Ours it would free in a turn of the event
/// loop only, and a reader of what is in memory may go on for long without one.
fn given<'env>(env: &'env Env, bytes: std::result::Result<Vec<u8>, CodecError>) -> Result<BufferSlice<'env>> {
    BufferSlice::copy_from(env, bytes.map_err(codec_error)?)
}

fn codec_error(error: CodecError) -> Error {
    match error {
        CodecError::TooLarge => Error::from_reason("too large"),
        CodecError::Malformed(why) => Error::from_reason(format!("malformed: {why}")),
    }
}
