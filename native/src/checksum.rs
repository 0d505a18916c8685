//! CRC-32C with whatever instructions the processor has.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of `bytes`, continuing from `seed`, the checksum of what came before (0 for nothing).
pub fn crc32c(bytes: &[u8], seed: u32) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!seed));
    digest.update(bytes);
    digest.finalize() as u32
}

/// Bytes of a block with a stamp.
pub const BLOCK_BYTES: usize = 4096;

/// Stamps whole blocks: CRC-32C of what follows it, generation, number of the block, sequence; big-endian.
pub fn seal_blocks(blocks: &mut [u8], generation: u32, sequence: u64) {
    for (index, block) in blocks.chunks_exact_mut(BLOCK_BYTES).enumerate() {
        block[4..8].copy_from_slice(&generation.to_be_bytes());
        block[8..12].copy_from_slice(&(index as u32).to_be_bytes());
        block[12..20].copy_from_slice(&sequence.to_be_bytes());
        let crc = crc32c(&block[4..], 0);
        block[..4].copy_from_slice(&crc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn gives_the_check_value_of_the_standard() {
        assert_eq!(crc32c(b"123456789", 0), 0xe306_9283);
        assert_eq!(crc32c(b"", 0), 0);
    }

    #[test]
    fn continues_from_a_seed() {
        for cut in 0..=9 {
            let (head, tail) = b"123456789".split_at(cut);
            assert_eq!(crc32c(tail, crc32c(head, 0)), 0xe306_9283);
        }
    }
}
