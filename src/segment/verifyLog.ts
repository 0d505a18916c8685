import type { Uuid } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { readTextIfThere } from './checkpointFile.ts'
import type { ClosedLog } from './closedLog.ts'
import { decodePartitionMetadata } from './directoryNames.ts'
import {
  leaderEpochFile,
  parseSegmentFileName,
  partitionMetadataFile,
  type SegmentFileKind,
  segmentFileName,
} from './fileNames.ts'
import { absenceOf, holdEnd, type JournalHold } from './journalHold.ts'
import { LeaderEpochs } from './leaderEpochs.ts'
import { decodeProducerSnapshot } from './producerSnapshot.ts'
import { type Finding, fileFinding } from './verifyFindings.ts'
import type { SegmentTask, SnapshotClaim } from './verifySegment.ts'

/** One log as its directory shows it: names and sizes, nothing read. */
export interface FoundLog {
  /** `topic-partition`. */
  readonly name: string
  readonly directory: string
  /** Ascending. */
  readonly segments: readonly { readonly baseOffset: number; readonly sizeBytes: number }[]
  readonly names: ReadonlySet<string>
  /** Of all segments. */
  readonly sizeBytes: number
}

/** What the data directory says of one log. */
export interface LogClaims {
  /** As the journal has it; null when that does not know the log, or was not asked. */
  readonly topicId: Uuid | null
  /** The journal knows whose log it is, as far as anybody can tell: no other file is needed for that. */
  readonly isKnown: boolean
  readonly recoveryPoint: number
  /** Null when nobody knows, because the file that says it is damaged. */
  readonly logStartOffset: number | null
  /** What a clean shutdown noted, null after a crash. */
  readonly closed: ClosedLog | null
  /** What the last checkpoint has of its segments: of the last one as far as it was then. */
  readonly noted: ClosedLog | null
  /** The log was closed cleanly at the recovery point. */
  readonly isClean: boolean
  /** Compaction left gaps below this. */
  readonly compactedBelow: number
  /** Nobody is writing. */
  readonly judgeTail: boolean
  readonly hold: JournalHold
  /** The file of leader epochs was written when the log was last: by a clean shutdown, or where there is no journal. */
  readonly epochsAreCurrent: boolean
}

/** Lists a log's directory. A file that goes away meanwhile is left out. */
export async function findLog(runtime: Runtime, directory: string, name: string): Promise<FoundLog> {
  const path = `${directory}/${name}`
  const names = new Set<string>()
  const segments: { baseOffset: number; sizeBytes: number }[] = []
  for (const entry of await runtime.disk.list(path)) {
    names.add(entry.name)
    const parsed = parseSegmentFileName(entry.name)
    if (parsed === null || parsed.kind !== 'log' || parsed.leftover !== null) continue
    const stat = await runtime.disk.stat(`${path}/${entry.name}`)
    if (stat !== null) segments.push({ baseOffset: parsed.baseOffset, sizeBytes: stat.sizeBytes })
  }
  segments.sort((left, right) => left.baseOffset - right.baseOffset)
  const sizeBytes = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0)
  return { name, directory: path, segments, names, sizeBytes }
}

/** Checks a log's small files and tells what there is to check in its segments. Changes nothing. */
export async function planLog(
  runtime: Runtime,
  log: FoundLog,
  claims: LogClaims,
  add: (finding: Finding) => void,
): Promise<SegmentTask[]> {
  const { directory, segments } = log
  await checkPartitionMetadata(runtime, log, claims, add)
  reportOddFiles(log, add)
  const snapshots = await readSnapshots(runtime, log, add)
  const epochs = await readEpochs(runtime, log, add)
  // A snapshot is written only after everything below its offset was synced.
  const durableOffset = Math.max(claims.recoveryPoint, snapshots.newestOffset)
  checkStart(log, claims, durableOffset, add)
  if (claims.closed !== null) checkClosed(log, claims.closed, add)
  return segments.map(({ baseOffset, sizeBytes }, index) => {
    const endOffset = segments[index + 1]?.baseOffset ?? null
    const has = (kind: SegmentFileKind): boolean => log.names.has(segmentFileName(baseOffset, kind))
    const hasIndexes = claims.isClean && claims.closed?.hasIndexFiles !== false
    const indexesMustFit = endOffset === null ? hasIndexes : endOffset <= durableOffset
    for (const kind of ['index', 'timeindex'] as const) {
      if (!indexesMustFit || sizeBytes === 0 || has(kind)) continue
      const file = `${directory}/${segmentFileName(baseOffset, kind)}`
      add(fileFinding('indexGone', file, 'an index', 'no file'))
    }
    const isAsClosed = endOffset === null && hasIndexes && claims.closed?.active.sizeBytes === sizeBytes
    const mayHaveGaps = baseOffset < claims.compactedBelow
    const stored = claims.noted === null ? null : notedOf(claims.noted, baseOffset, sizeBytes)
    return {
      directory,
      baseOffset,
      sizeBytes,
      endOffset,
      durableOffset,
      judgeTail: claims.judgeTail,
      hold: claims.hold,
      mayHaveGaps,
      epochs: claims.epochsAreCurrent ? (epochs?.entries ?? null) : (claims.noted?.leaderEpochs ?? null),
      epochsEnd: claims.epochsAreCurrent ? claims.recoveryPoint : (claims.noted?.logEndOffset ?? 0),
      stored,
      files: (['index', 'timeindex', 'txnindex'] as const).filter(has),
      indexesMustFit,
      offsetEntries: isAsClosed ? (claims.closed?.active.offsets.count ?? null) : null,
      claims: mayHaveGaps
        ? []
        : snapshots.claims.filter(
            ({ lastOffset }) =>
              lastOffset >= baseOffset && lastOffset < (endOffset ?? Number.MAX_SAFE_INTEGER),
          ),
    }
  })
}

/** The digest that was noted of a segment; null when none was, or of another size. */
function notedOf(
  { segments, active }: ClosedLog,
  baseOffset: number,
  sizeBytes: number,
): SegmentTask['stored'] {
  const isActive = segments.at(-1)![0] === baseOffset
  const place = segments.find(([base]) => base === baseOffset)
  const [, notedBytes = -1, digest = -1, , newBytes = -1, newDigest = -1] = place ?? []
  if (isActive && active.sizeBytes <= sizeBytes)
    return { sizeBytes: active.sizeBytes, digest: active.digest ?? -1 }
  // What has been taken for compacted may be either.
  if (newBytes === notedBytes) return null
  if (newBytes === sizeBytes) return { sizeBytes, digest: newDigest }
  return notedBytes === sizeBytes ? { sizeBytes, digest } : null
}

async function checkPartitionMetadata(
  runtime: Runtime,
  { directory, names }: FoundLog,
  { topicId, isKnown }: LogClaims,
  add: (finding: Finding) => void,
): Promise<void> {
  const file = `${directory}/${partitionMetadataFile}`
  const text = names.has(partitionMetadataFile) ? await readTextIfThere(runtime.disk, file) : null
  const found = text === null ? null : decodePartitionMetadata(text)
  if (found === null) {
    const kind = isKnown ? 'topicIdFile' : 'partitionMetadata'
    const expected = `"version: 0" and "topic_id: ${topicId ?? '…'}"`
    add(fileFinding(kind, file, expected, excerpt(text)))
  } else if (topicId !== null && topicId !== found) {
    add(fileFinding('topicIdFile', file, `topic_id: ${topicId}`, `topic_id: ${found}`))
  }
}

/** Names what belongs to no log, and what interrupted work has left. */
function reportOddFiles({ directory, names }: FoundLog, add: (finding: Finding) => void): void {
  for (const name of names) {
    if (name === leaderEpochFile || name === partitionMetadataFile) continue
    const parsed = parseSegmentFileName(name)
    const file = `${directory}/${name}`
    if (parsed === null) add(fileFinding('unknown', file, 'a file of a log', 'another name'))
    else if (parsed.leftover !== null) {
      add(fileFinding('leftover', file, 'no interrupted work', `a .${parsed.leftover} file`))
    }
  }
}

async function readSnapshots(
  runtime: Runtime,
  { directory, names }: FoundLog,
  add: (finding: Finding) => void,
): Promise<{ newestOffset: number; claims: SnapshotClaim[] }> {
  let newestOffset = 0
  const claims: SnapshotClaim[] = []
  for (const name of names) {
    const parsed = parseSegmentFileName(name)
    if (parsed === null || parsed.kind !== 'snapshot' || parsed.leftover !== null) continue
    const { baseOffset: offset } = parsed
    const file = `${directory}/${name}`
    if ((await runtime.disk.stat(file)) === null) continue
    const bytes = await runtime.disk.readFile(file)
    const producers = decodeProducerSnapshot(bytes, runtime.checksum)
    if (producers === null) {
      const expected = 'a producer snapshot of version 1 with a true checksum'
      add(fileFinding('snapshot', file, expected, `${bytes.length} other bytes`))
      continue
    }
    newestOffset = Math.max(newestOffset, offset)
    for (const { producerId, epoch, batches } of producers) {
      const last = batches.at(-1)
      if (last === undefined) continue
      const { lastSequence, lastOffset } = last
      if (lastOffset < offset) claims.push({ file, producerId, epoch, lastSequence, lastOffset })
      else {
        const found = `producer ${producerId} with offset ${lastOffset}`
        add(fileFinding('snapshot', file, `producers as they were at offset ${offset}`, found))
      }
    }
  }
  return { newestOffset, claims }
}

async function readEpochs(
  runtime: Runtime,
  { directory, names }: FoundLog,
  add: (finding: Finding) => void,
): Promise<LeaderEpochs | null> {
  if (!names.has(leaderEpochFile)) return null
  const file = `${directory}/${leaderEpochFile}`
  const text = await readTextIfThere(runtime.disk, file)
  const epochs = text === null ? null : LeaderEpochs.decode(text)
  if (epochs === null) {
    const expected = 'version 0, a count, and as many growing lines "epoch startOffset"'
    add(fileFinding('epochs', file, expected, excerpt(text)))
  }
  return epochs
}

/** The first segment has to hold the log's first record. */
function checkStart(
  { directory, segments }: FoundLog,
  { logStartOffset, recoveryPoint, closed, hold }: LogClaims,
  durableOffset: number,
  add: (finding: Finding) => void,
): void {
  const start = logStartOffset ?? closed?.logStartOffset ?? null
  const first = segments[0]
  const missing = (baseOffset: number, nextOffset: number, found: string): void => {
    const absence = absenceOf(hold, baseOffset, nextOffset)
    const isHeld = absence.state === 'held' && absence.nextOffset === nextOffset
    add({
      kind: isHeld ? 'inJournal' : 'missing',
      file: `${directory}/`,
      position: null,
      end: null,
      baseOffset,
      nextOffset,
      expected: `records from offset ${baseOffset} on`,
      found,
    })
  }
  if (first === undefined) {
    const end = Math.max(recoveryPoint, holdEnd(hold))
    if (end > (start ?? 0)) missing(start ?? 0, Math.max(end, durableOffset), 'no segment')
  } else if (start !== null && first.baseOffset > start) {
    missing(start, first.baseOffset, `a first segment that begins at offset ${first.baseOffset}`)
  }
}

/** Whether the segments are as the clean shutdown noted them. */
function checkClosed(
  { directory, segments }: FoundLog,
  closed: ClosedLog,
  add: (finding: Finding) => void,
): void {
  const found = segments.map(({ baseOffset, sizeBytes }) => `${baseOffset}:${sizeBytes}`).join(' ')
  const noted = closed.segments.map(([baseOffset, sizeBytes]) => `${baseOffset}:${sizeBytes}`).join(' ')
  // An active segment without batches may have no file yet.
  if (found === noted || `${found} ${closed.logEndOffset}:0`.trim() === noted) return
  const files = `${directory}/`
  add(fileFinding('cleanShutdown', files, `segments (offset:bytes) ${noted || 'none'}`, found || 'none'))
}

/** The beginning of a text, for a message. */
export function excerpt(text: string | null): string {
  if (text === null) return 'no file'
  return text === '' ? 'an empty file' : JSON.stringify(text.slice(0, 60))
}
