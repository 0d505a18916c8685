import { EngineError } from '../model/errors.ts'
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
  type MetadataRecord,
} from '../protocol/metadataRecords/metadataRecord.ts'
import { readRecords } from '../segment/records.ts'

/** As in Kafka's controller: the most records and bytes of one batch. */
export const maxBatchRecords = 10_000
/** See `maxBatchRecords`. */
export const maxBatchBytes = 8 * 1024 * 1024

/** Upper bound of what a record takes in a batch beside its value: length, attributes, deltas, null key, no headers. */
const recordOverheadBytes = 32
const batchOverheadBytes = 61

/** How large a batch may become before the next one begins. */
export interface BatchLimits {
  readonly batchBytes: number
  readonly batchRecords: number
}

/**
 * The values of each batch of one change: one batch, or several that begin and end a transaction (KIP-868). Throws
 * `messageTooLarge` for a record that no batch of `maxMessageBytes` has room for.
 */
export function changeBatches(
  values: readonly Uint8Array[],
  limits: BatchLimits,
  maxMessageBytes: number,
): readonly (readonly Uint8Array[])[] {
  const whole = split(values, limits, maxMessageBytes)
  if (whole.length === 1) return whole
  const begin = encodeMetadataRecord({ type: 'beginTransactionRecord', version: 0, name: 'change' })
  const end = encodeMetadataRecord({ type: 'endTransactionRecord', version: 0 })
  return split([begin, ...values, end], limits, maxMessageBytes)
}

function split(
  values: readonly Uint8Array[],
  { batchBytes, batchRecords }: BatchLimits,
  maxMessageBytes: number,
): readonly (readonly Uint8Array[])[] {
  const batches: Uint8Array[][] = []
  let batch: Uint8Array[] = []
  let sizeBytes = batchOverheadBytes
  for (const value of values) {
    const valueBytes = value.length + recordOverheadBytes
    if (batchOverheadBytes + valueBytes > maxMessageBytes) {
      throw new EngineError('messageTooLarge', `a metadata record of ${value.length} bytes`)
    }
    const isFull = sizeBytes + valueBytes > batchBytes || batch.length >= batchRecords
    if (isFull && batch.length > 0) {
      batches.push(batch)
      batch = []
      sizeBytes = batchOverheadBytes
    }
    batch.push(value)
    sizeBytes += valueBytes
  }
  batches.push(batch)
  return batches
}

/** Reads batches in the order of the log, and gives each change once it is there as a whole. */
export class ChangeReader {
  #open: MetadataRecord[] | null = null

  /** The records so far of a transaction that has not ended; null outside of one. */
  get open(): readonly MetadataRecord[] | null {
    return this.#open
  }

  /** Goes on after `open`, in place of what was open before. */
  resume(open: readonly MetadataRecord[] | null): void {
    this.#open = open === null ? null : [...open]
  }

  /** The records that take effect with this batch. Throws `corruptLog` and `unsupportedFormat`. */
  take(batch: Uint8Array): readonly MetadataRecord[] {
    const effective: MetadataRecord[] = []
    for (const { offset, value } of readRecords(batch)) {
      if (value === null)
        throw new EngineError('corruptLog', `the metadata record at offset ${offset} is null`)
      this.takeRecord(decodeMetadataRecord(value), offset, effective)
    }
    return effective
  }

  /** Takes one record; what takes effect with it is added to `effective`. `offset` is for messages. */
  takeRecord(record: MetadataRecord, offset: number, effective: MetadataRecord[]): void {
    if (record.type === 'beginTransactionRecord') {
      if (this.#open !== null) throw misplaced(record.type, offset)
      this.#open = []
    } else if (record.type === 'endTransactionRecord' || record.type === 'abortTransactionRecord') {
      if (this.#open === null) throw misplaced(record.type, offset)
      if (record.type === 'endTransactionRecord') for (const each of this.#open) effective.push(each)
      this.#open = null
    } else if (this.#open === null) effective.push(record)
    else this.#open.push(record)
  }
}

function misplaced(type: string, offset: number): EngineError {
  return new EngineError('corruptLog', `a ${type} out of place in the metadata log, at offset ${offset}`)
}
