import { CorruptionError, EngineError, toEngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../log.ts'

/** Larger batches, decompressed, are kept as they are. */
const defaultMaxBodyBytes = 64 << 20

/** What a `LogCleaner` works with. */
export interface LogCleanerOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** The open logs by `topic-partition`, as they are now. */
  logs(): ReadonlyMap<string, Log>
  /** Exclusive end of what may be compacted of a log; all that is flushed by default. */
  endOf?(name: string, log: Log): number
  /** Makes what `Log.cleanedOffset` says durable. */
  storeCleanedOffsets(): Promise<void>
  /** Memory for the keys of the log that is compacted. */
  readonly maxMapBytes: number
  readonly maxBodyBytes?: number
}

/**
 * Compacts the logs of a data directory whose policy says so, the dirtiest first, one at a time. A log in which damage
 * is met is left alone until that is mended.
 */
export class LogCleaner {
  readonly #options: LogCleanerOptions
  /** Logs in which compaction has met what nobody else calls damaged. */
  readonly #damaged = new WeakSet<Log>()
  readonly #reported = new WeakSet<Log>()
  readonly #stop = new AbortController()
  #running: Promise<number> = Promise.resolve(0)

  constructor(options: LogCleanerOptions) {
    this.#options = options
  }

  /** Compacts every log that is due; resolves with their number. */
  run(): Promise<number> {
    const run = this.#running.then(() => this.#run())
    this.#running = run.catch(() => 0)
    return run
  }

  /** Gives up what is under way and resolves when it has ended. */
  async close(): Promise<void> {
    this.#stop.abort(new EngineError('closed', 'compaction was stopped'))
    await this.#running
  }

  async #run(): Promise<number> {
    let count = 0
    for (const { name, log } of await this.#due()) {
      if (this.#stop.signal.aborted) break
      if (await this.#compact(name, log)) count++
    }
    return count
  }

  async #due(): Promise<readonly { readonly name: string; readonly log: Log }[]> {
    const due: { readonly name: string; readonly log: Log; readonly ratio: number }[] = []
    for (const [name, log] of this.#options.logs()) {
      const { config } = log
      if (!config.cleanupPolicy.compact || log.offline !== null) continue
      if (this.#damaged.has(log) || log.damage.length > 0) continue
      try {
        const dirtiness = await log.dirtiness(this.#endOf(name, log))
        const { dirtyBytes, cleanBytes, dirtySinceMs } = dirtiness
        if (dirtyBytes === 0) continue
        const ratio = dirtyBytes / (dirtyBytes + cleanBytes)
        const sinceMs = dirtySinceMs ?? Number.POSITIVE_INFINITY
        const isOverdue = this.#options.clock.wallMs() - sinceMs > config.maxCompactionLagMs
        if (ratio > config.minCleanableDirtyRatio || isOverdue) due.push({ name, log, ratio })
      } catch (error) {
        await this.#report(name, log, error)
      }
    }
    return due.sort((left, right) => right.ratio - left.ratio)
  }

  async #compact(name: string, log: Log): Promise<boolean> {
    const { clock, logger, maxMapBytes, maxBodyBytes = defaultMaxBodyBytes } = this.#options
    const startedMs = clock.monotonicMs()
    try {
      const { signal } = this.#stop
      const done = await log.compact({ endOffset: this.#endOf(name, log), maxMapBytes, maxBodyBytes, signal })
      if (done === null) return false
      await this.#options.storeCleanedOffsets()
      const elapsedMs = Math.round(clock.monotonicMs() - startedMs)
      logger.info('compacted a log', { log: name, ...done, elapsedMs })
      if (done.unreadable > 0 && !this.#reported.has(log)) {
        this.#reported.add(log)
        const why =
          'batches could not be decompressed and were kept whole; their codec needs the native addon'
        logger.warn(why, { log: name, batches: done.unreadable })
      }
      return true
    } catch (error) {
      await this.#report(name, log, error)
      return false
    }
  }

  #endOf(name: string, log: Log): number {
    return this.#options.endOf?.(name, log) ?? log.flushedOffset
  }

  async #report(name: string, log: Log, cause: unknown): Promise<void> {
    if (this.#stop.signal.aborted) return
    const error = toEngineError(cause, 'diskFailed', 'compaction failed')
    if (error instanceof CorruptionError && !(await this.#isNoted(log, error))) this.#damaged.add(log)
    this.#options.logger.error('a log could not be compacted and stays as it is', {
      log: name,
      error: error.message,
    })
  }

  /** Whether the damage is known from now on, or was, to whoever reads and mends the log. */
  async #isNoted(log: Log, { corruption }: CorruptionError): Promise<boolean> {
    const segment = log.sealedSegments.find(({ file }) => file.path === corruption.file)
    if (segment === undefined) return false
    try {
      return await log.findDamage(segment.baseOffset)
    } catch {
      return false
    }
  }
}
