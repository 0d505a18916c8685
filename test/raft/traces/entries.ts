import { replicaText } from '../../../src/raft/replicaKey.ts'
import type { VoterSet } from '../../../src/raft/voterSet.ts'
import type { LogState } from '../support/simDisk.ts'

/** An entry of a log as the model has it: the start of an epoch, a batch, a voter set. */
export type Entry =
  | { readonly kind: 'm'; readonly epoch: number }
  | { readonly kind: 'r'; readonly epoch: number; readonly value: number; readonly lastOffset: number }
  | {
      readonly kind: 'v'
      readonly epoch: number
      readonly version: number
      readonly voters: readonly string[]
    }

/** Numbers for batches: two batches are one if they are the same object. */
export class Values {
  readonly #numbers = new Map<object, number>()

  of(batch: object): number {
    const known = this.#numbers.get(batch)
    if (known !== undefined) return known
    this.#numbers.set(batch, this.#numbers.size + 1)
    return this.#numbers.size
  }
}

/** What a log of kind `partition` holds, in one order: marks and sets stand where their places say. */
export function entriesOf(state: LogState, values: Values): readonly Entry[] {
  const entries: Entry[] = []
  const starts = [...state.epochStarts]
  const sets = state.voters.filter(({ version }) => version > 0)
  let epoch = 0
  let version = 0
  const marksUpTo = (offset: number): void => {
    for (;;) {
      const [start] = starts
      const [set] = sets
      if (start !== undefined && start.startOffset <= offset && start.votersVersion <= version) {
        starts.shift()
        epoch = start.epoch
        entries.push({ kind: 'm', epoch })
      } else if (set !== undefined && set.offset <= offset && set.version === version + 1) {
        sets.shift()
        version++
        entries.push({ kind: 'v', epoch, version, voters: namesOf(set.voters) })
      } else return
    }
  }
  for (const batch of state.batches) {
    marksUpTo(batch.baseOffset)
    const { lastOffset, leaderEpoch } = batch
    entries.push({ kind: 'r', epoch: leaderEpoch, value: values.of(batch), lastOffset })
  }
  marksUpTo(state.endOffset)
  return entries
}

function namesOf({ voters }: VoterSet): readonly string[] {
  return voters.map(replicaText)
}

/** How many batches end at or below an offset. */
export function batchesBelow(entries: readonly Entry[], offset: number): number {
  return entries.filter((entry) => entry.kind === 'r' && entry.lastOffset < offset).length
}
