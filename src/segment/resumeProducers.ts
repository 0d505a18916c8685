import type { Checksum } from '../runtime/checksum.ts'
import { readInt32, readInt64, readUint32, writeInt32, writeInt64 } from './integers.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot, snapshotBytes } from './producerSnapshot.ts'
import type { ProducerBatch, ProducerEntry } from './producerState.ts'

const batchBytes = 32
const crcBytes = 4

/**
 * Producers with every batch that is remembered of them: a snapshot as Kafka has it, of the last batches, and behind it those
 * before. A producer has up to five batches under way, and after a crash sends all of them again, the oldest first: with
 * the last one alone it would be told of a gap.
 */
export function encodeResumeProducers(entries: readonly ProducerEntry[], checksum: Checksum): Uint8Array {
  const snapshot = encodeProducerSnapshot(entries, checksum)
  let earlierBytes = 0
  for (const { batches } of entries) earlierBytes += 1 + Math.max(0, batches.length - 1) * batchBytes
  const bytes = new Uint8Array(snapshot.length + earlierBytes + crcBytes)
  bytes.set(snapshot)
  let at = snapshot.length
  for (const { batches } of entries) {
    const earlier = batches.slice(0, -1)
    bytes[at++] = earlier.length
    for (const batch of earlier) {
      writeInt32(bytes, at, batch.baseSequence)
      writeInt32(bytes, at + 4, batch.lastSequence)
      writeInt64(bytes, at + 8, batch.baseOffset)
      writeInt64(bytes, at + 16, batch.lastOffset)
      writeInt64(bytes, at + 24, batch.timestampMs)
      at += batchBytes
    }
  }
  writeInt32(bytes, at, checksum.crc32c(bytes.subarray(snapshot.length, at)))
  return bytes
}

/** What `encodeResumeProducers` was given; null for anything else. */
export function decodeResumeProducers(bytes: Uint8Array, checksum: Checksum): ProducerEntry[] | null {
  const start = snapshotBytes(bytes)
  const end = bytes.length - crcBytes
  if (start === null || start > end) return null
  const entries = decodeProducerSnapshot(bytes.subarray(0, start), checksum)
  if (entries === null || readUint32(bytes, end) !== checksum.crc32c(bytes.subarray(start, end))) return null
  let at = start
  const whole: ProducerEntry[] = []
  for (const entry of entries) {
    const count = at < end ? bytes[at++]! : -1
    if (count < 0 || at + count * batchBytes > end) return null
    const earlier: ProducerBatch[] = []
    for (let index = 0; index < count; index++, at += batchBytes) {
      earlier.push({
        baseSequence: readInt32(bytes, at),
        lastSequence: readInt32(bytes, at + 4),
        baseOffset: readInt64(bytes, at + 8),
        lastOffset: readInt64(bytes, at + 16),
        timestampMs: readInt64(bytes, at + 24),
      })
    }
    whole.push({ ...entry, batches: [...earlier, ...entry.batches] })
  }
  return at === end ? whole : null
}
