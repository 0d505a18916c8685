import type { SnapshotId, VotersEntry } from '../raft.ts'
import { VoterSet } from '../raft.ts'
import type { Log } from '../segment/log.ts'
import { encodeSnapshot, stateKind } from './groupStates.ts'
import { type Marks, markStates, type States } from './marks.ts'
import type { SnapshotHead } from './snapshotContent.ts'

/** What follows from a snapshot alone; `before` is the voter set that stays where the snapshot has none. */
export function installed(
  { endOffset, epoch }: SnapshotId,
  head: SnapshotHead,
  isPartition: boolean,
  before: VotersEntry,
): Marks {
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
  marks: Marks,
  put: (states: States) => Promise<unknown>,
): Promise<void> {
  await put([[stateKind.snapshot, encodeSnapshot({ id, isInstalling: true })], ...markStates(marks)])
  await log.startOver(id.endOffset, head.partition?.producers ?? [])
  await put([[stateKind.snapshot, encodeSnapshot({ id, isInstalling: false })]])
}
