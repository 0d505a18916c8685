import { toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Timer } from '../runtime/clock.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { LogCleaner } from '../segment/compaction/logCleaner.ts'
import type { Log } from '../segment/log.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import { Scrubber } from '../segment/scrubber.ts'
import type { OpenPartition } from './nodePartition.ts'

/** How often partitions with bounds are looked at. Kafka's `log.retention.check.interval.ms`. */
const retentionMs = 300_000
/** How often compacted partitions are looked at. Kafka's `log.cleaner.backoff.ms`. */
const compactionMs = 15_000
/** Memory for the keys of the log that is being compacted. */
const keyMapBytes = 64 << 20

/** What upkeep needs of a node. */
export interface UpkeepOptions {
  readonly runtime: Runtime
  readonly logs: LogDirectory
  readonly logger: Logger
  /** 0: stored records are not checked in the background. */
  readonly scrubBytesPerSecond: number
  /** The partitions that are open. */
  partitions(): readonly OpenPartition[]
}

/**
 * What a node does now and then: it removes what has expired, compacts, and checks what is stored. Its timers do not keep the
 * process alive.
 */
export class NodeUpkeep {
  readonly #options: UpkeepOptions
  readonly #scrubber: Scrubber
  readonly #cleaner: LogCleaner
  #timer: Timer | null = null
  #compactionTimer: Timer | null = null
  #running: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: UpkeepOptions) {
    this.#options = options
    const { runtime, logs, logger, scrubBytesPerSecond } = options
    this.#scrubber = new Scrubber(runtime, {
      directory: logs.directory,
      logs: () => logs.logs,
      badRanges: logs.badRanges,
      logger,
      bytesPerSecond: scrubBytesPerSecond,
    })
    this.#cleaner = new LogCleaner({
      clock: runtime.clock,
      logger,
      logs: () => this.#compacted(),
      // What is not committed may yet be cut.
      endOf: (_, log) => Math.min(this.#committedEnd(log), log.flushedOffset),
      storeCleanedOffsets: () => logs.storeCleanedOffsets(),
      maxMapBytes: keyMapBytes,
    })
  }

  /** Begins. */
  start(): void {
    this.#scrubber.start()
    this.#lookLater()
  }

  /** A partition has been opened. */
  opened({ settings }: OpenPartition): void {
    if (settings.config.cleanupPolicy.compact && this.#compactionTimer === null) this.#compactLater()
  }

  /** Does no more; resolves once what runs has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#compactionTimer?.cancel()
    await Promise.all([this.#running, this.#scrubber.close(), this.#cleaner.close()])
  }

  #lookLater(): void {
    this.#timer = this.#options.runtime.clock.setTimer(retentionMs, () => {
      this.#running = this.#look().then(() => {
        if (!this.#isClosed) this.#lookLater()
      })
    })
    this.#timer.detach?.()
  }

  #compactLater(): void {
    if (this.#isClosed) return
    this.#compactionTimer = this.#options.runtime.clock.setTimer(compactionMs, () => {
      void this.#cleaner.run().finally(() => {
        this.#compactionTimer = null
        if (this.#compacted().size > 0) this.#compactLater()
      })
    })
    this.#compactionTimer.detach?.()
  }

  #compacted(): ReadonlyMap<string, Log> {
    const found = new Map<string, Log>()
    for (const { group, settings } of this.#options.partitions()) {
      if (!settings.config.cleanupPolicy.compact || group.failure !== null) continue
      found.set(`${group.ref.topic}-${group.ref.partition}`, group.log)
    }
    return found
  }

  #committedEnd(log: Log): number {
    const open = this.#options.partitions().find(({ group }) => group.log === log)
    return open === undefined || open.group.failure !== null ? 0 : open.group.highWatermark
  }

  async #look(): Promise<void> {
    this.#scrubber.look()
    for (const { group, settings } of this.#options.partitions()) {
      const isBounded = settings.config.retentionMs >= 0 || settings.config.retentionBytes >= 0
      if (!isBounded || this.#isClosed || group.failure !== null) continue
      try {
        await group.applyRetention()
      } catch (cause) {
        const { topic, partition } = group.ref
        const { message } = toEngineError(cause, 'diskFailed', 'retention')
        this.#options.logger.error('retention failed', { topic, partition, error: message })
      }
    }
  }
}
