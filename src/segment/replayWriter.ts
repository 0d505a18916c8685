import { CorruptionError, type EngineError, toEngineError, WriteError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { DiskFile, DiskWrite } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { parseSegmentFileName, segmentFileName } from './fileNames.ts'
import { inParallel } from './inParallel.ts'
import type { AppendEntry } from './journal/entries.ts'
import type { JournalContent } from './journal/journalReplay.ts'
import { isRoomError } from './logRepair.ts'
import { BatchHeader, batchHeaderBytes, checksummedFrom } from './recordBatch.ts'
import type { ReplayedTail } from './replayedTail.ts'
import type { ReplayedLog, ReplayPlan } from './replayPlan.ts'
import { replaceByCopy } from './segmentRewrite.ts'

/** Groups of writes that are under way at once; each has the bytes of one frame. */
const mostWrites = 8
/** Cuts that are carried out at the same time. */
const parallel = 16

/** A segment file that is written again. */
interface Target {
  readonly file: DiskFile
  readonly logId: Uuid
  /** The size that the file had. */
  readonly foundEnd: number
  /** Bytes that are in place: what comes next may begin there, not later. */
  end: number
  /** Where the last of what is written again ends. */
  writtenEnd: number
  /**
   * Another batch stood where the journal has one: what else the file has is not this log's. Null until a batch has been found there
   * that is good.
   */
  isOther: boolean | null
}

type Renew = (file: DiskFile, sizeBytes: number) => Promise<void>

/**
 * Puts what the journal has back into the segments. Everything above a log's recovery point is written again, never
 * compared: after a failed sync the page cache is no evidence. Nothing is synced: the journal has it until its next
 * checkpoint.
 */
export class ReplayWriter {
  /** Logs that the journal does not fit: their files have lost what had been synced. */
  readonly damaged = new Map<Uuid, CorruptionError>()
  /** Logs whose files could not be cut or written: not everything of them is in place. */
  readonly failed = new Map<Uuid, EngineError>()
  /** Files that were written, to be synced before the journal lets go of them. */
  readonly written = new Set<DiskFile>()
  /** The directories of those files, whose names may be new. */
  readonly directories = new Set<string>()
  /** Batches and bytes that were written again. */
  batches = 0
  bytes = 0
  readonly #runtime: Runtime
  readonly #directory: string
  readonly #plan: ReplayPlan
  readonly #renew: Renew | null
  #absent: ReadonlySet<Uuid> = new Set()
  #tails: ReadonlyMap<Uuid, ReplayedTail> = new Map()
  readonly #targets = new Map<string, Target>()
  #running = new Set<Promise<void>>()
  #failure: unknown = null

  /** `renew` puts another file with the first `sizeBytes` of this one in its place; called before a file is changed. */
  constructor(runtime: Runtime, directory: string, plan: ReplayPlan, renew: Renew | null = null) {
    this.#runtime = runtime
    this.#directory = directory
    this.#plan = plan
    this.#renew = renew
  }

  /** Carries out the cuts that were decided, then writes what is alive, but for logs `absent`, and has `tails` follow; `step` with each frame. Rejects with the disk's errors. */
  async run(
    replay: Pick<JournalContent, 'frames'>,
    absent: ReadonlySet<Uuid>,
    tails: ReadonlyMap<Uuid, ReplayedTail>,
    step: () => void,
  ): Promise<void> {
    this.#tails = tails
    this.#absent = absent
    const cut = [...this.#plan.logs.values()].filter(({ unfinishedCut }) => unfinishedCut !== null)
    await inParallel(cut, parallel, async (log) => {
      try {
        await this.#cut(log)
      } catch (cause) {
        const error = toEngineError(cause, 'diskFailed', 'a log could not be cut')
        if (isRoomError(error)) throw error
        this.failed.set(log.id, error)
      }
    })
    if (![...this.#plan.logs.values()].some(({ hasAppends }) => hasAppends)) return
    let ordinal = 0
    for await (const { entries } of replay.frames()) {
      step()
      const writes: DiskWrite[] = []
      for (const entry of entries) {
        if (entry.type === 'append') await this.#add(entry, ordinal, writes)
        ordinal++
      }
      if (writes.length === 0) continue
      this.#submit(writes)
      while (this.#running.size >= mostWrites) await Promise.race(this.#running)
      if (this.#failure !== null) break
    }
    await Promise.all(this.#running)
    if (this.#failure !== null) throw this.#failure
    for (const { file, logId, end, writtenEnd, isOther } of this.#targets.values()) {
      if (isOther === true && writtenEnd < end && !this.failed.has(logId)) await file.truncate(writtenEnd)
    }
  }

  #submit(writes: readonly DiskWrite[]): void {
    const written = this.#runtime.disk.submit(writes).then(
      () => {
        this.#running.delete(written)
      },
      (error) => {
        this.#onError(error)
        this.#running.delete(written)
      },
    )
    this.#running.add(written)
  }

  /** What concerns single files concerns their logs; a disk that takes nothing concerns everybody. */
  #onError(error: unknown): void {
    if (!(error instanceof WriteError) || error.rest !== null || isRoomError(error)) this.#failure ??= error
    else {
      for (const { path, error: why } of error.failures) this.failed.set(this.#targets.get(path)!.logId, why)
    }
  }

  async #add(entry: AppendEntry, ordinal: number, writes: DiskWrite[]): Promise<void> {
    const { logId, baseOffset, lastOffset, segmentBaseOffset, position, bytes } = entry
    const log = this.#plan.logs.get(logId)
    if (
      log === undefined ||
      this.#absent.has(logId) ||
      this.damaged.has(logId) ||
      this.failed.has(logId) ||
      !log.isLive(ordinal, baseOffset, lastOffset)
    )
      return
    const path = `${this.#directory}/${log.name}/${segmentFileName(segmentBaseOffset, 'log')}`
    let target = this.#targets.get(path)
    if (target === undefined) {
      const stat = await this.#runtime.disk.stat(path)
      if (stat === null && log.isDeleted(segmentBaseOffset)) return
      const file = this.#runtime.disk.file(path)
      const end = stat?.sizeBytes ?? 0
      target = { file, logId, foundEnd: end, end, writtenEnd: 0, isOther: null }
      if (stat !== null) await this.#renew?.(target.file, stat.sizeBytes)
      this.#targets.set(path, target)
      this.written.add(target.file)
      this.directories.add(`${this.#directory}/${log.name}`)
    }
    if (position > target.end && log.provenEnd !== null) {
      const found = `a file of ${target.end} bytes`
      const damage = {
        file: path,
        position: target.end,
        expected: `${position} bytes that were synced`,
        found,
      }
      this.damaged.set(logId, new CorruptionError(damage))
      return
    }
    // What is damaged, or cannot be read, tells nothing: the next one may.
    const { file, foundEnd } = target
    target.isOther ??= await hasOtherBatch(file, foundEnd, position, bytes, this.#runtime.checksum).catch(
      () => null,
    )
    if (planted('replayTrustsCache') && position + bytes.length <= target.end) return
    target.end = Math.max(target.end, position + bytes.length)
    target.writtenEnd = Math.max(target.writtenEnd, position + bytes.length)
    writes.push({ file: target.file, position, parts: [bytes], sync: 'none' })
    this.#tails.get(logId)?.add(entry)
    this.batches++
    this.bytes += bytes.length
  }

  /** Cuts the files of a log as its last truncation has it. Files of it that are not there need no cut. */
  async #cut(log: ReplayedLog): Promise<void> {
    const { endOffset, segmentBaseOffset, position } = log.unfinishedCut!
    const { disk } = this.#runtime
    const directory = `${this.#directory}/${log.name}`
    if ((await disk.stat(directory)) === null) return
    for (const { name } of await disk.list(directory)) {
      const parsed = parseSegmentFileName(name)
      if (parsed === null) continue
      const isLater =
        parsed.kind === 'snapshot' ? parsed.baseOffset > endOffset : parsed.baseOffset > segmentBaseOffset
      if (isLater) await disk.remove(`${directory}/${name}`)
    }
    const path = `${directory}/${segmentFileName(segmentBaseOffset, 'log')}`
    const stat = await disk.stat(path)
    if (stat !== null) {
      const file = disk.file(path)
      await this.#renew?.(file, Math.min(stat.sizeBytes, position))
      if (stat.sizeBytes > position) await file.truncate(position)
      // Also when it has that length already: what a dead process did may be in the page cache alone.
      await file
        .sync()
        .catch(() => replaceByCopy(disk, file, Math.min(stat.sizeBytes, position), async () => {}))
    }
    await disk.syncDirectory(directory)
  }
}

/**
 * Whether a file of `sizeBytes` has a good batch other than `bytes` at `position`: of another log, or of before the log was cut. What follows
 * it may seem to go on with this one. Null where there is no good batch.
 */
async function hasOtherBatch(
  file: DiskFile,
  sizeBytes: number,
  position: number,
  bytes: Uint8Array,
  checksum: Checksum,
): Promise<boolean | null> {
  if (position + batchHeaderBytes > sizeBytes) return null
  const head = new Uint8Array(batchHeaderBytes)
  if ((await file.read(head, position)) < batchHeaderBytes) return null
  const found = new BatchHeader(head, 0)
  const own = new BatchHeader(bytes, 0)
  if (found.magic !== 2 || found.sizeBytes < batchHeaderBytes || position + found.sizeBytes > sizeBytes)
    return null
  if (found.crc === own.crc && found.sizeBytes === own.sizeBytes) return false
  const batch = new Uint8Array(found.sizeBytes)
  if ((await file.read(batch, position)) < batch.length) return null
  return checksum.crc32c(batch.subarray(checksummedFrom)) === found.crc ? true : null
}
