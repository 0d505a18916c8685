import { CorruptionError } from '../model/errors.ts'
import type { DiskFile } from '../runtime/disk.ts'
import { type BadRange, corruptionOf } from './badRanges.ts'
import { parseSegmentFileName, segmentFileName } from './fileNames.ts'
import { type EpochStart, LeaderEpochs } from './leaderEpochs.ts'
import type { LogState } from './logState.ts'
import { checkFits, checkReplacement, MisfitError, mayHaveGaps, type Stretch } from './mendChecks.ts'
import type { Mending } from './mending.ts'
import { fromPosition } from './noteDamage.ts'
import { makeWithMetadata } from './partitionMetadata.ts'
import type { BatchHeader } from './recordBatch.ts'
import { notedPlaces } from './resumePoint.ts'
import { OtherSegmentError } from './sameSegment.ts'
import { auditBatches } from './verifyBatches.ts'

/** A segment file as it is on the disk. */
interface SegmentFile {
  readonly file: DiskFile
  readonly baseOffset: number
  readonly sizeBytes: number
}

/** What is missing in the files of a log. */
interface Gap extends Stretch {
  readonly file: DiskFile
  /** Nothing good follows in the file. */
  readonly isEnd: boolean
  /** Nothing good follows at all. */
  readonly isLast: boolean
  /** It is a whole file, whatever there is: written again beside it. */
  readonly isWhole?: boolean
  /** Between two files: these. One of them is wrong, too, where what is missing does not begin or end there. */
  readonly beside?: { readonly before?: string; readonly after: string }
}

/**
 * What has to be written again before a log can be opened that is offline because of damage: every stretch that is not what it must
 * be, from the first damaged file on. `epochs` says which epoch wrote what; null when nobody can tell. What stands in a file behind
 * everything that belongs there has been cut off when it resolves. Of the files in `misfits` nothing is kept.
 */
export async function mendOffline(
  state: LogState,
  epochs: readonly EpochStart[] | null,
  misfits: ReadonlySet<string>,
): Promise<readonly Mending[]> {
  const { offline, options, flush } = state
  if (!(offline instanceof CorruptionError)) return []
  const { recoveryPoint, provenEnd, logStartOffset } = options
  const mustHave = Math.max(flush.durableOffset, recoveryPoint, provenEnd ?? 0)
  const { disk } = state.runtime
  if ((await disk.stat(state.directory)) === null) {
    await makeWithMetadata(disk, state.directory, options.topicId)
    await options.syncName?.()
  }
  const files = await segmentFiles(state)
  const first = Math.max(
    0,
    // What is missing may be what should stand before it.
    files.findIndex(({ file }) => file.path === offline.corruption.file) - 1,
  )
  const gaps: Gap[] = []
  const isFromStart = first === 0 && options.startIsKnown === true
  let next = Math.min(files[first]?.baseOffset ?? logStartOffset, isFromStart ? logStartOffset : Infinity)
  for (const [index, { file, baseOffset, sizeBytes }] of files.entries()) {
    if (index < first) continue
    if (baseOffset > next) gaps.push(between(state, files[index - 1] ?? null, file, next, baseOffset))
    const endOffset = files[index + 1]?.baseOffset ?? null
    const bad: BadRange[] = []
    const wholeEnd = endOffset ?? mustHave
    const isBlamed = file.path === offline.corruption.file
    let isOther = misfits.has(file.path) || (isBlamed && offline instanceof OtherSegmentError)
    const end = await audit(state, epochs, { file, baseOffset, sizeBytes }, endOffset, {
      bad: (range) => bad.push(range),
      // Its batches agree with each other, but not with what the journal has of this log.
      epoch: (header) => {
        isOther ||= header.baseOffset < mustHave
      },
    })
    const isShort = end.nextOffset < wholeEnd
    // Nothing is missing where there is something that is no good: what follows may be good, and another log's.
    isOther ||= bad.some(
      (range) =>
        range.nextOffset <= range.baseOffset && range.end < end.validBytes && range.baseOffset < wholeEnd,
    )
    // Every batch is good by itself, and yet it cannot be opened.
    isOther ||= isBlamed && bad.length === 0 && !isShort && options.journalIsDamaged !== true
    if (isOther && wholeEnd > baseOffset) {
      // What is this log's of what goes may be known to nobody else.
      if (endOffset === null && end.nextOffset > mustHave) await options.mayLackEnd?.()
      gaps.push({ ...missing(state, baseOffset, wholeEnd, endOffset === null), isWhole: true })
      next = wholeEnd
      continue
    }
    next = end.nextOffset
    for (const range of bad) {
      // Where nothing has to be any more, good batches of others may stand behind a bad one.
      if (endOffset === null && range.baseOffset >= mustHave) break
      const isEnd = range.end >= sizeBytes
      const nextOffset = isEnd ? (endOffset ?? mustHave) : range.nextOffset
      if (nextOffset <= range.baseOffset) {
        // The end of what is there may be torn: what is not known to be durable is nobody's. With another file behind it, that is all there: no
        // start would cut it.
        if (isEnd && endOffset !== null) await cut(file, range.position)
        continue
      }
      gaps.push({ ...range, file, isEnd, isLast: isEnd && endOffset === null, nextOffset })
      if (isEnd) next = nextOffset
    }
  }
  const last = files.at(-1)
  if (next < mustHave && last === undefined) gaps.push(missing(state, next, mustHave, true))
  else if (next < mustHave) {
    const { file, sizeBytes } = last!
    gaps.push({
      file,
      isEnd: true,
      isLast: true,
      position: sizeBytes,
      end: sizeBytes,
      baseOffset: next,
      nextOffset: mustHave,
    })
  }
  return gaps.map((gap) => new OfflineMending(state, gap, epochs))
}

/**
 * Batches of a log that is offline, checked, from the one that begins at `fromOffset` on, below `toOffset`; null when it is not
 * there. About `maxBytes`, but at least one.
 */
export async function readOffline(
  state: LogState,
  fromOffset: number,
  toOffset: number,
  maxBytes: number,
): Promise<Uint8Array | null> {
  const files = await segmentFiles(state)
  const index = files.findLastIndex(({ baseOffset }) => baseOffset <= fromOffset)
  if (index < 0) return null
  const { file } = files[index]!
  const { offline } = state
  if (offline instanceof OtherSegmentError && offline.corruption.file === file.path) return null
  let start = -1
  let end = -1
  const done = new Error('enough was found')
  const batch = ({ baseOffset, lastOffset, sizeBytes }: BatchHeader, position: number): void => {
    if (baseOffset === fromOffset) start = end = position
    const isNext = start >= 0 && position === end && lastOffset < toOffset
    if (isNext && (end === start || position + sizeBytes - start <= maxBytes)) end = position + sizeBytes
    else if (start >= 0) throw done
  }
  const endOffset = files[index + 1]?.baseOffset ?? null
  try {
    await audit(state, null, files[index]!, endOffset, { batch, bad() {} })
  } catch (error) {
    if (error !== done) throw error
  }
  if (end <= start) return null
  const bytes = new Uint8Array(end - start)
  const count = await file.read(bytes, start)
  return count === bytes.length ? bytes : null
}

/** Writes one gap of a log that is offline. */
class OfflineMending implements Mending {
  readonly #state: LogState
  readonly #gap: Gap
  readonly #epochs: LeaderEpochs | null
  readonly file: string
  readonly position: number
  #at: number
  fromOffset: number
  readonly toOffset: number
  readonly isCommittedOnly: boolean
  readonly isEnd: boolean
  /** What is written: the file itself, or one that takes its place in the end. */
  readonly #target: DiskFile

  constructor(state: LogState, gap: Gap, epochs: readonly EpochStart[] | null) {
    this.#state = state
    this.#gap = gap
    this.#epochs = epochs === null ? null : new LeaderEpochs(epochs)
    this.file = gap.file.path
    this.position = gap.position
    this.#at = gap.position
    this.fromOffset = gap.baseOffset
    this.toOffset = gap.nextOffset
    this.isCommittedOnly = epochs === null
    this.isEnd = gap.isLast
    this.#target = gap.isWhole ? state.runtime.disk.file(`${this.file}.cleaned`) : gap.file
  }

  get isOver(): boolean {
    return this.fromOffset >= this.toOffset
  }

  async take(bytes: Uint8Array): Promise<void> {
    const { runtime, directory } = this.#state
    const { file, isEnd, isWhole = false, end: limit, beside } = this.#gap
    const { fromOffset, toOffset } = this
    if (!isWhole) checkFits(file.path, fromOffset, toOffset, bytes, beside)
    // Before anything else: what is asked for may be far more than was ever here, of epochs that nobody here has heard of.
    if (!isEnd && this.#at + bytes.length > limit) throw new MisfitError(file.path)
    const isGapless = !mayHaveGaps(this.#state, fromOffset)
    const epochFor = (offset: number): number | null => this.#epochs?.epochFor(offset) ?? null
    const rules = { checksum: runtime.checksum, isGapless, epochFor, fromOffset, toOffset }
    const nextOffset = checkReplacement(rules, bytes)
    const target = this.#target
    const position = this.#at
    const end = position + bytes.length
    const isLast = nextOffset >= toOffset
    if (!isEnd && isLast !== (end === limit)) throw new MisfitError(file.path)
    if (isWhole && position === 0) await runtime.disk.remove(target.path)
    await runtime.disk.submit([{ file: target, position, parts: [bytes], sync: 'dataAndName' }])
    if (isLast && isEnd && !isWhole && (await file.size()) > end) {
      // What is behind it belongs to nothing.
      await file.truncate(end)
      await file.sync()
    }
    if (isLast) await runtime.disk.syncDirectory(directory)
    await target.dropCached?.()
    const written = { file: fromPosition(target, position), baseOffset: fromOffset, sizeBytes: bytes.length }
    const bad = (range: BadRange): never => {
      throw corruptionOf(range)
    }
    await audit(this.#state, this.#epochs?.entries ?? null, written, nextOffset, { bad })
    this.#at = end
    if (isLast && isWhole) await this.#swap()
    this.fromOffset = nextOffset
  }

  async giveUp(): Promise<void> {
    if (this.#gap.isWhole) await this.#swap()
  }

  /** Puts what has come in the place of the file; that is gone when nothing came. */
  async #swap(): Promise<void> {
    const { runtime, directory } = this.#state
    const { disk } = runtime
    await this.#gap.file.close()
    await this.#target.close()
    if (this.#at === 0) await disk.remove(this.file)
    else await disk.rename(this.#target.path, this.file)
    await disk.syncDirectory(directory)
  }
}

async function cut(file: DiskFile, sizeBytes: number): Promise<void> {
  await file.truncate(sizeBytes)
  await file.sync()
  await file.dropCached?.()
}

function missing(state: LogState, baseOffset: number, nextOffset: number, isLast: boolean): Gap {
  const file = state.runtime.disk.file(`${state.directory}/${segmentFileName(baseOffset, 'log')}`)
  return { file, isEnd: true, isLast, position: 0, end: 0, baseOffset, nextOffset }
}

/**
 * What is missing before the file `after`, from `baseOffset` to `nextOffset`: the end of the file before it where a segment is known not
 * to begin there, else a file of its own.
 */
function between(
  state: LogState,
  before: SegmentFile | null,
  { path: after }: DiskFile,
  baseOffset: number,
  nextOffset: number,
): Gap {
  const places = notedPlaces(state.options)
  const activeBase = places.at(-1)?.[0] ?? 0
  const isOwn = baseOffset >= activeBase || places.some(([base]) => base === baseOffset)
  const gap = missing(state, baseOffset, nextOffset, false)
  if (before === null) return { ...gap, beside: { after } }
  const { file, sizeBytes } = before
  const beside = { before: file.path, after }
  return isOwn ? { ...gap, beside } : { ...gap, file, position: sizeBytes, end: sizeBytes, beside }
}

function audit(
  state: LogState,
  epochs: readonly EpochStart[] | null,
  { file, baseOffset, sizeBytes }: SegmentFile,
  endOffset: number | null,
  auditor: Parameters<typeof auditBatches>[2],
): ReturnType<typeof auditBatches> {
  const range = {
    file,
    baseOffset,
    sizeBytes,
    endOffset,
    mayHaveGaps: mayHaveGaps(state, baseOffset),
    epochs,
    epochsEnd: Number.MAX_SAFE_INTEGER,
  }
  return auditBatches(range, state.runtime.checksum, auditor)
}

/** The segment files of a log's directory, ascending; none when that is gone. */
async function segmentFiles({ runtime, directory }: LogState): Promise<SegmentFile[]> {
  const { disk } = runtime
  if ((await disk.stat(directory)) === null) return []
  const found: SegmentFile[] = []
  for (const { name } of await disk.list(directory)) {
    const parsed = parseSegmentFileName(name)
    if (parsed?.kind !== 'log' || parsed.leftover !== null) continue
    const path = `${directory}/${name}`
    const stat = await disk.stat(path)
    if (stat !== null) found.push({ file: disk.file(path), ...parsed, sizeBytes: stat.sizeBytes })
  }
  return found.sort((left, right) => left.baseOffset - right.baseOffset)
}
