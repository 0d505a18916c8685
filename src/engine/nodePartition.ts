import { EngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Group } from '../replica/group.ts'
import type { Acks, GroupAck } from '../replica/groupTypes.ts'
import { CallKind } from '../replica/nodes/nodeCalls.ts'
import { abortable, type LeaderCall, type LedGroup, type NodeRouter } from '../replica/nodes/nodeRouter.ts'
import { electUnclean } from '../replica/nodes/uncleanElection.ts'
import type { Codecs } from '../runtime/compute.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { BatchWriter } from '../segment/batchWriter.ts'
import { checkBatch } from '../segment/recordBatch.ts'
import { type AppendInput, encodeInput, maxBatchBytes } from './encodeInput.ts'
import { BatchIterator, RecordIterator, recordStream } from './iteration.ts'
import type { LogBatch } from './logBatch.ts'
import type { LogRecord } from './logRecord.ts'
import type { ResolvedSettings } from './logSettings.ts'
import { NodeReader, type NodeReadOptions } from './nodeReader.ts'

/** How long another node may take to have its replica ask for votes, in milliseconds. */
const standTimeoutMs = 1000

/** How records are appended to a partition. */
export interface NodeAppendOptions {
  /**
   * `all` (the default): acknowledged once a majority of the voters has the records durably and they are committed: no failover
   * takes them. `leader`: once they are durable at the leader alone; they are lost if that one is.
   */
  readonly acks?: Acks | undefined
  /** Gives up while the append waits for a leader or for room. Rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

/** Where the records of an append are, and what is promised of them. */
export interface NodeAck extends GroupAck {
  readonly acks: Acks
}

/** How a replica of a partition is doing. */
export interface PartitionStatus {
  readonly topic: string
  readonly partition: number
  readonly state: string
  /** -1 while nobody is known to lead. */
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** Exclusive end of what is committed, as far as this node knows. */
  readonly highWatermark: number
  readonly voters: readonly number[]
}

/** A partition as calls reach it, and how its records are kept. */
export interface ReachedPartition {
  readonly led: LedGroup
  /** The replica that is open here; null when other nodes have it. */
  readonly group: Group | null
  readonly topicId: Uuid
  readonly settings: ResolvedSettings
}

/** One with a replica here. */
export interface OpenPartition extends ReachedPartition {
  readonly group: Group
}

/** What a partition needs of its node. */
export interface PartitionHost {
  readonly runtime: Runtime
  readonly codecs: Codecs
  readonly router: NodeRouter
  /** Resolves once the partition is there, made if need be; rejects with `leaderNotAvailable`, `invalidConfig`, `closed`. */
  open(topic: string, partition: number): Promise<ReachedPartition>
  /** Why nothing goes on any more; null while it does. */
  ended(): EngineError | null
  onEnd(wake: () => void): () => void
}

/**
 * One partition of a topic, replicated on all voters of the cluster, or on those that its settings name. Calls may be made on any node: what only the leader can
 * do is passed on to it. Records have offsets that count up from 0; no failover takes one.
 */
export class NodePartition {
  readonly topic: string
  readonly partition: number
  readonly #host: PartitionHost
  #opening: Promise<ReachedPartition> | null = null
  #opened: ReachedPartition | null = null
  #removed: EngineError | null = null
  readonly #enders = new Set<() => void>()

  /** Made by `Node.partition`. */
  constructor(topic: string, partition: number, host: PartitionHost) {
    this.topic = topic
    this.partition = partition
    this.#host = host
    this.#open().catch(() => {})
  }

  /** `TOPIC-PARTITION`. */
  get name(): string {
    return `${this.topic}-${this.partition}`
  }

  /**
   * Resolves once the partition is there, with a replica on this node if it has one; rejects with the reason why not:
   * `leaderNotAvailable`, `invalidReplicaAssignment`, `invalidConfig`. Calls wait for it by themselves.
   */
  async ready(): Promise<this> {
    await this.#open()
    return this
  }

  /** Who leads, as far as this node knows; -1 for nobody. */
  get leaderId(): number {
    return this.#opened?.led.leaderId ?? -1
  }

  /** How this node's replica is doing; null before `ready`, and where there is none. */
  get status(): PartitionStatus | null {
    const group = this.#opened?.group ?? null
    return group === null ? null : statusOf(this.topic, this.partition, group)
  }

  /**
   * Appends one record, or several as one batch that is there as a whole or not at all, or one batch that is ready
   * (`encodeRecords`; with `producer` it may be repeated without harm). Calls of one node keep their order while nobody else
   * takes the lead.
   *
   * Rejects, with nothing appended: `messageTooLarge`, `invalidRecord`, `malformed`, `leaderNotAvailable` (nobody led for
   * `callTimeoutMs`), `diskFull`, `outOfOrderSequenceNumber`, `invalidProducerEpoch`, `unknownTopicOrPartition` once the
   * topic has been removed, `closed`, the reason of `signal`. Rejects
   * without knowing whether the records will be there: `networkException`, `requestTimedOut`, `notEnoughReplicasAfterAppend`
   * (the leader was lost meanwhile), `diskFailed`.
   */
  async append(input: AppendInput, options: NodeAppendOptions = {}): Promise<NodeAck> {
    const { acks = 'all', signal } = options
    if (acks !== 'all' && acks !== 'leader') {
      throw new EngineError('invalidConfig', `acks has to be 'all' or 'leader', not ${String(acks)}`)
    }
    // What is to be appended is what it is now, whatever the caller does with its records while nobody leads.
    const ready = this.#opened === null ? null : this.#encode(input, this.#opened)
    const opened = this.#opened ?? (await abortable(this.#open(), signal))
    const records = ready ?? this.#encode(input, opened)
    return this.#run(opened, {
      signal,
      repeatable: false,
      local: async (group) => ({ acks, ...(await group.append(records, { acks, signal })) }),
      request: { kind: CallKind.append, acks: acks === 'all' ? -1 : 1, records },
      result: ({ baseOffset, lastOffset, leaderEpoch, duplicate }) => {
        return { baseOffset, lastOffset, leaderEpoch, duplicate: duplicate === 1, acks }
      },
    })
  }

  /**
   * The committed records from an offset on. Without `follow` it ends with the last one that was committed when the read
   * began, on whatever node (see `stale`); with it, when the node is closed. Reads from this node's replica alone. Throws
   * `invalidConfig`, `unknownTopicOrPartition` and `closed` at once; iterating rejects with `offsetOutOfRange`,
   * `leaderNotAvailable`, `corruptLog`, `replicaNotAvailable` where this node has none.
   */
  read(options: NodeReadOptions = {}): AsyncIterableIterator<LogRecord> {
    return new RecordIterator(this.#reader(options))
  }

  /** As `read`, batch by batch. */
  readBatches(options: NodeReadOptions = {}): AsyncIterableIterator<LogBatch> {
    return new BatchIterator(this.#reader(options))
  }

  /** As `read`, as a Web stream of records. */
  stream(options: NodeReadOptions = {}): ReadableStream<LogRecord> {
    return recordStream(new RecordIterator(this.#reader(options)))
  }

  /**
   * Exclusive end of everything that was committed before this was called, on whatever node: the leader has made sure that it
   * still is one. Rejects with `leaderNotAvailable`.
   */
  async readIndex(signal?: AbortSignal): Promise<number> {
    return this.#run(await abortable(this.#open(), signal), {
      signal,
      repeatable: true,
      local: (group) => group.readIndex(),
      request: { kind: CallKind.readIndex },
      result: ({ baseOffset }) => baseOffset,
    })
  }

  /** Moves leadership to node `to`, or wherever it is best. Rejects with `leaderNotAvailable`, `invalidRequest`. */
  async transferLeadership(to = -1): Promise<void> {
    await this.#run(await this.#open(), {
      repeatable: false,
      local: (group) => (to === group.leaderId ? Promise.resolve() : group.transferLeadership(to)),
      request: { kind: CallKind.transferLeadership, json: JSON.stringify(to) },
      result: () => {},
    })
  }

  /**
   * Accepts that acknowledged records may be lost, where too few of the voters that are there are sure of what they have (a relaxed
   * policy, and power that went) and the rest is gone: a majority of all voters elects a leader all the same, one that lacks nothing
   * which the others have. Resolves once somebody leads; what may be lost is told as an alarm. Rejects after `callTimeoutMs` with
   * `electionNotNeeded` while there is a leader, `eligibleLeadersNotAvailable` when too few have voted; with
   * `replicaNotAvailable` where this node has no replica.
   */
  async electUnclean(): Promise<void> {
    const { group, topicId } = await this.#open()
    const { router, runtime } = this.#host
    if (group === null) throw noReplica(this.name)
    const { topic, partition } = this
    const call = { kind: CallKind.uncleanElection, topicId, topic, partition }
    const stand = (id: number): Promise<unknown> => router.ask(id, call, standTimeoutMs)
    await electUnclean(group, router.nodeId, stand, runtime.clock, router.timeoutMs)
  }

  /** Its topic has been removed: calls reject, reads that follow end. */
  remove(): void {
    this.#removed = new EngineError('unknownTopicOrPartition', `${this.topic} has been removed`)
    for (const wake of [...this.#enders]) wake()
  }

  /** The partition, as soon as it is there. What was refused is tried again. */
  #open(): Promise<ReachedPartition> {
    if (this.#removed !== null) return Promise.reject(this.#removed)
    if (this.#opened !== null) return Promise.resolve(this.#opened)
    this.#opening ??= this.#host.open(this.topic, this.partition).then(
      (opened) => {
        this.#opened = opened
        return opened
      },
      (error) => {
        this.#opening = null
        throw error
      },
    )
    return this.#opening
  }

  async #run<T>(
    { led, group, topicId }: ReachedPartition,
    call: Pick<LeaderCall<T>, 'signal' | 'repeatable' | 'request' | 'result'> & {
      local(group: Group): Promise<T>
    },
  ): Promise<T> {
    const { topic, partition, name } = this
    try {
      return await this.#host.router.run({
        group: led,
        name,
        signal: call.signal,
        repeatable: call.repeatable,
        result: call.result,
        // Only who has a replica leads.
        local: () => call.local(group!),
        // Fields that come after a spread would give every object a hidden class of its own.
        request: { topicId, topic, partition, ...call.request },
      })
    } catch (error) {
      throw this.#removed ?? error
    }
  }

  #encode(input: AppendInput, { settings }: ReachedPartition): Uint8Array {
    const { runtime, codecs } = this.#host
    const bytes = encodeInput(input, settings, new BatchWriter(1024), runtime, codecs)
    if (input instanceof Uint8Array) checkBatch(bytes, runtime.checksum)
    return bytes
  }

  #reader(options: NodeReadOptions): NodeReader {
    const { runtime, codecs } = this.#host
    return new NodeReader(options, {
      name: this.name,
      clock: runtime.clock,
      checksum: runtime.checksum,
      decompress: (codec, body) => codecs.decompress(codec, body, maxBatchBytes),
      begin: async (stale, signal) => {
        const { group } = await abortable(this.#open(), signal)
        if (group === null) throw noReplica(this.name)
        return { group, end: stale ? group.highWatermark : await this.readIndex(signal) }
      },
      ended: () => this.#removed ?? this.#host.ended(),
      onEnd: (wake) => {
        const off = this.#host.onEnd(wake)
        this.#enders.add(wake)
        return () => {
          this.#enders.delete(wake)
          off()
        }
      },
    })
  }
}

function noReplica(name: string): EngineError {
  return new EngineError('replicaNotAvailable', `this node has no replica of ${name}`)
}

/** How the replica of a group is doing. */
export function statusOf(topic: string, partition: number, group: Group): PartitionStatus {
  const { state, leaderId, leaderEpoch, highWatermark, log, voters } = group
  const { logStartOffset, logEndOffset } = log
  return {
    topic,
    partition,
    state,
    leaderId,
    leaderEpoch,
    logStartOffset,
    logEndOffset,
    highWatermark,
    voters: voters.voters.voters.map(({ id }) => id),
  }
}
