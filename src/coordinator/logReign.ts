import { EngineError } from '../model/errors.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { checkBatch } from '../segment/recordBatch.ts'
import { WriteGroup } from '../segment/writeGroup.ts'
import type { OffsetsLog } from './offsetsLog.ts'
import type { OffsetsReign, OffsetsTopic } from './offsetsReign.ts'

/** The reign of a node that is alone: it never ends, and what is flushed under the log's policy is committed. */
export class LogReign implements OffsetsReign {
  readonly leaderEpoch = 0
  readonly #runtime: Runtime
  readonly #log: OffsetsLog

  constructor(runtime: Runtime, log: OffsetsLog) {
    this.#runtime = runtime
    this.#log = log
  }

  get maxMessageBytes(): number {
    return this.#log.config.maxMessageBytes
  }

  get logStartOffset(): number {
    return this.#log.logStartOffset
  }

  begin(): number {
    return this.#log.logEndOffset
  }

  async read(fromOffset: number, endOffset: number, maxBytes: number): Promise<Uint8Array> {
    const found = await this.#log.read(fromOffset, maxBytes, endOffset, true)
    if (found === null || found.lengthBytes === 0) {
      throw new EngineError('corruptLog', `the offsets log has nothing at offset ${fromOffset}`)
    }
    const bytes = new Uint8Array(found.lengthBytes)
    let at = 0
    for (const { file, position, lengthBytes } of found.ranges) {
      const target = bytes.subarray(at, at + lengthBytes)
      const count = await this.#runtime.disk.file(file.path).read(target, position)
      if (count !== lengthBytes) {
        throw new EngineError('corruptLog', `${file.path} ends before byte ${position + lengthBytes}`)
      }
      at += lengthBytes
    }
    return bytes
  }

  hasRoomFor(sizeBytes: number): boolean {
    const { queuedBytes, maxQueuedBytes } = this.#runtime.disk
    return queuedBytes === 0 || queuedBytes + sizeBytes <= maxQueuedBytes
  }

  /** A batch that the log refuses is the first that it would refuse: they are checked for size before. */
  async append(batches: readonly Uint8Array[]): Promise<number> {
    const group = new WriteGroup(this.#runtime.disk)
    for (const bytes of batches) {
      const header = checkBatch(bytes, this.#runtime.checksum, 'broker')
      this.#log.append(header, bytes, this.leaderEpoch, group)
    }
    const endOffset = this.#log.logEndOffset
    await group.submit()
    await this.#log.whenFlushed(endOffset)
    return endOffset
  }

  confirm(): null {
    return null
  }

  deleteRecordsBefore(offset: number): Promise<void> {
    return this.#log.deleteRecordsBefore(offset)
  }
}

/** `__consumer_offsets` on a node that is alone: it leads what there is. */
export class LocalOffsets implements OffsetsTopic {
  readonly #runtime: Runtime
  readonly #logs: LocalLogs
  readonly #reigns = new WeakMap<OffsetsLog, LogReign>()

  constructor(runtime: Runtime, logs: LocalLogs) {
    this.#runtime = runtime
    this.#logs = logs
  }

  get partitionCount(): number {
    return this.#logs.partitionCount()
  }

  reign(partition: number): LogReign | null {
    const log = this.#logs.log(partition)
    if (log === null) return null
    let reign = this.#reigns.get(log)
    if (reign === undefined) this.#reigns.set(log, (reign = new LogReign(this.#runtime, log)))
    return reign
  }
}

/** Where the logs of `LocalOffsets` are. */
export interface LocalLogs {
  /** How many partitions the topic has, or is to have. */
  partitionCount(): number
  /** The log of a partition, or null while it does not exist. */
  log(partition: number): OffsetsLog | null
}
