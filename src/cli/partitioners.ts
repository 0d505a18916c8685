import { crc32 } from 'node:zlib'

/** The ways to choose a partition by key. `murmur2` is the Java client's, `crc32` librdkafka's (kcat). */
export const partitioners = ['murmur2', 'crc32'] as const

/** One of `partitioners`. */
export type Partitioner = (typeof partitioners)[number]

const seed = 0x9747b28c
const multiplier = 0x5bd1e995

/**
 * Murmur 2 of `bytes` as Kafka's Java client computes it: a signed 32-bit number.
 * Source: org.apache.kafka.common.utils.Utils.murmur2.
 */
export function murmur2(bytes: Uint8Array): number {
  const { length } = bytes
  let hash = seed ^ length
  const wholeWords = length & ~3
  for (let at = 0; at < wholeWords; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    word = Math.imul(word, multiplier)
    word ^= word >>> 24
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier)
  }
  const rest = length & 3
  if (rest === 3) hash ^= bytes[wholeWords + 2]! << 16
  if (rest >= 2) hash ^= bytes[wholeWords + 1]! << 8
  if (rest >= 1) hash = Math.imul(hash ^ bytes[wholeWords]!, multiplier)
  hash ^= hash >>> 13
  hash = Math.imul(hash, multiplier)
  return hash ^ (hash >>> 15)
}

/**
 * The partition of a record with `key`, or null when the partitioner leaves the choice open: any partition will
 * do for a record without a key, and with `crc32` also for one with an empty key.
 */
export function partitionForKey(
  partitioner: Partitioner,
  key: Uint8Array | null,
  partitions: number,
): number | null {
  if (key === null) return null
  if (partitioner === 'murmur2') return (murmur2(key) & 0x7fffffff) % partitions
  if (key.length === 0) return null
  return crc32(key) % partitions
}

/**
 * Chooses partitions for records whose key leaves it open: stays with one until about `batchBytes` have gone
 * there, so that batches grow large, then moves to another. Source: KIP-480, KIP-794.
 */
export class StickyPartition {
  readonly #batchBytes: number
  readonly #below: (bound: number) => number
  #partition = -1
  #bytes = 0

  /** `below(n)` gives a random whole number from 0 to n - 1. */
  constructor(batchBytes: number, below: (bound: number) => number) {
    this.#batchBytes = batchBytes
    this.#below = below
  }

  /** The partition for the next record, of `recordBytes`. */
  next(partitions: number, recordBytes: number): number {
    if (this.#partition < 0 || this.#partition >= partitions || this.#bytes >= this.#batchBytes) {
      const step =
        partitions > 1 && this.#partition >= 0 ? 1 + this.#below(partitions - 1) : this.#below(partitions)
      this.#partition = (Math.max(this.#partition, 0) + step) % partitions
      this.#bytes = 0
    }
    this.#bytes += recordBytes
    return this.#partition
  }
}
