import type { EpochStart, VotersEntry } from '../raft.ts'
import { encodeEpochStarts, encodeVoterSets, stateKind } from './groupStates.ts'

/** States of one log with their kinds. */
export type States = readonly (readonly [kind: number, bytes: Uint8Array])[]

/** Which epochs and voter sets the offsets of a log are of. */
export interface Marks {
  readonly epochs: readonly EpochStart[]
  readonly voters: readonly VotersEntry[]
}

/** How those are stored. */
export function markStates({ epochs, voters }: Marks): States {
  return [
    [stateKind.epochs, encodeEpochStarts(epochs)],
    [stateKind.voters, encodeVoterSets(voters)],
  ]
}

/** What of `marks` counts for a log that begins at `offset`. */
export function marksFrom(
  { epochs, voters }: Marks,
  offset: number,
): { readonly epochs: EpochStart[]; readonly voters: VotersEntry[] } {
  const epoch = epochs.findLastIndex(({ startOffset }) => startOffset < offset)
  const set = voters.findLastIndex((entry) => entry.offset < offset)
  return { epochs: epochs.slice(Math.max(0, epoch)), voters: voters.slice(Math.max(0, set)) }
}
