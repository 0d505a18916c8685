import { EngineError } from '../../model/errors.ts'
import type { Disk } from '../../runtime/disk.ts'
import type { Log } from '../../segment/log.ts'
import type { LogDirectory } from '../../segment/logDirectory.ts'
import { accusation, firstAccused } from '../accused.ts'
import { type AppendedBatch, atTheEnd, type LogHistory, type Moment, never, type Version } from './history.ts'

/** What a recovered engine did not keep of what it had promised. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** What a crash was: of the process, which keeps the page cache, or of the power. */
export type Crash = 'processKill' | 'powerLoss'

/** Two recoveries of the same state give the same digest. */
export type Digest = string

/**
 * Checks every log of an engine that recovered from a crash at `moment`: what was acknowledged is there, at its offset,
 * with its bytes; the log is a prefix of what was appended; nothing else is there. Throws `Violation`.
 */
export async function checkRecovered(
  disk: Disk,
  directory: LogDirectory,
  logs: readonly LogHistory[],
  moment: Moment,
  crash: Crash,
): Promise<Digest> {
  const known = new Set<string>()
  const digests: string[] = []
  for (const history of logs) {
    const found = directory.logs.get(history.name)
    const log = found !== undefined && found.topicId === history.topicId ? found : null
    if (log !== null) known.add(history.name)
    checkExistence(history, log, moment)
    if (log !== null) digests.push(await checkLog(disk, history, log, moment, crash))
  }
  for (const name of directory.logs.keys()) {
    if (!known.has(name)) throw new Violation(`a log ${name} is there that nobody made`)
  }
  return digests.join('\n')
}

/** Checks a running engine that has met errors: what a log that is online has acknowledged is read from it. */
export async function checkLive(
  disk: Disk,
  directory: LogDirectory,
  logs: readonly LogHistory[],
): Promise<void> {
  for (const history of logs) {
    const log = directory.logs.get(history.name)
    if (log === undefined || log.topicId !== history.topicId || log.offline !== null) continue
    const { batches } = history.current
    const lastAcked = batches.findLast(
      (batch) => batch.ackedAt !== never && !history.hadLater(batch, history.current, atTheEnd),
    )
    const endOffset = (lastAcked?.lastOffset ?? -1) + 1
    if (endOffset > log.flushedOffset) {
      throw new Violation(
        `the log ${history.name}: ${endOffset} was acknowledged, ${log.flushedOffset} is flushed`,
      )
    }
    let content: Uint8Array
    try {
      content = await readAll(disk, log)
    } catch (error) {
      if (error instanceof EngineError) continue
      throw error
    }
    if (history.compactedAt !== never) continue
    let position = 0
    for (const { baseOffset, lastOffset, bytes } of batches) {
      if (lastOffset < log.logStartOffset || baseOffset >= log.flushedOffset) continue
      const found = content.subarray(position, position + bytes.length)
      if (Buffer.compare(found, bytes) !== 0) {
        throw new Violation(`the log ${history.name}: offset ${baseOffset} is read with other bytes`)
      }
      position += bytes.length
    }
  }
}

function checkExistence(history: LogHistory, log: Log | null, moment: Moment): void {
  const { name, createdAt, createStartedAt, deleteStartedAt, deletedAt } = history
  if (log === null && createdAt <= moment && deleteStartedAt > moment) {
    throw new Violation(`the log ${name} was made and is not there`)
  }
  if (log !== null && deletedAt <= moment) throw new Violation(`the log ${name} was deleted and is there`)
  if (log !== null && createStartedAt > moment)
    throw new Violation(`the log ${name} is there before it was made`)
}

async function checkLog(
  disk: Disk,
  history: LogHistory,
  log: Log,
  moment: Moment,
  crash: Crash,
): Promise<Digest> {
  const { name } = history
  // Whoever asked for its deletion has given its records up; and what failed for good was said to have.
  const isGivenUp = history.deleteStartedAt <= moment || history.offlineAt <= moment
  if (log.offline !== null && isGivenUp) return `${name} is offline`
  if (log.offline !== null)
    throw new Violation(`the log ${name} is offline after a crash: ${log.offline.message}`)
  if (log.flushedOffset !== log.logEndOffset)
    throw new Violation(`the log ${name} opens with an end that is not flushed`)
  const start = log.logStartOffset
  const asked = Math.max(
    0,
    ...history.starts.filter(({ startedAt }) => startedAt <= moment).map(({ offset }) => offset),
  )
  const done = Math.max(
    0,
    ...history.starts.filter(({ doneAt }) => doneAt <= moment).map(({ offset }) => offset),
  )
  if (start > asked) throw new Violation(`the log ${name} starts at ${start}; nobody deleted beyond ${asked}`)
  if (start < done && log.logEndOffset > start) {
    throw new Violation(`the log ${name} starts at ${start}, but records below ${done} were deleted`)
  }
  const content = await readAll(disk, log)
  const first = history.versions.findLastIndex(({ doneAt }) => doneAt <= moment)
  const problems: string[] = []
  for (let index = first; index < history.versions.length; index++) {
    const version = history.versions[index]!
    if (version.startedAt > moment) break
    const minCut = Math.min(
      ...history.versions
        .slice(index + 1)
        .filter(({ startedAt }) => startedAt <= moment)
        .map(({ cutAt }) => cutAt),
    )
    const isCompacted = history.compactedAt <= moment
    const problem = isCompacted
      ? compareCompacted(log, history, content, version, minCut, moment, crash)
      : comparePrefix(log, content, version, minCut, moment, crash)
    if (problem === null) {
      checkDerived(history, log, version, moment)
      const accused = await firstAccused(disk, log)
      if (accused !== null) throw new Violation(`the log ${name}: ${accusation(accused)}`)
      return `${name} ${history.topicId} ${start}-${log.logEndOffset}`
    }
    problems.push(problem)
  }
  throw new Violation(`the log ${name}: ${problems.join('; or ')}`)
}

/** Why the content is not a prefix of `version` with all that must be there; null when it is one. */
function comparePrefix(
  log: Log,
  content: Uint8Array,
  version: Version,
  minCut: number,
  moment: Moment,
  crash: Crash,
): string | null {
  const { logStartOffset, logEndOffset } = log
  let position = 0
  let nextOffset = logStartOffset
  let required = 0
  for (const batch of version.batches) {
    const isAcked = batch.ackedAt <= moment && (batch.isDurable || crash === 'processKill')
    if (isAcked && batch.lastOffset < minCut) required = batch.lastOffset + 1
    if (batch.lastOffset < logStartOffset || batch.baseOffset >= logEndOffset) continue
    if (batch.appendedAt > moment)
      return `a batch at offset ${batch.baseOffset} is there before it was appended`
    const { length } = batch.bytes
    const found = content.subarray(position, position + length)
    if (Buffer.compare(found, batch.bytes) !== 0) {
      return `offset ${batch.baseOffset} does not have the bytes that were appended (${found.length} of ${length} bytes are there)`
    }
    position += length
    nextOffset = batch.lastOffset + 1
  }
  if (position !== content.length) {
    return `after offset ${nextOffset} there are ${content.length - position} bytes that were not appended there`
  }
  if (nextOffset !== logEndOffset && logEndOffset !== logStartOffset) {
    return `the end is ${logEndOffset}, the records end at ${nextOffset}`
  }
  if (logEndOffset < required)
    return `records up to ${required} were acknowledged, the log ends at ${logEndOffset}`
  return null
}

/** `comparePrefix` of a log that was compacted: a batch may be gone or empty where a later one has, or had, its key. */
function compareCompacted(
  log: Log,
  history: LogHistory,
  content: Uint8Array,
  version: Version,
  minCut: number,
  moment: Moment,
  crash: Crash,
): string | null {
  const { logStartOffset, logEndOffset } = log
  const found = new Map<number, Uint8Array>()
  for (let at = 0; at < content.length; ) {
    const batch = batchAt(content, at)
    found.set(Number(Buffer.from(batch).readBigInt64BE(0)), batch)
    at += batch.length
  }
  const laterKeys = new Set<string>()
  let required = 0
  for (const batch of version.batches.toReversed()) {
    const isAcked = batch.ackedAt <= moment && (batch.isDurable || crash === 'processKill')
    const mayBeGone = laterKeys.has(batch.key) || history.hadLater(batch, version, moment)
    if (isAcked && !mayBeGone && batch.lastOffset < minCut)
      required = Math.max(required, batch.lastOffset + 1)
    if (batch.lastOffset < logStartOffset || batch.baseOffset >= logEndOffset) continue
    if (batch.appendedAt > moment)
      return `a batch at offset ${batch.baseOffset} is there before it was appended`
    const bytes = found.get(batch.baseOffset)
    found.delete(batch.baseOffset)
    const isEmpty = bytes === undefined || isWithoutRecords(bytes)
    if (isEmpty && !mayBeGone) return `offset ${batch.baseOffset}, the last of its key, is gone`
    if (!isEmpty && Buffer.compare(bytes, batch.bytes) !== 0) {
      return `offset ${batch.baseOffset} does not have the bytes that were appended`
    }
    if (!isEmpty) laterKeys.add(batch.key)
  }
  // What stands for others that are gone may begin before the start.
  const strange = [...found].find(([, bytes]) => !isWithoutRecords(bytes))?.[0]
  if (strange !== undefined) return `offset ${strange} is there and was not appended`
  return logEndOffset < required
    ? `records up to ${required} were acknowledged, the log ends at ${logEndOffset}`
    : null
}

/** Whether compaction left only the header of a batch. */
export function isWithoutRecords(batch: Uint8Array): boolean {
  return Buffer.from(batch.buffer, batch.byteOffset).readInt32BE(57) === 0
}

function batchAt(content: Uint8Array, at: number): Uint8Array {
  const sizeBytes = Buffer.from(content.buffer, content.byteOffset + at).readInt32BE(8) + 12
  return content.subarray(at, at + sizeBytes)
}

/** Whether leader epochs and producers are what the batches say. */
function checkDerived(history: LogHistory, log: Log, version: Version, moment: Moment): void {
  const { logStartOffset, logEndOffset } = log
  /** The last batch of the producer that is there, and later ones of which a compaction may have left nothing. */
  let lastOfProducer: AppendedBatch[] = []
  let isThere = false
  for (const batch of version.batches) {
    if (batch.lastOffset < logStartOffset || batch.baseOffset >= logEndOffset) continue
    const epoch = log.leaderEpochs.epochFor(batch.lastOffset)
    if (epoch !== batch.leaderEpoch) {
      throw new Violation(
        `the log ${history.name}: offset ${batch.baseOffset} was written in epoch ${batch.leaderEpoch}, the log says ${epoch}`,
      )
    }
    if (batch.producerId < 0) continue
    if (history.hadLater(batch, version, moment)) lastOfProducer.push(batch)
    else {
      lastOfProducer = [batch]
      isThere = true
    }
  }
  const last = lastOfProducer[0]
  if (last === undefined) return
  const known = log.producerState.get(last.producerId)?.batches.at(-1)
  if (known === undefined && !isThere) return
  for (const { baseOffset, baseSequence } of lastOfProducer) {
    if (known?.baseOffset === baseOffset && known.baseSequence === baseSequence) return
  }
  throw new Violation(
    `the log ${history.name}: sequence ${last.baseSequence} is at offset ${last.baseOffset}, ` +
      `the log says ${known === undefined ? 'nothing' : `${known.baseSequence} at ${known.baseOffset}`}`,
  )
}

/** Every batch from the log's start to its end, as it is read. */
export async function readAll(disk: Disk, log: Log): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for (let next = log.logStartOffset; next < log.flushedOffset; ) {
    const found = await log.read(next, 1 << 20, log.flushedOffset, true)
    if (found === null) throw new Violation(`nothing is read at offset ${next} of ${log.directory}`)
    let last: Uint8Array | null = null
    for (const { file, position, lengthBytes } of found.ranges) {
      const bytes = Buffer.alloc(lengthBytes)
      const count = await disk.file(file.path).read(bytes, position)
      if (count !== lengthBytes) throw new Violation(`${file.path} ends inside what was to be read`)
      pieces.push(bytes)
      last = bytes
    }
    next = endOffsetOf(last, next)
  }
  return Buffer.concat(pieces)
}

/** The offset after the last of the batches in `bytes`. */
function endOffsetOf(bytes: Uint8Array | null, from: number): number {
  let end = from
  const view = Buffer.from(bytes ?? [])
  for (let at = 0; at + 61 <= view.length; at += 12 + view.readInt32BE(at + 8)) {
    end = Number(view.readBigInt64BE(at)) + view.readInt32BE(at + 23) + 1
    if (view.readInt32BE(at + 8) < 49) break
  }
  if (end <= from) throw new Violation(`what is read at offset ${from} is not a batch`)
  return end
}

/** One line for a broken promise; where it happened, for anything else. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error instanceof Violation ? error.message : (error.stack ?? error.message)
}
