import type { BatchHeader } from '../segment/recordBatch.ts'
import { type Decompress, decodeRecords, type MakeRecord } from '../segment/records.ts'
import { LogRecord } from './logRecord.ts'

/** Some records that were appended together, as they are stored. Decoded when they are asked for. */
export class LogBatch {
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  /** The greatest time of its records, milliseconds since 1970. */
  readonly maxTimestampMs: number
  /**
   * The whole batch in Kafka's format (magic 2), checked. `append` takes it as it is, but not what compaction has left of one, nor
   * one whose times the log has set (`timestamps: 'logAppendTime'`).
   */
  readonly bytes: Uint8Array
  readonly #from: number
  readonly #decompress: Decompress
  #records: readonly LogRecord[] | null = null

  constructor(header: BatchHeader, bytes: Uint8Array, from: number, decompress: Decompress) {
    this.baseOffset = header.baseOffset
    this.lastOffset = header.lastOffset
    this.maxTimestampMs = header.maxTimestampMs
    this.bytes = bytes
    this.#from = from
    this.#decompress = decompress
  }

  /** Its records, without those before the offset that the read began at. Throws `invalidRecord`, `corruptMessage`. */
  get records(): readonly LogRecord[] {
    if (this.#records === null) {
      const records = decodeRecords(this.bytes, makeRecord, this.#decompress)
      const isWhole = this.baseOffset >= this.#from
      this.#records = isWhole ? records : records.filter(({ offset }) => offset >= this.#from)
    }
    return this.#records
  }
}

const makeRecord: MakeRecord<LogRecord> = (offset, timestampMs, key, value, headers) =>
  new LogRecord(offset, timestampMs, key, value, headers)
