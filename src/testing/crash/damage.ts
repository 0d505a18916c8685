import { EngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import type { Log } from '../../segment/log.ts'
import { SimClock } from '../simClock.ts'
import { SimFileSystem } from '../simFileSystem.ts'
import { SimRandom } from '../simRandom.ts'
import { type AppendedBatch, atTheEnd, type LogHistory, never } from './history.ts'
import { isWithoutRecords } from './oracle.ts'
import { type Recording, type RecordingOptions, record } from './recording.ts'
import type { Workload } from './workload.ts'
import { dataDirectory, SimProcess } from './world.ts'

type Change = (bytes: Uint8Array, random: SimRandom, other: Uint8Array) => Uint8Array

/** What may happen to a file that lies there: other bytes than were written. */
export const damages: Readonly<Record<string, Change>> = {
  'cut in half': (bytes) => bytes.slice(0, bytes.length >> 1),
  'cut by a byte': (bytes) => bytes.slice(0, Math.max(0, bytes.length - 1)),
  emptied: () => new Uint8Array(),
  zeroed: (bytes) => new Uint8Array(bytes.length),
  'zeroed in one sector': (bytes, random) => {
    const from = random.below(Math.ceil(bytes.length / 512)) * 512
    return bytes.slice().fill(0, from, from + 512)
  },
  'flipped in a bit': (bytes, random) => flipped(bytes, random, 1),
  'flipped in a bit of its first bytes': (bytes, random) => flipped(bytes, random, 1, 64),
  'flipped in many bits': (bytes, random) => flipped(bytes, random, 64),
  'longer than it was': (bytes) => Buffer.concat([bytes, Buffer.alloc(700, 'x')]),
  'another file of its kind': (_, __, other) => other.slice(),
}

/** Where a batch has its leader epoch, four bytes that its checksum does not cover. */
const epochAt = 12
const lastOffsetDeltaAt = 23

/** Damage that shows in the length of an index. */
const seenInLength = ['emptied', 'cut by a byte', 'longer than it was']

function flipped(bytes: Uint8Array, random: SimRandom, count: number, within = bytes.length): Uint8Array {
  const copy = bytes.slice()
  const bound = Math.min(within, bytes.length)
  for (let flip = 0; flip < count && bound > 0; flip++) {
    const at = random.below(bound)
    copy[at] = copy[at]! ^ (1 << random.below(8))
  }
  return copy
}

/** One file of what a workload left, damaged in one way. */
export interface Damage {
  readonly path: string
  /** A name of `damages`. */
  readonly what: string
  readonly seed: number
  /** The directory is as Kafka leaves one when it crashes long after its last write: the journal is not there, nor a clean shutdown's mark. */
  readonly isKafkas?: boolean
}

/** What Kafka's directories do not have, and what it removes when it starts. */
function isOurs(path: string): boolean {
  return path.startsWith(`${dataDirectory}/.`) && !path.endsWith('/.lock')
}

/** Runs a workload to its end: `isClosed` or killed. */
export function recordForDamage(workload: Workload, isClosed: boolean): Promise<Recording> {
  const close: RecordingOptions = {
    async atEnd(recorder) {
      const last = recorder.process
      if (last.isOpen) await last.settle(last.close())
    },
  }
  return record(workload, isClosed ? close : {})
}

/** Every file that a recording has left. */
export function filesOf(recording: Recording): string[] {
  return filesBelow(new SimFileSystem({ image: recording.finalImage }), dataDirectory)
}

/** Every file below a directory. */
export function filesBelow(fs: SimFileSystem, directory: string): string[] {
  return fs.list(directory).flatMap(({ name, kind }) => {
    const path = `${directory}/${name}`
    return kind === 'file' ? [path] : filesBelow(fs, path)
  })
}

/** The kind of a file: what is left of its name without directory and number. Files of one kind may be exchanged. */
export function kindOf(path: string): string {
  return path
    .slice(path.lastIndexOf('/') + 1)
    .replace(/\d{8,}/, 'N')
    .replace(/-[01]$/, '-N')
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

/**
 * What is wrong with how the engine takes a damaged file. It may refuse to start or take a log offline with a coded
 * error; what it serves must be what was appended, and nothing acknowledged may be missing from a log that it serves.
 * `content`: what the file has instead, for damage that is none of `damages`.
 */
export async function problemsOf(
  recording: Recording,
  isClosed: boolean,
  { path, what, seed, isKafkas = false }: Damage,
  content: Uint8Array | null = null,
): Promise<string[]> {
  const random = new SimRandom(seed)
  const fs = new SimFileSystem({ image: recording.finalImage })
  const before = fs.contentOf(path)
  const others = filesOf(recording).filter((other) => other !== path && kindOf(other) === kindOf(path))
  const otherPath = others.length === 0 ? null : random.pick(others)
  const other = otherPath === null ? new Uint8Array(9) : fs.contentOf(otherPath)
  fs.damage(path, (bytes) => content ?? damages[what]!(bytes, random, other))
  if (Buffer.compare(before, fs.contentOf(path)) === 0) return []
  if (isKafkas) {
    for (const ours of filesBelow(fs, dataDirectory).filter(isOurs)) fs.unlink(ours)
  }
  const report = listening()
  const { workload, logs, endedMs } = recording
  const engine = new SimProcess({
    fs,
    clock: new SimClock(endedMs),
    seed: 1,
    segmentBytes: workload.segmentBytes,
    policyOf: (topic) => logs.findLast((log) => log.topic === topic)?.policy ?? 'batch',
    logger: report.logger,
  })
  try {
    await engine.settle(engine.open())
    // Nothing in a time index tells whether a time in it is the one that was written.
    const knowsTimes = !path.endsWith('.timeindex') || seenInLength.includes(what)
    const isExchanged = what === 'another file of its kind' && path.endsWith('.log')
    const isOfAnother = otherPath !== null && directoryOf(otherPath) !== directoryOf(path)
    const exchanged = isExchanged && isOfAnother ? directoryOf(path) : null
    const { lines } = report
    return await problemsOfEngine(engine, logs, { lines, isClosed, isKafkas, knowsTimes, exchanged })
  } catch (error) {
    if (error instanceof EngineError) return []
    return [`the start fails without a code: ${error instanceof Error ? error.stack : error}`]
  } finally {
    engine.kill()
  }
}

/** What is known of the directory that was opened, and what its opening said. */
interface Expected {
  readonly lines: readonly string[]
  readonly isClosed: boolean
  readonly isKafkas: boolean
  readonly knowsTimes: boolean
  /** The directory of a log of which a segment is one of another log now. */
  readonly exchanged: string | null
}

async function problemsOfEngine(
  engine: SimProcess,
  logs: readonly LogHistory[],
  expected: Expected,
): Promise<string[]> {
  const problems: string[] = []
  for (const history of logs) {
    const log = engine.directory.logs.get(history.name)
    if (log === undefined || log.topicId !== history.topicId) {
      const isExpected = history.createdAt !== never && history.deleteStartedAt === never
      if (isExpected && expected.lines.length === 0)
        problems.push(`${history.name} is gone and nobody was told`)
    } else if (log.offline === null) {
      try {
        problems.push(...(await engine.settle(problemsOfLog(engine, history, log, expected))))
      } catch (error) {
        if (!(error instanceof EngineError)) throw error
      }
    }
  }
  return problems
}

async function problemsOfLog(
  engine: SimProcess,
  history: LogHistory,
  log: Log,
  { lines, isClosed, isKafkas, knowsTimes, exchanged }: Expected,
): Promise<string[]> {
  const { disk } = engine.runtime
  const { name } = history
  const { batches } = history.current
  const problems: string[] = []
  // Where nothing can tell a tear from rot the end may go: that of the journal, and what is in no journal.
  const acked = batches.findLast((batch) => batch.ackedAt !== never && (isClosed || batch.isJournaled))
  const isTold = lines.some((line) => line.includes('cannot be proven'))
  if (acked !== undefined && log.logEndOffset <= acked.lastOffset && !isTold) {
    problems.push(`${name} ends at ${log.logEndOffset}, ${acked.lastOffset} was acknowledged`)
  }
  const start = Math.max(0, ...history.starts.map(({ offset }) => offset))
  if (log.logStartOffset > start) problems.push(`${name} starts at ${log.logStartOffset} and not at ${start}`)
  const served: AppendedBatch[] = []
  for (let next = log.logStartOffset; next < log.flushedOffset; ) {
    const found = await log.read(next, 1, log.flushedOffset, true)
    if (found === null) return [...problems, `${name}: nothing is read at ${next}`]
    await disk.prepare(found.ranges)
    const { file, position, lengthBytes } = found.ranges[0]!
    const bytes = Buffer.alloc(lengthBytes)
    await disk.file(file.path).read(bytes, position)
    const batch = batches.find(({ baseOffset }) => baseOffset === found.firstOffset)
    const isCompacted = history.compactedAt !== never
    if (isCompacted && isWithoutRecords(bytes)) {
      next = found.firstOffset + bytes.readInt32BE(lastOffsetDeltaAt) + 1
      continue
    }
    // Nothing in a batch says whose it is, until a checkpoint has seen the segment; a relaxed log may have none that did.
    const isKnown = batch?.isJournaled === true || (isClosed && batch?.isDurable === true)
    if (exchanged === log.directory && !isKnown) return problems
    // Nothing covers the leader epoch of a batch that is in no journal and that no checkpoint has seen.
    if (batch !== undefined && (isKafkas || !(isClosed || batch.isJournaled)))
      bytes.set(batch.bytes.subarray(epochAt, epochAt + 4), epochAt)
    if (batch === undefined || Buffer.compare(bytes, batch.bytes) !== 0) {
      return [
        ...problems,
        `${name}: offset ${next} is served with other bytes, from ${batch?.bytes.findIndex((byte, at) => byte !== bytes[at])} on`,
      ]
    }
    served.push(batch)
    next = batch.lastOffset + 1
  }
  const gone = batches.find((batch) => isGone(batch, history, log, served))
  if (gone !== undefined) problems.push(`${name}: offset ${gone.baseOffset} is not served`)
  return knowsTimes ? [...problems, ...(await problemsOfTimes(history, log, served))] : problems
}

/** Whether a batch is not among those that are `served` and should be: compaction takes it when a later one has its key. */
function isGone(
  batch: AppendedBatch,
  history: LogHistory,
  { logStartOffset, flushedOffset }: Log,
  served: readonly AppendedBatch[],
): boolean {
  if (batch.baseOffset < logStartOffset || batch.lastOffset >= flushedOffset || served.includes(batch))
    return false
  if (history.compactedAt === never) return true
  const isLater = ({ key, baseOffset }: AppendedBatch) => key === batch.key && baseOffset > batch.baseOffset
  return !served.some(isLater) && !history.hadLater(batch, history.current, atTheEnd)
}

async function problemsOfTimes(
  history: LogHistory,
  log: Log,
  there: readonly AppendedBatch[],
): Promise<string[]> {
  for (const { timestampMs } of there) {
    const found = await log.offsetForTimestamp(timestampMs)
    const first = there.find((batch) => batch.timestampMs >= timestampMs)
    if (found?.offset === first?.baseOffset) continue
    return [
      `${history.name}: the first record of time ${timestampMs} is ${first?.baseOffset}, not ${found?.offset}`,
    ]
  }
  return []
}

function listening(): { readonly lines: string[]; readonly logger: Logger } {
  const lines: string[] = []
  const note = (message: string, fields?: object): void => {
    lines.push(`${message} ${JSON.stringify(fields ?? {})}`)
  }
  return { lines, logger: { debug() {}, info() {}, warn: note, error: note } }
}
