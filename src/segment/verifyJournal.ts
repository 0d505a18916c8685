import { EngineError } from '../model/errors.ts'
import { silentLogger } from '../model/logger.ts'
import { type Uuid, uuidToBytes } from '../model/uuid.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { Disk, DiskFile } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { ClosedLog } from './closedLog.ts'
import { doubtsIn } from './doubts.ts'
import { CheckpointFiles } from './journal/nodeCheckpoint.ts'
import { type OpenedJournal, openJournalFiles } from './journal/openJournal.ts'
import { ReadPatience } from './journal/readPatience.ts'
import { holdsOf, type JournalHold } from './journalHold.ts'
import { resumePointKind } from './ownStates.ts'
import { type ReplayedLog, ReplayPlan } from './replayPlan.ts'
import { decodeResume } from './resumePoint.ts'
import { type Finding, fileFinding, isDenied } from './verifyFindings.ts'

/** What checkpoint and journal together say of the logs. */
export interface JournalFacts {
  readonly logs: ReadonlyMap<string, Pick<ReplayedLog, 'recoveryPoint' | 'logStartOffset' | 'topicId'>>
  /** Names of logs that were deleted, whose directories may still be there. */
  readonly deleted: ReadonlySet<string>
  /** What the last clean shutdown noted of each log; empty when something was written since. */
  readonly closed: ReadonlyMap<string, ClosedLog>
  /** What the last checkpoint, or the journal behind it, notes of each log; a log that was cut since has none. */
  readonly noted: ReadonlyMap<string, ClosedLog>
  /** What it has of each log beyond the log's files. */
  readonly holds: ReadonlyMap<string, JournalHold>
}

/**
 * Reads the journal in `place` as a start would, without changing it, and reports what is damaged: copies of the
 * checkpoint, frames that were durable, or that it is not that of `directoryId`. Null when nothing can be made of it. Rejects with
 * `permissionDenied`.
 */
export async function verifyJournal(
  runtime: Runtime,
  place: string,
  directoryId: Uuid,
  add: (finding: Finding) => void,
): Promise<JournalFacts | null> {
  const readOnly: Runtime = { ...runtime, disk: readOnlyDisk(runtime.disk) }
  try {
    const { checkpoint, damaged } = await new CheckpointFiles(readOnly, place).read(
      new ReadPatience(runtime.clock),
    )
    const whole = 'a checkpoint with a true checksum'
    if (checkpoint === null) {
      const found = damaged.length > 0 ? `none: ${damaged.join(' and ')} damaged` : 'none'
      add(fileFinding('journalForeign', `${place}/`, whole, found))
      return null
    }
    for (const path of damaged) add(fileFinding('journalCheckpoint', path, whole, 'other bytes'))
    const plan = new ReplayPlan()
    const id = uuidToBytes(directoryId)
    const opened = await openJournalFiles(readOnly, place, id, silentLogger, plan)
    report(opened, place, add)
    const { replay } = opened
    const holds = await holdsOf(plan, replay.frames(), doubtsIn(replay), checkpoint.doubts)
    const logs = new Map([...plan.logs.values()].map((log) => [log.name, log]))
    const noted = notedLogs(plan, runtime.checksum)
    return { logs, deleted: plan.deletedNames, closed: checkpoint.clean ? noted : new Map(), noted, holds }
  } catch (error) {
    if (!(error instanceof EngineError) || isDenied(error)) throw error
    add(fileFinding('journalForeign', `${place}/`, 'the journal of this directory', error.message))
    return null
  }
}

/** Tells of what is wrong with the journal itself. */
function report(
  { replay, files, checkpoint }: OpenedJournal,
  place: string,
  add: (finding: Finding) => void,
): void {
  for (const { file, position, fromSequence, toSequence } of replay.verdict.rot) {
    const frames = `frames ${fromSequence} to ${toSequence}, which were durable`
    add(fileFinding('journalRot', file, frames, 'bytes that do not verify', position))
  }
  for (const file of replay.damagedFiles) {
    add(fileFinding('journalRot', file, 'the head of a journal file, and all of its bytes', 'others', 0))
  }
  const { usedGeneration: used, replayFrom } = checkpoint
  const present = [...files.live, ...files.free].some(({ generation }) => generation === used)
  if (used >= replayFrom.generation && !present) {
    add(fileFinding('journalRot', `${place}/`, `the journal file of generation ${used}`, 'no such file'))
  }
  const { end } = replay.verdict
  if (end === 'clean') return
  const expected = 'a last frame that is whole'
  if (end === 'tear') add(fileFinding('journalTear', `${place}/`, expected, 'a write that was torn'))
  else add(fileFinding('journalEnd', `${place}/`, expected, 'an end that may have lost its last write'))
}

function notedLogs({ logs }: ReplayPlan, checksum: Checksum): Map<string, ClosedLog> {
  const noted = new Map<string, ClosedLog>()
  for (const { name, states, recoveryPoint } of logs.values()) {
    const bytes = states.get(resumePointKind)
    const closed = bytes === undefined ? null : (decodeResume(bytes, checksum)?.closed ?? null)
    if (closed !== null && closed.logEndOffset <= recoveryPoint) noted.set(name, closed)
  }
  return noted
}

/** `disk`, where everything that would change something does nothing, and writing throws. */
function readOnlyDisk(disk: Disk): Disk {
  const nothing = (): Promise<void> => Promise.resolve()
  const refused = (): Promise<never> =>
    Promise.reject(new EngineError('permissionDenied', 'nothing is written while a directory is checked'))
  const file = (path: string): DiskFile => {
    const opened = disk.file(path)
    return {
      path,
      read: (target, position) => opened.read(target, position),
      size: () => opened.size(),
      truncate: refused,
      sync: nothing,
      close: () => opened.close(),
    }
  }
  return {
    file,
    submit: refused,
    queuedBytes: 0,
    maxQueuedBytes: disk.maxQueuedBytes,
    room: nothing,
    makeDirectory: nothing,
    list: (path) => disk.list(path),
    stat: (path) => disk.stat(path),
    rename: refused,
    moveFile: refused,
    prepare: () => null,
    remove: nothing,
    syncDirectory: nothing,
    readFile: (path, maxBytes) => disk.readFile(path, maxBytes),
    replaceFile: refused,
    lock: refused,
    space: (path) => disk.space(path),
    close: nothing,
  }
}
