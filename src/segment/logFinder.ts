import { CorruptionError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { planted } from '../model/planted.ts'
import { hexOf, type Uuid } from '../model/uuid.ts'
import type { Disk } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { readTextIfThere } from './checkpointFile.ts'
import { type Checkpoints, readCheckpoints } from './checkpoints.ts'
import { retire } from './deadDirectories.ts'
import { decodePartitionMetadata, directoryKind } from './directoryNames.ts'
import { parseSegmentFileName, partitionMetadataFile } from './fileNames.ts'
import { inParallel } from './inParallel.ts'
import { defaultJournalName } from './journalPlace.ts'
import { LeaderEpochs } from './leaderEpochs.ts'
import { isSetAside } from './newBeginning.ts'
import type { NodeJournal } from './nodeJournal.ts'
import { epochsKind, resumePointKind } from './ownStates.ts'
import { restoreMetadata } from './partitionMetadata.ts'
import type { ReplayedLog } from './replayPlan.ts'
import { decodeResume, type ResumedLog } from './resumePoint.ts'

/** Metadata files that are read at the same time. */
const parallel = 16

/** A log to be opened, and what is known of it. */
export interface FoundLog {
  /** Null when the journal does not know it. */
  readonly id: Uuid | null
  readonly name: string
  readonly topicId: Uuid
  readonly recoveryPoint: number
  readonly logStartOffset: number
  readonly cleanShutdown: boolean
  readonly resume: ResumedLog | null
  /** The leader epochs below the recovery point; null where a resume point or Kafka's file has them. */
  readonly epochs: LeaderEpochs | null
  readonly provenEnd: number | null
  /** The journal knows where it starts. */
  readonly startIsKnown: boolean
  /** Its files are not what they must be. */
  readonly damage: CorruptionError | null
}

/** What lies in a data directory. */
export interface FoundLogs {
  readonly checkpoints: Checkpoints
  readonly isClean: boolean
  readonly logs: readonly FoundLog[]
  /** Logs that were created in the journal and whose directories are not there. */
  readonly missing: readonly { readonly name: string; readonly topicId: Uuid }[]
  /** Logs whose directories are not there and must not be made: nothing of them is replayed. */
  readonly absent: ReadonlySet<Uuid>
  /** Logs that were set aside: the journal has to be told. */
  readonly setAside: readonly Uuid[]
  /** Paths of directories that are to be removed. */
  readonly deleted: readonly string[]
  /** Names of logs whose topic nobody can tell; kept and not used. */
  readonly unreadable: readonly string[]
}

/**
 * Brings together what the journal knows and what the data directory holds. The marker of a clean shutdown is gone,
 * durably, when this resolves.
 */
export async function findLogs(
  runtime: Runtime,
  directory: string,
  journal: NodeJournal,
  logger: Logger,
): Promise<FoundLogs> {
  const { disk } = runtime
  const checkpoints = await readCheckpoints(disk, directory, logger)
  const isClean = checkpoints.cleanShutdown && (journal.isClean || journal.isNew)
  const { plan } = journal
  const byName = new Map([...plan.logs.values()].map((log) => [log.name, log]))
  const logs: FoundLog[] = []
  const deleted: string[] = []
  const strange: string[] = []
  const present = new Set<string>()
  const strays = new Set<string>()
  for (const { name, kind } of await disk.list(directory)) {
    if (kind !== 'directory') continue
    const what = directoryKind(name)
    if (what === 'log' && byName.has(name)) present.add(name)
    else if (what === 'log' && plan.deletedNames.has(name)) {
      deleted.push(await retire(runtime, `${directory}/${name}`, 'delete'))
      journal.namesChanged(null)
    } else if (what === 'log') strange.push(name)
    else if (what === 'deleted') deleted.push(`${directory}/${name}`)
    else if (name !== defaultJournalName && !isSetAside(name)) {
      const stray = /^(.*)\.([0-9a-f]{32})-stray$/.exec(name)
      if (stray !== null) strays.add(stray[planted('strayKnownByName') ? 1 : 2]!)
      logger.warn('an unknown directory is kept and not used', { directory: name })
    }
  }
  const missing: { name: string; topicId: Uuid }[] = []
  const absent = new Set<Uuid>()
  const setAside: Uuid[] = []
  for (const log of plan.logs.values()) {
    const { name, topicId } = log
    const isThere = present.has(name)
    const wasEmpty = plan.created.has(log.id) || log.endOffset <= log.logStartOffset
    if (!isThere && strays.has(planted('strayKnownByName') ? name : hexOf(log.id))) {
      // It was set aside, this one and no other of its name, and the power went before the journal had that.
      absent.add(log.id)
      setAside.push(log.id)
      continue
    }
    if (!isThere && wasEmpty) missing.push({ name, topicId })
    const damage = isThere || wasEmpty ? null : goneDirectory(`${directory}/${name}`, log)
    if (damage !== null) absent.add(log.id)
    logs.push(known(runtime, log, isClean, damage))
  }
  const isFresh = (log: ReplayedLog): boolean => plan.created.has(log.id) && present.has(log.name)
  const fresh = isClean ? [] : [...plan.logs.values()].filter(isFresh)
  // Neither the directory nor what is in it may be durable; the journal lets go of the creation once both are.
  await inParallel(fresh, parallel, async ({ name, topicId }) => {
    await restoreMetadata(disk, `${directory}/${name}`, topicId)
    journal.namesChanged(name)
  })
  const unreadable: string[] = []
  await inParallel(strange, parallel, async (name) => {
    const text = await readTextIfThere(disk, `${directory}/${name}/${partitionMetadataFile}`)
    const topicId = text === null ? null : decodePartitionMetadata(text)
    if (topicId !== null) {
      const firstOffset = await firstSegment(disk, `${directory}/${name}`)
      // What the journal has of a log that it does not know may be this one's: then that much of it was durable.
      const provenEnd = plan.strangerEnd > 0 ? plan.strangerEnd : null
      logs.push(stranger(name, topicId, checkpoints, firstOffset, provenEnd))
      return
    }
    unreadable.push(name)
    logger.warn('a log directory without a readable partition.metadata is kept and not used', {
      directory: `${directory}/${name}`,
    })
  })
  return { checkpoints, isClean, logs, missing, absent, setAside, deleted, unreadable }
}

function known(
  runtime: Runtime,
  log: ReplayedLog,
  isClean: boolean,
  damage: CorruptionError | null,
): FoundLog {
  const { id, name, topicId, recoveryPoint, logStartOffset, provenEnd, states } = log
  const bytes = states.get(resumePointKind)
  const resume = bytes === undefined ? null : decodeResume(bytes, runtime.checksum)
  const isUsable = resume !== null && resume.closed.logEndOffset <= recoveryPoint
  // The log was cut below where recovery would have resumed: of its epochs, those below the cut still hold.
  const isCut = resume !== null && !isUsable
  const cutEpochs = isCut ? new LeaderEpochs(resume.closed.leaderEpochs) : null
  cutEpochs?.truncateFromEnd(Math.max(recoveryPoint, 1))
  return {
    id,
    name,
    topicId,
    recoveryPoint,
    logStartOffset,
    cleanShutdown: isClean,
    resume: isUsable ? resume : null,
    epochs: decodeEpochs(states.get(epochsKind)) ?? cutEpochs,
    provenEnd,
    startIsKnown: true,
    damage,
  }
}

/** A log that the journal does not know: Kafka's files say what there is to say. */
function stranger(
  name: string,
  topicId: Uuid,
  checkpoints: Checkpoints,
  firstOffset: number,
  provenEnd: number | null,
): FoundLog {
  return {
    id: null,
    name,
    topicId,
    recoveryPoint: checkpoints.recoveryPoints.get(name) ?? 0,
    logStartOffset: Math.max(checkpoints.startOffsets.get(name) ?? 0, firstOffset),
    cleanShutdown: checkpoints.cleanShutdown,
    resume: null,
    epochs: null,
    provenEnd,
    startIsKnown: false,
    damage: null,
  }
}

/** The base offset of the first segment in a log's directory, 0 when there is none. */
async function firstSegment(disk: Disk, directory: string): Promise<number> {
  for (const { name } of await disk.list(directory)) {
    const parsed = parseSegmentFileName(name)
    if (parsed?.kind === 'log' && parsed.leftover !== 'deleted') return parsed.baseOffset
  }
  return 0
}

function decodeEpochs(bytes: Uint8Array | undefined): LeaderEpochs | null {
  return bytes === undefined ? null : LeaderEpochs.decode(Buffer.from(bytes).toString())
}

function goneDirectory(path: string, log: ReplayedLog): CorruptionError {
  const expected = `records from offset ${log.logStartOffset} to ${log.endOffset}`
  return new CorruptionError({ file: path, position: 0, expected, found: 'no directory' })
}
