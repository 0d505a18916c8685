import type { EngineError } from '../model/errors.ts'
import type { FlushPolicy } from '../model/flushPolicy.ts'
import type { Ack } from './ack.ts'
import type { Appender, AppendOptions } from './appender.ts'
import { BatchReader, type ReadOptions, type ReadWorld } from './batchReader.ts'
import type { AppendInput } from './encodeInput.ts'
import { BatchIterator, RecordIterator, recordStream } from './iteration.ts'
import type { LogBatch } from './logBatch.ts'
import type { LogRecord } from './logRecord.ts'
import { type LogSettings, type ResolvedSettings, refuse, resolveSettings } from './logSettings.ts'
import type { OpenLog } from './openLog.ts'

/** What a log needs of its engine. */
export interface LogHost {
  readonly appender: Appender
  readonly world: ReadWorld
  /** Removes the log for good. */
  remove(target: OpenLog): Promise<void>
  /** Settings have changed. */
  configured(settings: ResolvedSettings): void
}

/**
 * One log of an engine: records in the order of their appends, each with an offset that counts up from 0. `F` is its
 * flush policy, so that the type of an acknowledgement says what was promised.
 *
 * After `engine.close()` or `delete()` every method rejects with `closed`; a log that is `offline` rejects with the reason.
 */
export class EngineLog<F extends FlushPolicy = FlushPolicy> {
  readonly #target: OpenLog
  readonly #host: LogHost

  /** Made by `Engine.log`. */
  constructor(target: OpenLog, host: LogHost) {
    this.#target = target
    this.#host = host
  }

  /** The name it was opened with. */
  get name(): string {
    return this.#target.name
  }

  /** Where its files are. */
  get directory(): string {
    return this.#target.log.directory
  }

  /** The policy in force. */
  get flushPolicy(): F {
    return this.#target.settings.config.flush as F
  }

  /** First offset that can be read, inclusive: 0 until records are removed. */
  get logStartOffset(): number {
    return this.#target.log.logStartOffset
  }

  /** The offset that the next record gets. What lies from `flushedOffset` on is not acknowledged yet. */
  get logEndOffset(): number {
    return this.#target.log.logEndOffset
  }

  /** Exclusive end of what is acknowledged, and of what can be read. */
  get flushedOffset(): number {
    return this.#target.log.flushedOffset
  }

  /** Bytes of all its batches. */
  get sizeBytes(): number {
    return this.#target.log.sizeBytes
  }

  /** Why the log takes and gives nothing any more, a failed sync or damage; null while it does. */
  get offline(): EngineError | null {
    return this.#target.log.offline
  }

  /**
   * Appends one record, or several as one batch that is there as a whole or not at all, or one batch that is ready
   * (`LogBatch.bytes`, `encodeRecords`). Resolves once the flush policy is met; what then is promised stands in the
   * result. Calls keep their order, also when they wait for room; what one turn appends, to whatever logs, goes to the disk
   * together. Records may not be changed before it resolves.
   *
   * Rejects with `messageTooLarge`, `invalidRecord` (no records, or not what a ready batch says), `malformed`, `conflict`, `closed`, `diskFull` (nothing
   * was appended; a later append may succeed), `diskFailed`, `corruptLog`, `corruptMessage` (a ready batch with a wrong
   * checksum, or that cannot be decompressed), `outOfOrderSequenceNumber`, `invalidProducerEpoch`, or the reason of `signal`. A rejection with
   * `diskFailed` leaves open whether the records are there: look after the next start.
   */
  append(input: AppendInput, options?: AppendOptions): Promise<Ack<F>> {
    return this.#host.appender.append(this.#target, input, options) as Promise<Ack<F>>
  }

  /**
   * The records from an offset or time on, as they were acknowledged. Each batch is checked before it is given.
   * Without `follow` it ends with the last record that was acknowledged when `read` was called; with it, when the log is
   * closed or deleted. `from: 'end'` is the end at the call; without `follow` a cut meanwhile ends the read there. Throws `invalidConfig` and `closed` at once; iterating rejects with `offsetOutOfRange`, `closed`, `corruptLog`,
   * or the reason of `signal`.
   */
  read(options: ReadOptions = {}): AsyncIterableIterator<LogRecord> {
    return new RecordIterator(this.#reader(options))
  }

  /** As `read`, batch by batch: faster, and what to use for copying logs that are not compacted. */
  readBatches(options: ReadOptions = {}): AsyncIterableIterator<LogBatch> {
    return new BatchIterator(this.#reader(options))
  }

  /** As `read`, as a Web stream of records, which takes nothing ahead. */
  stream(options: ReadOptions = {}): ReadableStream<LogRecord> {
    return recordStream(new RecordIterator(this.#reader(options)))
  }

  /**
   * Offset of the first record whose time is `timestampMs` or later, among what is acknowledged; null for none. Throws
   * `invalidConfig` for what is no time.
   */
  async offsetForTimestamp(timestampMs: number): Promise<number | null> {
    this.#checkOpen()
    if (!Number.isSafeInteger(timestampMs)) refuse(`a time is whole milliseconds, not ${String(timestampMs)}`)
    return (await this.#target.log.offsetForTimestamp(timestampMs))?.offset ?? null
  }

  /**
   * Makes everything appended so far survive power loss, whatever the policy. Resolves with the exclusive end of what is
   * durable then.
   */
  async flush(): Promise<number> {
    this.#checkOpen()
    this.#host.appender.submit()
    const { log } = this.#target
    const endOffset = log.logEndOffset
    await log.flush()
    return endOffset
  }

  /**
   * Cuts the log so that `offset` is its end, durably; records of one append go together. Resolves with the new end.
   * Appends meanwhile reject with `kafkaStorageError`. Readers that have given records beyond the cut, or were to begin there, reject
   * with `offsetOutOfRange`; others go on with what comes in the place of what was cut.
   */
  async truncate(offset: number): Promise<number> {
    this.#checkOpen()
    checkOffset(offset)
    this.#host.appender.submit()
    const { log } = this.#target
    try {
      await log.truncate(offset)
    } finally {
      this.#target.wake()
    }
    return log.logEndOffset
  }

  /**
   * Makes records below `offset` unreadable, durably, and removes files that hold nothing else. Throws `offsetOutOfRange`, and
   * `kafkaStorageError` while the log is being cut.
   */
  async deleteRecordsBefore(offset: number): Promise<void> {
    this.#checkOpen()
    checkOffset(offset)
    await this.#target.log.deleteRecordsBefore(offset)
  }

  /**
   * Removes the log for good, durably, also one that is damaged: its readers end, appends under way settle, its name is free
   * again.
   */
  async delete(): Promise<void> {
    if (this.#target.ended !== null) throw this.#target.ended
    await this.#host.remove(this.#target)
  }

  /**
   * Changes settings while the log is in use; those that are not named stay. Returns the same log, typed for the new
   * policy: appends made from now on promise what that says. Throws `invalidConfig`.
   */
  configure<G extends FlushPolicy = F>(settings: LogSettings<G>): EngineLog<NoInfer<G>> {
    this.#checkOpen()
    const target = this.#target
    const resolved = resolveSettings(settings, target.settings)
    // What was appended before has the promise of before.
    this.#host.appender.submit()
    target.settings = resolved
    target.log.updateConfig(resolved.config)
    this.#host.configured(resolved)
    return this as unknown as EngineLog<NoInfer<G>>
  }

  #reader(options: ReadOptions): BatchReader {
    return new BatchReader(this.#target, options, this.#host.world)
  }

  #checkOpen(): void {
    if (this.#target.ended !== null) throw this.#target.ended
    const { offline } = this.#target.log
    if (offline !== null) throw offline
  }
}

/** Throws `invalidConfig` for what cannot be an offset of any log. */
function checkOffset(offset: number): void {
  if (!Number.isSafeInteger(offset)) refuse(`an offset is a whole number, not ${String(offset)}`)
}
