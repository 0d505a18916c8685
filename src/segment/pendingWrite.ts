import { type EngineError, failureIn } from '../model/errors.ts'
import type { ProducerEntry } from './producerState.ts'
import type { Segment, SegmentMark } from './segment.ts'
import type { WriteGroup, WriteListener } from './writeGroup.ts'

/** What a log appended in one write group, from the append until the disk has answered. */
export class PendingWrite implements WriteListener {
  readonly group: WriteGroup
  /** Log end before the first append of the group, and where that was. */
  readonly startOffset: number
  readonly startSegment: Segment
  readonly startMark: SegmentMark
  /** Whether everything up to `endOffset` survives the loss of power once this is counted. */
  isDurable = false
  /** Whether the log's files then hold everything up to `endOffset` durably. */
  isSynced = false
  /** Exclusive. */
  endOffset: number
  /** Where `endOffset` lies. */
  endSegment: Segment
  endPosition: number
  state: 'pending' | 'written' | 'failed' = 'pending'
  error: EngineError | null = null
  readonly #settled: () => void
  #producersBefore: { readonly producerId: number; readonly before: ProducerEntry | null }[] | null = null

  constructor(group: WriteGroup, startOffset: number, startSegment: Segment, settled: () => void) {
    this.group = group
    this.startOffset = startOffset
    this.startSegment = startSegment
    this.startMark = startSegment.mark()
    this.endOffset = startOffset
    this.endSegment = startSegment
    this.endPosition = startSegment.sizeBytes
    this.#settled = settled
  }

  written(): void {
    this.state = 'written'
    this.#settled()
  }

  failed(error: EngineError): void {
    const { path } = this.endSegment.file
    this.error = failureIn(error, path.slice(0, path.lastIndexOf('/')))
    this.state = this.error === null ? 'written' : 'failed'
    this.#settled()
  }

  /** Remembers what an append replaced. */
  rememberProducer(producerId: number, before: ProducerEntry | null): void {
    this.#producersBefore ??= []
    this.#producersBefore.push({ producerId, before })
  }

  /** Puts back what the appends replaced, latest first. */
  restoreProducers(restore: (producerId: number, before: ProducerEntry | null) => void): void {
    for (const { producerId, before } of this.#producersBefore?.toReversed() ?? [])
      restore(producerId, before)
  }
}
