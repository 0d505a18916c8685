import { toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Timer } from '../runtime/clock.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import { Scrubber } from '../segment/scrubber.ts'
import type { OpenPartition } from './nodePartition.ts'

/** How often partitions with bounds are looked at. Kafka's `log.retention.check.interval.ms`. */
const retentionMs = 300_000

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

/** What a node does now and then: it removes what has expired, and checks what is stored. Its timer does not keep the process alive. */
export class NodeUpkeep {
  readonly #options: UpkeepOptions
  readonly #scrubber: Scrubber
  #timer: Timer | null = null
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
  }

  /** Begins. */
  start(): void {
    this.#scrubber.start()
    this.#lookLater()
  }

  /** Does no more; resolves once what runs has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await Promise.all([this.#running, this.#scrubber.close()])
  }

  #lookLater(): void {
    this.#timer = this.#options.runtime.clock.setTimer(retentionMs, () => {
      this.#running = this.#look().then(() => {
        if (!this.#isClosed) this.#lookLater()
      })
    })
    this.#timer.detach?.()
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
