import type { FlushPolicy } from '../../model/flushPolicy.ts'
import { type Logger, silentLogger } from '../../model/logger.ts'
import type { LogConfig } from '../../segment/log.ts'
import { defaultLogConfig } from '../../segment/logConfig.ts'
import { LogDirectory } from '../../segment/logDirectory.ts'
import { instantPace, turnPace } from '../diskPace.ts'
import type { SimClock } from '../simClock.ts'
import type { SimFileSystem } from '../simFileSystem.ts'
import { SimRandom } from '../simRandom.ts'
import { createSimRuntime, type SimRuntime } from '../simRuntime.ts'
import type { DiskFaults } from '../systemCalls.ts'

/** The data directory of every world. */
export const dataDirectory = '/data'

/** How an engine is opened over a file system. */
export interface ProcessOptions {
  readonly fs: SimFileSystem
  readonly clock: SimClock
  readonly seed: number
  readonly segmentBytes: number
  /** The policy of a topic that is found; `batch` by default. */
  readonly policyOf?: (topic: string) => FlushPolicy
  /** Calls take turns of their own: what is asked for later may happen earlier. Otherwise they take none. */
  readonly interleave?: boolean
  readonly faults?: DiskFaults
  readonly logger?: Logger
}

/** One process that has the engine open; another one may follow it over the same file system. */
export class SimProcess {
  readonly runtime: SimRuntime
  readonly options: ProcessOptions
  #directory: LogDirectory | null = null

  constructor(options: ProcessOptions) {
    this.options = options
    const random = new SimRandom(options.seed)
    this.runtime = createSimRuntime(options.fs, {
      seed: random.next(),
      clock: options.clock,
      pace: options.interleave === true ? turnPace(random) : instantPace,
      ...(options.faults === undefined ? {} : { faults: options.faults }),
    })
  }

  /** The open engine. */
  get directory(): LogDirectory {
    return this.#directory!
  }

  get isOpen(): boolean {
    return this.#directory !== null
  }

  async open(): Promise<LogDirectory> {
    const { logger, policyOf } = this.options
    this.#directory = await LogDirectory.open(this.runtime, {
      directory: dataDirectory,
      logger: logger ?? silentLogger,
      nodeId: 1,
      clusterId: 'crash-explorer-clust',
      // Small enough for files to be used again after a few appends.
      journalBytes: 4 * journalFileBytes,
      journalFileBytes,
      configFor: (topic) => this.config(policyOf?.(topic) ?? 'batch'),
    })
    return this.#directory
  }

  config(flush: FlushPolicy): LogConfig {
    return { ...smallLogs, segmentBytes: this.options.segmentBytes, flush }
  }

  async close(): Promise<void> {
    await this.directory.close()
    await this.runtime.disk.close()
    this.runtime.clock.forgetTimers()
  }

  /** Dies: what it has not handed to the system is gone, its locks are free, its timers never fire. */
  kill(): void {
    this.runtime.disk.kill()
    this.runtime.clock.forgetTimers()
  }

  /** Lets everything happen until `work` has ended. */
  settle<T>(work: Promise<T>): Promise<T> {
    return settle(this.runtime, work)
  }
}

/**
 * Lets everything happen until `work` has ended: when nothing moves any more, time goes on to the next timer.
 * Throws when it never ends.
 */
export async function settle<T>({ disk, clock }: SimRuntime, work: Promise<T>): Promise<T> {
  let isSettled = false
  const settled = (): void => {
    isSettled = true
  }
  work.then(settled, settled)
  for (let quiet = 0, jumps = 0, calls = -1; !isSettled; quiet++) {
    await null
    if (disk.isBusy || disk.callCount !== calls) quiet = 0
    calls = disk.callCount
    if (quiet < quietTurns) continue
    quiet = 0
    if (++jumps > mostJumps || !clock.advanceToNext()) {
      throw new Error('nothing moves any more, and what is waited for has not happened')
    }
  }
  return work
}

/** After so many turns without a call of the system nothing will happen by itself. */
const quietTurns = 1500
/** Timers that set themselves again would otherwise keep a run going for ever. */
const mostJumps = 1000

const journalFileBytes = 32 << 10

const smallLogs: LogConfig = {
  ...defaultLogConfig,
  segmentMs: 3_600_000,
  retentionMs: 7_200_000,
  indexIntervalBytes: 200,
  timestampAfterMaxMs: Number.MAX_SAFE_INTEGER,
  fileDeleteDelayMs: 10,
}
