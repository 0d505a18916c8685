import { assert } from '../model/assert.ts'
import { CorruptionError, EngineError, toEngineError } from '../model/errors.ts'
import type { FileRange } from '../model/fileRange.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Decompress } from '../segment/records.ts'
import { checkedHeader } from './checkedHeader.ts'
import { type CutWatch, watchOf } from './cutWatch.ts'
import type { BatchSource } from './iteration.ts'
import { LogBatch } from './logBatch.ts'
import { onAbort } from './onAbort.ts'
import type { OpenLog } from './openLog.ts'
import { Turns } from './turns.ts'

/** What to read, and how. */
export interface ReadOptions {
  /** The first offset, or an end of the log. Default `'start'`. May be the offset after the last, not beyond. */
  readonly from?: number | 'start' | 'end' | undefined
  /** Instead of `from`: the first record whose time is this or later, in milliseconds since 1970. */
  readonly fromTimestamp?: number | undefined
  /** Waits for further records, instead of ending with the last one that was there when the read began. Default false. */
  readonly follow?: boolean | undefined
  /** Bytes that one look at the disk may bring; a larger batch comes all the same. Default 1 MiB. */
  readonly maxBytes?: number | undefined
  /** Ends the read: it rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

/** What a reader needs beside the log. */
export interface ReadWorld {
  readonly runtime: Runtime
  readonly decompress: Decompress
}

const optionNames: readonly string[] = [
  'from',
  'fromTimestamp',
  'follow',
  'maxBytes',
  'signal',
] satisfies (keyof ReadOptions)[]
const defaultMaxBytes = 1 << 20
const mostMisses = 5

/** Reads a log batch by batch, checking each; gives nothing that is not flushed, and nothing that was cut. */
export class BatchReader implements BatchSource {
  readonly #target: OpenLog
  readonly #world: ReadWorld
  readonly #maxBytes: number
  readonly #follow: boolean
  readonly #signal: AbortSignal | null
  readonly #options: ReadOptions
  readonly #watch: CutWatch
  readonly #turns: Turns
  /** How often the log had been cut when what is at hand was read. */
  #cuts: number
  /** The next offset to give; -1 before the first read. */
  #next = -1
  /** What `#next` was when the last batch was asked for: everything below has reached whoever reads. */
  #given = -1
  /** Where a read ends that does not follow, exclusive. */
  #end = Number.MAX_SAFE_INTEGER
  #chunk: Uint8Array = new Uint8Array(0)
  #at = 0
  /** Where the chunk comes from. */
  #range: FileRange | null = null
  #chunkOffset = 0
  /** The file had less than it was to have. */
  #isCut = false
  /** How often in a row a file was gone, or not what it was to be. */
  #misses = 0
  #isOver = false
  #wake: (() => void) | null = null

  /** Throws `invalidConfig` for options that contradict each other, `closed`. */
  constructor(target: OpenLog, options: ReadOptions, world: ReadWorld) {
    const { from, fromTimestamp, maxBytes = defaultMaxBytes, follow = false, signal } = options
    for (const name of Object.keys(options)) {
      if (optionNames.includes(name)) continue
      throw new EngineError(
        'invalidConfig',
        `a read has no option "${name}"; there are ${optionNames.join(', ')}`,
      )
    }
    if (from !== undefined && fromTimestamp !== undefined) {
      throw new EngineError('invalidConfig', 'a read begins at an offset or at a time, not at both')
    }
    if (typeof from === 'number' ? !Number.isSafeInteger(from) : !isPlace(from)) {
      throw new EngineError(
        'invalidConfig',
        `from has to be an offset, 'start' or 'end', not ${String(from)}`,
      )
    }
    if (fromTimestamp !== undefined && !Number.isSafeInteger(fromTimestamp)) {
      throw new EngineError('invalidConfig', 'fromTimestamp has to be whole milliseconds since 1970')
    }
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1 || maxBytes > 2 ** 30) {
      throw new EngineError('invalidConfig', `maxBytes has to be a whole number from 1 to ${2 ** 30}`)
    }
    if (target.ended !== null) throw target.ended
    this.#target = target
    this.#world = world
    this.#turns = new Turns(world.runtime.clock, world.decompress)
    this.#options = options
    this.#maxBytes = maxBytes
    this.#follow = follow
    this.#signal = signal ?? null
    const { cuts, flushedOffset } = target.log
    this.#cuts = cuts
    if (!follow) this.#end = flushedOffset
    // Not when it is first looked at: what is appended in between comes after that end.
    if (from === 'end') this.#next = flushedOffset
    this.#watch = watchOf(target)
    this.#watch.join()
  }

  /**
   * The next batch; null at the end, for a reader that follows when the log is closed. Throws `offsetOutOfRange`,
   * `closed` when there is more that cannot be read any more, `CorruptionError`, and the reason of the signal.
   */
  async next(): Promise<LogBatch | null> {
    this.#given = this.#next
    try {
      while (!this.#isOver) {
        const turn = this.#turns.due()
        if (turn !== null) {
          await turn
          continue
        }
        this.#signal?.throwIfAborted()
        this.#heedCuts()
        const batch = (await this.#checkedNext()) ?? (await this.#fromLog())
        if (batch !== null && !this.#isOver) return batch
      }
      return null
    } catch (error) {
      this.stop()
      throw error
    }
  }

  /**
   * Whether the record at `offset` of the last batch may be given; if not, `next` goes on with what has its place. `isBegun`:
   * another of the batch was given. Throws `offsetOutOfRange`, and the reason of the signal.
   */
  stands(offset: number, isBegun: boolean): boolean {
    this.#signal?.throwIfAborted()
    const { log } = this.#target
    if (log.cuts === this.#cuts) return true
    const endOffset = this.#watch.lowestSince(this.#cuts)
    // Cuts are made between batches.
    if (offset >= endOffset) {
      if (isBegun) this.#wasCut(offset, endOffset)
      this.#heedCuts()
      return false
    }
    this.#forgetFrom(endOffset)
    return true
  }

  /** Gives no more. */
  stop(): void {
    if (!this.#isOver) this.#watch.leave()
    this.#isOver = true
    this.#chunk = new Uint8Array(0)
    this.#at = 0
    this.#wake?.()
  }

  /** What was read before the log was cut is read again. Throws `offsetOutOfRange` when some of it was given. */
  #heedCuts(): void {
    if (this.#target.log.cuts === this.#cuts) return
    const endOffset = this.#watch.lowestSince(this.#cuts)
    // Whoever has everything is not concerned by what became of it.
    if (this.#given > endOffset && this.#given < this.#end) this.#wasCut(this.#given, endOffset)
    this.#next = this.#given
    this.#forgetFrom(endOffset)
  }

  #forgetFrom(endOffset: number): void {
    this.#cuts = this.#target.log.cuts
    this.#chunk = new Uint8Array(0)
    this.#at = 0
    // What comes in the place of records was not there when the read began.
    if (!this.#follow) this.#end = Math.min(this.#end, endOffset)
  }

  #wasCut(offset: number, endOffset: number): never {
    const { name } = this.#target
    throw new EngineError(
      'offsetOutOfRange',
      `offset ${offset} of ${name} is beyond ${endOffset}, where it was cut`,
    )
  }

  /** Resolves when more is readable, the log or the reader has ended, or the signal says so. */
  #change(): Promise<void> {
    const target = this.#target
    const signal = this.#signal
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wake = null
        target.unfollow(wake)
        offAbort?.()
        resolve()
      }
      this.#wake = wake
      const offAbort = signal === null ? null : onAbort(signal, wake)
      target.follow(wake)
    })
  }

  async #fromLog(): Promise<LogBatch | null> {
    const { log } = this.#target
    try {
      if (this.#next < 0) {
        this.#next = await this.#firstOffset()
        this.#given = this.#next
      }
      if (this.#target.ended !== null) throw this.#target.ended
      const found =
        this.#next < this.#end ? await log.read(this.#next, this.#maxBytes, this.#end, true) : null
      const range = found?.ranges[0]
      // It may have been told to end meanwhile, when there was nothing yet to wake.
      if (this.#isOver) return null
      if (range === undefined) {
        if (!this.#follow) this.stop()
        else if (log.flushedOffset <= this.#next && !this.#signal?.aborted) await this.#change()
        return null
      }
      const chunk = Buffer.allocUnsafeSlow(range.lengthBytes)
      // The file itself and not what has its name now: compaction may have put another in its place.
      const count = await (range.file as DiskFile).read(chunk, range.position)
      if (this.#isOver) return null
      this.#misses = 0
      this.#chunk = chunk.subarray(0, count)
      this.#at = 0
      this.#range = range
      this.#chunkOffset = found!.firstOffset
      this.#isCut = count < range.lengthBytes
      return null
    } catch (cause) {
      return this.#failed(cause)
    }
  }

  async #firstOffset(): Promise<number> {
    const { log } = this.#target
    const { from = 'start', fromTimestamp } = this.#options
    if (this.#target.ended !== null) throw this.#target.ended
    if (fromTimestamp !== undefined) {
      const found = await log.offsetForTimestamp(fromTimestamp)
      return found?.offset ?? log.flushedOffset
    }
    if (from === 'start') return log.logStartOffset
    assert(from !== 'end', 'an end is taken when the reader is made')
    // An offset that is there but not yet flushed is waited for, not refused.
    if (from < log.logStartOffset || from > log.logEndOffset) {
      const range = `[${log.logStartOffset}, ${log.logEndOffset}]`
      throw new EngineError('offsetOutOfRange', `offset ${from} of ${this.#target.name} is outside ${range}`)
    }
    return from
  }

  /** The log is gone, retention or compaction was faster, or the disk failed. */
  #failed(cause: unknown): null {
    const { ended, log, name } = this.#target
    const isGone = cause instanceof EngineError && cause.code === 'notFound'
    // What was to be read was compacted meanwhile and stands elsewhere.
    if (isGone && ended === null && this.#next >= log.logStartOffset && this.#misses++ < mostMisses)
      return null
    this.stop()
    if (ended !== null) {
      if (this.#follow) return null
      throw ended
    }
    if (this.#next >= 0 && this.#next < log.logStartOffset) {
      throw new EngineError('offsetOutOfRange', `offset ${this.#next} of ${name} has been removed`, { cause })
    }
    throw toEngineError(cause, 'diskFailed', `${name} cannot be read`)
  }

  async #checkedNext(): Promise<LogBatch | null> {
    if (this.#at === this.#chunk.length) return null
    try {
      return this.#fromChunk()
    } catch (error) {
      this.#chunk = new Uint8Array(0)
      this.#at = 0
      const found = await this.#target.log.noteDamage(this.#range!, this.#chunkOffset).catch(() => error)
      // No damage can be found: the log was cut meanwhile, and what is there now is looked at anew.
      if (found === null && this.#misses++ < mostMisses) return null
      this.stop()
      throw error
    }
  }

  /** The next batch of what was read already. */
  #fromChunk(): LogBatch | null {
    while (this.#at < this.#chunk.length) {
      const header = checkedHeader(this.#chunk, this.#at, this.#world.runtime.checksum, this.#damaged)
      const bytes = this.#chunk.subarray(this.#at, this.#at + header.sizeBytes)
      this.#at += header.sizeBytes
      this.#turns.count(header.sizeBytes)
      const from = this.#next
      // A batch of markers has no records for anybody; compaction leaves some that end below the offset asked for.
      if (header.lastOffset < from) continue
      this.#next = header.lastOffset + 1
      this.#misses = 0
      if (!header.isControl) return new LogBatch(header, bytes, from, this.#turns.decompress)
    }
    if (this.#isCut) {
      this.#isCut = false
      this.#damaged(`${this.#range!.lengthBytes} bytes`, `${this.#chunk.length} bytes`)
    }
    return null
  }

  readonly #damaged = (expected: string, found: string): never => {
    const { file, position } = this.#range!
    throw new CorruptionError({ file: file.path, position: position + this.#at, expected, found })
  }
}

function isPlace(from: unknown): boolean {
  return from === undefined || from === 'start' || from === 'end'
}
