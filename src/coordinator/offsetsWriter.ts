import { EngineError, type EngineErrorName, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { encodeBatch } from '../segment/records.ts'
import type { GroupCoordinatorConfig } from './coordinatorConfig.ts'
import type { OffsetsRecord } from './offsetsRecords.ts'
import type { OffsetsReign } from './offsetsReign.ts'
import { encodeOffsetsRecord, type KeyAndValue } from './recordFormat.ts'

/** Upper bound of what a record takes beside its key and value: lengths, attributes, deltas, no headers. */
const recordOverheadBytes = 32
const batchOverheadBytes = 61
/** Requests that wait for a disk that does not answer: beyond this they are refused. */
const maxQueuedBytes = 32 * 1024 * 1024

/** What is to stay in the log, by group; only asked while no write is under way. */
export interface LiveRecords {
  groupIds(): readonly string[]
  records(groupId: string): readonly OffsetsRecord[]
}

/** What an offsets log has when a writer begins. */
export interface WriterStart {
  /** Exclusive end of the log. */
  readonly endOffset: number
  /** Bytes of batches in the log. */
  readonly sizeBytes: number
}

/** Records that belong together, and who is to be told. */
interface Entry {
  readonly records: readonly KeyAndValue[]
  readonly sizeBytes: number
  readonly done: (error: EngineError | null) => void
  error: EngineError | null
}

interface Rewrite {
  readonly groupIds: readonly string[]
  next: number
  readonly startOffset: number
  readonly sizeBytesBefore: number
  liveBytes: number
}

/** Errors of a write of which it is certain that nothing of it is there, or ever will be. */
const refusals: ReadonlySet<EngineErrorName> = new Set([
  'queueFull',
  'diskFull',
  // A log that is alone and has failed takes nothing more: what it had flushed is what there is.
  'diskFailed',
  'kafkaStorageError',
  'messageTooLarge',
  'recordListTooLarge',
])

/**
 * Writes to one partition of `__consumer_offsets` during one reign, one write at a time: what comes meanwhile goes into the
 * next one together. Outcomes are told in the order of `append`. Since nothing compacts the log, it is rewritten when it has
 * grown: all live records again, then what lies before them is deleted.
 */
export class OffsetsWriter {
  readonly #runtime: Runtime
  readonly #reign: OffsetsReign
  readonly #config: GroupCoordinatorConfig
  readonly #logger: Logger
  readonly #live: LiveRecords
  readonly #lost: (error: EngineError) => void
  #queue: Entry[] = []
  #queuedBytes = 0
  #running: Promise<void> | null = null
  #rewrite: Rewrite | null = null
  #isStopped = false
  /** Exclusive end of the log, so far as this writer knows; what failed may lie behind it. */
  #endOffset: number
  /** Bytes of batches between the log's start and end, so far as this writer knows. */
  #sizeBytes: number
  /** What was live at the last look; null before the first. */
  #liveBytes: number | null = null

  constructor(
    runtime: Runtime,
    reign: OffsetsReign,
    options: {
      readonly config: GroupCoordinatorConfig
      readonly logger: Logger
      readonly live: LiveRecords
      readonly start: WriterStart
      /** Called when nobody knows whether a write is there: nothing that is remembered can be relied on. */
      readonly lost: (error: EngineError) => void
    },
  ) {
    this.#runtime = runtime
    this.#reign = reign
    this.#config = options.config
    this.#logger = options.logger
    this.#live = options.live
    this.#lost = options.lost
    this.#endOffset = options.start.endOffset
    this.#sizeBytes = options.start.sizeBytes
  }

  /** Appends `records`; `done` is called later, with null once they are committed, or with what went wrong. */
  append(records: readonly OffsetsRecord[], done: (error: EngineError | null) => void): void {
    this.#queue.push(this.#entry(records, done))
    this.#running ??= this.#run()
  }

  /** The reign is over: what is queued is dropped, and nobody is told of what is under way. */
  stop(): void {
    this.#isStopped = true
    this.#queue = []
    this.#rewrite = null
  }

  /** Resolves once nothing is queued or under way. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  /** What cannot be written is queued as well, so that outcomes keep their order. */
  #entry(records: readonly OffsetsRecord[], done: Entry['done']): Entry {
    try {
      const encoded = records.map(encodeOffsetsRecord)
      const sizeBytes = encoded.reduce((sum, record) => sum + recordBytes(record), 0)
      this.#checkSize(encoded)
      if (this.#queuedBytes > 0 && this.#queuedBytes + sizeBytes > maxQueuedBytes) {
        throw new EngineError(
          'queueFull',
          'more group and offset records wait for the disk than there is room for',
        )
      }
      this.#queuedBytes += sizeBytes
      return { records: encoded, sizeBytes, done, error: null }
    } catch (cause) {
      const error = toEngineError(cause, 'unknownServerError', 'a record of a group cannot be encoded')
      return { records: [], sizeBytes: 0, done, error }
    }
  }

  #checkSize(records: readonly KeyAndValue[]): void {
    const maxBytes = this.#reign.maxMessageBytes
    for (const record of records) {
      const sizeBytes = recordBytes(record) + batchOverheadBytes
      if (sizeBytes <= maxBytes) continue
      throw new EngineError(
        'messageTooLarge',
        `a record of ${sizeBytes} bytes; the offsets log takes ${maxBytes}`,
      )
    }
  }

  async #run(): Promise<void> {
    await null // All that this turn of the event loop still brings joins the first write.
    while (this.#queue.length > 0 || this.#rewrite !== null) {
      const entries = this.#queue
      this.#queue = []
      await this.#write(entries)
      if (this.#isStopped) break
      for (const entry of entries) {
        this.#queuedBytes -= entry.sizeBytes
        entry.done(entry.error)
        if (this.#isStopped) break // The outcome has ended the reign.
      }
      await this.#finishRewrite()
    }
    this.#running = null
  }

  /** Appends a slice of the rewrite, if there is one, and then `entries`; sets the error of those that failed. */
  async #write(entries: readonly Entry[]): Promise<void> {
    const failAll = (cause: unknown): EngineError => {
      const error = toEngineError(cause, 'diskFailed', 'the offsets log cannot be written')
      for (const entry of entries) entry.error ??= error
      this.#rewrite = null // What was rewritten so far does no harm.
      return error
    }
    let batches: readonly Uint8Array[]
    try {
      batches = this.#encodeAll(entries)
    } catch (cause) {
      failAll(cause)
      return
    }
    if (batches.length === 0) return
    try {
      this.#endOffset = await this.#reign.append(batches)
      for (const bytes of batches) this.#sizeBytes += bytes.length
    } catch (cause) {
      const error = failAll(cause)
      if (!refusals.has(error.code) && !this.#isStopped) this.#lost(error)
    }
  }

  #encodeAll(entries: readonly Entry[]): Uint8Array[] {
    const ownBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, this.#maxBatchBytes)
    if (!this.#reign.hasRoomFor(ownBytes)) {
      throw new EngineError('queueFull', 'the disk has more to write than it can take')
    }
    this.#beginRewriteIfDue()
    const runs = [this.#rewriteSlice(), ...this.#runs(entries)]
    return runs.flatMap((run) => this.#batches(run)).map((batch) => this.#encode(batch))
  }

  /** Entries that share a batch: as many as fit; one that does not fit is split over several of its own. */
  #runs(entries: readonly Entry[]): KeyAndValue[][] {
    const runs: KeyAndValue[][] = []
    let sizeBytes = Infinity
    for (const entry of entries) {
      if (entry.error !== null) continue
      if (sizeBytes + entry.sizeBytes > this.#maxBatchBytes) {
        runs.push([])
        sizeBytes = batchOverheadBytes
      }
      runs[runs.length - 1]!.push(...entry.records)
      sizeBytes += entry.sizeBytes
    }
    return runs
  }

  #batches(records: readonly KeyAndValue[]): KeyAndValue[][] {
    const batches: KeyAndValue[][] = []
    let sizeBytes = Infinity
    for (const record of records) {
      if (sizeBytes + recordBytes(record) > this.#maxBatchBytes) {
        batches.push([])
        sizeBytes = batchOverheadBytes
      }
      batches[batches.length - 1]!.push(record)
      sizeBytes += recordBytes(record)
    }
    return batches
  }

  get #maxBatchBytes(): number {
    return Math.min(this.#config.offsetsBatchBytes, this.#reign.maxMessageBytes)
  }

  #encode(batch: readonly KeyAndValue[]): Uint8Array {
    const timestampMs = this.#runtime.clock.wallMs()
    const records = batch.map(({ key, value }) => ({ key, value, timestampMs }))
    return encodeBatch({ records }, this.#runtime.checksum)
  }

  #beginRewriteIfDue(): void {
    if (this.#rewrite !== null || this.#sizeBytes <= this.#config.offsetsLogBytes) return
    this.#liveBytes ??= this.#measureLive()
    if (this.#sizeBytes <= 4 * this.#liveBytes) return
    this.#rewrite = {
      groupIds: [...this.#live.groupIds()],
      next: 0,
      startOffset: this.#endOffset,
      sizeBytesBefore: this.#sizeBytes,
      liveBytes: 0,
    }
  }

  #measureLive(): number {
    let sizeBytes = 0
    for (const groupId of this.#live.groupIds()) {
      for (const record of this.#live.records(groupId)) sizeBytes += recordBytes(encodeOffsetsRecord(record))
    }
    return sizeBytes
  }

  /**
   * The next groups' live records, about one batch of them, so that requests need not wait for the whole rewrite.
   * They come before the queued ones, which are newer.
   */
  #rewriteSlice(): KeyAndValue[] {
    const rewrite = this.#rewrite
    const slice: KeyAndValue[] = []
    if (rewrite === null) return slice
    let sizeBytes = 0
    while (rewrite.next < rewrite.groupIds.length && sizeBytes < this.#maxBatchBytes) {
      const records = this.#live.records(rewrite.groupIds[rewrite.next++]!).map(encodeOffsetsRecord)
      for (const record of records) sizeBytes += recordBytes(record)
      slice.push(...records)
    }
    rewrite.liveBytes += sizeBytes
    return slice
  }

  /** Deletes what lies before a rewrite that is durable as a whole. */
  async #finishRewrite(): Promise<void> {
    const rewrite = this.#rewrite
    if (rewrite === null || rewrite.next < rewrite.groupIds.length) return
    this.#rewrite = null
    try {
      await this.#reign.deleteRecordsBefore(rewrite.startOffset)
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', 'the old part of the offsets log stays')
      this.#logger.warn('an offsets log could not be shortened', { error: error.message })
    }
    this.#sizeBytes -= rewrite.sizeBytesBefore
    this.#liveBytes = rewrite.liveBytes
    const liveBytes = rewrite.liveBytes
    this.#logger.info('an offsets log was rewritten', { liveBytes, before: rewrite.sizeBytesBefore })
  }
}

function recordBytes({ key, value }: KeyAndValue): number {
  return key.length + (value === null ? 0 : value.length) + recordOverheadBytes
}
