import type { Uuid } from '../model/uuid.ts'
import type { Doubts } from './doubts.ts'
import type { JournalEntry } from './journal/entries.ts'
import { identityOf, type LogCheckpoint } from './journal/nodeCheckpoint.ts'
import type { Log } from './log.ts'
import {
  cutKind,
  cutState,
  deletedKind,
  doubtKind,
  epochsKind,
  ownKinds,
  provenEndKind,
  provenEndOf,
  provenEndState,
  resumePointKind,
} from './ownStates.ts'
import type { ReplayedLog } from './replayPlan.ts'

/** One log as the checkpoint has it. */
export interface KnownLog {
  readonly id: Uuid
  readonly name: string
  readonly topicId: Uuid
  readonly identity: Buffer
  /** Null while it is not open. */
  log: Log | null
  /** The last that was known when it was not open, or is offline. */
  last: LogCheckpoint
  /** States that are not of this layer. */
  readonly states: Map<number, Uint8Array>
  /** Deleted: kept in checkpoints until its directory has another name, durably. */
  deletion: 'none' | 'decided' | 'renamed'
  readonly doubts: Doubts
}

/** What is known of a log whose directory is there and that the journal does not know. */
export interface Stranger {
  readonly recoveryPoint: number
  readonly logStartOffset: number
  /** Exclusive end of what it must have; null when nobody can tell. */
  readonly provenEnd: number | null
}

/** The entries that make a log known, in one frame: with its start, and with the end that it must have. */
export function creationOf(id: Uuid, name: string, topicId: Uuid, found: Stranger | null): JournalEntry[] {
  const { logStartOffset = 0, provenEnd = null } = found ?? {}
  const entries: JournalEntry[] = [{ type: 'create', logId: id, topicId, name }]
  if (logStartOffset > 0) entries.push({ type: 'startOffset', logId: id, offset: logStartOffset })
  if (provenEnd !== null) entries.push({ type: 'state', logId: id, ...provenEndState(provenEnd) })
  return entries
}

/** A log that is not open yet. */
export function knownLog(last: LogCheckpoint, doubts: Doubts): KnownLog {
  const { id, name, topicId } = last
  const states = new Map(last.states.filter(({ kind }) => !ownKinds.has(kind)).map((s) => [s.kind, s.bytes]))
  return { id, name, topicId, identity: identityOf(last), log: null, last, states, deletion: 'none', doubts }
}

/** The cut of a log that is not open has been carried out: it must not be once more, when the log has grown again. */
export function forgetCut(known: KnownLog | undefined): void {
  if (known === undefined) return
  known.last = { ...known.last, states: known.last.states.filter(({ kind }) => kind !== cutKind) }
}

/** What replay has found of a log, as a checkpoint has it. */
export function lastOf(log: ReplayedLog): LogCheckpoint {
  const { id, name, topicId, recoveryPoint, logStartOffset, provenEnd } = log
  const states = [...log.states]
    .map(([kind, bytes]) => ({ kind, bytes }))
    .filter(({ kind }) => kind !== provenEndKind && kind !== cutKind && kind !== doubtKind)
  if (provenEnd !== null && provenEnd > recoveryPoint) states.push(provenEndState(provenEnd))
  if (log.unfinishedCut !== null) states.push(cutState(log.unfinishedCut))
  return { id, name, topicId, recoveryPoint, logStartOffset, states }
}

/**
 * Resolves once there is a resume point of every log, unless it is not because of segments that are being finished: without one the
 * checkpoint would know none of a log's segments, and take those of others for them.
 */
export async function whenResumable(logs: Iterable<KnownLog>): Promise<void> {
  for (const { log } of logs) {
    const isFirst = log !== null && log.offline === null && log.segmentCount > 1 && log.resumePoint === null
    if (isFirst) await log.whenFinished()
  }
}

/** A log as the next checkpoint has it. */
export function checkpointOf(known: KnownLog): LogCheckpoint {
  const checkpoint = storedOf(known)
  if (known.doubts.bits === 0 || known.deletion !== 'none') return checkpoint
  const doubts = { kind: doubtKind, bytes: Uint8Array.of(known.doubts.bits) }
  return { ...checkpoint, states: [...checkpoint.states, doubts] }
}

function storedOf(known: KnownLog): LogCheckpoint {
  const { id, name, topicId, identity, log, last, deletion } = known
  if (deletion !== 'none') return { ...last, states: [{ kind: deletedKind, bytes: new Uint8Array() }] }
  if (log === null) return last
  const foreign = [...known.states].map(([kind, bytes]) => ({ kind, bytes }))
  if (log.offline !== null) {
    // Nothing of it is known to be stored beyond the last checkpoint, but all of it must be found.
    const { durableOffset } = log
    const own = last.states.filter(({ kind }) => kind === resumePointKind || kind === epochsKind)
    const proven = Math.max(durableOffset, provenEndOf(last.states) ?? 0)
    if (proven > last.recoveryPoint) own.push(provenEndState(proven))
    if (log.unfinishedCut !== null) own.push(cutState(log.unfinishedCut))
    // That records were deleted holds, whatever became of the others.
    const logStartOffset = Math.max(last.logStartOffset, log.logStartOffset)
    return { ...last, logStartOffset, states: [...own, ...foreign] }
  }
  const { recoveryPoint, logStartOffset, resumePoint, durableOffset } = log
  const own = [resumePoint === null ? epochsState(log) : { kind: resumePointKind, bytes: resumePoint.bytes }]
  // Whatever becomes of the files: what was acknowledged is found, or reported.
  if (durableOffset > recoveryPoint) own.push(provenEndState(durableOffset))
  // The journal may let go of it before it has been carried out.
  if (log.unfinishedCut !== null) own.push(cutState(log.unfinishedCut))
  return { id, name, topicId, identity, recoveryPoint, logStartOffset, states: [...own, ...foreign] }
}

/** The leader epochs that recovery cannot make again from what it reads. */
function epochsState(log: Log): { kind: number; bytes: Uint8Array } {
  const epochs = log.leaderEpochs.clone()
  epochs.truncateFromEnd(Math.max(log.recoveryPoint, 1))
  return { kind: epochsKind, bytes: Buffer.from(epochs.encode()) }
}
