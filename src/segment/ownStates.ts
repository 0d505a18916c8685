import { readInt64, writeInt64 } from './integers.ts'

/** The kind of `StateEntry` in the journal and its checkpoints under which a log's resume point stands. */
export const resumePointKind = 1
/** The kind of state under which the checkpoint of a log that is offline says how far it was durable. */
export const provenEndKind = 2

/** The kind of state that says that a log was deleted: its directory may still have its name after a power cut. */
export const deletedKind = 3
/** The kind of state that holds a log's leader epochs below its recovery point, where no resume point has them. */
export const epochsKind = 4

/** The kind of state that says that a log is being cut, which is to be finished before anything else. */
export const cutKind = 5

/** The kind of state that holds `Doubts.bits`. */
export const doubtKind = 6

/** The kinds of state that belong to the log itself; replication has the others. */
export const ownKinds: ReadonlySet<number> = new Set([
  resumePointKind,
  provenEndKind,
  deletedKind,
  epochsKind,
  cutKind,
  doubtKind,
])

/** Where a log ends that is being cut: at `endOffset`, which lies at `position` of a segment. */
export interface Cut {
  readonly endOffset: number
  readonly segmentBaseOffset: number
  readonly position: number
}

/** The state that says that a log is being cut. */
export function cutState({ endOffset, segmentBaseOffset, position }: Cut): {
  kind: number
  bytes: Uint8Array
} {
  const bytes = new Uint8Array(24)
  writeInt64(bytes, 0, endOffset)
  writeInt64(bytes, 8, segmentBaseOffset)
  writeInt64(bytes, 16, position)
  return { kind: cutKind, bytes }
}

/** The cut that was under way when these states were stored; null when none was. */
export function cutOf(states: Iterable<{ readonly kind: number; readonly bytes: Uint8Array }>): Cut | null {
  for (const { kind, bytes } of states) {
    if (kind !== cutKind || bytes.length !== 24) continue
    const [endOffset, segmentBaseOffset, position] = [
      readInt64(bytes, 0),
      readInt64(bytes, 8),
      readInt64(bytes, 16),
    ]
    return { endOffset, segmentBaseOffset, position }
  }
  return null
}

/** The state that says how far a log was durable. */
export function provenEndState(offset: number): { kind: number; bytes: Uint8Array } {
  const bytes = new Uint8Array(8)
  writeInt64(bytes, 0, offset)
  return { kind: provenEndKind, bytes }
}

/** How far a log was durable, as a checkpoint that was written while it was offline says; null when none does. */
export function provenEndOf(
  states: Iterable<{ readonly kind: number; readonly bytes: Uint8Array }>,
): number | null {
  for (const { kind, bytes } of states) {
    if (kind === provenEndKind && bytes.length === 8) return readInt64(bytes, 0)
  }
  return null
}
