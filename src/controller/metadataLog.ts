import { assert } from '../model/assert.ts'
import { EngineError } from '../model/errors.ts'
import type { MetadataRecord, MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import { decodeMetadataRecord, encodeMetadataRecord } from '../protocol/metadataRecords/metadataRecord.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Log } from '../segment/log.ts'
import { defaultLogConfig, type LogConfig } from '../segment/logConfig.ts'
import { BatchHeader, checkBatch } from '../segment/recordBatch.ts'
import { encodeBatch } from '../segment/records.ts'
import { WriteGroup } from '../segment/writeGroup.ts'
import { type BatchLimits, ChangeReader, changeBatches, maxBatchBytes, maxBatchRecords } from './changes.ts'

/**
 * How the metadata log is kept: every write durable, nothing ever deleted but what a snapshot (KIP-630) has, which
 * a single node takes none of.
 */
export const metadataLogConfig: LogConfig = {
  ...defaultLogConfig,
  retentionMs: -1,
  retentionBytes: -1,
  maxMessageBytes: maxBatchBytes,
  timestampAfterMaxMs: Number.MAX_SAFE_INTEGER,
  flush: 'journal',
}

/** The epoch of the only voter. Source: KIP-595: the first election gives 1. */
const leaderEpoch = 1

const readBytes = 1024 * 1024

/**
 * `__cluster_metadata-0` as a sequence of changes, each a list of records that is there as a whole or not at all.
 * A change is one batch if it fits; the log cuts a batch that is not whole. A larger one is several batches
 * between BeginTransaction and EndTransaction, and readers hold it back until they have seen its end (KIP-868).
 */
export class MetadataLog {
  readonly #runtime: Runtime
  readonly #log: Log
  readonly #limits: BatchLimits

  /** `limits` lowers the bounds of a batch, for tests. */
  constructor(runtime: Runtime, log: Log, limits: { batchBytes?: number; batchRecords?: number } = {}) {
    this.#runtime = runtime
    this.#log = log
    const { maxMessageBytes, segmentBytes } = log.config
    this.#limits = {
      batchBytes: Math.min(limits.batchBytes ?? maxBatchBytes, maxMessageBytes, segmentBytes),
      batchRecords: limits.batchRecords ?? maxBatchRecords,
    }
  }

  /** Whether the log still takes writes: false after one that may or may not have reached the disk. */
  get isWritable(): boolean {
    return this.#log.offline === null
  }

  /** Offset that the next record will get. */
  get nextOffset(): number {
    return this.#log.logEndOffset
  }

  /**
   * Calls `apply` with the records of each change and the offset after it, in order. If the log ends inside a
   * transaction, whose writer died, it is aborted in the log before this resolves.
   * Throws `corruptLog` and `unsupportedFormat` for what cannot be metadata.
   */
  async replay(apply: (records: readonly MetadataRecord[], nextOffset: number) => void): Promise<void> {
    const changes = new ChangeReader()
    let offset = this.#log.logStartOffset
    if (offset > 0)
      throw new EngineError('corruptLog', `the metadata log has lost everything before offset ${offset}`)
    while (offset < this.#log.logEndOffset) {
      const bytes = await readBatches(this.#runtime, this.#log, offset)
      for (let at = 0; at < bytes.length; ) {
        const header = new BatchHeader(bytes, at)
        const batch = bytes.subarray(at, at + header.sizeBytes)
        at += header.sizeBytes
        offset = header.lastOffset + 1
        // Control batches are a quorum's own.
        if (header.isControl) continue
        const records = changes.take(batch)
        if (records.length > 0) apply(records, offset)
      }
    }
    if (changes.open === null) return
    const reason = 'the controller stopped before it had written the whole change'
    await this.append([{ type: 'abortTransactionRecord', version: 0, reason }])
  }

  /**
   * Writes one change; resolves once it is durable, with the records as a reader will find them and the offset
   * after them. After a rejection the change is not in the log if that is still writable and `nextOffset` is what
   * it was; otherwise nobody knows: only opening the log again tells.
   */
  async append(
    records: readonly MetadataRecordInput[],
  ): Promise<{ readonly applied: readonly MetadataRecord[]; readonly nextOffset: number }> {
    const values = records.map((record) => encodeMetadataRecord(record))
    const group = new WriteGroup(this.#runtime.disk)
    const { config } = this.#log
    for (const batch of changeBatches(values, this.#limits, config.maxMessageBytes)) {
      const bytes = this.#encode(batch)
      this.#log.append(checkBatch(bytes, this.#runtime.checksum), bytes, leaderEpoch, group)
    }
    const nextOffset = this.#log.logEndOffset
    await group.submit()
    assert(
      this.#log.flushedOffset >= nextOffset,
      'every write of the metadata log is durable once it is done',
    )
    return { applied: values.map((value) => decodeMetadataRecord(value)), nextOffset }
  }

  #encode(values: readonly Uint8Array[]): Uint8Array {
    const timestampMs = this.#runtime.clock.wallMs()
    const records = values.map((value) => ({ key: null, value, headers: [], timestampMs }))
    return encodeBatch({ records, leaderEpoch }, this.#runtime.checksum)
  }
}

/**
 * Whether `log` is that of a quorum, which begins with a control batch or behind a snapshot; null when there is nothing in it.
 * Throws as a read.
 */
export async function isOfQuorum(runtime: Runtime, log: Log): Promise<boolean | null> {
  const { logStartOffset, logEndOffset } = log
  if (logEndOffset === logStartOffset) return logStartOffset > 0 ? true : null
  if (logStartOffset > 0) return true
  return new BatchHeader(await readBatches(runtime, log, 0, 1), 0).isControl
}

/** Whole batches from the one at `offset` on, at least one. Throws `corruptLog`, and what the disk says. */
async function readBatches(
  runtime: Runtime,
  log: Log,
  offset: number,
  maxBytes = readBytes,
): Promise<Uint8Array> {
  const found = await log.read(offset, maxBytes, log.logEndOffset, true)
  if (found === null) throw new EngineError('corruptLog', `the metadata log has nothing at offset ${offset}`)
  const bytes = new Uint8Array(found.lengthBytes)
  let at = 0
  for (const range of found.ranges) {
    const target = bytes.subarray(at, at + range.lengthBytes)
    const count = await runtime.disk.file(range.file.path).read(target, range.position)
    if (count !== range.lengthBytes) {
      throw new EngineError(
        'corruptLog',
        `${range.file.path} ends before byte ${range.position + range.lengthBytes}`,
      )
    }
    at += range.lengthBytes
  }
  return bytes
}
