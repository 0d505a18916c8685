import { CorruptionError, EngineError, toEngineError } from '../model/errors.ts'
import { type ReadableGroup, readBytes } from '../replica/groupReader.ts'
import type { GroupListener } from '../replica/groupTypes.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Decompress } from '../segment/records.ts'
import { checkedHeader } from './checkedHeader.ts'
import type { BatchSource } from './iteration.ts'
import { LogBatch } from './logBatch.ts'
import { onAbort } from './onAbort.ts'
import { Turns } from './turns.ts'

/** What to read of a partition, and how. */
export interface NodeReadOptions {
  /** The first offset, or an end of what is committed. Default `'start'`. */
  readonly from?: number | 'start' | 'end' | undefined
  /** Waits for further records, instead of ending with the last one that was committed when the read began. */
  readonly follow?: boolean | undefined
  /**
   * Takes what this node knows to be committed for all there is. Without it the leader is asked first, so that everything that
   * was acknowledged anywhere before the read began is in it.
   */
  readonly stale?: boolean | undefined
  /** Bytes that one look at the disk may bring; a larger batch comes all the same. Default 1 MiB. */
  readonly maxBytes?: number | undefined
  /** Ends the read: it rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

/** What a reader needs of a group. */
export interface ReaderGroup extends ReadableGroup {
  readonly log: { readonly logStartOffset: number }
  watch(listener: GroupListener): () => void
}

/** What a reader needs beside the group. */
export interface NodeReadWorld {
  readonly name: string
  readonly clock: Clock
  readonly checksum: Checksum
  readonly decompress: Decompress
  /** Resolves with the group once it is open, and the end of what is committed now. */
  begin(stale: boolean, signal: AbortSignal | undefined): Promise<{ group: ReaderGroup; end: number }>
  /** Why there is nothing more; null while there may be. */
  ended(): EngineError | null
  /** Calls `wake` once the partition is closed. Gives what takes that back. */
  onEnd(wake: () => void): () => void
}

const defaultMaxBytes = 1 << 20

/** Reads the committed batches of a partition, checking each. */
export class NodeReader implements BatchSource {
  readonly #world: NodeReadWorld
  readonly #options: NodeReadOptions
  readonly #turns: Turns
  #group: ReaderGroup | null = null
  #next = 0
  /** Exclusive end of what was given. */
  #given = 0
  #end = 0
  #chunk: Uint8Array = new Uint8Array(0)
  #at = 0
  #isOver = false
  #wake: (() => void) | null = null

  /** Throws `invalidConfig`, and why the partition has ended. */
  constructor(options: NodeReadOptions, world: NodeReadWorld) {
    const { from = 'start', maxBytes = defaultMaxBytes } = options
    const isPlace = from === 'start' || from === 'end' || (Number.isSafeInteger(from) && from >= 0)
    if (!isPlace) {
      throw new EngineError(
        'invalidConfig',
        `from has to be an offset, 'start' or 'end', not ${String(from)}`,
      )
    }
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1 || maxBytes > 2 ** 30) {
      throw new EngineError('invalidConfig', `maxBytes has to be a whole number from 1 to ${2 ** 30}`)
    }
    const ended = world.ended()
    if (ended !== null) throw ended
    this.#options = options
    this.#world = world
    this.#turns = new Turns(world.clock, world.decompress)
  }

  /** The next batch; null at the end. Throws `offsetOutOfRange`, `corruptLog`, `leaderNotAvailable`, the signal's reason. */
  async next(): Promise<LogBatch | null> {
    try {
      return await this.#nextBatch()
    } catch (error) {
      this.stop()
      throw error
    }
  }

  /** What is committed is not cut. Throws the reason of the signal. */
  stands(): boolean {
    this.#options.signal?.throwIfAborted()
    return true
  }

  /** Gives no more. */
  stop(): void {
    this.#isOver = true
    this.#chunk = new Uint8Array(0)
    this.#at = 0
    this.#wake?.()
  }

  async #nextBatch(): Promise<LogBatch | null> {
    const { signal } = this.#options
    signal?.throwIfAborted()
    if (this.#group === null && !this.#isOver) await this.#begin()
    while (!this.#isOver) {
      const turn = this.#turns.due()
      if (turn !== null) {
        await turn
        continue
      }
      signal?.throwIfAborted()
      const batch = this.#fromChunk()
      if (batch !== null) return batch
      if (!(await this.#read())) return null
    }
    return null
  }

  async #begin(): Promise<void> {
    const { from = 'start', stale = false, signal } = this.#options
    const { group, end } = await this.#world.begin(stale, signal)
    this.#group = group
    this.#end = end
    this.#next = from === 'start' ? group.log.logStartOffset : from === 'end' ? end : from
    if (this.#next < group.log.logStartOffset || this.#next > end) this.#outOfRange()
  }

  /** Fills the chunk; false at the end. */
  async #read(): Promise<boolean> {
    const group = this.#group!
    const { follow = false, maxBytes = defaultMaxBytes } = this.#options
    while (!this.#isOver) {
      const ended = this.#world.ended()
      if (ended !== null) {
        if (follow) return false
        throw ended
      }
      this.#options.signal?.throwIfAborted()
      if (!follow && this.#next >= this.#end) return false
      if (this.#next < group.log.logStartOffset) this.#outOfRange()
      const { highWatermark } = group
      // What was given last is lost, and other records will have its place.
      if (highWatermark < this.#given) this.#outOfRange()
      if (this.#next < highWatermark) {
        const bytes = await this.#bytes(group, maxBytes)
        if (bytes !== null) {
          this.#chunk = bytes
          this.#at = 0
          return true
        }
        // Nothing, although it is committed: the log was being replaced, or is.
        if (group.highWatermark !== highWatermark || this.#next < group.log.logStartOffset) continue
      }
      await this.#change(group)
    }
    return false
  }

  async #bytes(group: ReaderGroup, maxBytes: number): Promise<Uint8Array | null> {
    try {
      return await readBytes(group, this.#next, maxBytes)
    } catch (error) {
      // A snapshot took its place meanwhile, or everything was closed.
      if (this.#world.ended() !== null) return null
      if (this.#next < group.log.logStartOffset) this.#outOfRange()
      throw toEngineError(error, 'diskFailed', `${this.#world.name} cannot be read`)
    }
  }

  /** Resolves when more may be readable, or there is a reason to look. */
  #change(group: ReaderGroup): Promise<void> {
    const { signal } = this.#options
    // It may have happened while the bytes were on their way.
    if (this.#isOver || this.#world.ended() !== null || signal?.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wake = null
        unwatch()
        offEnd()
        offAbort?.()
        resolve()
      }
      const unwatch = group.watch({ highWatermark: wake, snapshotInstalled: wake, failed: wake })
      const offEnd = this.#world.onEnd(wake)
      const offAbort = signal && onAbort(signal, wake)
      this.#wake = wake
    })
  }

  #fromChunk(): LogBatch | null {
    while (this.#at < this.#chunk.length) {
      const header = checkedHeader(this.#chunk, this.#at, this.#world.checksum, this.#damaged)
      const bytes = this.#chunk.subarray(this.#at, this.#at + header.sizeBytes)
      const from = this.#next
      if (header.baseOffset >= this.#end && !this.#options.follow) {
        this.#chunk = new Uint8Array(0)
        this.#next = this.#end
        return null
      }
      this.#at += header.sizeBytes
      this.#turns.count(header.sizeBytes)
      if (header.lastOffset < from) continue
      this.#next = header.lastOffset + 1
      this.#given = this.#next
      if (!header.isControl) return new LogBatch(header, bytes, from, this.#turns.decompress)
    }
    return null
  }

  readonly #damaged = (expected: string, found: string): never => {
    throw new CorruptionError({ file: this.#world.name, position: this.#next, expected, found })
  }

  #outOfRange(): never {
    const { logStartOffset } = this.#group!.log
    throw new EngineError(
      'offsetOutOfRange',
      `offset ${this.#next} of ${this.#world.name} is outside [${logStartOffset}, ${this.#end}]`,
    )
  }
}
