import type { EngineError } from '../../model/errors.ts'
import type { Disk } from '../../runtime/disk.ts'
import { EntryHeader } from './entries.ts'
import { FrameBuilder } from './frames.ts'

const firstBlocks = 16
/** How much memory is kept for later frames until `trim`, and how much of it each may have. */
const mostKeptBytes = 64 << 20
const mostFrameBytes = 4 << 20

/** One promise for everybody who waits, made when the first one asks. */
class Waiting {
  #promise: Promise<void> | null = null
  #resolve: (() => void) | null = null
  #reject: ((error: EngineError) => void) | null = null

  promise(): Promise<void> {
    if (this.#promise === null) {
      this.#promise = new Promise((resolve, reject) => {
        this.#resolve = resolve
        this.#reject = reject
      })
      // Whoever does not look at it shall not end the process.
      this.#promise.catch(() => {})
    }
    return this.#promise
  }

  resolve(): void {
    this.#resolve?.()
  }

  reject(error: EngineError): void {
    this.#reject?.(error)
  }

  reset(): void {
    this.#promise = null
    this.#resolve = null
    this.#reject = null
  }
}

/** A frame and who waits for it. */
export class StagedFrame {
  readonly builder: FrameBuilder
  /** What it has taken of the budget. */
  bytes = 0
  /** When it was handed to the disk, by the monotonic clock. */
  sentMs = 0
  /** Who cannot do without it. */
  readonly #waiting = new Waiting()
  /** Who would rather be told that it takes long. */
  readonly #refusable = new Waiting()

  constructor(header: EntryHeader, disk: Pick<Disk, 'lend'>) {
    this.builder = new FrameBuilder(firstBlocks, header, disk.lend)
  }

  /** Resolves when the frame is durable; `isRefusable`: rejects when `refuse` comes first. */
  flushed(isRefusable: boolean): Promise<void> {
    return (isRefusable ? this.#refusable : this.#waiting).promise()
  }

  resolve(): void {
    this.#waiting.resolve()
    this.#refusable.resolve()
  }

  reject(error: EngineError): void {
    this.#waiting.reject(error)
    this.#refusable.reject(error)
  }

  /** Tells those who would rather not wait; the frame may become durable nevertheless. */
  refuse(error: EngineError): void {
    this.#refusable.reject(error)
  }

  /** Makes it a new frame. */
  reset(): void {
    this.builder.clear()
    this.bytes = 0
    this.#waiting.reset()
    this.#refusable.reset()
  }
}

/** Frames whose memory, lent by the disk, is used again and again: it must have written what it is given back with. */
export class FramePool {
  readonly #disk: Pick<Disk, 'lend'>
  readonly #header = new EntryHeader()
  readonly #kept: StagedFrame[] = []
  #keptBytes = 0

  constructor(disk: Pick<Disk, 'lend'>) {
    this.#disk = disk
  }

  take(): StagedFrame {
    const kept = this.#kept.pop()
    if (kept === undefined) return new StagedFrame(this.#header, this.#disk)
    this.#keptBytes -= kept.builder.capacityBytes
    return kept
  }

  /** Keeps no more than a frame or two: nothing has been written for a while. */
  trim(): void {
    while (this.#kept.length > 0 && this.#keptBytes > mostFrameBytes) {
      this.#keptBytes -= this.#kept.pop()!.builder.capacityBytes
    }
  }

  give(frame: StagedFrame): void {
    frame.reset()
    const bytes = frame.builder.capacityBytes
    if (bytes > mostFrameBytes || this.#keptBytes + bytes > mostKeptBytes) return
    this.#kept.push(frame)
    this.#keptBytes += bytes
  }
}
