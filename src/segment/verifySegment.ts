import { EngineError } from '../model/errors.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { Task } from '../runtime/compute.ts'
import type { Disk } from '../runtime/disk.ts'
import type { BadRange } from './badRanges.ts'
import { leaderEpochFile, segmentFileName } from './fileNames.ts'
import { absenceOf, holdEnd, type JournalHold } from './journalHold.ts'
import type { EpochStart } from './leaderEpochs.ts'
import type { BatchHeader } from './recordBatch.ts'
import { auditBatches } from './verifyBatches.ts'
import { type Finding, fileFinding } from './verifyFindings.ts'
import { type IndexFile, OffsetIndexCheck, TimeIndexCheck, TxnIndexCheck } from './verifyIndexes.ts'

/** More findings than this in one segment say no more than these. */
const mostFindings = 200

/** What a producer snapshot says of one batch: it has to be found where it says. */
export interface SnapshotClaim {
  readonly file: string
  readonly producerId: number
  readonly epoch: number
  readonly lastSequence: number
  readonly lastOffset: number
}

/** One segment to check, as plain data, so that a worker can be asked for it. */
export interface SegmentTask {
  /** The log's directory. */
  readonly directory: string
  readonly baseOffset: number
  readonly sizeBytes: number
  /** Where the next segment begins; null for the active one. */
  readonly endOffset: number | null
  /** Below this everything has to be there. */
  readonly durableOffset: number
  /** Whether bytes at or above `durableOffset` in the active segment may be judged: nobody is writing. */
  readonly judgeTail: boolean
  /** What becomes of records at or above `durableOffset` that are not here. */
  readonly hold: JournalHold
  readonly mayHaveGaps: boolean
  readonly epochs: readonly EpochStart[] | null
  readonly epochsEnd: number
  /** What is noted of its batches; see `AuditRange`. */
  readonly stored: { readonly sizeBytes: number; readonly digest: number } | null
  /** Which of the segment's index files are there. */
  readonly files: readonly ('index' | 'timeindex' | 'txnindex')[]
  /** The indexes of the active segment are complete only after a clean shutdown, and not after every one. */
  readonly indexesMustFit: boolean
  /** How many entries the offset index has, as a clean shutdown noted; null when nobody knows. */
  readonly offsetEntries: number | null
  readonly claims: readonly SnapshotClaim[]
}

/** What came of it, as plain data. */
export interface SegmentReport {
  readonly findings: readonly Finding[]
  readonly batches: number
  readonly bytes: number
  /** Offset after the last good batch. */
  readonly nextOffset: number
}

/** Checks one segment and its indexes. Changes nothing. `read` is told of every step and may end the work by throwing. */
export async function verifySegment(
  disk: Disk,
  checksum: Checksum,
  task: SegmentTask,
  read: (bytes: number) => void = () => {},
): Promise<SegmentReport> {
  const { baseOffset, sizeBytes, endOffset, mayHaveGaps, epochs, epochsEnd, stored } = task
  const path = (kind: 'log' | 'index' | 'timeindex' | 'txnindex'): string =>
    `${task.directory}/${segmentFileName(task.baseOffset, kind)}`
  const findings: Finding[] = []
  const add = (finding: Finding): void => {
    if (findings.length < mostFindings) findings.push(finding)
  }
  const indexFile = async (kind: 'index' | 'timeindex' | 'txnindex'): Promise<IndexFile> => {
    const bytes = task.files.includes(kind) ? await readIfThere(disk, path(kind)) : null
    return { path: path(kind), bytes, baseOffset, isLenient: !task.indexesMustFit || bytes === null }
  }
  const offsets = new OffsetIndexCheck(await indexFile('index'), add)
  const times = new TimeIndexCheck(await indexFile('timeindex'), add)
  const aborted = new TxnIndexCheck(await indexFile('txnindex'), add)
  const claims = new ClaimCheck(task.claims, add)
  const file = disk.file(path('log'))
  const mustReach = endOffset ?? Math.max(task.durableOffset, holdEnd(task.hold))
  let epochsAreBad = false
  /** Offset after the last that damage concerns. */
  let toldUntil = 0
  try {
    const end = await auditBatches(
      { file, baseOffset, sizeBytes, endOffset, mayHaveGaps, epochs, epochsEnd, stored },
      checksum,
      {
        batch: (header, position) => {
          offsets.batch(header, position)
          times.batch(header)
          aborted.batch(header)
          claims.batch(header)
        },
        bad: (range) => {
          for (const check of [offsets, times, aborted]) check.damaged(range)
          claims.damaged(range)
          // Nothing follows: what else should be there is gone with it.
          const nextOffset = Math.max(range.nextOffset, range.end === sizeBytes ? mustReach : 0)
          toldUntil = nextOffset
          const finding = findingOf({ ...range, nextOffset }, task)
          if (finding !== null) add(finding)
        },
        epoch: (header, known) => {
          if (epochsAreBad) return
          epochsAreBad = true
          const expected = `epoch ${header.partitionLeaderEpoch} at offset ${header.baseOffset}, as in the batches`
          add(fileFinding('epochs', `${task.directory}/${leaderEpochFile}`, expected, `epoch ${known}`))
        },
        read: (bytes) => read(bytes),
      },
    )
    const reached = Math.max(end.nextOffset, toldUntil)
    if (reached < mustReach && !(mayHaveGaps && endOffset !== null)) {
      const place = { file: file.path, position: sizeBytes, end: sizeBytes }
      const expected = `records up to offset ${mustReach}`
      const found = `none from offset ${reached} on`
      const finding = findingOf(
        { ...place, baseOffset: reached, nextOffset: mustReach, expected, found },
        task,
      )
      if (finding !== null) add(finding)
    }
    // A segment that is not there to its end has told so; its indexes tell nothing new.
    if (endOffset === null || end.nextOffset === endOffset || mayHaveGaps) {
      times.end()
      offsets.end(task.offsetEntries)
      aborted.end()
      claims.end(end.nextOffset)
    }
    return { findings, batches: end.batches, bytes: end.validBytes, nextOffset: end.nextOffset }
  } finally {
    await file.close()
  }
}

/** What damage, or an end that comes too early, is to the log; null when it is not to be judged. */
function findingOf(range: BadRange, { durableOffset, judgeTail, hold }: SegmentTask): Finding | null {
  const { state, baseOffset, nextOffset } = absenceOf(hold, range.baseOffset, range.nextOffset)
  // Power loss leaves any mixture of what was not synced; the journal has what counts of it.
  const isHeld = state === 'held' && nextOffset >= Math.min(range.nextOffset, durableOffset)
  if (isHeld) return { kind: 'inJournal', ...range, nextOffset }
  if (range.baseOffset < durableOffset) {
    return { kind: range.end === range.position ? 'missing' : 'batches', ...range }
  }
  if (!judgeTail) return null
  if (state === 'open') return { kind: 'tornEnd', ...range }
  const expected = 'these records, here or in the journal'
  return { kind: 'journalLost', ...range, baseOffset, nextOffset, expected }
}

/** `verifySegment` in the thread of `Compute`. */
export const verifySegmentTask: Task<SegmentTask, SegmentReport> = {
  name: 'verifySegment',
  body: (task, { disk, checksum, check }) => verifySegment(disk, checksum, task, check),
}

/** Checks that the batches which producer snapshots tell of are there. */
class ClaimCheck {
  readonly #claims = new Map<number, SnapshotClaim[]>()
  readonly #add: (finding: Finding) => void

  constructor(claims: readonly SnapshotClaim[], add: (finding: Finding) => void) {
    this.#add = add
    for (const claim of claims) {
      const same = this.#claims.get(claim.lastOffset)
      if (same === undefined) this.#claims.set(claim.lastOffset, [claim])
      else same.push(claim)
    }
  }

  batch(header: BatchHeader): void {
    if (this.#claims.size === 0 || header.producerId < 0) return
    const claims = this.#claims.get(header.lastOffset)
    if (claims === undefined) return
    this.#claims.delete(header.lastOffset)
    for (const { file, producerId, epoch, lastSequence } of claims) {
      const { producerId: wroteId, producerEpoch, lastSequence: wroteSequence } = header
      if (producerId === wroteId && epoch >= producerEpoch && lastSequence === wroteSequence) continue
      this.#add(
        fileFinding(
          'snapshot',
          file,
          `producer ${wroteId}, epoch ${producerEpoch}, sequence ${wroteSequence} at offset ${header.lastOffset}`,
          `producer ${producerId}, epoch ${epoch}, sequence ${lastSequence}`,
        ),
      )
    }
  }

  /** What is claimed of damaged batches is no second damage. */
  damaged({ baseOffset, nextOffset }: BadRange): void {
    for (const offset of this.#claims.keys()) {
      if (offset >= baseOffset && offset < nextOffset) this.#claims.delete(offset)
    }
  }

  /** What is left was claimed of a batch that is not there. */
  end(nextOffset: number): void {
    for (const [lastOffset, claims] of this.#claims) {
      if (lastOffset >= nextOffset) continue
      for (const { file, producerId } of claims) {
        this.#add(
          fileFinding(
            'snapshot',
            file,
            `the last batch of a producer at offset ${lastOffset}`,
            `producer ${producerId}, which has no batch that ends there`,
          ),
        )
      }
    }
  }
}

async function readIfThere(disk: Disk, path: string): Promise<Uint8Array | null> {
  try {
    return await disk.readFile(path)
  } catch (error) {
    if (error instanceof EngineError && error.code === 'notFound') return null
    throw error
  }
}
