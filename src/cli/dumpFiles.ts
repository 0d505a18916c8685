import { existsSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { decode } from '../protocol/codec.ts'
import { abortedTxn } from '../protocol/files/logFiles.ts'
import type { Checksum } from '../runtime/checksum.ts'
import { readInt16, readInt32, readInt64 } from '../segment/integers.ts'
import { LeaderEpochs } from '../segment/leaderEpochs.ts'
import { offsetIndexEntryBytes } from '../segment/offsetIndex.ts'
import { decodeProducerSnapshot } from '../segment/producerSnapshot.ts'
import { BatchHeader, batchHeaderBytes } from '../segment/recordBatch.ts'
import { timeIndexEntryBytes } from '../segment/timeIndex.ts'
import type { DumpReport } from './dumpReport.ts'

const txnIndexEntryBytes = 34

/**
 * Reports an `.index` file: offsets and the positions of their batches. Checks that both grow and, when the
 * segment is beside it, that a batch which ends with that offset stands at each position.
 */
export async function dumpOffsetIndex(path: string, report: DumpReport): Promise<void> {
  const damagesBefore = report.damages
  const bytes = await readFile(path)
  const baseOffset = baseOffsetOf(path)
  const logPath = path.replace(/\.index$/, '.log')
  const log = existsSync(logPath) ? await open(logPath) : null
  let lastOffset = -1
  let lastPosition = -1
  let entries = 0
  try {
    for (let at = 0; at + offsetIndexEntryBytes <= bytes.length; at += offsetIndexEntryBytes) {
      const relativeOffset = readInt32(bytes, at)
      const position = readInt32(bytes, at + 4)
      // Kafka keeps the index of an open segment at its full size, filled up with zeros.
      if (relativeOffset === 0 && position === 0 && isZeroFrom(bytes, at)) break
      const offset = baseOffset + relativeOffset
      await report.entry('entry', { offset, position })
      entries += 1
      if (relativeOffset <= lastOffset || position <= lastPosition) {
        await report.damage({
          position: at,
          expected: 'offsets and positions that grow',
          found: `offset ${offset}, position ${position}`,
        })
      } else if (log !== null) {
        const head = new Uint8Array(batchHeaderBytes)
        const { bytesRead } = await log.read(head, 0, head.length, position)
        const batch = bytesRead < head.length ? null : new BatchHeader(head, 0)
        if (batch === null || batch.magic !== 2 || offset < batch.baseOffset || offset > batch.lastOffset) {
          const found =
            batch === null ? 'the end of the file' : `offsets ${batch.baseOffset} to ${batch.lastOffset}`
          await report.damage({
            position: at,
            expected: `a batch with offset ${offset} at ${position} of the segment`,
            found,
          })
        }
      }
      lastOffset = relativeOffset
      lastPosition = position
    }
  } finally {
    await log?.close()
  }
  await oddBytes(bytes.length, offsetIndexEntryBytes, report)
  await report.end(damagesBefore, { entries, sizeBytes: bytes.length })
}

/** Reports a `.timeindex` file: timestamps and offsets. Checks that both grow. */
export async function dumpTimeIndex(path: string, report: DumpReport): Promise<void> {
  const damagesBefore = report.damages
  const bytes = await readFile(path)
  const baseOffset = baseOffsetOf(path)
  let lastTimestamp = Number.NEGATIVE_INFINITY
  let lastOffset = -1
  let entries = 0
  for (let at = 0; at + timeIndexEntryBytes <= bytes.length; at += timeIndexEntryBytes) {
    if (isZeroFrom(bytes, at)) break
    const timestamp = readInt64(bytes, at)
    const relativeOffset = readInt32(bytes, at + 8)
    await report.entry('entry', { timestamp, offset: baseOffset + relativeOffset })
    entries += 1
    if (timestamp <= lastTimestamp || relativeOffset < lastOffset) {
      await report.damage({
        position: at,
        expected: 'timestamps and offsets that grow',
        found: `timestamp ${timestamp}`,
      })
    }
    lastTimestamp = timestamp
    lastOffset = relativeOffset
  }
  await oddBytes(bytes.length, timeIndexEntryBytes, report)
  await report.end(damagesBefore, { entries, sizeBytes: bytes.length })
}

/** Reports a `.txnindex` file: aborted transactions. */
export async function dumpTxnIndex(path: string, report: DumpReport): Promise<void> {
  const damagesBefore = report.damages
  const bytes = await readFile(path)
  let entries = 0
  for (let at = 0; at + txnIndexEntryBytes <= bytes.length; at += txnIndexEntryBytes) {
    const version = readInt16(bytes, at)
    if (version !== 0) {
      await report.damage({ position: at, expected: 'version 0', found: `version ${version}` })
      break
    }
    await report.entry(
      'abortedTransaction',
      decode(abortedTxn, 0, bytes.subarray(at + 2, at + txnIndexEntryBytes)),
    )
    entries += 1
  }
  await oddBytes(bytes.length, txnIndexEntryBytes, report)
  await report.end(damagesBefore, { entries, sizeBytes: bytes.length })
}

/** Reports a `.snapshot` file: the producers at its offset. Checks its checksum and lengths. */
export async function dumpSnapshot(path: string, report: DumpReport, checksum: Checksum): Promise<void> {
  const damagesBefore = report.damages
  const bytes = await readFile(path)
  const producers = decodeProducerSnapshot(bytes, checksum)
  if (producers === null) {
    await report.damage({
      position: 0,
      expected: 'a producer snapshot of version 1 with a true checksum',
      found: `${bytes.length} other bytes`,
    })
  }
  for (const {
    producerId,
    epoch,
    batches,
    timestampMs,
    coordinatorEpoch,
    currentTxnFirstOffset,
  } of producers ?? []) {
    await report.entry('producer', {
      producerId,
      epoch,
      lastSequence: batches.at(-1)?.lastSequence ?? -1,
      lastOffset: batches.at(-1)?.lastOffset ?? -1,
      timestamp: timestampMs,
      coordinatorEpoch,
      currentTxnFirstOffset,
    })
  }
  await report.end(damagesBefore, {
    producers: producers?.length ?? 0,
    offset: baseOffsetOf(path),
    sizeBytes: bytes.length,
  })
}

/** Reports a text file: the checkpoints of a data directory, `partition.metadata`, `meta.properties`. */
export async function dumpText(path: string, report: DumpReport): Promise<void> {
  const damagesBefore = report.damages
  const text = await readFile(path, 'utf8')
  const lines = text.split('\n').filter((line) => line !== '')
  if (basename(path) === 'leader-epoch-checkpoint') {
    const epochs = LeaderEpochs.decode(text)
    if (epochs === null) {
      await report.damage({
        position: 0,
        expected: 'version 0, a count, and as many growing "epoch startOffset"',
        found: JSON.stringify(text.slice(0, 60)),
      })
    }
    for (const entry of epochs?.entries ?? []) await report.entry('epoch', { ...entry })
  } else if (path.endsWith('-checkpoint')) {
    const entries = lines.slice(2)
    if (lines[0] !== '0' || Number(lines[1]) !== entries.length) {
      await report.damage({
        position: 0,
        expected: `version 0 and a count of ${entries.length}`,
        found: JSON.stringify(lines.slice(0, 2)),
      })
    }
    for (const entry of entries) {
      const [topic, partition, offset] = entry.split(' ')
      await report.entry('checkpoint', { topic, partition: Number(partition), offset: Number(offset) })
    }
  } else {
    for (const line of lines) await report.entry('line', { text: line })
  }
  await report.end(damagesBefore, { sizeBytes: Buffer.byteLength(text) })
}

function baseOffsetOf(path: string): number {
  return Number(/^(\d{20})/.exec(basename(path))?.[1] ?? 0)
}

function isZeroFrom(bytes: Uint8Array, at: number): boolean {
  for (let index = at; index < bytes.length; index++) if (bytes[index] !== 0) return false
  return true
}

async function oddBytes(sizeBytes: number, entryBytes: number, report: DumpReport): Promise<void> {
  const rest = sizeBytes % entryBytes
  if (rest === 0) return
  await report.damage({
    position: sizeBytes - rest,
    expected: `entries of ${entryBytes} bytes`,
    found: `${rest} bytes`,
  })
}
