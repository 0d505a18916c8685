import { EngineError } from '../model/errors.ts'
import { diskError } from '../runtime/node/systemErrors.ts'
import { loadAddon } from './addon.ts'
import { systemError } from './engineLink.ts'

/**
 * What a group of appends is followed by: `journal` one write to a zero-filled journal that is used again, and its
 * fdatasync; `eachFile` fdatasync of every file that was touched; `none` nothing.
 */
export type FloorMode = 'journal' | 'eachFile' | 'none'

/** What to measure. */
export interface FloorOptions {
  /** A directory of its own is made in it, and removed at the end. */
  readonly directory: string
  /** Files that appends go to, at random. */
  readonly partitions: number
  readonly appendsPerGroup: number
  /** Of one append. */
  readonly bytes: number
  readonly seconds: number
  /** Size of the journal; half of it is overwritten once what it covers has been synced. 256 by default. */
  readonly journalMib?: number
  readonly mode?: FloorMode
  /**
   * Begins so many groups a second, whose times count from when they were due: latency at a load. By default as many
   * as the disk takes.
   */
  readonly groupsPerSecond?: number
  /** Ends the measurement early, with what there is. */
  readonly signal?: AbortSignal
}

/** What was measured: the least that durable appends cost on this disk. */
export interface FloorResult {
  readonly groups: number
  readonly seconds: number
  readonly groupsPerSecond: number
  /** In millions of bytes, of appends alone. */
  readonly megabytesPerSecond: number
  /** How often the whole journal was used again. */
  readonly recycles: number
  /** Of one group, in microseconds. */
  readonly p50Us: number
  readonly p99Us: number
  readonly maxUs: number
}

/** Counts measurements, for names of directories. */
let count = 0

/**
 * Measures what durable appends cost with bare system calls, in a thread of its own: the floor that an engine can be
 * compared with. Rejects with `notFound` without the addon, otherwise as the disk does.
 */
export async function measureFloor(options: FloorOptions): Promise<FloorResult> {
  const { addon, why } = loadAddon()
  if (addon === null) throw new EngineError('notFound', `the floor is measured by the addon: ${why}`)
  const { directory, partitions, appendsPerGroup, bytes, seconds, signal } = options
  const own = `${directory}/.floor-${process.pid}-${++count}`
  const numbers = Float64Array.of(
    partitions,
    appendsPerGroup,
    bytes,
    seconds,
    (options.journalMib ?? 256) * 2 ** 20,
    options.groupsPerSecond ?? 0,
  )
  // The addon never keeps the process alive.
  const keepAlive = setInterval(() => {}, 2 ** 31 - 1)
  let cancel = (): void => {}
  try {
    const result = await new Promise<Float64Array>((resolve) => {
      const run = new addon.FloorRun(() => resolve(run.result()), own, options.mode ?? 'journal', numbers)
      cancel = () => run.cancel()
      if (signal?.aborted) cancel()
      signal?.addEventListener('abort', cancel)
    })
    const [errno = 0, groups = 0, elapsed = 0, recycles = 0, p50Us = 0, p99Us = 0, maxUs = 0] = result
    if (errno !== 0) throw diskError(systemError(errno), `cannot measure in ${directory}`)
    const groupsPerSecond = elapsed > 0 ? groups / elapsed : 0
    const megabytesPerSecond = (groupsPerSecond * appendsPerGroup * bytes) / 1e6
    return { groups, seconds: elapsed, groupsPerSecond, megabytesPerSecond, recycles, p50Us, p99Us, maxUs }
  } finally {
    signal?.removeEventListener('abort', cancel)
    clearInterval(keepAlive)
  }
}
