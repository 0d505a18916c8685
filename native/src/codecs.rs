//! Kafka's compression formats: whole buffers, bounded results.

use std::io::{Read, Write};

/// Why bytes cannot be decompressed.
pub enum CodecError {
    /// The result would be larger than allowed.
    TooLarge,
    /// The bytes are not of this format, or the codec is unknown.
    Malformed(String),
}

/// The codecs, by Kafka's names.
#[derive(Clone, Copy)]
pub enum Codec {
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "snappy" => Some(Codec::Snappy),
            "lz4" => Some(Codec::Lz4),
            "zstd" => Some(Codec::Zstd),
            _ => None,
        }
    }
}

/// Compresses as Kafka's Java clients do.
pub fn compress(codec: Codec, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    match codec {
        Codec::Snappy => compress_xerial(bytes),
        Codec::Lz4 => compress_lz4(bytes),
        Codec::Zstd => zstd::bulk::compress(bytes, 3).map_err(malformed),
    }
}

/// Decompresses to at most `max_bytes`.
pub fn decompress(codec: Codec, bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, CodecError> {
    match codec {
        Codec::Snappy => decompress_snappy(bytes, max_bytes),
        Codec::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(bytes), max_bytes),
        Codec::Zstd => read_bounded(zstd::stream::read::Decoder::new(bytes).map_err(malformed)?, max_bytes),
    }
}

fn malformed(error: impl std::fmt::Display) -> CodecError {
    CodecError::Malformed(error.to_string())
}

fn read_bounded(reader: impl Read, max_bytes: usize) -> Result<Vec<u8>, CodecError> {
    let mut result = Vec::new();
    reader.take((max_bytes as u64).saturating_add(1)).read_to_end(&mut result).map_err(malformed)?;
    if result.len() > max_bytes { Err(CodecError::TooLarge) } else { Ok(result) }
}

/// A frame of independent blocks without a checksum of the content, which every Kafka client reads.
fn compress_lz4(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(bytes.len() / 2 + 64));
    encoder.write_all(bytes).map_err(malformed)?;
    encoder.finish().map_err(malformed)
}

/// The framing of the snappy-java library: a magic, two versions, then blocks with their lengths.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_VERSION: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_BLOCK: usize = 32 << 10;

fn compress_xerial(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut encoder = snap::raw::Encoder::new();
    let mut result = Vec::with_capacity(bytes.len() / 2 + 64);
    result.extend_from_slice(&XERIAL_MAGIC);
    result.extend_from_slice(&XERIAL_VERSION);
    for block in bytes.chunks(XERIAL_BLOCK) {
        let at = result.len();
        result.resize(at + 4 + snap::raw::max_compress_len(block.len()), 0);
        let length = encoder.compress(block, &mut result[at + 4..]).map_err(malformed)?;
        result[at..at + 4].copy_from_slice(&(length as u32).to_be_bytes());
        result.truncate(at + 4 + length);
    }
    Ok(result)
}

fn decompress_snappy(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, CodecError> {
    let mut result = Vec::new();
    if !bytes.starts_with(&XERIAL_MAGIC) {
        append_block(bytes, max_bytes, &mut result)?;
        return Ok(result);
    }
    let mut rest = bytes.get(16..).ok_or_else(|| malformed("the header is cut off"))?;
    while !rest.is_empty() {
        let (length, after) =
            rest.split_first_chunk::<4>().ok_or_else(|| malformed("a length is cut off"))?;
        let length = u32::from_be_bytes(*length) as usize;
        let block = after.get(..length).ok_or_else(|| malformed("a block is cut off"))?;
        append_block(block, max_bytes, &mut result)?;
        rest = &after[length..];
    }
    Ok(result)
}

fn append_block(block: &[u8], max_bytes: usize, result: &mut Vec<u8>) -> Result<(), CodecError> {
    let at = result.len();
    let length = snap::raw::decompress_len(block).map_err(malformed)?;
    if length > max_bytes - at {
        return Err(CodecError::TooLarge);
    }
    // Snappy cannot expand more than about 21 times: a larger claim is a lie that would cost memory.
    if length / 64 > block.len() {
        return Err(malformed("the block claims to be larger than it can be"));
    }
    result.resize(at + length, 0);
    snap::raw::Decoder::new().decompress(block, &mut result[at..]).map_err(malformed)?;
    Ok(())
}
