import { EngineError, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Timer } from '../runtime/clock.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { BadRange, BadRanges } from './badRanges.ts'
import { readTextIfThere } from './checkpointFile.ts'
import type { Log } from './log.ts'
import type { SealedSegment } from './logTypes.ts'
import { holeBehind, mayHaveGaps } from './mendChecks.ts'
import { asDamaged } from './readingAround.ts'
import { decodeScrubState, encodeScrubState, scrubStateFile } from './scrubState.ts'
import { auditBatches } from './verifyBatches.ts'

/** A week: every stored byte is read this often, if the rate allows. */
const defaultPeriodMs = 7 * 86_400_000
/** It looks again no sooner than this when everything was verified recently. */
const idleMs = 300_000
/** What could not be read is tried again after an hour. */
const retryMs = 3_600_000
/** A start has other things to do first. */
const delayMs = 10_000
/** At most how often progress is stored. */
const storeMs = 60_000
/** Checked without a pause: a fraction of a millisecond of the event loop. */
const stepBytes = 256 << 10
/** What a file takes at least, however small: opening it costs, and ten thousand small logs would be walked as fast as the processor can. */
const fileMs = 25

/** What a scrubber works on. */
export interface ScrubberOptions {
  /** The data directory. */
  readonly directory: string
  /** Its logs, by name, as they are now. */
  logs(): ReadonlyMap<string, Log>
  readonly badRanges: BadRanges
  readonly logger: Logger
  /** The most it reads; 0: nothing at all. */
  readonly bytesPerSecond: number
  /** What was verified within this time is left out; a week by default. */
  readonly periodMs?: number
}

/**
 * Walks over the sealed segments of all logs, and what the active ones had when they were opened, at a bounded rate, over and over, and checks every batch. What fails is
 * noted in `badRanges`, so that no read gets it any more, and reported once, to the logger and to `badRanges.onFound`; everything else goes on being served.
 * After a restart it goes on where it was. With nothing sealed it has no timer. Safe beside appends, retention and
 * compaction.
 */
export class Scrubber {
  readonly #runtime: Runtime
  readonly #options: ScrubberOptions
  readonly #verified = new Map<string, Map<number, readonly [number, number]>>()
  #running: Promise<void> | null = null
  #isClosing = false
  /** Everything was verified recently, or nothing is sealed. */
  #isParked = false
  #wake: (() => void) | null = null
  /** When the next bytes may be read, by the monotonic clock. */
  #dueMs = 0
  #storedMs = 0
  #isChanged = false
  #bytes = 0

  constructor(runtime: Runtime, options: ScrubberOptions) {
    this.#runtime = runtime
    this.#options = options
  }

  /** Bytes that it has read since it was made. */
  get bytesRead(): number {
    return this.#bytes
  }

  /** Segments may have been sealed: looks whether there is something to check. */
  look(): void {
    if (this.#isParked) this.#wake?.()
  }

  /** Begins to walk, unless the rate is 0. */
  start(): void {
    if (this.#running !== null || this.#options.bytesPerSecond <= 0) return
    this.#running = this.#run().catch((cause) => {
      const { message } = toEngineError(cause, 'diskFailed', 'scrubbing')
      this.#options.logger.error('stored records are not being checked any more', { error: message })
    })
  }

  /** Ends the walk, and stores how far it is. Resolves when no more is read. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#wake?.()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock } = this.#runtime
    await this.#load()
    this.#storedMs = this.#dueMs = clock.monotonicMs()
    let isFirst = true
    while (!this.#isClosing) {
      const waitMs = this.#msUntilDue()
      if (waitMs === 0) {
        if (isFirst) await this.#sleep(delayMs)
        isFirst = false
        await this.#walk()
      } else {
        await this.#storeIfDue(true)
        this.#isParked = true
        await this.#sleep(waitMs)
        this.#isParked = false
      }
    }
    await this.#storeIfDue(true)
  }

  /** How long until a segment has to be checked: 0 when one has to now, null when there is none at all. */
  #msUntilDue(): number | null {
    const wallMs = this.#runtime.clock.wallMs()
    let soonestMs: number | null = null
    for (const [name, log] of this.#options.logs()) {
      if (log.offline !== null) continue
      for (const segment of this.#partsOf(name, log)) {
        if (!this.#isRecent(name, segment)) return 0
        const inMs = this.#verified.get(name)!.get(segment.baseOffset)![1] + this.#periodMs - wallMs
        soonestMs = Math.min(soonestMs ?? inMs, inMs)
      }
    }
    // Timers have a bound, which is beyond what anybody waits for.
    return soonestMs === null ? null : Math.min(Math.max(soonestMs, idleMs), 2 ** 31 - 1)
  }

  /** Checks every sealed segment that has not been verified recently. */
  async #walk(): Promise<void> {
    const names = [...this.#options.logs().keys()].sort()
    for (const name of this.#verified.keys()) if (!this.#options.logs().has(name)) this.#verified.delete(name)
    for (const name of names) {
      const log = this.#options.logs().get(name)
      if (log === undefined || log.offline !== null) continue
      this.#forgetRemoved(name, log)
      for (const segment of this.#partsOf(name, log)) {
        if (this.#isClosing) return
        if (this.#isRecent(name, segment)) continue
        await this.#check(name, log, segment)
        await this.#storeIfDue(false)
      }
    }
  }

  /**
   * What is to be checked of a log: its sealed segments, and of the active one what was there at the start, once in a period: as it was
   * then, for what it has got since is checked when it is sealed.
   */
  #partsOf(name: string, log: Log): readonly SealedSegment[] {
    const active = log.isResumed ? log.flushedPart : null
    if (active === null) return log.sealedSegments
    const known = this.#verified.get(name)?.get(active.baseOffset)
    if (known !== undefined && this.#isRecent(name, { ...active, sizeBytes: known[0] }))
      return log.sealedSegments
    return [...log.sealedSegments, active]
  }

  #isRecent(name: string, { baseOffset, sizeBytes }: SealedSegment): boolean {
    const known = this.#verified.get(name)?.get(baseOffset)
    if (known === undefined || known[0] !== sizeBytes) return false
    const ageMs = this.#runtime.clock.wallMs() - known[1]
    // A clock that went back makes it look again.
    return ageMs >= 0 && ageMs < this.#periodMs
  }

  get #periodMs(): number {
    return this.#options.periodMs ?? defaultPeriodMs
  }

  async #check(name: string, log: Log, segment: SealedSegment): Promise<void> {
    const { file, baseOffset, sizeBytes, endOffset, digest } = segment
    const found: BadRange[] = []
    // Retention, compaction or a deletion may be faster.
    const { cuts } = log
    const isCurrent = (): boolean =>
      this.#options.logs().get(name) === log &&
      log.cuts === cuts &&
      [...log.sealedSegments, log.flushedPart].some((now) => now?.file === file && now.sizeBytes >= sizeBytes)
    try {
      const range = {
        file: asDamaged(file, this.#options.badRanges),
        baseOffset,
        sizeBytes,
        endOffset,
        mayHaveGaps: mayHaveGaps(log, baseOffset),
        epochs: log.leaderEpochs.entries,
        epochsEnd: Number.MAX_SAFE_INTEGER,
        stepBytes,
        stored: { sizeBytes, digest },
      }
      await this.#pace(fileMs)
      const end = await auditBatches(range, this.#runtime.checksum, {
        bad: (range) => found.push(range),
        read: (bytes) => {
          this.#bytes += bytes
          return this.#pace((bytes / this.#options.bytesPerSecond) * 1000)
        },
      })
      const hole = range.mayHaveGaps ? null : holeBehind(range, end, found)
      if (hole !== null) found.push(hole)
      if (!isCurrent()) return
      if (found.length === 0 && digest < 0) log.adopt(segment, end.digest, end.firstDigest)
      this.#settle(name, log, segment, found)
    } catch (error) {
      if (error instanceof Closing || !isCurrent()) return
      const { message } = toEngineError(error, 'diskFailed', 'reading a segment')
      this.#options.logger.error('a segment cannot be read', { file: file.path, error: message })
      this.#note(name, segment, retryMs - this.#periodMs)
      log.noteUnreadable(error, file.path)
    }
  }

  #settle(name: string, log: Log, segment: SealedSegment, found: readonly BadRange[]): void {
    const { badRanges, logger } = this.#options
    const { file } = segment
    // A file that was repaired is served again.
    if (found.length === 0) badRanges.forget(file.path)
    for (const range of found) {
      // Records below the start were deleted: nobody reads them.
      if (range.nextOffset <= log.logStartOffset && range.nextOffset > range.baseOffset) continue
      if (!badRanges.add(range)) continue
      const { position, end, expected, found: instead } = range
      logger.error('stored records are damaged; they are not served any more, everything else is', {
        file: file.path,
        position,
        end,
        baseOffset: range.baseOffset,
        lastOffset: Math.max(range.nextOffset - 1, range.baseOffset),
        expected,
        found: instead,
      })
    }
    this.#note(name, segment, 0)
  }

  /** The segment need not be looked at for a while: `afterMs` more or less than usual. */
  #note(name: string, { baseOffset, sizeBytes }: SealedSegment, afterMs: number): void {
    let segments = this.#verified.get(name)
    if (segments === undefined) {
      segments = new Map()
      this.#verified.set(name, segments)
    }
    segments.set(baseOffset, [sizeBytes, this.#runtime.clock.wallMs() + afterMs])
    this.#isChanged = true
  }

  #forgetRemoved(name: string, log: Log): void {
    const segments = this.#verified.get(name)
    if (segments === undefined) return
    const present = new Set(log.sealedSegments.map(({ baseOffset }) => baseOffset))
    const active = log.flushedPart
    if (active !== null) present.add(active.baseOffset)
    for (const baseOffset of segments.keys()) if (!present.has(baseOffset)) segments.delete(baseOffset)
  }

  /** Waits until it may go on after what has to take `ms`. Time that was not used is not saved up. */
  async #pace(ms: number): Promise<void> {
    if (this.#isClosing) throw new Closing()
    const nowMs = this.#runtime.clock.monotonicMs()
    this.#dueMs = Math.max(this.#dueMs, nowMs) + ms
    if (this.#dueMs > nowMs) await this.#sleep(this.#dueMs - nowMs)
    if (this.#isClosing) throw new Closing()
  }

  /** Resolves after `delayMs` (null: never), or when it is woken. */
  #sleep(delayMs: number | null): Promise<void> {
    if (this.#isClosing) return Promise.resolve()
    return new Promise((resolve) => {
      const timer: Timer | null = delayMs === null ? null : this.#runtime.clock.setTimer(delayMs, resolve)
      timer?.detach?.()
      this.#wake = () => {
        timer?.cancel()
        resolve()
      }
    })
  }

  async #load(): Promise<void> {
    const path = `${this.#options.directory}/${scrubStateFile}`
    // One that cannot be read is as good as none.
    const text = await readTextIfThere(this.#runtime.disk, path).catch(() => null)
    const state = decodeScrubState(text)
    for (const [name, segments] of state.verified) this.#verified.set(name, new Map(segments))
    // Damage that was known before the restart is not served until somebody has looked again.
    for (const [name, log] of this.#options.logs()) {
      for (const { file, baseOffset, sizeBytes } of log.sealedSegments) {
        const bad = state.bad.filter((range) => range.file === file.path && range.end <= sizeBytes)
        if (bad.length === 0) continue
        for (const range of bad) {
          const { position, end } = range
          this.#options.logger.warn('stored records are still damaged', { file: file.path, position, end })
          this.#options.badRanges.add(range)
        }
        this.#verified.get(name)?.delete(baseOffset)
      }
    }
  }

  async #storeIfDue(now: boolean): Promise<void> {
    const nowMs = this.#runtime.clock.monotonicMs()
    if (!this.#isChanged || (!now && nowMs - this.#storedMs < storeMs)) return
    this.#isChanged = false
    this.#storedMs = nowMs
    const state = { verified: this.#verified, bad: this.#options.badRanges.all() }
    const path = `${this.#options.directory}/${scrubStateFile}`
    try {
      await this.#runtime.disk.replaceFile(path, Buffer.from(encodeScrubState(state)))
    } catch (error) {
      // Without it a restart looks at more than it has to.
      const { message } = toEngineError(error, 'diskFailed', 'storing how far the check is')
      this.#options.logger.warn('how far stored records were checked is not kept', { error: message })
    }
  }
}

/** The walk ends because the scrubber is closed. */
class Closing extends EngineError {
  constructor() {
    super('closed', 'the scrubber has been closed')
  }
}
