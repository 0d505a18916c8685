import { EngineError } from '../../model/errors.ts'
import { randomUuid } from '../../model/uuid.ts'
import { eachTurn } from '../../runtime/node/turn.ts'
import type { Log } from '../../segment/log.ts'
import { checkBatch } from '../../segment/recordBatch.ts'
import { encodeBatch } from '../../segment/records.ts'
import { WriteGroup } from '../../segment/writeGroup.ts'
import { emptyImage, type MediumEvent } from '../medium.ts'
import { SimClock } from '../simClock.ts'
import { SimFileSystem } from '../simFileSystem.ts'
import { SimRandom } from '../simRandom.ts'
import type { DiskFaults } from '../systemCalls.ts'
import { type AppendedBatch, LogHistory, never, type Version } from './history.ts'
import { checkRecovered } from './oracle.ts'
import type { Recording } from './recording.ts'
import type { Step, Workload } from './workload.ts'
import { SimProcess } from './world.ts'

/** Few, so that compaction has something to do. */
const keyCount = 3

/** Carries out the steps of one workload. */
export class Recorder {
  readonly workload: Workload
  readonly logs: LogHistory[] = []
  readonly #events: MediumEvent[] = []
  readonly #fs: SimFileSystem
  readonly #clock = new SimClock()
  readonly #random: SimRandom
  readonly #faults: DiskFaults | undefined
  readonly #epochs = new Map<LogHistory, number>()
  readonly #sequences = new Map<LogHistory, number>()
  #process: SimProcess
  #running: Promise<unknown>[] = []
  #values = 0

  constructor(workload: Workload, faults?: DiskFaults) {
    this.workload = workload
    this.#random = new SimRandom(workload.seed)
    this.#faults = faults
    this.#fs = new SimFileSystem({
      onEvent: (event) => this.#events.push(event),
      wallMs: () => this.#clock.wallMs(),
    })
    this.#process = this.#newProcess()
  }

  /** The process that has the engine open now. */
  get process(): SimProcess {
    return this.#process
  }

  get fs(): SimFileSystem {
    return this.#fs
  }

  /** How much the medium has been told so far. */
  get moment(): number {
    return this.#events.length
  }

  /** Opens the engine, makes the first logs, and takes the steps. */
  async run(): Promise<void> {
    if (!(await this.#attempt(() => this.#process.open()))) return
    for (const policy of this.workload.policies) await this.#step({ do: 'create', policy })
    for (const step of this.workload.steps) {
      if (!this.#process.isOpen) break
      await this.#step(step)
    }
    await this.#settleRunning()
  }

  end(): Recording {
    this.#process.kill()
    return {
      workload: this.workload,
      initial: emptyImage,
      events: this.#events,
      logs: this.logs,
      finalImage: this.#fs.image,
      endedMs: this.#clock.wallMs(),
    }
  }

  async #step(step: Step): Promise<void> {
    switch (step.do) {
      case 'append':
        return this.#appendAll([this.#log(step.log)], step.bytes, step.wait, step.producer)
      case 'group':
        return this.#appendAll(this.#living(), step.bytes, step.wait, false)
      case 'roll':
        return this.#appendAll([this.#log(step.log)], this.workload.segmentBytes - 200, step.wait, false)
      case 'recycle':
        for (let round = 0; round < 40; round++) {
          this.#start(this.#append([this.#log(step.log)], 1800, false))
          if (round % 8 === 7) await this.#settleRunning()
        }
        return
      case 'compact':
        return this.#compact(this.#log(step.log))
      case 'truncate':
        return this.#truncate(this.#log(step.log), step.at)
      case 'deleteRecords':
        return this.#deleteRecords(this.#log(step.log), step.at)
      case 'retention':
        this.#clock.advance(7_300_000)
        return this.#retention()
      case 'checkpoint':
        await this.#attempt(() => this.#process.directory.checkpoint())
        return
      case 'create':
        return this.#create(step.policy)
      case 'setAside':
      case 'delete':
        return this.#giveUp(this.#log(step.log), step.do)
      case 'close':
        await this.#settleRunning()
        await this.#attempt(() => this.#process.close())
        return this.#reopen()
      case 'kill':
        return this.#reopen()
      case 'policy': {
        const history = this.#log(step.log)
        if (history === null) return
        history.policy = step.policy
        this.#open(history)?.updateConfig(this.#process.config(step.policy))
        return
      }
      case 'epoch': {
        const history = this.#log(step.log)
        if (history !== null) this.#epochs.set(history, (this.#epochs.get(history) ?? 0) + 1)
        return
      }
      case 'idle':
        this.#clock.advance(step.ms)
        await this.#settleRunning()
        return this.#rest()
    }
  }

  /** The process ends, and another one opens what the page cache holds: nothing acknowledged may be missing. */
  async #reopen(): Promise<void> {
    const endedAt = this.moment
    this.#process.kill()
    this.#running = []
    this.#process = this.#newProcess()
    if (!(await this.#attempt(() => this.#process.open()))) return
    const { directory, runtime } = this.#process
    if (this.#faults === undefined) {
      await this.#process.settle(checkRecovered(runtime.disk, directory, this.logs, endedAt, 'processKill'))
    }
    for (const history of this.logs) this.#followReopened(history, endedAt)
  }

  /** What was under way when the process ended has happened or has not; from now on it is known which. */
  #followReopened(history: LogHistory, endedAt: number): void {
    const log = this.#open(history)
    if (log === null) {
      if (history.createdAt === never) history.deleteStartedAt = Math.min(history.deleteStartedAt, endedAt)
      else if (history.deleteStartedAt !== never && history.deletedAt === never)
        history.deletedAt = this.moment
      return
    }
    if (history.createdAt === never) history.createdAt = this.moment
    // What it has of its records is not known while it is offline.
    if (log.offline === null) this.#follow(history, log, endedAt, true)
  }

  /** The log has come to another end than what was appended: by a crash, which `isKnown` to have taken the rest, or because there was no room. */
  #follow(history: LogHistory, log: Log, startedAt: number, isKnown: boolean): void {
    const before = history.current
    const last = before.batches.at(-1)
    const isStillUndone = isUndone(before) && (last?.lastOffset ?? -1) + 1 === log.logEndOffset
    const isOther = before.doneAt === never || (last !== undefined && last.lastOffset >= log.logEndOffset)
    if (isOther && !isStillUndone) {
      const version = history.resumed(log.logEndOffset, startedAt)
      if (isKnown) version.doneAt = this.moment
      else version.isUndone = true
    }
    this.#sequences.set(history, nextSequence(history.current.batches))
  }

  #newProcess(): SimProcess {
    return new SimProcess({
      fs: this.#fs,
      clock: this.#clock,
      seed: this.#random.next(),
      segmentBytes: this.workload.segmentBytes,
      policyOf: (topic) => this.logs.findLast((log) => log.topic === topic)?.policy ?? 'batch',
      interleave: true,
      ...(this.#faults === undefined ? {} : { faults: this.#faults }),
    })
  }

  #living(): (LogHistory | null)[] {
    return this.logs.filter(
      ({ createdAt, deleteStartedAt }) => createdAt !== never && deleteStartedAt === never,
    )
  }

  #log(index: number): LogHistory | null {
    return this.#living().at(index % this.#living().length) ?? null
  }

  #open(history: LogHistory): Log | null {
    if (!this.#process.isOpen) return null
    const log = this.#process.directory.logs.get(history.name)
    if (log === undefined || log.topicId !== history.topicId) return null
    log.onFailure = (_, endOffset) => {
      if (log.offline !== null) history.offlineAt = Math.min(history.offlineAt, this.moment)
      if (log.offline === null && endOffset < log.logEndOffset + 1)
        this.#follow(history, log, this.moment, false)
    }
    return log
  }

  async #appendAll(
    histories: readonly (LogHistory | null)[],
    bytes: number,
    wait: boolean,
    producer: boolean,
  ): Promise<void> {
    const appended = this.#append(histories, bytes, producer)
    if (wait) await this.#process.settle(appended)
    else this.#start(appended)
  }

  /** Appends one batch to each log, in one group; resolves when all of it is acknowledged or refused. */
  async #append(histories: readonly (LogHistory | null)[], size: number, producer: boolean): Promise<void> {
    const group = new WriteGroup(this.#process.runtime.disk)
    const acks: Promise<void>[] = []
    for (const history of histories) {
      const log = history === null ? null : this.#open(history)
      if (history === null || log === null) continue
      try {
        const batch = this.#appendOne(history, log, size, producer, group)
        acks.push(this.#acknowledged(log, batch, history.current))
      } catch (error) {
        if (!(error instanceof EngineError)) throw error
      }
    }
    acks.push(group.submit().catch(() => {}))
    await Promise.all(acks)
  }

  #appendOne(
    history: LogHistory,
    log: Log,
    size: number,
    producer: boolean,
    group: WriteGroup,
  ): AppendedBatch {
    const { checksum } = this.#process.runtime
    const text = `${this.#values++} of ${history.topic} `.padEnd(size, 'x')
    const timestampMs = this.#clock.wallMs()
    const leaderEpoch = this.#epochs.get(history) ?? 0
    const baseSequence = this.#sequences.get(history) ?? 0
    const idempotent = producer ? { producerId: 7, producerEpoch: 0, baseSequence } : {}
    const key = `key ${this.#values % keyCount}`
    const records = [{ key: Buffer.from(key), value: Buffer.from(text), timestampMs }]
    const bytes = encodeBatch({ records, ...idempotent }, checksum)
    const header = checkBatch(bytes, checksum, 'broker')
    const { baseOffset, lastOffset } = log.append(header, bytes, leaderEpoch, group)
    if (producer) this.#sequences.set(history, baseSequence + 1)
    return history.appended({
      baseOffset,
      lastOffset,
      bytes: Uint8Array.from(bytes),
      leaderEpoch,
      timestampMs,
      key,
      producerId: producer ? 7 : -1,
      baseSequence: producer ? baseSequence : -1,
      appendedAt: this.moment,
    })
  }

  async #acknowledged(log: Log, batch: AppendedBatch, version: Version): Promise<void> {
    try {
      await log.whenFlushed(batch.lastOffset + 1)
      batch.ackedAt = this.moment
      version.doneAt = Math.min(version.doneAt, this.moment)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
    }
  }

  async #truncate(history: LogHistory | null, at: number): Promise<void> {
    const log = history === null ? null : this.#open(history)
    if (history === null || log === null) return
    const offset = log.logStartOffset + Math.floor((log.logEndOffset - log.logStartOffset) * at)
    // Nothing is cut, and what was undone may come back.
    if (offset === log.logEndOffset && isUndone(history.current)) return
    const version = history.cutting(offset, this.moment)
    const isCut = await this.#attempt(async () => {
      await log.truncate(offset)
      history.cut(version, log.logEndOffset, this.moment)
    })
    // Refused before it began: what is appended from now on goes on with all that was there.
    if (!isCut && log.offline === null && log.logEndOffset > offset)
      history.resumed(log.logEndOffset, this.moment).doneAt = this.moment
    this.#sequences.set(history, nextSequence(history.current.batches))
  }

  async #deleteRecords(history: LogHistory | null, at: number): Promise<void> {
    const log = history === null ? null : this.#open(history)
    if (history === null || log === null) return
    const offset = log.logStartOffset + Math.floor((log.flushedOffset - log.logStartOffset) * at)
    const start = { offset, startedAt: this.moment, doneAt: never }
    history.starts.push(start)
    await this.#attempt(async () => {
      await log.deleteRecordsBefore(offset)
      start.doneAt = this.moment
    })
  }

  async #compact(history: LogHistory | null): Promise<void> {
    const log = history === null ? null : this.#open(history)
    if (history === null || log === null) return
    // Compaction takes sealed segments only: sealing goes on by itself.
    await this.#rest()
    history.compactedAt = Math.min(history.compactedAt, this.moment)
    const options = { endOffset: log.flushedOffset, maxMapBytes: 1 << 16, maxBodyBytes: 1 << 20 }
    await this.#attempt(() => log.compact(options))
  }

  async #retention(): Promise<void> {
    // A log whose deletion was refused is there, too.
    const starts = this.logs.flatMap((history) => {
      const log = this.#open(history)
      if (log === null) return []
      // What retention will choose is for it to say: anything up to the end is allowed.
      const start = { offset: log.logEndOffset, startedAt: this.moment, doneAt: never }
      history.starts.push(start)
      return [start]
    })
    await this.#attempt(() => this.#process.directory.retention())
    for (const start of starts) start.doneAt = never
  }

  async #create(policy: LogHistory['policy']): Promise<void> {
    // A name that was used before comes again.
    const deleted = this.logs.find(({ deletedAt, topic }) => deletedAt !== never && this.#isFree(topic))
    const topic = deleted?.topic ?? `log${this.logs.length}`
    const history = new LogHistory(topic, randomUuid(this.#random), policy, this.moment)
    this.logs.push(history)
    await this.#attempt(async () => {
      await this.#process.directory.createLog(topic, 0, history.topicId, this.#process.config(policy))
      history.createdAt = this.moment
    })
  }

  #isFree(topic: string): boolean {
    return this.logs.every((log) => log.topic !== topic || log.deletedAt !== never)
  }

  async #giveUp(history: LogHistory | null, how: 'delete' | 'setAside'): Promise<void> {
    if (history === null || this.#open(history) === null) return
    history.deleteStartedAt = this.moment
    await this.#attempt(async () => {
      await this.#process.directory[how === 'delete' ? 'deleteLog' : how](history.topic, 0)
      history.deletedAt = this.moment
    })
  }

  #start(work: Promise<unknown>): void {
    this.#running.push(work)
  }

  /** Resolves once nothing goes on by itself any more, but for timers. */
  #rest(): Promise<void> {
    let turns = 0
    return eachTurn(() => ++turns < 3)
  }

  async #settleRunning(): Promise<void> {
    const running = this.#running.splice(0)
    if (running.length > 0) await this.#process.settle(Promise.all(running))
  }

  /** Does something that the engine may refuse with a coded error; true when it did not. */
  async #attempt(body: () => Promise<unknown>): Promise<boolean> {
    try {
      await this.#process.settle(body())
      return true
    } catch (error) {
      if (error instanceof EngineError) return false
      throw error
    }
  }
}

/** Whether nothing is acknowledged yet in the place of what was undone. */
function isUndone({ isUndone = false, doneAt }: Version): boolean {
  return isUndone && doneAt === never
}

function nextSequence(batches: readonly AppendedBatch[]): number {
  return (batches.findLast(({ producerId }) => producerId >= 0)?.baseSequence ?? -1) + 1
}
