import { EngineError } from '../model/errors.ts'
import type { BatchHeader } from '../segment/recordBatch.ts'

/** How long a batch is waited for; as long as clients wait for an answer, by default. Milliseconds. */
const patienceMs = 30_000
/** Of how many producers a partition knows at most what it has refused. */
const mostProducers = 1000
const sequences = 2 ** 31

/** What the log knows of a producer. */
interface Known {
  readonly epoch: number
  readonly batches: readonly { readonly lastSequence: number }[]
}

interface Refused {
  readonly epoch: number
  readonly sequence: number
  readonly untilMs: number
}

/**
 * The first batch of each idempotent producer that was refused and will come again. Those behind it, up to four, are under way by
 * then and may find that the partition takes batches again: they have to wait for it. Told of a gap, librdkafka gives all that
 * was not acknowledged a new epoch, in every partition, and what of it is stored is stored twice. A producer that the log does not
 * know may begin with any sequence: of it the later batch would be taken and the first one be lost.
 */
export class RefusedBatches {
  readonly #first = new Map<number, Refused>()

  /** `batch` was refused at `nowMs` of the monotonic clock, and is to come again. */
  add({ producerId, producerEpoch: epoch, baseSequence: sequence }: BatchHeader, nowMs: number): void {
    const before = this.#first.get(producerId)
    const isLater = before !== undefined && nowMs < before.untilMs && isBehind(before, epoch, sequence)
    if (isLater || (before !== undefined && before.epoch > epoch)) return
    this.#first.delete(producerId)
    if (this.#first.size >= mostProducers) this.#first.delete(this.#first.keys().next().value!)
    this.#first.set(producerId, { epoch, sequence, untilMs: nowMs + patienceMs })
  }

  /** Throws `notEnoughReplicas` for a batch that has to wait for one before it, which `known`, of the log, does not have. */
  check({ producerId, producerEpoch, baseSequence }: BatchHeader, known: Known | null, nowMs: number): void {
    const first = this.#first.get(producerId)
    if (first === undefined) return
    const { epoch, sequence, untilMs } = first
    const last = known?.epoch === epoch ? known.batches.at(-1) : undefined
    const isStored = last !== undefined && distance(sequence, last.lastSequence) < sequences / 2
    const isOver = nowMs >= untilMs || producerEpoch > epoch || (known !== null && known.epoch > epoch)
    if (isStored || isOver) {
      this.#first.delete(producerId)
      return
    }
    if (!isBehind(first, producerEpoch, baseSequence)) return
    throw new EngineError('notEnoughReplicas', `sequence ${sequence}, refused before, is to come first`)
  }
}

function isBehind(first: Refused, epoch: number, sequence: number): boolean {
  const ahead = distance(first.sequence, sequence)
  return epoch === first.epoch && ahead > 0 && ahead < sequences / 2
}

/** How far `to` is behind `from`, in sequences that wrap. */
function distance(from: number, to: number): number {
  return (to - from + sequences) % sequences
}
