import { EngineError } from '../model/errors.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { type ScanEnd, verifyBatches } from './batchScan.ts'
import type { LeaderEpochs } from './leaderEpochs.ts'
import type { ProducerState } from './producerState.ts'
import { scanSegmentTask } from './scanTask.ts'
import type { Segment } from './segment.ts'

/** When scans go to other threads. */
export interface ScanLimits {
  /** So much is scanned here in any case: a thread takes 50 ms to start, and memory. */
  readonly aloneBytes: number
  /** Smaller stretches are not worth the way. */
  readonly leastBytes: number
}

const defaultLimits: ScanLimits = { aloneBytes: 32 << 20, leastBytes: 128 << 10 }

/** What a scan of one stretch of a segment adds to. */
export interface ScanTarget {
  /** Ends where the stretch begins. */
  readonly segment: Segment
  readonly epochs: LeaderEpochs
  readonly producers: ProducerState
  /** Batches of producers count from this offset on. */
  readonly producersFrom: number
  readonly indexIntervalBytes: number
  /** What producers that are found have written at, ms since 1970. */
  readonly wallMs: number
}

/**
 * Checks what recovery has to read, of all logs of a directory: once there is much of it, in this thread and in those of
 * `Compute`, so that every core takes part.
 */
export class SegmentScanner {
  readonly #runtime: Runtime
  readonly #limits: ScanLimits
  #seenBytes = 0
  /** Bytes under way in this thread, and in others. */
  #hereBytes = 0
  #asideBytes = 0
  /** There are no threads to be had. */
  #isAlone = false

  constructor(runtime: Runtime, limits: ScanLimits = defaultLimits) {
    this.#runtime = runtime
    this.#limits = limits
  }

  /**
   * Checks every batch of the segment up to `end` (bytes from the start of the file), the first of which must have
   * `offset`; adds the good ones to `target`. Rejects with the disk's errors.
   */
  async scan(target: ScanTarget, end: number, offset: number): Promise<ScanEnd> {
    const bytes = end - target.segment.sizeBytes
    this.#seenBytes += bytes
    if (this.#goesAside(bytes)) {
      this.#asideBytes += bytes
      try {
        return await this.#scanAside(target, end, offset)
      } catch (error) {
        if (!(error instanceof EngineError) || error.code !== 'unknownServerError') throw error
        // A thread that could not be started, or has died: this one can do it.
        this.#isAlone = true
      } finally {
        this.#asideBytes -= bytes
      }
    }
    this.#hereBytes += bytes
    try {
      return await this.#scanHere(target, end, offset)
    } finally {
      this.#hereBytes -= bytes
    }
  }

  #goesAside(bytes: number): boolean {
    const { aloneBytes, leastBytes } = this.#limits
    if (this.#isAlone || this.#seenBytes <= aloneBytes || bytes < leastBytes) return false
    return this.#asideBytes <= this.#hereBytes * this.#runtime.compute.parallelism
  }

  #scanHere(target: ScanTarget, end: number, offset: number): Promise<ScanEnd> {
    const { segment, epochs, producers, producersFrom, indexIntervalBytes, wallMs } = target
    const { file, sizeBytes: position } = segment
    const range = { file, position, end, offset, leaderEpoch: epochs.epochFor(offset - 1) }
    return verifyBatches(range, this.#runtime.checksum, (header) => {
      segment.digestNext(header.baseOffset, header.sizeBytes, header.partitionLeaderEpoch, header.crc)
      segment.add(header.lastOffset, header.maxTimestampMs, header.sizeBytes, indexIntervalBytes)
      epochs.assign(header.partitionLeaderEpoch, header.baseOffset)
      if (header.producerId >= 0 && header.baseOffset >= producersFrom) {
        producers.append(header, header.baseOffset, header.maxTimestampMs, wallMs)
      }
    })
  }

  async #scanAside(target: ScanTarget, end: number, offset: number): Promise<ScanEnd> {
    const { segment, epochs, producers, producersFrom, indexIntervalBytes, wallMs } = target
    const { baseOffset, file } = segment
    const found = await this.#runtime.compute.run(scanSegmentTask, {
      path: file.path,
      baseOffset,
      known: segment.closedState(),
      end,
      offset,
      leaderEpoch: epochs.epochFor(offset - 1),
      indexIntervalBytes,
      producersFrom,
      wallMs,
    })
    const { timestamps, offsets } = found.times
    for (let at = 0; at < found.offsets.length; at += 2) {
      segment.offsetIndex!.append(found.offsets[at]!, found.offsets[at + 1]!)
    }
    for (const [at, timestampMs] of timestamps.entries()) {
      segment.timeIndex!.maybeAppend(timestampMs, offsets[at]!)
    }
    segment.restore(found.mark, found.end.nextOffset)
    for (const { epoch, startOffset } of found.epochs) epochs.assign(epoch, startOffset)
    producers.merge(found.producers)
    return found.end
  }
}
