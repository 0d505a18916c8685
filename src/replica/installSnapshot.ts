import type { EpochStart, SnapshotId, VotersEntry } from '../raft.ts'
import { VoterSet } from '../raft.ts'
import type { Log } from '../segment/log.ts'
import { encodeEpochStarts, encodeSnapshot, encodeVoterSets, stateKind } from './groupStates.ts'
import type { SnapshotHead } from './snapshotContent.ts'

/** States of one log with their kinds. */
export type States = readonly (readonly [kind: number, bytes: Uint8Array])[]

/** What a replica knows once a snapshot has the place of its log. */
export interface Installed {
  readonly epochs: readonly EpochStart[]
  readonly voters: readonly VotersEntry[]
}

/** What follows from a snapshot alone; `before` is the voter set that stays where the snapshot has none. */
export function installed(
  { endOffset, epoch }: SnapshotId,
  head: SnapshotHead,
  isPartition: boolean,
  before: VotersEntry,
): Installed {
  const version = isPartition ? head.votersVersion : 0
  return {
    epochs: epoch === 0 ? [] : [{ epoch, startOffset: Math.max(0, endOffset - 1), votersVersion: version }],
    voters:
      head.voters.length === 0
        ? [before]
        : [{ offset: endOffset - 1, version, voters: new VoterSet(head.voters) }],
  }
}

/**
 * Puts a snapshot, whose file is there, in the place of a log. Once the first states are durable a start that finds them does
 * the rest. `put` resolves when states are durable.
 */
export async function install(
  log: Log,
  id: SnapshotId,
  head: SnapshotHead,
  { epochs, voters }: Installed,
  put: (states: States) => Promise<unknown>,
): Promise<void> {
  await put([
    [stateKind.snapshot, encodeSnapshot({ id, isInstalling: true })],
    [stateKind.epochs, encodeEpochStarts(epochs)],
    [stateKind.voters, encodeVoterSets(voters)],
  ])
  await log.startOver(id.endOffset, head.partition?.producers ?? [])
  await put([[stateKind.snapshot, encodeSnapshot({ id, isInstalling: false })]])
}
