import { assert } from '../model/assert.ts'
import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { RaftEvent, RaftNode } from '../raft.ts'
import type { Runtime } from '../runtime/runtime.ts'
import {
  type BatchHeader,
  batchHeaderBytes,
  checkBatch,
  BatchHeader as Header,
  setBaseOffset,
  setLogAppendTime,
  setPartitionLeaderEpoch,
} from '../segment/recordBatch.ts'
import { AckQueue } from './ackQueue.ts'
import type { AppendBudget } from './appendBudget.ts'
import type { GroupLog } from './groupLog.ts'
import type { Acks, GroupAck, GroupAppendOptions, PlacedBatch } from './groupTypes.ts'
import { handOver } from './handOver.ts'
import { replicaMemory } from './leasedMemory.ts'
import { NotLeaderError } from './notLeader.ts'
import { AppendWaiter, PlacedAppend } from './tokens.ts'

/** A batch of an append, in memory of its own. */
interface CheckedBatch {
  readonly header: BatchHeader
  readonly bytes: Uint8Array
}

/** What `GroupAppends` asks of its group. */
export interface AppendTarget {
  readonly node: RaftNode
  readonly log: GroupLog
  /** Whether the core is in a step, so that its log may grow before the next one. */
  readonly isStepping: boolean
  step(event: RaftEvent): void
}

/** The appends of one group, from the call until the answer. */
export class GroupAppends {
  readonly #runtime: Runtime
  readonly #budget: AppendBudget
  readonly #target: AppendTarget
  /** Answered once committed. */
  readonly #all = new AckQueue()
  /** Answered once flushed here. */
  readonly #own = new AckQueue()
  #ended: EngineError | null = null

  constructor(runtime: Runtime, budget: AppendBudget, target: AppendTarget) {
    this.#runtime = runtime
    this.#budget = budget
    this.#target = target
  }

  /** See `Group.append`. */
  async append(bytes: Uint8Array, { acks, leaderEpoch, signal }: GroupAppendOptions): Promise<GroupAck> {
    signal?.throwIfAborted()
    // What waits must not change, nor what others fetch before it is on the disk.
    const own = replicaMemory.take(bytes.length)
    own.set(bytes)
    const room = this.#budget.take(own.length, signal)
    if (room !== null) await room
    while (this.#target.isStepping) await null
    try {
      const { node } = this.#target
      // Whoever asked for it may have lost the lead, and this replica have taken it again, while it waited for room.
      if ((leaderEpoch ?? node.leaderEpoch) !== node.leaderEpoch) throw new NotLeaderError(node.leaderId)
      return await this.#propose(own, acks)
    } finally {
      this.#budget.give(own.length)
      replicaMemory.giveBack(own)
    }
  }

  /** See `Group.appendNow`. */
  appendNow(header: BatchHeader, bytes: Uint8Array): PlacedBatch {
    assert(!this.#target.isStepping, 'nobody appends while the core is in a step')
    const { node, log } = this.#target
    this.#checkLeader()
    const { leaderEpoch } = node
    this.#checkProducer(header)
    const known = log.log.checkAppend(header, bytes.length, leaderEpoch)
    if (known !== null) return known
    const { endOffset: baseOffset } = node.logEnd
    const records = replicaMemory.take(bytes.length)
    records.set(bytes)
    const logAppendTimeMs = this.#setPlace(header, records, baseOffset, leaderEpoch)
    const recordCount = header.lastOffsetDelta + 1
    const token = new PlacedAppend()
    this.#target.step({ type: 'append', token, recordCount, records })
    // The log has a lease of its own, if it took them.
    replicaMemory.giveBack(records)
    if (token.refusal !== null) throw token.refusal
    const lastOffset = baseOffset + header.lastOffsetDelta
    return { baseOffset, lastOffset, logAppendTimeMs, duplicate: false }
  }

  /** The core has taken an append. */
  accepted(waiter: AppendWaiter | PlacedAppend, ack: GroupAck): void {
    // Whoever has placed it waits by its offset.
    if (waiter instanceof PlacedAppend) return
    waiter.ack = ack
    if (this.#target.node.state !== 'leader' || this.#target.node.leaderEpoch !== ack.leaderEpoch) {
      waiter.reject(lost())
      return
    }
    if (planted('ackBeforeCommit')) waiter.resolve(ack)
    this.#wait(waiter)
  }

  /** Everything below `offset` is committed. */
  committed(offset: number): void {
    this.#all.passed(offset)
  }

  /** Everything below `offset` is flushed here. */
  flushed(offset: number): void {
    this.#own.passed(offset)
  }

  /** This replica does not lead any more: what waits may be committed by the next leader, or be lost. */
  leadershipLost(): void {
    if ((this.#all.isEmpty && this.#own.isEmpty) || planted('ackAfterLeadershipLost')) return
    this.#all.fail(lost())
    this.#own.fail(lost())
  }

  /** Nothing more is taken. */
  close(error: EngineError): void {
    this.#ended = error
    this.leadershipLost()
  }

  #propose(bytes: Uint8Array, acks: Acks): Promise<GroupAck> {
    const { node, log } = this.#target
    this.#checkLeader()
    const { leaderEpoch } = node
    const batches = split(bytes, this.#runtime)
    if (batches.length > 1 && batches.some(({ header }) => header.producerId >= 0)) {
      throw new EngineError('invalidRecord', 'an idempotent producer sends one batch at a time')
    }
    const waiter = new AppendWaiter(acks)
    let recordCount = 0
    for (const { header } of batches) {
      this.#checkProducer(header)
      const known = log.log.checkAppend(header, header.sizeBytes, leaderEpoch)
      if (known !== null) {
        const { baseOffset, lastOffset } = known
        waiter.ack = { baseOffset, lastOffset, leaderEpoch, duplicate: true }
        this.#wait(waiter)
        return waiter.promise
      }
      recordCount += header.lastOffsetDelta + 1
    }
    this.#place(batches, node.logEnd.endOffset, leaderEpoch)
    this.#target.step({ type: 'append', token: waiter, recordCount, records: bytes })
    return waiter.promise
  }

  #checkLeader(): void {
    const { node, log } = this.#target
    if (this.#ended !== null) throw this.#ended
    if (node.state !== 'leader') throw new NotLeaderError(node.leaderId)
    const { refusal } = log
    if (refusal === null) return
    // Others may have room: the partition is not to wait for this disk.
    if (refusal.code === 'diskFull' && !node.isTransferring) handOver((event) => this.#target.step(event))
    throw refusal
  }

  /** What waits to be written is not among what the log knows of producers: a batch that came again would be there twice. */
  #checkProducer({ producerId }: BatchHeader): void {
    if (producerId < 0 || !this.#target.log.isBehind) return
    throw new EngineError('notEnoughReplicas', 'the leader has yet to write what came before')
  }

  #place(batches: readonly CheckedBatch[], endOffset: number, leaderEpoch: number): void {
    let baseOffset = endOffset
    for (const { header, bytes } of batches) {
      this.#setPlace(header, bytes, baseOffset, leaderEpoch)
      baseOffset += header.lastOffsetDelta + 1
    }
  }

  /** Writes offset, epoch and, where the log sets it, time into a batch; the time, or -1 where the producer's stand. */
  #setPlace(header: BatchHeader, bytes: Uint8Array, baseOffset: number, leaderEpoch: number): number {
    setBaseOffset(bytes, baseOffset)
    setPartitionLeaderEpoch(bytes, leaderEpoch)
    if (this.#target.log.log.config.timestampType !== 'logAppendTime' || header.isControl) return -1
    const wallMs = this.#runtime.clock.wallMs()
    setLogAppendTime(bytes, wallMs, this.#runtime.checksum)
    return wallMs
  }

  #wait(waiter: AppendWaiter): void {
    const { node, log } = this.#target
    if (waiter.acks === 'all') {
      this.#all.add(waiter)
      this.#all.passed(node.highWatermark)
    } else {
      this.#own.add(waiter)
      this.#own.passed(log.log.flushedOffset)
    }
  }
}

function lost(): EngineError {
  return new EngineError(
    'notEnoughReplicasAfterAppend',
    'the leader resigned before it knew whether the records are committed',
  )
}

/** The batches in `bytes`, each checked as one that a client sends. Throws what `checkBatch` throws. */
function split(bytes: Uint8Array, { checksum }: Runtime): readonly CheckedBatch[] {
  const isOne = bytes.length >= batchHeaderBytes && new Header(bytes, 0).sizeBytes >= bytes.length
  if (isOne) return [{ header: checkBatch(bytes, checksum), bytes }]
  const batches: CheckedBatch[] = []
  let at = 0
  do {
    const rest = bytes.length - at
    const sizeBytes = rest < batchHeaderBytes ? rest : new Header(bytes, at).sizeBytes
    const end = at + Math.min(rest, Math.max(sizeBytes, batchHeaderBytes))
    const batch = bytes.subarray(at, end)
    batches.push({ header: checkBatch(batch, checksum), bytes: batch })
    at = end
  } while (at < bytes.length)
  return batches
}
