import type { EngineError } from '../../model/errors.ts'
import { EntryHeader } from './entries.ts'
import { FrameBuilder } from './frames.ts'

const firstBlocks = 16
/** Frames whose memory is kept for later ones, and how much of it each may have. */
const keptFrames = 4
const keptBytes = 4 << 20

/** A frame and who waits for it: one promise for everybody, made when the first one asks. */
export class StagedFrame {
  readonly builder: FrameBuilder
  /** What it has taken of the budget. */
  bytes = 0
  #flushed: Promise<void> | null = null
  #resolve: (() => void) | null = null
  #reject: ((error: EngineError) => void) | null = null

  constructor(header: EntryHeader) {
    this.builder = new FrameBuilder(firstBlocks, header)
  }

  /** Resolves when the frame is durable. */
  flushed(): Promise<void> {
    if (this.#flushed === null) {
      this.#flushed = new Promise((resolve, reject) => {
        this.#resolve = resolve
        this.#reject = reject
      })
      // Whoever does not look at it shall not end the process.
      this.#flushed.catch(() => {})
    }
    return this.#flushed
  }

  resolve(): void {
    this.#resolve?.()
  }

  reject(error: EngineError): void {
    this.#reject?.(error)
  }

  /** Makes it a new frame. */
  reset(): void {
    this.builder.clear()
    this.bytes = 0
    this.#flushed = null
    this.#resolve = null
    this.#reject = null
  }
}

/** Frames whose memory is used again and again. */
export class FramePool {
  readonly #header = new EntryHeader()
  readonly #kept: StagedFrame[] = []

  take(): StagedFrame {
    return this.#kept.pop() ?? new StagedFrame(this.#header)
  }

  give(frame: StagedFrame): void {
    frame.reset()
    if (this.#kept.length < keptFrames && frame.builder.capacityBytes <= keptBytes) this.#kept.push(frame)
  }
}
