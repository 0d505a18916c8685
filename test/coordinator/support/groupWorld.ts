import {
  defaultGroupCoordinatorConfig,
  type GroupCoordinatorConfig,
} from '../../../src/coordinator/coordinatorConfig.ts'
import type { GroupEvent } from '../../../src/coordinator/events.ts'
import { Group, restoreGroup } from '../../../src/coordinator/group.ts'
import { newGroupData, type Token } from '../../../src/coordinator/groupData.ts'
import type {
  DeletableGroupResult,
  HeartbeatResponse,
  JoinGroupRequest,
  JoinGroupResponse,
  LeaveGroupResponse,
  OffsetCommitResponse,
  OffsetDeleteResponse,
  SyncGroupResponse,
} from '../../../src/coordinator/messages.ts'
import type {
  CommittedOffset,
  GroupMetadata,
  OffsetsRecord,
} from '../../../src/coordinator/offsetsRecords.ts'
import type { EngineErrorName } from '../../../src/model/errors.ts'

/** A request that was sent, and its answers so far (there must be at most one). */
export interface Sent<Response> {
  readonly token: Token<Response>
  readonly answers: Response[]
}

/** The bytes of a text. */
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** A ConsumerProtocolSubscription (version 0) of these topics. */
export function subscription(...topics: readonly string[]): Uint8Array {
  const buffer = Buffer.alloc(6 + topics.reduce((sum, topic) => sum + 2 + topic.length, 0) + 4)
  buffer.writeInt32BE(topics.length, 2)
  let position = 6
  for (const topic of topics) {
    buffer.writeInt16BE(topic.length, position)
    buffer.write(topic, position + 2)
    position += 2 + topic.length
  }
  buffer.writeInt32BE(-1, position)
  return buffer
}

/** Protocols of a consumer that subscribes to `t`. */
export const range = { name: 'range', metadata: subscription('t') }
export const roundRobin = { name: 'roundrobin', metadata: subscription('t') }

/** What a test says of a JoinGroup; the rest is usual. */
export interface JoinWish {
  readonly memberId?: string
  readonly instance?: string
  readonly protocols?: readonly { readonly name: string; readonly metadata: Uint8Array }[]
  readonly protocolType?: string
  readonly sessionTimeoutMs?: number
  readonly rebalanceTimeoutMs?: number
  /** JoinGroup's version; 3 (default) admits members at once. */
  readonly version?: number
}

/** One group with a clock that stands still and a log that is an array. */
export class GroupWorld {
  readonly config: GroupCoordinatorConfig
  group: Group
  nowMs = 1_000
  wallMs = 1_700_000_000_000
  /** Everything appended, flushed or not. */
  readonly log: OffsetsRecord[][] = []
  /** Writes handed to the log whose outcome the group has not learned. */
  readonly unflushed: number[] = []
  /** Whether writes end at once. */
  autoFlush = true
  removed = false
  #sent = new Map<number, Sent<unknown>>()
  #nextId = 1

  constructor(config: Partial<GroupCoordinatorConfig> = {}) {
    this.config = { ...defaultGroupCoordinatorConfig, groupInitialRebalanceDelayMs: 0, ...config }
    this.group = new Group(newGroupData('g', this.wallMs), this.config)
  }

  get data() {
    return this.group.data
  }

  step(event: GroupEvent): void {
    if (this.removed) return
    const effects = this.group.step(event, { monotonicMs: this.nowMs, wallMs: this.wallMs })
    for (const effect of effects) {
      if (effect.type === 'answer') this.#sent.get(effect.token.id)!.answers.push(effect.response)
      else if (effect.type === 'remove') this.removed = true
      else if (effect.type === 'persist') {
        this.log.push([...effect.records])
        this.unflushed.push(effect.writeId)
      }
    }
    if (this.autoFlush) this.flush()
  }

  /** The log makes everything durable. */
  flush(): void {
    for (let id = this.unflushed.shift(); id !== undefined; id = this.unflushed.shift()) {
      this.step({ type: 'persisted', writeId: id })
    }
  }

  /** The log refuses the oldest write; its records are not there. */
  fail(code: EngineErrorName = 'diskFailed'): void {
    this.log.splice(this.log.length - this.unflushed.length, 1)
    this.step({ type: 'persistFailed', writeId: this.unflushed.shift()!, code })
  }

  /** Time passes; the group is woken at each of its deadlines on the way. */
  advance(ms: number): void {
    const end = this.nowMs + ms
    for (;;) {
      const next = this.group.nextDeadlineMs
      if (next > end) break
      this.#to(Math.max(next, this.nowMs))
      this.step({ type: 'timeout' })
    }
    this.#to(end)
  }

  #to(nowMs: number): void {
    this.wallMs += nowMs - this.nowMs
    this.nowMs = nowMs
  }

  /** The broker dies and comes back: what is left is what the log has. */
  restart(): void {
    let metadata: GroupMetadata | null = null
    const offsets = new Map<string, Map<number, CommittedOffset>>()
    for (const record of this.log.slice(0, this.log.length - this.unflushed.length).flat()) {
      if (record.type === 'group') metadata = record.value
      else if (record.value === null) {
        offsets.get(record.topic)?.delete(record.partition)
        if (offsets.get(record.topic)?.size === 0) offsets.delete(record.topic)
      } else {
        if (!offsets.has(record.topic)) offsets.set(record.topic, new Map())
        offsets.get(record.topic)!.set(record.partition, record.value)
      }
    }
    this.log.length -= this.unflushed.length
    this.unflushed.length = 0
    this.group = new Group(restoreGroup('g', metadata, offsets), this.config)
    this.removed = false
    this.step({ type: 'loaded' })
  }

  send<Response>(make: (token: Token<Response>) => GroupEvent): Sent<Response> {
    const sent: Sent<Response> = { token: { id: this.#nextId++ }, answers: [] }
    this.#sent.set(sent.token.id, sent as Sent<unknown>)
    this.step(make(sent.token))
    return sent
  }

  /** Every request that was ever sent. */
  get sent(): readonly Sent<unknown>[] {
    return [...this.#sent.values()]
  }

  join(wish: JoinWish = {}): Sent<JoinGroupResponse> {
    const version = wish.version ?? 3
    const request: JoinGroupRequest = {
      groupId: 'g',
      sessionTimeoutMs: wish.sessionTimeoutMs ?? 10_000,
      rebalanceTimeoutMs: wish.rebalanceTimeoutMs ?? 60_000,
      memberId: wish.memberId ?? '',
      groupInstanceId: wish.instance ?? null,
      protocolType: wish.protocolType ?? 'consumer',
      protocols: wish.protocols ?? [{ name: 'range', metadata: subscription('t') }],
      reason: null,
    }
    return this.send((token) => ({
      type: 'join',
      token,
      request,
      clientId: 'c',
      clientHost: '/127.0.0.1',
      newMemberId: `m${token.id}`,
      requireKnownMemberId: version >= 4,
      supportsSkippingAssignment: version >= 9,
    }))
  }

  sync(
    memberId: string,
    generationId: number,
    assignments: Readonly<Record<string, string>> = {},
    instance: string | null = null,
    protocol: { readonly type?: string; readonly name?: string } = {},
  ): Sent<SyncGroupResponse> {
    return this.send((token) => ({
      type: 'sync',
      token,
      request: {
        groupId: 'g',
        generationId,
        memberId,
        groupInstanceId: instance,
        protocolType: protocol.type ?? null,
        protocolName: protocol.name ?? null,
        assignments: Object.entries(assignments).map(([id, text]) => ({
          memberId: id,
          assignment: bytes(text),
        })),
      },
    }))
  }

  heartbeat(memberId: string, generationId: number, instance: string | null = null): number | undefined {
    const sent: Sent<HeartbeatResponse> = this.send((token) => ({
      type: 'heartbeat',
      token,
      request: { groupId: 'g', generationId, memberId, groupInstanceId: instance },
    }))
    return sent.answers[0]?.errorCode
  }

  leave(...members: readonly (string | { memberId?: string; instance: string })[]): Sent<LeaveGroupResponse> {
    return this.send((token) => ({
      type: 'leave',
      token,
      request: {
        groupId: 'g',
        members: members.map((member) =>
          typeof member === 'string'
            ? { memberId: member, groupInstanceId: null, reason: null }
            : { memberId: member.memberId ?? '', groupInstanceId: member.instance, reason: null },
        ),
      },
    }))
  }

  commit(
    memberId: string,
    generationId: number,
    offset: number,
    options: {
      topic?: string
      partition?: number
      metadata?: string
      instance?: string
      retentionTimeMs?: number
    } = {},
  ): Sent<OffsetCommitResponse> {
    const { topic = 't', partition = 0, metadata = '', instance = null, retentionTimeMs = -1 } = options
    const entry = { partitionIndex: partition, committedOffset: offset, committedLeaderEpoch: 0 }
    return this.send((token) => ({
      type: 'commitOffsets',
      token,
      request: {
        groupId: 'g',
        generationIdOrMemberEpoch: generationId,
        memberId,
        groupInstanceId: instance,
        retentionTimeMs,
        topics: [{ name: topic, partitions: [{ ...entry, committedMetadata: metadata }] }],
      },
    }))
  }

  deleteGroup(): Sent<DeletableGroupResult> {
    return this.send((token) => ({ type: 'deleteGroup', token }))
  }

  deleteOffsets(topic: string, partition = 0): Sent<OffsetDeleteResponse> {
    const topics = [{ name: topic, partitions: [{ partitionIndex: partition }] }]
    return this.send((token) => ({ type: 'deleteOffsets', token, request: { groupId: 'g', topics } }))
  }

  /** What is visible for the partition, or null. */
  offset(topic = 't', partition = 0): number | null {
    return this.data.offsets.get(topic)?.get(partition)?.offset ?? null
  }

  /** Two members, m1 leading, stable at generation 2 with assignments "one" and "two"; returns their ids. */
  stablePair(): [string, string] {
    const first = this.join().answers[0]!.memberId
    const second = this.join()
    this.join({ memberId: first })
    const { memberId, generationId } = second.answers[0]!
    this.sync(first, generationId, { [first]: 'one', [memberId]: 'two' })
    this.sync(memberId, generationId)
    return [first, memberId]
  }
}

/** The number of partition errors in a commit's answer: the first one's code, undefined when unanswered. */
export function commitCode(sent: Sent<OffsetCommitResponse>): number | undefined {
  return sent.answers[0]?.topics[0]?.partitions[0]?.errorCode
}

/** The text of an assignment. */
export function textOf(assignment: Uint8Array | undefined): string {
  return Buffer.from(assignment ?? []).toString()
}
