import { type FileHandle, open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import {
  decodeCoordinatorKey,
  decodeCoordinatorValue,
} from '../protocol/coordinatorRecords/coordinatorRecord.ts'
import { decodeControlRecord } from '../protocol/files/controlRecord.ts'
import { decodeMetadataRecord } from '../protocol/metadataRecords/metadataRecord.ts'
import type { Checksum } from '../runtime/checksum.ts'
import { BatchHeader, batchHeaderBytes, checksummedFrom } from '../segment/recordBatch.ts'
import { readRecords, type StoredRecord } from '../segment/records.ts'
import { codecNames, decompressBody } from './codecs.ts'
import type { DumpReport, Fields } from './dumpReport.ts'

/** Whose records a log holds, by the name of its directory. */
type RecordKind = 'user' | 'metadata' | 'offsets'

/**
 * Reports the batches of a segment file, with `records` also what is in them, and checks each: length, magic,
 * checksum, counts, offsets that grow. After a bad checksum it goes on with the next batch; where no batch can
 * be, it ends.
 */
export async function dumpLog(
  path: string,
  report: DumpReport,
  checksum: Checksum,
  records: boolean,
): Promise<void> {
  const file = await open(path)
  try {
    await dumpBatches(file, path, report, checksum, records)
  } finally {
    await file.close()
  }
}

async function dumpBatches(
  file: FileHandle,
  path: string,
  report: DumpReport,
  checksum: Checksum,
  withRecords: boolean,
): Promise<void> {
  const damagesBefore = report.damages
  const sizeBytes = (await file.stat()).size
  const kind = recordKind(path)
  const named = /^(\d{20})/.exec(basename(path))?.[1]
  let nextOffset = named === undefined ? 0 : Number(named)
  const firstOffset = nextOffset
  const counts = { batches: 0, records: 0 }
  let position = 0
  const head = new Uint8Array(batchHeaderBytes)
  while (position < sizeBytes) {
    const { bytesRead } = await file.read(head, 0, head.length, position)
    const header = bytesRead < head.length ? null : new BatchHeader(head, 0)
    const left = sizeBytes - position
    if (header === null || header.sizeBytes > left) {
      const expected =
        header === null
          ? `${batchHeaderBytes} bytes of a batch header`
          : `${header.sizeBytes} bytes of a batch`
      await report.damage({ position, expected, found: `the end of the file after ${left}` })
      break
    }
    if (header.sizeBytes < batchHeaderBytes || header.magic !== 2) {
      const found = head.every((byte) => byte === 0)
        ? 'zeros'
        : `length ${header.sizeBytes}, magic ${header.magic}`
      await report.damage({ position, expected: 'a batch of magic 2', found })
      break
    }
    const bytes = new Uint8Array(header.sizeBytes)
    await file.read(bytes, 0, bytes.length, position)
    const crc = checksum.crc32c(bytes.subarray(checksummedFrom))
    await report.entry('batch', batchFields(header, position))
    const wrong = whatIsWrong(header, crc, nextOffset)
    if (wrong !== null) await report.damage({ position, ...wrong })
    else if (withRecords) await dumpRecords(bytes, header, position, kind, report)
    counts.batches += 1
    counts.records += Math.max(header.recordsCount, 0)
    nextOffset = Math.max(nextOffset, header.lastOffset + 1)
    position += header.sizeBytes
  }
  await report.end(damagesBefore, { ...counts, firstOffset, nextOffset, sizeBytes, validBytes: position })
}

function whatIsWrong(
  header: BatchHeader,
  crc: number,
  nextOffset: number,
): { expected: string; found: string } | null {
  if (crc !== header.crc) return { expected: `checksum ${header.crc}`, found: `checksum ${crc}` }
  // Compaction leaves gaps, so an offset may be higher than expected, never lower.
  if (header.baseOffset < nextOffset) {
    return { expected: `offset ${nextOffset} or higher`, found: `offset ${header.baseOffset}` }
  }
  if (header.lastOffsetDelta < 0 || header.recordsCount < 0) {
    return { expected: 'counts of 0 or more', found: `${header.recordsCount} records` }
  }
  return null
}

function batchFields(header: BatchHeader, position: number): Fields {
  const {
    baseOffset,
    lastOffset,
    sizeBytes,
    crc,
    recordsCount,
    baseTimestampMs,
    maxTimestampMs,
    producerId,
  } = header
  return {
    baseOffset,
    lastOffset,
    position,
    sizeBytes,
    records: recordsCount,
    crc,
    codec: codecNames[header.codec] ?? `unknown (${header.codec})`,
    leaderEpoch: header.partitionLeaderEpoch,
    baseTimestamp: baseTimestampMs,
    maxTimestamp: maxTimestampMs,
    logAppendTime: header.isLogAppendTime,
    producerId: producerId < 0 ? undefined : producerId,
    producerEpoch: producerId < 0 ? undefined : header.producerEpoch,
    baseSequence: header.baseSequence < 0 ? undefined : header.baseSequence,
    transactional: header.isTransactional,
    control: header.isControl,
  }
}

async function dumpRecords(
  bytes: Uint8Array,
  header: BatchHeader,
  position: number,
  kind: RecordKind,
  report: DumpReport,
): Promise<void> {
  try {
    for (const record of readRecords(bytes, decompressBody)) {
      const { offset, timestampMs, key, value, headers } = record
      const decoded = header.isControl ? decodedControl(record) : decodedRecord(record, kind)
      await report.entry('record', {
        offset,
        timestamp: timestampMs,
        ...(decoded ?? { key, value }),
        headers: headers.length > 0 ? headers : undefined,
      })
    }
  } catch (error) {
    await report.damage({ position, expected: 'records that can be read', found: (error as Error).message })
  }
}

function recordKind(path: string): RecordKind {
  const directory = basename(dirname(path))
  if (directory === '__cluster_metadata-0') return 'metadata'
  return directory.startsWith('__consumer_offsets-') ? 'offsets' : 'user'
}

/** The engine's own records in words; null for records of applications and for what cannot be decoded. */
function decodedRecord({ key, value }: StoredRecord, kind: RecordKind): Fields | null {
  try {
    if (kind === 'metadata' && value !== null) return { value: decodeMetadataRecord(value) }
    const decodedKey = kind === 'offsets' && key !== null ? decodeCoordinatorKey(key) : null
    if (decodedKey === null) return null
    return { key: decodedKey, value: value === null ? null : decodeCoordinatorValue(decodedKey.type, value) }
  } catch {
    return null
  }
}

function decodedControl({ key, value }: StoredRecord): Fields | null {
  try {
    return key === null || value === null ? null : { control: decodeControlRecord(key, value) }
  } catch {
    return null
  }
}
