import { EngineError } from '../model/errors.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { decodeCheckpoint, logStartOffsetFile, readTextIfThere, recoveryPointFile } from './checkpointFile.ts'
import { cleanShutdownFile } from './checkpoints.ts'
import { directoryKind } from './directoryNames.ts'
import { segmentFileName } from './fileNames.ts'
import { inParallel } from './inParallel.ts'
import { noHold } from './journalHold.ts'
import { journalPlaceFile, notedJournalPlace } from './journalPlace.ts'
import { decodeMetaProperties, metaPropertiesFile } from './metaProperties.ts'
import {
  deniedFinding,
  type Finding,
  fileFinding,
  findingKinds,
  isDenied,
  type Severity,
} from './verifyFindings.ts'
import { type JournalFacts, verifyJournal } from './verifyJournal.ts'
import { excerpt, type FoundLog, findLog, type LogClaims, planLog } from './verifyLog.ts'
import { verifySegmentTask } from './verifySegment.ts'

/** Below these offsets compaction has been at work. Source: Kafka's `cleaner-offset-checkpoint`. */
const cleanerFile = 'cleaner-offset-checkpoint'
const listedAtOnce = 16
/** Logs whose segments are checked at the same time; each has one segment in memory. */
const checkedAtOnce = 4
/** Files that may stand in a data directory and are not looked into. */
const otherFiles =
  /^(\.lock(\.\d+\.sock)?|replication-offset-checkpoint|bootstrap\.checkpoint|\.scrub|\.cordwood_cache)$/

/** How to check. */
export interface VerifyOptions {
  /** Nobody has the directory open: the ends of active segments may be judged too. */
  readonly judgeTails: boolean
  readonly signal?: AbortSignal
  finding(finding: Finding): void
  progress?(progress: VerifyProgress): void
}

/** How far it is. */
export interface VerifyProgress {
  readonly doneBytes: number
  readonly totalBytes: number
  readonly doneLogs: number
  readonly totalLogs: number
}

/** What was looked at, and how often something was found, by severity. */
export interface VerifySummary {
  readonly logs: number
  readonly segments: number
  readonly batches: number
  readonly bytes: number
  readonly findings: Readonly<Record<Severity, number>>
}

/**
 * Checks every checksum and index of a data directory without changing a byte: batches, indexes, snapshots,
 * checkpoints. Memory is bounded by the largest batches and the number of logs. Rejects with the disk's errors when the
 * directory itself cannot be read, and with the signal's reason.
 */
export async function verifyDirectory(
  runtime: Runtime,
  directory: string,
  options: VerifyOptions,
): Promise<VerifySummary> {
  const run = new Verification(runtime, directory, options)
  return run.run()
}

class Verification {
  readonly #runtime: Runtime
  readonly #directory: string
  readonly #options: VerifyOptions
  readonly #findings = { damage: 0, derivable: 0, unchecked: 0, note: 0 }
  /** The texts of the directory's own files, as they were read. */
  readonly #texts = new Map<string, string | null | 'denied'>()
  readonly #counts = { logs: 0, segments: 0, batches: 0, bytes: 0 }
  /** Nobody has the directory open, and the journal, if it has one, could be asked. */
  #judgeTails: boolean
  #doneBytes = 0
  #totalBytes = 0

  constructor(runtime: Runtime, directory: string, options: VerifyOptions) {
    this.#runtime = runtime
    this.#directory = directory
    this.#options = options
    this.#judgeTails = options.judgeTails
  }

  async run(): Promise<VerifySummary> {
    const names = await this.#logNames()
    const place = await this.#journalPlace()
    const journal = await this.#journal(place)
    const claims = await this.#claims(names, place, journal)
    const logs: FoundLog[] = []
    await inParallel(names, listedAtOnce, async (name) => {
      this.#options.signal?.throwIfAborted()
      const path = `${this.#directory}/${name}/`
      const found = await this.#unlessGone(path, () => findLog(this.#runtime, this.#directory, name))
      if (found !== null) logs.push(found)
    })
    this.#totalBytes = logs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    // The largest first, so that they do not end alone.
    logs.sort((left, right) => right.sizeBytes - left.sizeBytes)
    this.#progress(logs.length)
    await inParallel(logs, checkedAtOnce, async (log) => {
      this.#options.signal?.throwIfAborted()
      await this.#checkLog(log, claims(log.name), logs.length)
      this.#counts.logs += 1
      this.#progress(logs.length)
    })
    await this.#checkMeta()
    return { ...this.#counts, findings: this.#findings }
  }

  async #checkLog(log: FoundLog, claims: LogClaims, totalLogs: number): Promise<void> {
    const add = (finding: Finding): void => this.#add(finding)
    const tasks = await this.#unlessGone(`${log.directory}/`, () => planLog(this.#runtime, log, claims, add))
    for (const task of tasks ?? []) {
      const { signal } = this.#options
      signal?.throwIfAborted()
      const path = `${log.directory}/${segmentFileName(task.baseOffset, 'log')}`
      const report = await this.#unlessGone(path, () =>
        this.#runtime.compute.run(verifySegmentTask, task, signal === undefined ? {} : { signal }),
      )
      this.#doneBytes += task.sizeBytes
      this.#progress(totalLogs)
      if (report === null) continue
      for (const finding of report.findings) add(finding)
      this.#counts.segments += 1
      this.#counts.batches += report.batches
      this.#counts.bytes += report.bytes
    }
  }

  /** The names of the logs. Notes everything else that is there. */
  async #logNames(): Promise<string[]> {
    const names: string[] = []
    for (const { name, kind } of await this.#runtime.disk.list(this.#directory)) {
      const what = kind === 'directory' ? directoryKind(name) : 'unknown'
      const path = `${this.#directory}/${name}`
      if (what === 'log') names.push(name)
      else if (what === 'deleted') {
        this.#add(fileFinding('leftover', `${path}/`, 'no interrupted work', 'a deleted log'))
      } else if (kind === 'directory') {
        if (name.startsWith('.')) continue
        this.#add(fileFinding('unknown', `${path}/`, 'the directory of a log', 'another name'))
      } else if (!isKnownFile(name)) {
        this.#add(fileFinding('unknown', path, 'a file of a data directory', 'another name'))
      }
    }
    return names
  }

  /** What the files of the data directory say of each log. */
  async #claims(
    names: readonly string[],
    place: string | null,
    journal: JournalFacts | null,
  ): Promise<(name: string) => LogClaims> {
    const { disk } = this.#runtime
    const points = await this.#checkpoint(recoveryPointFile, 'checkpoint')
    const starts = await this.#checkpoint(logStartOffsetFile, 'startOffsets')
    const cleaned = await this.#checkpoint(cleanerFile, 'checkpoint')
    const hasJournal = place !== null
    // Without the journal that there should be nobody can tell what the logs must have.
    const isUnread = this.#judgeTails && hasJournal && journal === null
    const hasMarker = (await disk.stat(`${this.#directory}/${cleanShutdownFile}`)) !== null
    const closed: JournalFacts['closed'] = hasMarker && journal !== null ? journal.closed : new Map()
    const present = new Set(names)
    for (const [name, point] of points ?? []) {
      if (present.has(name) || point === 0 || journal?.deleted.has(name)) continue
      const expected = `a directory ${name} with records up to offset ${point}`
      this.#add(fileFinding('missing', `${this.#directory}/${recoveryPointFile}`, expected, 'no directory'))
    }
    return (name) => ({
      topicId: journal?.logs.get(name)?.topicId ?? null,
      isKnown: journal === null ? hasJournal && !isUnread : journal.logs.has(name),
      recoveryPoint: journal?.logs.get(name)?.recoveryPoint ?? points?.get(name) ?? 0,
      logStartOffset:
        journal?.logs.get(name)?.logStartOffset ?? (starts === null ? null : (starts.get(name) ?? 0)),
      closed: closed.get(name) ?? null,
      noted: journal?.noted.get(name) ?? null,
      isClean: hasMarker || closed.has(name),
      compactedBelow: cleaned === null ? Number.MAX_SAFE_INTEGER : (cleaned.get(name) ?? 0),
      judgeTail: this.#judgeTails,
      hold: journal?.holds.get(name) ?? { ...noHold, isDoubtful: isUnread },
      epochsAreCurrent: hasMarker || !hasJournal,
    })
  }

  /** What the journal says; null when it says nothing, or is being written. */
  async #journal(place: string | null): Promise<JournalFacts | null> {
    if (!this.#judgeTails || place === null) return null
    const text = await this.#text(metaPropertiesFile)
    const directoryId = decodeMetaProperties(text ?? '')?.directoryId ?? ''
    if (directoryId === '') {
      if (text === 'denied') this.#judgeTails = false
      return null
    }
    try {
      return await verifyJournal(this.#runtime, place, directoryId, (finding) => this.#add(finding))
    } catch (error) {
      this.#deny(`${place}/`, error)
      return null
    }
  }

  /** Where the directory's journal is; null when it has none. */
  async #journalPlace(): Promise<string | null> {
    const file = `${this.#directory}/${journalPlaceFile}`
    try {
      return await notedJournalPlace(this.#runtime, this.#directory)
    } catch (error) {
      this.#deny(file, error)
      return file
    }
  }

  /** What would tell of the ends of logs may not be read by this user: they are left alone. */
  #deny(path: string, error: unknown): void {
    this.#add(deniedFinding(path, error))
    this.#judgeTails = false
  }

  /** The text of one of the directory's own files; null when there is none. */
  async #text(name: string): Promise<string | null | 'denied'> {
    const known = this.#texts.get(name)
    if (known !== undefined) return known
    const file = `${this.#directory}/${name}`
    const text = await readTextIfThere(this.#runtime.disk, file).catch((error) => {
      this.#add(deniedFinding(file, error))
      return 'denied' as const
    })
    this.#texts.set(name, text)
    return text
  }

  async #checkpoint(
    name: string,
    kind: 'checkpoint' | 'startOffsets',
  ): Promise<ReadonlyMap<string, number> | null> {
    const file = `${this.#directory}/${name}`
    const text = await this.#text(name)
    if (text === null) return new Map()
    if (text === 'denied') return null
    const offsets = decodeCheckpoint(text)
    if (offsets !== null && offsets.size === Number(text.split('\n')[1])) return offsets
    this.#add(fileFinding(kind, file, 'version 0, a count, and as many lines', excerpt(text)))
    return null
  }

  async #checkMeta(): Promise<void> {
    const file = `${this.#directory}/${metaPropertiesFile}`
    const text = await this.#text(metaPropertiesFile)
    if (text === 'denied' || (text !== null && decodeMetaProperties(text) !== null)) return
    this.#add(fileFinding('metaProperties', file, 'cluster.id, node.id and version=1', excerpt(text)))
  }

  /** What `body` gives, which reads `path`; null when files have gone meanwhile, or cannot be read, which is reported. */
  async #unlessGone<T>(path: string, body: () => Promise<T>): Promise<T | null> {
    try {
      return await body()
    } catch (error) {
      if (!(error instanceof EngineError) || error.code === 'closed') throw error
      // Retention and deletion go on in a directory that is in use.
      if (error.code === 'notFound' && !this.#options.judgeTails) return null
      if (isDenied(error)) this.#add(deniedFinding(path, error))
      else this.#add(fileFinding('unreadable', path, 'files that can be read', error.message))
      return null
    }
  }

  #add(finding: Finding): void {
    this.#findings[findingKinds[finding.kind].severity] += 1
    this.#options.finding(finding)
  }

  #progress(totalLogs: number): void {
    this.#options.progress?.({
      doneBytes: this.#doneBytes,
      totalBytes: this.#totalBytes,
      doneLogs: this.#counts.logs,
      totalLogs,
    })
  }
}

function isKnownFile(name: string): boolean {
  return (
    otherFiles.test(name) ||
    name === recoveryPointFile ||
    name === logStartOffsetFile ||
    name === cleanerFile ||
    name === cleanShutdownFile ||
    name === journalPlaceFile ||
    name === metaPropertiesFile
  )
}
