import { toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { LogCleaner } from '../segment/compaction/logCleaner.ts'
import type { LogConfig } from '../segment/logConfig.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import type { EngineChannels } from './events.ts'
import type { OpenLog } from './openLog.ts'

/** After an append, how long until recovery points are stored. Kafka's `log.flush.offset.checkpoint.interval.ms`. */
const checkpointMs = 60_000
/** How often logs with bounds are looked at. Kafka's `log.retention.check.interval.ms`. */
const retentionMs = 300_000
/** How long after such a log was opened the first look is: programs that run for minutes have retention, too. Kafka's `log.initial.task.delay.ms`. */
const firstRetentionMs = 30_000
/** How often compacted logs are looked at, from their appends on. */
const compactionMs = 15_000
/** Kafka's default of `max.compaction.lag.ms`. */
const unbounded = Number.MAX_SAFE_INTEGER
/** Memory for the keys of the log that is being compacted. */
const keyMapBytes = 64 << 20

/**
 * What has to be done now and then: storing recovery points after appends, removing what has expired, compacting. There is a timer
 * only while there may be something to do, and it does not keep the process alive.
 */
export class Background {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #channels: EngineChannels
  readonly #directory: LogDirectory
  readonly #targets: () => OpenLog[]
  readonly #checkpointed: () => void
  #checkpointTimer: Timer | null = null
  #retentionTimer: Timer | null = null
  #compactionTimer: Timer | null = null
  readonly #cleaner: LogCleaner
  #running: Promise<void> = Promise.resolve()
  /** Whether there are logs to compact. */
  #isCompacting = false
  #isClosed = false

  constructor(
    clock: Clock,
    logger: Logger,
    channels: EngineChannels,
    directory: LogDirectory,
    targets: () => OpenLog[],
    checkpointed: () => void,
  ) {
    this.#clock = clock
    this.#logger = logger
    this.#channels = channels
    this.#directory = directory
    this.#targets = targets
    this.#checkpointed = checkpointed
    this.#cleaner = new LogCleaner({
      clock,
      logger,
      logs: () => new Map(targets().map(({ name, log }) => [name, log])),
      storeCleanedOffsets: () => directory.storeCleanedOffsets(),
      maxMapBytes: keyMapBytes,
    })
  }

  /** Something was appended. */
  appended(): void {
    if (this.#compactionTimer === null && this.#isCompacting) this.#compactLater()
    if (this.#checkpointTimer !== null || this.#isClosed) return
    this.#checkpointTimer = this.#timer(checkpointMs, () => {
      this.#checkpointTimer = null
      this.#run('storing recovery points', async () => {
        await this.#directory.checkpoint()
        this.#checkpointed()
      })
    })
  }

  /** A log was opened, or its settings have changed, to these. */
  configured(config: LogConfig): void {
    if (config.cleanupPolicy.compact) {
      this.#isCompacting = true
      if (this.#compactionTimer === null) this.#compactLater()
    }
    if (isBounded(config)) this.#retainLater(firstRetentionMs)
  }

  /** No more timers; resolves once what runs has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#checkpointTimer?.cancel()
    this.#retentionTimer?.cancel()
    this.#compactionTimer?.cancel()
    await this.#cleaner.close()
    await this.#running
  }

  #retainLater(delayMs: number): void {
    if (this.#retentionTimer !== null || this.#isClosed) return
    this.#retentionTimer = this.#timer(delayMs, () => {
      this.#retentionTimer = null
      const bounded = this.#bounded()
      this.#run('retention', async () => {
        for (const target of bounded) await this.#retain(target)
      })
      if (bounded.length > 0) this.#retainLater(retentionMs)
    })
  }

  #compactLater(): void {
    if (this.#isClosed) return
    this.#compactionTimer = this.#timer(compactionMs, () => {
      this.#compactionTimer = null
      const compacted = this.#targets().filter(({ settings }) => settings.config.cleanupPolicy.compact)
      this.#isCompacting = compacted.length > 0
      this.#run('compaction', async () => {
        const count = await this.#cleaner.run()
        // What is too young now, or was not sealed yet, is due without a further append.
        const isPutOff = compacted.some(({ settings: { config } }) => config.minCompactionLagMs > 0)
        const hasLimit = compacted.some(({ settings: { config } }) => config.maxCompactionLagMs < unbounded)
        if ((count > 0 || isPutOff || hasLimit) && this.#compactionTimer === null) this.#compactLater()
      })
    })
  }

  /** Only logs that somebody has opened: of others nobody has said yet how long they keep their records. */
  #bounded(): OpenLog[] {
    return this.#targets().filter(({ settings: { config } }) => isBounded(config))
  }

  async #retain({ name, directory, log }: OpenLog): Promise<void> {
    const segments = await log.applyRetention()
    const { retention } = this.#channels
    if (segments === 0 || !retention.hasSubscribers) return
    retention.publish({ directory, log: name, segments, logStartOffset: log.logStartOffset })
  }

  /** One thing after the other; what fails is logged and tried again in time. */
  #run(what: string, work: () => Promise<void>): void {
    this.#running = this.#running.then(async () => {
      if (this.#isClosed) return
      try {
        await work()
      } catch (cause) {
        this.#logger.error(`${what} failed`, { error: toEngineError(cause, 'diskFailed', what).message })
      }
    })
  }

  #timer(delayMs: number, fire: () => void): Timer {
    const timer = this.#clock.setTimer(delayMs, fire)
    timer.detach?.()
    return timer
  }
}

function isBounded({ retentionMs, retentionBytes }: LogConfig): boolean {
  return retentionMs >= 0 || retentionBytes >= 0
}
