import { assert } from '../model/assert.ts'
import { EngineError, toEngineError } from '../model/errors.ts'
import type { SendPart } from '../model/fileRange.ts'
import { isDurable } from '../model/flushPolicy.ts'
import { planted } from '../model/planted.ts'
import type { EpochStart, LogPosition, QuorumState, SnapshotId, VotersEntry } from '../raft.ts'
import { votersUpTo } from '../raft.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Log } from '../segment/log.ts'
import { encodeEpochStarts, encodeQuorum, encodeSnapshot, encodeVoterSets, stateKind } from './groupStates.ts'
import { install, installed } from './installSnapshot.ts'
import { markStates, marksFrom, type States } from './marks.ts'
import type { GroupStart } from './openGroupLog.ts'
import { PendingCuts } from './pendingCuts.ts'
import { readChecked } from './readChecked.ts'
import type { SnapshotHead } from './snapshotContent.ts'
import { type Pending, Unflushed, type UnflushedBatch } from './unflushed.ts'
import type { WriteTurn } from './writeTurn.ts'

/** How long until what the disk had no room for is tried again. */
const retryMs = 100

/** What a replica's log tells. */
export interface GroupLogEvents {
  /** All writes up to `sequence` are what the policy promises. */
  flushed(sequence: number): void
  /** All quorum states up to number `ticket` are durable. */
  persisted(ticket: number): void
  /** A snapshot has taken the place of the log, durably. */
  installed(id: SnapshotId): void
  /** Nothing more will be written or read. */
  failed(error: EngineError): void
}

/** A write that has its place in the order of the core's. */
type Write =
  | { readonly type: 'batch'; readonly batch: UnflushedBatch }
  | { readonly type: 'state'; readonly kind: number; readonly bytes: Uint8Array; readonly pending: Pending }
  | { readonly type: 'alone'; readonly run: () => Promise<unknown>; readonly pending: Pending }

/**
 * What one replica has on the disk: its records, and beside them, in the journal, quorum state, epochs and voter sets. Takes
 * the core's writes in their order and tells, in the same order, when they are durable. What cannot be done at once (a cut,
 * no room) holds back what comes after it, but for quorum states, which rest on nothing else.
 */
export class GroupLog {
  readonly log: Log
  readonly #runtime: Runtime
  readonly #turn: WriteTurn
  readonly #isPartition: boolean
  readonly #events: GroupLogEvents
  readonly #unflushed = new Unflushed()
  #epochs: EpochStart[]
  readonly #settleWaiters: (() => void)[] = []
  #voters: VotersEntry[]
  #pending: Pending[] = []
  #writes: Write[] = []
  /** Writes wait for something that runs. */
  #isBusy = false
  #tickets = 0
  readonly #cuts: PendingCuts
  #refusal: EngineError | null = null
  #failed: EngineError | null = null

  constructor(runtime: Runtime, turn: WriteTurn, start: GroupStart, events: GroupLogEvents) {
    this.#runtime = runtime
    this.#turn = turn
    this.log = start.log
    this.#isPartition = start.isPartition
    this.#epochs = [...start.epochs]
    this.#voters = [...start.voters]
    this.#cuts = new PendingCuts(Math.min(start.stored.highWatermark, start.logStart.logEndOffset))
    this.#events = events
    this.log.onAdvance = (flushedOffset) => {
      this.#unflushed.flushed(flushedOffset)
      this.#tell()
    }
    this.log.onFailure = (error, endOffset) => this.#undone(error, endOffset)
  }

  /** Bytes that are appended and not flushed. */
  get unflushedBytes(): number {
    return this.#unflushed.bytes
  }

  /** Why nothing is written or read any more. */
  get failure(): EngineError | null {
    return this.#failed
  }

  /** Why the disk does not take what was appended, for now; a leader refuses more of it. */
  get refusal(): EngineError | null {
    return this.#refusal
  }

  /** Whether something that was appended is not in the log yet, since it waits for what comes before it. */
  get isBehind(): boolean {
    return this.#isBusy || this.#writes.length > 0
  }

  /** Writes the quorum state; the number of the ticket that `persisted` tells of. */
  persist(quorum: QuorumState, highWatermark: number): number {
    const ticket = ++this.#tickets
    const bytes = encodeQuorum({ quorum, highWatermark: this.#cuts.surelyCommitted(highWatermark) })
    this.#put(stateKind.quorum, bytes, () => this.#events.persisted(ticket))
    return ticket
  }

  /** Writes the quorum state and resolves when it is durable, or nothing will be. */
  async persisted(quorum: QuorumState, highWatermark: number): Promise<void> {
    const bytes = encodeQuorum({ quorum, highWatermark: this.#cuts.surelyCommitted(highWatermark) })
    await this.#putAll([[stateKind.quorum, bytes]]).catch(() => {})
  }

  /** Appends batches, in which offsets and epoch are set, at the end of the log. The bytes must stay as they are. */
  append(sequence: number, leaderEpoch: number, bytes: Uint8Array): void {
    const pending = this.#await(sequence)
    for (const batch of this.#unflushed.add(bytes, pending)) {
      if (leaderEpoch > (this.#epochs.at(-1)?.epoch ?? 0)) {
        assert(!this.#isPartition, 'in a partition an epoch is marked before its first record')
        this.#epochs.push({ epoch: leaderEpoch, startOffset: batch.header.baseOffset, votersVersion: 0 })
      }
      this.#write({ type: 'batch', batch })
    }
  }

  /** Marks the start of an epoch that takes no offset. */
  markEpoch(sequence: number, start: EpochStart): void {
    this.#epochs = this.#epochs.concat(start)
    this.#writeState(sequence, stateKind.epochs, encodeEpochStarts(this.#epochs))
  }

  /** Stores a voter set that takes no offset. */
  storeVoters(sequence: number, entry: VotersEntry): void {
    this.#voters.push(entry)
    this.#writeState(sequence, stateKind.voters, encodeVoterSets(this.#voters))
  }

  /** Remembers a voter set whose record was appended. It can be found in the log again: nobody waits for this. */
  noteVoters(entry: VotersEntry): void {
    if (this.#isPartition || entry.offset <= this.#voters.at(-1)!.offset) return
    this.#voters.push(entry)
    this.#put(stateKind.voters, encodeVoterSets(this.#voters), () => {})
  }

  /** Drops records, epochs and voter sets after `to`. */
  truncate(sequence: number, to: LogPosition): void {
    this.#epochs = this.#epochs.filter(
      ({ epoch, startOffset }) => epoch <= to.epoch && startOffset <= to.endOffset,
    )
    this.#voters = votersUpTo(this.#voters, to, this.#isPartition)
    this.#unflushed.cut(to.endOffset)
    const isCut = this.#cuts.begin(to.endOffset)
    const states = markStates({ epochs: this.#epochs, voters: this.#voters })
    const pending = this.#await(sequence)
    const run = async (): Promise<void> => {
      // Before the records: a start that finds more records than epochs cuts them, the other way round it could not tell.
      await Promise.all([this.#putAll(states), this.#cut(to.endOffset)])
      isCut()
    }
    this.#write({ type: 'alone', run, pending })
  }

  async #cut(endOffset: number): Promise<void> {
    const { log } = this
    if (endOffset >= log.logEndOffset || planted('cutNotDone')) return
    try {
      await log.truncate(endOffset)
    } catch (error) {
      // What there was no room for may have been undone meanwhile, and be what was to be cut.
      if (log.offline !== null || log.logEndOffset > endOffset) throw error
    }
  }

  /** A snapshot has the place of everything; its file is there, durably. */
  install(sequence: number, id: SnapshotId, head: SnapshotHead): void {
    const after = installed(id, head, this.#isPartition, this.#voters.at(-1)!)
    this.#epochs = [...after.epochs]
    this.#voters = [...after.voters]
    this.#unflushed.cut(0)
    const isCut = this.#cuts.begin(0)
    const pending = this.#await(sequence)
    const run = async (): Promise<void> => {
      await install(this.log, id, head, after, (states) => this.#putAll(states))
      isCut()
      this.#events.installed(id)
    }
    this.#write({ type: 'alone', run, pending })
  }

  /** A snapshot of committed records is there, durably: records below `logStartOffset` go. Resolves when they may be gone. */
  async tookSnapshot(id: SnapshotId, logStartOffset: number): Promise<void> {
    const marks = { epochs: [...this.#epochs], voters: [...this.#voters] }
    await new Promise<void>((resolve, reject) => {
      const run = async (): Promise<void> => {
        await this.#putAll([
          [stateKind.snapshot, encodeSnapshot({ id, isInstalling: false })],
          ...markStates(marksFrom(marks, this.log.logStartOffset)),
        ])
        // I18: what is removed is durable elsewhere.
        await this.log.deleteRecordsBefore(Math.min(logStartOffset, this.log.flushedOffset))
        // After the records: a start that finds more records than epochs takes the first of them for damaged.
        const start = this.log.logStartOffset
        await this.#putAll(markStates(marksFrom(marks, start)))
        const left = marksFrom({ epochs: this.#epochs, voters: this.#voters }, start)
        this.#epochs = left.epochs
        this.#voters = left.voters
      }
      const pending = { sequence: 0, isDone: false }
      this.#write({ type: 'alone', run: () => run().then(resolve, reject), pending })
    })
  }

  /**
   * What is there from `fromOffset` to `toOffset`, exclusive: whole batches, about `maxBytes` of them and at least one. What is not
   * flushed comes from memory. Null when the log has changed while it was read. Rejects with what the disk says.
   */
  read(
    fromOffset: number,
    toOffset: number,
    maxBytes: number,
  ): readonly SendPart[] | Promise<readonly SendPart[] | null> {
    if (fromOffset < this.log.flushedOffset && fromOffset < this.#unflushed.firstOffset) {
      return this.#readFiles(fromOffset, toOffset, maxBytes)
    }
    return this.#unflushed.read(fromOffset, toOffset, maxBytes)
  }

  async #readFiles(
    fromOffset: number,
    toOffset: number,
    maxBytes: number,
  ): Promise<readonly SendPart[] | null> {
    const endOffset = Math.min(toOffset, this.#unflushed.firstOffset, this.#cuts.readableEnd)
    if (fromOffset >= endOffset) return []
    const { disk } = this.#runtime
    return this.#cuts.unlessCut(() => readChecked(disk, this.log, fromOffset, maxBytes, endOffset))
  }

  /** Resolves once everything that was written is durable, or nothing more will be. */
  async settled(): Promise<void> {
    while (this.#failed === null && (this.#pending.length > 0 || this.#isBusy)) {
      await new Promise<void>((resolve) => this.#settleWaiters.push(resolve))
    }
  }

  /** Nothing is told any more. */
  close(): void {
    this.log.onAdvance = null
    this.log.onFailure = null
    this.#failed ??= new EngineError('closed', 'the replica is closed')
    this.#wake()
  }

  #await(sequence: number): Pending {
    const pending = { sequence, isDone: false }
    this.#pending.push(pending)
    return pending
  }

  #writeState(sequence: number, kind: number, bytes: Uint8Array): void {
    const pending = this.#await(sequence)
    const isEpochs = kind === stateKind.epochs
    if (planted(isEpochs ? 'epochStartNotStored' : 'votersNotStored')) this.#done(pending)
    // Records of an epoch that no mark allows are damage then, and nothing that a crash leaves.
    else if (isEpochs && this.log.config.flush !== 'journal')
      this.#write({ type: 'alone', run: () => this.#putAll([[kind, bytes]]), pending })
    else this.#write({ type: 'state', kind, bytes, pending })
  }

  #write(write: Write): void {
    if (this.isBehind) this.#writes.push(write)
    else if (!this.#carryOut(write)) this.#writes.unshift(write)
  }

  /** False when it cannot be done now: whatever comes next is to wait. */
  #carryOut(write: Write): boolean {
    if (this.#failed !== null) return true
    switch (write.type) {
      case 'batch':
        return this.#place(write.batch)
      case 'state': {
        const { kind, bytes, pending } = write
        this.#put(kind, bytes, () => this.#done(pending))
        return true
      }
      case 'alone': {
        const { run, pending } = write
        this.#isBusy = true
        // What this turn has appended so far comes before it.
        this.#turn.submit()
        run().then(
          () => {
            this.#done(pending)
            this.#goOn()
          },
          (cause) => this.#fail(toEngineError(cause, 'diskFailed', 'the log could not be changed')),
        )
        return true
      }
    }
  }

  #place(batch: UnflushedBatch): boolean {
    if (batch.isDropped) return true
    const { log } = this
    try {
      log.appendReplicated(
        batch.header,
        batch.bytes,
        this.#turn.group(isDurable(log.config.flush), batch.bytes.length),
      )
      batch.isPlaced = true
      if (planted('flushToldEarly') && batch.pending !== null) this.#done(batch.pending)
      return true
    } catch (cause) {
      if (log.offline !== null) this.#fail(log.offline)
      else if (cause instanceof EngineError) this.#waitForLog(cause)
      else throw cause
      return false
    }
  }

  /** The log is undoing something, or being written anew. */
  #waitForLog(refusal: EngineError): void {
    this.#refusal = refusal
    this.#isBusy = true
    void this.log.whenWritable().then(() => {
      this.#runtime.clock.setTimer(retryMs, () => this.#goOn()).detach?.()
    })
  }

  #goOn(): void {
    this.#isBusy = false
    while (!this.#isBusy && this.#writes.length > 0) {
      const write = this.#writes.shift()!
      if (!this.#carryOut(write)) this.#writes.unshift(write)
    }
    if (!this.#isBusy) this.#refusal = null
    this.#wake()
  }

  /** Appends from `endOffset` on are lost: the disk had no room for them, or the log is offline. */
  #undone(error: EngineError, endOffset: number): void {
    if (this.log.offline !== null) {
      this.#fail(error)
      return
    }
    const undone = this.#unflushed.undone(endOffset)
    this.#writes.unshift(...undone.map((batch): Write => ({ type: 'batch', batch })))
    if (!this.#isBusy) this.#waitForLog(error)
    else this.#refusal = error
  }

  #put(kind: number, bytes: Uint8Array, done: () => void): void {
    this.#turn.putState(this.log, kind, bytes, (error) => {
      if (error !== null) this.#fail(toEngineError(error, 'diskFailed', 'a state could not be stored'))
      else if (this.#failed === null) done()
    })
  }

  #putAll(states: States): Promise<unknown> {
    const stored = states.map(
      ([kind, bytes]) =>
        new Promise<void>((resolve, reject) => {
          this.#turn.putState(this.log, kind, bytes, (error) => (error === null ? resolve() : reject(error)))
        }),
    )
    return Promise.all(stored)
  }

  #done(pending: Pending): void {
    pending.isDone = true
    this.#tell()
  }

  /** Tells how far everything is durable, without a gap. */
  #tell(): void {
    if (this.#failed !== null) return
    let count = 0
    while (count < this.#pending.length && this.#pending[count]!.isDone) count++
    if (count === 0) return
    const { sequence } = this.#pending[count - 1]!
    this.#pending.splice(0, count)
    this.#wake()
    this.#events.flushed(sequence)
  }

  #fail(error: EngineError): void {
    if (this.#failed !== null) return
    this.#failed = error
    this.#wake()
    this.#events.failed(error)
  }

  #wake(): void {
    for (const wake of this.#settleWaiters.splice(0)) wake()
  }
}
