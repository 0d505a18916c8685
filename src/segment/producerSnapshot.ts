import type { Checksum } from '../runtime/checksum.ts'
import {
  readInt16,
  readInt32,
  readInt64,
  readUint32,
  writeInt16,
  writeInt32,
  writeInt64,
} from './integers.ts'
import type { ProducerEntry } from './producerState.ts'

const version = 1
/** int16 version, uint32 crc, int32 count. */
const headBytes = 10
const checksummedFrom = 6
const entryBytes = 46

/**
 * The bytes of a `.snapshot` file: the producers as they are at the offset in the file's name. Only the last
 * batch of each is kept. Source: Kafka's ProducerSnapshot.json, version 1.
 */
export function encodeProducerSnapshot(entries: readonly ProducerEntry[], checksum: Checksum): Uint8Array {
  if (entries.length === 0) return noProducers
  const bytes = new Uint8Array(headBytes + entries.length * entryBytes)
  writeInt16(bytes, 0, version)
  writeInt32(bytes, 6, entries.length)
  let at = headBytes
  for (const entry of entries) {
    const last = entry.batches.at(-1)
    writeInt64(bytes, at, entry.producerId)
    writeInt16(bytes, at + 8, entry.epoch)
    writeInt32(bytes, at + 10, last?.lastSequence ?? -1)
    writeInt64(bytes, at + 14, last?.lastOffset ?? -1)
    writeInt32(bytes, at + 22, last === undefined ? 0 : last.lastOffset - last.baseOffset)
    writeInt64(bytes, at + 26, entry.timestampMs)
    writeInt32(bytes, at + 34, entry.coordinatorEpoch)
    writeInt64(bytes, at + 38, entry.currentTxnFirstOffset)
    at += entryBytes
  }
  writeInt32(bytes, 2, checksum.crc32c(bytes.subarray(checksummedFrom)))
  return bytes
}

/** The snapshot of no producers at all, which is what most logs have. */
const noProducers = Uint8Array.of(0, version, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0)

/** How many bytes of `bytes` are the snapshot that they begin with; null when there cannot be one. */
export function snapshotBytes(bytes: Uint8Array): number | null {
  if (bytes.length < headBytes) return null
  const count = readInt32(bytes, 6)
  const length = headBytes + count * entryBytes
  return count < 0 || length > bytes.length ? null : length
}

/** The producers in a `.snapshot` file; null when it is not a valid one. */
export function decodeProducerSnapshot(bytes: Uint8Array, checksum: Checksum): ProducerEntry[] | null {
  if (bytes.length < headBytes || readInt16(bytes, 0) !== version) return null
  if (readUint32(bytes, 2) !== checksum.crc32c(bytes.subarray(checksummedFrom))) return null
  const count = readInt32(bytes, 6)
  if (count < 0 || bytes.length !== headBytes + count * entryBytes) return null
  const entries: ProducerEntry[] = []
  for (let at = headBytes; at < bytes.length; at += entryBytes) {
    const lastSequence = readInt32(bytes, at + 10)
    const lastOffset = readInt64(bytes, at + 14)
    const offsetDelta = readInt32(bytes, at + 22)
    const timestampMs = readInt64(bytes, at + 26)
    const baseSequence = lastSequence - offsetDelta
    entries.push({
      producerId: readInt64(bytes, at),
      epoch: readInt16(bytes, at + 8),
      batches:
        lastSequence < 0
          ? []
          : [
              {
                baseSequence: baseSequence < 0 ? baseSequence + 0x8000_0000 : baseSequence,
                lastSequence,
                baseOffset: lastOffset - offsetDelta,
                lastOffset,
                timestampMs,
              },
            ],
      timestampMs,
      coordinatorEpoch: readInt32(bytes, at + 34),
      currentTxnFirstOffset: readInt64(bytes, at + 38),
    })
  }
  return entries
}
