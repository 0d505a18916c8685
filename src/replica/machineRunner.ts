import { assert } from '../model/assert.ts'
import { CorruptionError, EngineError, messageOf, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { SnapshotId, VotersEntry } from '../raft.ts'
import type { Checksum } from '../runtime/checksum.ts'
import { ProducerState } from '../segment/producerState.ts'
import { BatchHeader, checksummedFrom } from '../segment/recordBatch.ts'
import { type ReadableGroup, readBytes } from './groupReader.ts'
import type { GroupListener } from './groupTypes.ts'
import { Outstandings } from './outstanding.ts'
import type { SnapshotHead } from './snapshotContent.ts'
import type { SnapshotFiles } from './snapshotFiles.ts'
import { SnapshotTaker } from './snapshotTaker.ts'
import { checkChunk } from './snapshotWriter.ts'

/** What runs on a log: batch by batch, each once, in order. Everything but `restore` is synchronous. */
export interface BatchMachine {
  /** Takes the records of one committed batch; a result for each. */
  apply(header: BatchHeader, bytes: Uint8Array): readonly unknown[]
  /**
   * The state as it is now. A plain iterable is taken whole before `apply` is called again; one that is asynchronous is read
   * while `apply` goes on, so it has to be of a copy, or of a view that does not change.
   */
  snapshot(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>
  /** Replaces the state by that of a snapshot, which has everything below `endOffset`. */
  restore(chunks: AsyncIterable<Uint8Array>, endOffset: number): Promise<void>
}

/** What a machine needs of its group. */
export interface MachineGroup extends ReadableGroup {
  readonly snapshots: SnapshotFiles
  readonly log: { readonly logStartOffset: number }
  epochBefore(offset: number): number
  votersAt(offset: number): VotersEntry
  /** A snapshot is durable; records below `logStartOffset` go. Resolves once they have. */
  snapshotTaken(id: SnapshotId, logStartOffset: number): Promise<void>
  /** Gets a snapshot from another replica that fits the log; false where nobody can be asked. */
  fetchSnapshot?(isOver: () => boolean): Promise<boolean>
  /** A snapshot that was damaged or missing is not any more. */
  snapshotReplaced?(): void
  watch(listener: GroupListener): () => void
}

/** How a machine is run. */
export interface RunnerOptions {
  readonly checksum: Checksum
  readonly logger: Logger
  /** For messages. */
  readonly name: string
  readonly kind: 'metadata' | 'partition'
  /** Bytes of batches after which a snapshot is taken. */
  readonly snapshotBytes: number
  /** Records before a snapshot that stay in the log, so that a follower that is behind needs no snapshot. */
  readonly keptRecords: number
  /** The machine stands still: its own code or the log has failed. Called once. */
  failed(error: EngineError): void
  /** A snapshot was taken, or taking one has failed. */
  snapshotTaken?(id: SnapshotId, error: EngineError | null): void
}

const readMaxBytes = 1 << 20

interface Waiter {
  readonly offset: number
  resolve(): void
  reject(error: EngineError): void
}

/** Has a machine follow the committed records of a group: from its latest snapshot on, each record once. */
export class MachineRunner {
  readonly #group: MachineGroup
  readonly #machine: BatchMachine
  readonly #options: RunnerOptions
  readonly outstandings = new Outstandings()
  readonly #taker: SnapshotTaker
  readonly #producers = new ProducerState()
  /** By offset. */
  readonly #waiters: Waiter[] = []
  #unwatch: () => void = () => {}
  #applied = 0
  /** Exclusive end of what was committed when it was last told. */
  #committed = 0
  /** How often committed records were lost. */
  #losses = 0
  /** The state has records that are lost. */
  #hasLost = false
  #lastTimestampMs = -1
  /** Set when the log was replaced by a snapshot that the state does not reach. */
  #isBehindLog = false
  #bytesSinceSnapshot = 0
  /** The own snapshot was damaged or missing: another one is to take its place as soon as everything is applied. */
  #owesSnapshot = false
  #running: Promise<void> | null = null
  /** Something was told while it was running. */
  #isToldMore = false
  #ended: EngineError | null = null

  constructor(group: MachineGroup, machine: BatchMachine, options: RunnerOptions) {
    this.#group = group
    this.#machine = machine
    this.#options = options
    this.#taker = new SnapshotTaker(group, options)
  }

  /** Exclusive end of what has been applied. */
  get applied(): number {
    return this.#applied
  }

  /** Why nothing is applied any more; null while it is. */
  get ended(): EngineError | null {
    return this.#ended
  }

  /** Takes up the latest snapshot, then what is committed. Rejects when the snapshot is damaged or `restore` throws. */
  async start(): Promise<void> {
    this.#unwatch = this.#group.watch({
      highWatermark: (offset) => this.#learnCommitted(offset),
      snapshotInstalled: (id) => {
        if (id.endOffset > this.#applied) this.#isBehindLog = true
        this.#run()
      },
      snapshotWanted: () => void this.takeSnapshot().catch(() => {}),
      failed: (error) => this.#end(toEngineError(error, 'diskFailed', `the log of ${this.#options.name}`)),
    })
    this.#isBehindLog = this.#group.snapshots.latest !== null
    this.#committed = this.#group.highWatermark
    this.#run()
    await this.#running
    if (this.#ended !== null) throw this.#ended
  }

  /** Resolves once everything below `offset` has been applied. Rejects when the machine stands still before. */
  whenApplied(offset: number): Promise<void> {
    if (offset <= this.#applied) return Promise.resolve()
    if (this.#ended !== null) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      let at = this.#waiters.length
      while (at > 0 && this.#waiters[at - 1]!.offset > offset) at--
      this.#waiters.splice(at, 0, { offset, resolve, reject })
    })
  }

  /**
   * Takes a snapshot of what is applied by now, in the background; resolves with its place once it is durable and the log is
   * cut. Null when nothing was applied since the last one.
   */
  takeSnapshot(): Promise<SnapshotId | null> {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    if (this.#taker.taking !== null) return this.#taker.taking.then(() => this.takeSnapshot())
    if (this.#applied <= (this.#group.snapshots.latest?.endOffset ?? 0)) return Promise.resolve(null)
    this.#bytesSinceSnapshot = 0
    let chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>
    try {
      chunks = heldState(this.#machine.snapshot())
    } catch (error) {
      return Promise.reject(this.#taker.failed(this.#applied, this.#fail(error, 'snapshot')))
    }
    return this.#taker.take(chunks, {
      endOffset: this.#applied,
      lastTimestampMs: this.#lastTimestampMs,
      producers: this.#producers.entries(),
    })
  }

  /** Applies nothing more; resolves once what is under way has ended. */
  async close(): Promise<void> {
    this.#end(new EngineError('closed', `${this.#options.name} has been closed`))
    await this.#running
    await this.#taker.taking?.catch(() => {})
  }

  #learnCommitted(offset: number): void {
    if (offset < this.#committed) {
      this.#losses++
      this.#hasLost ||= offset < this.#applied
    }
    this.#committed = offset
    this.#run()
  }

  /** Applies what there is; once more, if somebody is at it. */
  #run(): void {
    this.#isToldMore = true
    if (this.#running !== null || this.#ended !== null) return
    this.#isToldMore = false
    this.#running = this.#applyAll().then(
      () => {
        this.#running = null
        if (this.#isToldMore) this.#run()
      },
      (error) => {
        this.#running = null
        this.#end(toEngineError(error, 'corruptLog', `${this.#options.name} cannot go on`))
        this.#options.failed(this.#ended!)
      },
    )
  }

  async #applyAll(): Promise<void> {
    while (this.#ended === null) {
      if (this.#hasLost) throw this.#lost()
      if (this.#isBehindLog || this.#applied < this.#group.log.logStartOffset) {
        await this.#restore()
        continue
      }
      if (this.#group.highWatermark <= this.#applied) {
        if (this.#owesSnapshot) void this.takeSnapshot().catch(() => {})
        this.#owesSnapshot = false
        return
      }
      const from = this.#applied
      const losses = this.#losses
      const bytes = await this.#read(from)
      if (losses !== this.#losses) continue
      // Nothing, although it is committed: the log is being replaced by a snapshot, which will be told.
      if (bytes === null) return
      if (this.#isBehindLog) continue
      for (let at = 0; at < bytes.length && this.#ended === null; ) {
        const header = new BatchHeader(bytes, at)
        this.#apply(header, bytes.subarray(at, at + header.sizeBytes))
        at += header.sizeBytes
      }
    }
  }

  async #read(from: number): Promise<Uint8Array | null> {
    try {
      return await readBytes(this.#group, from, readMaxBytes)
    } catch (error) {
      // A snapshot took the place of what was to be read.
      if (this.#isBehindLog || from < this.#group.log.logStartOffset || this.#ended !== null) return null
      throw error
    }
  }

  #apply(header: BatchHeader, bytes: Uint8Array): void {
    const { baseOffset, lastOffset, maxTimestampMs, producerId } = header
    if (lastOffset < this.#applied) return
    assert(baseOffset === this.#applied, 'I4: every record is applied once, in order')
    const crc = this.#options.checksum.crc32c(bytes.subarray(checksummedFrom))
    if (crc !== header.crc) {
      throw new EngineError('corruptLog', `batch ${baseOffset} of ${this.#options.name} is damaged`)
    }
    let results: readonly unknown[] = []
    if (!header.isControl) {
      try {
        results = this.#machine.apply(header, bytes)
      } catch (error) {
        throw this.#fail(error, 'apply')
      }
      if (producerId >= 0) this.#producers.append(header, baseOffset, maxTimestampMs, maxTimestampMs)
      this.#lastTimestampMs = Math.max(this.#lastTimestampMs, maxTimestampMs)
    }
    this.outstandings.applied(baseOffset, results)
    this.#advance(lastOffset + 1)
    this.#bytesSinceSnapshot += header.sizeBytes
    if (this.#bytesSinceSnapshot < this.#options.snapshotBytes || this.#taker.taking !== null) return
    this.takeSnapshot().catch(() => {})
  }

  /** Takes the state of the latest snapshot, if it is later than the own one. */
  async #restore(): Promise<void> {
    this.#isBehindLog = false
    const { latest } = this.#group.snapshots
    if (latest === null || latest.endOffset <= this.#applied) {
      if (this.#applied >= this.#group.log.logStartOffset) return
      return this.#replaceMissing()
    }
    // Checked whole before the machine sees any of it.
    let head: SnapshotHead
    try {
      head = await this.#group.snapshots.head(latest)
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      return this.#replaceDamaged(latest, error)
    }
    try {
      await this.#machine.restore(this.#group.snapshots.chunks(latest), latest.endOffset)
    } catch (error) {
      throw this.#fail(error, 'restore')
    }
    this.#producers.replace(new ProducerState(head.partition?.producers ?? []))
    this.#lastTimestampMs = head.lastTimestampMs
    this.#bytesSinceSnapshot = 0
    this.#advance(latest.endOffset)
  }

  /** Does without a damaged snapshot where the log has everything, else with that of another replica. */
  async #replaceDamaged(id: SnapshotId, error: CorruptionError): Promise<void> {
    const { snapshots, log } = this.#group
    const { logger, name } = this.#options
    const isNeeded = this.#applied < log.logStartOffset
    logger.error('a damaged snapshot is not used', {
      name,
      file: snapshots.path(id),
      error: error.message,
      instead: isNeeded ? 'that of another replica' : 'the log',
    })
    if (isNeeded && !(await this.#fetch(error))) return
    // One with the same name may have taken its place.
    if (!isNeeded || !(await isWhole(snapshots, id))) await snapshots.remove(id)
    this.#replaced()
  }

  /** Takes the snapshot of another replica: what the log does not have any more is in none of this one. */
  async #replaceMissing(): Promise<void> {
    const { logger, name } = this.#options
    const { logStartOffset } = this.#group.log
    const text = `${name} begins at ${logStartOffset}, and no snapshot has what was before`
    logger.error('a snapshot is missing', { name, logStartOffset, instead: 'that of another replica' })
    if (await this.#fetch(new EngineError('corruptLog', text))) this.#replaced()
  }

  /** Fetches a snapshot from another replica; false when the end comes first. Throws `error` where nobody can be asked. */
  async #fetch(error: EngineError): Promise<boolean> {
    const isThere = (await this.#group.fetchSnapshot?.(() => this.#ended !== null)) ?? false
    if (this.#ended !== null) return false
    if (!isThere) throw error
    return true
  }

  #replaced(): void {
    this.#owesSnapshot = true
    this.#isBehindLog = this.#group.snapshots.latest !== null
    this.#group.snapshotReplaced?.()
  }

  #advance(applied: number): void {
    this.#applied = applied
    let count = 0
    while (count < this.#waiters.length && this.#waiters[count]!.offset <= applied) count++
    for (const waiter of this.#waiters.splice(0, count)) waiter.resolve()
  }

  #fail(cause: unknown, where: string): EngineError {
    if (cause instanceof EngineError && cause.code !== 'machineFailed') return cause
    const what = messageOf(cause)
    return new EngineError('machineFailed', `${where} of ${this.#options.name} threw: ${what}`, { cause })
  }

  #lost(): EngineError {
    const text = `records that ${this.#options.name} has applied are lost: the next start begins without them`
    return new EngineError('machineFailed', text)
  }

  #end(error: EngineError): void {
    if (this.#ended !== null) return
    this.#ended = error
    this.#unwatch()
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
  }
}

async function isWhole(snapshots: SnapshotFiles, id: SnapshotId): Promise<boolean> {
  try {
    await snapshots.head(id)
    return true
  } catch (error) {
    if (error instanceof CorruptionError) return false
    throw error
  }
}

/** `chunks` such that what is applied from now on does not show in them. */
function heldState(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (Symbol.iterator in chunks) return [...chunks].map((chunk) => checkChunk(chunk).slice())
  // What an asynchronous generator does before its first step happens now.
  const iterator = chunks[Symbol.asyncIterator]()
  let first: Promise<IteratorResult<Uint8Array>> | null = iterator.next()
  first.catch(() => {})
  const held: AsyncIterator<Uint8Array> = {
    next: () => {
      const next = first ?? iterator.next()
      first = null
      return next
    },
    return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
  }
  return { [Symbol.asyncIterator]: () => held }
}
