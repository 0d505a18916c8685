import type { Uuid } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { segmentFileName } from './fileNames.ts'
import type { AppendEntry } from './journal/entries.ts'
import { LeaderEpochs } from './leaderEpochs.ts'
import type { Unfinished } from './logFiles.ts'
import type { FoundLog } from './logFinder.ts'
import { ProducerState } from './producerState.ts'
import { BatchHeader } from './recordBatch.ts'
import type { ReplayPlan } from './replayPlan.ts'
import type { ResumedLog } from './resumePoint.ts'
import { Segment } from './segment.ts'

/**
 * What a log is behind its resume point, made from the batches that replay has just written: the frames' checksums
 * cover them, so recovery need not read them again. Of no use once an entry does not continue the one before.
 */
export class ReplayedTail {
  readonly epochs: LeaderEpochs
  readonly producers: ProducerState
  readonly unfinished: Unfinished[] = []
  /** The segment that the next entry continues. */
  segment: Segment
  /** Exclusive. */
  endOffset: number
  isWhole = true
  readonly #runtime: Runtime
  readonly #directory: string
  readonly #indexIntervalBytes: number
  readonly #wallMs: number

  constructor(
    runtime: Runtime,
    directory: string,
    { closed, producers }: ResumedLog,
    indexIntervalBytes: number,
  ) {
    this.#runtime = runtime
    this.#directory = directory
    this.#indexIntervalBytes = indexIntervalBytes
    this.#wallMs = runtime.clock.wallMs()
    const [baseOffset, sizeBytes] = closed.segments.at(-1)!
    this.segment = this.#segment(baseOffset, sizeBytes)
    this.segment.resume(closed.active)
    this.segment.hasIndexFiles = false
    this.endOffset = closed.logEndOffset
    this.epochs = new LeaderEpochs(closed.leaderEpochs)
    this.producers = new ProducerState(producers)
  }

  /** Takes the next entry that was written. */
  add({ baseOffset, lastOffset, segmentBaseOffset, position, bytes }: AppendEntry): void {
    if (!this.isWhole) return
    if (segmentBaseOffset !== this.segment.baseOffset && segmentBaseOffset === this.endOffset) {
      this.unfinished.push({
        segment: this.segment,
        endOffset: this.endOffset,
        producers: this.producers.entries(),
      })
      this.segment = this.#segment(segmentBaseOffset, 0)
    }
    const isNext = segmentBaseOffset === this.segment.baseOffset && position === this.segment.sizeBytes
    if (!isNext || baseOffset !== this.endOffset) {
      this.isWhole = false
      return
    }
    const header = new BatchHeader(bytes, 0)
    this.segment.digestNext(baseOffset, bytes.length, header.partitionLeaderEpoch, header.crc)
    this.segment.add(lastOffset, header.maxTimestampMs, bytes.length, this.#indexIntervalBytes)
    this.epochs.assign(header.partitionLeaderEpoch, baseOffset)
    if (header.producerId >= 0) this.producers.append(header, baseOffset, header.maxTimestampMs, this.#wallMs)
    this.endOffset = lastOffset + 1
  }

  #segment(baseOffset: number, sizeBytes: number): Segment {
    const file = this.#runtime.disk.file(`${this.#directory}/${segmentFileName(baseOffset, 'log')}`)
    return new Segment(baseOffset, file, this.#wallMs, sizeBytes, false)
  }
}

/** For each log with something to replay: what it will be, so that it need not be read again. */
export function tailsOf(
  runtime: Runtime,
  directory: string,
  plan: ReplayPlan,
  logs: readonly FoundLog[],
  indexIntervalBytes: (name: string) => number,
): ReadonlyMap<Uuid, ReplayedTail> {
  const tails = new Map<Uuid, ReplayedTail>()
  for (const { id, name, resume, recoveryPoint } of logs) {
    if (id === null || resume === null || resume.closed.logEndOffset !== recoveryPoint) continue
    if (plan.logs.get(id)?.hasAppends !== true) continue
    tails.set(id, new ReplayedTail(runtime, `${directory}/${name}`, resume, indexIntervalBytes(name)))
  }
  return tails
}
