import { CorruptionError, EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { planted } from '../model/planted.ts'
import { type EpochStart, type LogStart, notBehind, VoterSet, type VotersEntry } from '../raft.ts'
import type { Disk } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Log } from '../segment/log.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import { controlBatches } from './controlBatches.ts'
import {
  decodeEpochStarts,
  decodeQuorum,
  decodeSnapshot,
  decodeVoterSets,
  encodeEpochStarts,
  encodeVoterSets,
  noQuorum,
  type StoredQuorum,
  type StoredSnapshot,
  stateKind,
} from './groupStates.ts'
import type { GroupSpec } from './groupTypes.ts'
import { install, installed } from './installSnapshot.ts'
import type { States } from './marks.ts'
import type { SnapshotHead } from './snapshotContent.ts'
import { SnapshotFiles } from './snapshotFiles.ts'
import { controlRecordsOf } from './wire/batches.ts'

/** What a replica finds of itself. */
export interface GroupStart {
  readonly log: Log
  readonly snapshots: SnapshotFiles
  /** There was no log. */
  readonly isNew: boolean
  readonly isPartition: boolean
  readonly epochs: readonly EpochStart[]
  /** At least one set. */
  readonly voters: readonly VotersEntry[]
  readonly stored: StoredQuorum
  readonly logStart: LogStart
}

/**
 * Opens the log of a replica, or makes it, and brings together what the journal and the records say. The two become durable in
 * one order but one by one, so after a crash either may be ahead: what is ahead was never promised, and is dropped here, durably.
 * Throws `inconsistentTopicId` when another topic has the log, `corruptLog` for states that cannot be read.
 */
export async function openGroupLog(
  runtime: Pick<Runtime, 'disk' | 'checksum' | 'clock'>,
  logs: LogDirectory,
  spec: GroupSpec,
  logger: Logger,
): Promise<GroupStart> {
  const { disk } = runtime
  const { topic, partition, topicId, config, kind } = spec
  const found =
    logs.logs.get(`${topic}-${partition}`) ?? (await logs.openAgain(topic, partition)) ?? undefined
  if (found !== undefined && found.topicId !== topicId) {
    throw new EngineError('inconsistentTopicId', `${topic}-${partition} is a log of topic ${found.topicId}`)
  }
  const log = found ?? (await logs.createLog(topic, partition, topicId, config))
  if (found !== undefined) log.updateConfig(config)
  const read = <T>(kind: number, decode: (bytes: Uint8Array) => T, absent: T): T => {
    const bytes = logs.stateOf(log, kind)
    return bytes === null ? absent : decode(bytes)
  }
  const quorum = read(stateKind.quorum, decodeQuorum, nothingOf(spec))
  const first = firstVoters(spec)
  const isPartition = kind === 'partition'
  const snapshots = await SnapshotFiles.open(runtime, log.directory, logger)
  if (log.offline === null) {
    const before = read(stateKind.voters, decodeVoterSets, [first]).at(-1)!
    const unfinished = read(stateKind.snapshot, decodeSnapshot, null)
    const put = (states: States): Promise<unknown> =>
      Promise.all(states.map(([kind, bytes]) => logs.putState(log, kind, bytes)))
    await finishInstall(log, snapshots, unfinished, isPartition, before, put, logger)
  }
  const snapshotId = read(stateKind.snapshot, decodeSnapshot, null)?.id ?? null
  if (first.version > 0 && logs.stateOf(log, stateKind.voters) === null && log.offline === null) {
    await logs.putState(log, stateKind.voters, encodeVoterSets([first]))
  }
  const storedVoters = read(stateKind.voters, decodeVoterSets, [first])
  const storedEpochs = read<EpochStart[]>(stateKind.epochs, decodeEpochStarts, [])
  let epochs = storedEpochs
  let voters = storedVoters
  if (log.offline === null) {
    if (isPartition) {
      epochs = await agreedEpochs(logs, log, storedEpochs, quorum.highWatermark)
      voters = storedVoters.map((entry) => notBehind(entry, log.logEndOffset))
    } else {
      epochs = epochsOfRecords(log, storedEpochs)
      voters = await votersOfRecords(disk, log, storedVoters)
    }
    await Promise.all([
      isSame(epochs, storedEpochs) ? null : logs.putState(log, stateKind.epochs, encodeEpochStarts(epochs)),
      isSame(voters, storedVoters) ? null : logs.putState(log, stateKind.voters, encodeVoterSets(voters)),
    ])
  }
  const { logStartOffset, logEndOffset } = log
  const logStart: LogStart = {
    logStartOffset,
    logEndOffset,
    epochStarts: epochs,
    // What retention has removed is in no snapshot: whoever needs it is told that there is one, and does not get it.
    snapshotId:
      snapshotId !== null && snapshotId.endOffset >= logStartOffset
        ? snapshotId
        : logStartOffset === 0
          ? null
          : { endOffset: logStartOffset, epoch: epochBefore(epochs, logStartOffset) },
  }
  const stored = inEpoch(quorum, epochs.at(-1)?.epoch ?? 0)
  return { log, snapshots, isNew: found === undefined, isPartition, epochs, voters, stored, logStart }
}

/** Records that were mended may be of a later epoch than the replica was ever in: it has neither voted nor led there. */
function inEpoch(stored: StoredQuorum, epoch: number): StoredQuorum {
  if (epoch <= stored.quorum.leaderEpoch) return stored
  return { ...stored, quorum: { ...stored.quorum, leaderEpoch: epoch, leaderId: -1, voted: null } }
}

/** What a replica is that was never started. */
function nothingOf({ startsAfter = 0 }: GroupSpec): StoredQuorum {
  return { ...noQuorum, quorum: { ...noQuorum.quorum, incarnation: startsAfter } }
}

/** The set to begin with: of the log, or beside it. */
function firstVoters({ voters, kind, storesVoters = false }: GroupSpec): VotersEntry {
  const isOfLog = storesVoters && kind === 'partition' && voters !== null
  return { offset: isOfLog ? 0 : -1, version: isOfLog ? 1 : 0, voters: new VoterSet(voters ?? []) }
}

/** Installs a snapshot that came whole, or was being installed, when the replica stopped. */
async function finishInstall(
  log: Log,
  snapshots: SnapshotFiles,
  stored: StoredSnapshot | null,
  isPartition: boolean,
  before: VotersEntry,
  put: (states: States) => Promise<unknown>,
  logger: Logger,
): Promise<void> {
  const { latest } = snapshots
  const isBeyond = latest !== null && latest.endOffset > log.logEndOffset
  const id = stored?.isInstalling ? stored.id : isBeyond ? latest : null
  if (id === null || planted('installNotFinished')) return
  let head: SnapshotHead
  try {
    head = await snapshots.head(id)
  } catch (error) {
    if (stored?.isInstalling || !(error instanceof CorruptionError)) throw error
    logger.error('a damaged snapshot is removed', { file: snapshots.path(id), error: error.message })
    await snapshots.remove(id)
    return
  }
  await install(log, id, head, installed(id, head, isPartition, before), put)
}

/**
 * The marks that fit the records. Records that no mark allows are cut off: their epoch began after what is durable. Where the journal
 * does not have the records too, it may as well be that no mark fits because their epoch is damaged, which no checksum covers.
 */
async function agreedEpochs(
  logs: LogDirectory,
  log: Log,
  stored: readonly EpochStart[],
  highWatermark: number,
): Promise<EpochStart[]> {
  const conflict = firstConflict(log, stored)
  if (conflict < log.logEndOffset) {
    if (conflict < highWatermark) {
      throw new CorruptionError({
        file: log.directory,
        position: 0,
        expected: `the epoch that the journal has for committed offset ${conflict}`,
        found: 'records of another one',
      })
    }
    if (log.config.flush !== 'journal') await logs.doubtsAbout(log).lackEnd()
    await log.truncate(conflict)
  }
  return stored.filter(({ startOffset }) => startOffset <= log.logEndOffset)
}

/** The first offset whose record is of another epoch than the marks say; the end of the log when there is none. */
function firstConflict(log: Log, marks: readonly EpochStart[]): number {
  const { entries } = log.leaderEpochs
  for (let index = 0; index < entries.length; index++) {
    const { epoch, startOffset } = entries[index]!
    const end = entries[index + 1]?.startOffset ?? log.logEndOffset
    const from = Math.max(startOffset, log.logStartOffset)
    if (from >= end) continue
    if ((marks.findLast((mark) => mark.startOffset <= from)?.epoch ?? 0) !== epoch) return from
    const next = marks.find((mark) => mark.startOffset > from && mark.startOffset < end)
    if (next !== undefined) return next.startOffset
  }
  return log.logEndOffset
}

/** The metadata log says by itself which epochs it has; what lies before its start is known from earlier. */
function epochsOfRecords(log: Log, stored: readonly EpochStart[]): EpochStart[] {
  const found = log.leaderEpochs.entries
    .filter(({ startOffset }) => startOffset < log.logEndOffset)
    .map(({ epoch, startOffset }) => ({ epoch, startOffset, votersVersion: 0 }))
  const before = stored.filter(({ startOffset }) => startOffset < log.logStartOffset)
  const isNew = ({ epoch }: EpochStart): boolean => !before.some((known) => known.epoch >= epoch)
  return [...before, ...found.filter(isNew)]
}

/** The voter sets of the metadata log: those that were noted, and those whose records have come since. */
async function votersOfRecords(disk: Disk, log: Log, stored: readonly VotersEntry[]): Promise<VotersEntry[]> {
  const [first, ...later] = stored
  const voters = [first!, ...later.filter(({ offset }) => offset < log.logEndOffset)]
  const from = Math.max(log.logStartOffset, voters.at(-1)!.offset + 1)
  for await (const { header, bytes } of controlBatches(disk, log, from)) {
    controlRecordsOf(bytes).forEach((record, index) => {
      const offset = header.baseOffset + index
      if (record.type === 'voters' && offset > voters.at(-1)!.offset) {
        voters.push({ offset, version: 0, voters: new VoterSet(record.voters) })
      }
    })
  }
  return voters
}

function epochBefore(epochs: readonly EpochStart[], offset: number): number {
  return epochs.findLast(({ startOffset }) => startOffset < offset)?.epoch ?? 0
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
