import { EngineError } from '../../model/errors.ts'
import {
  consumerProtocolAssignment,
  consumerProtocolSubscription,
} from '../../protocol/files/consumerProtocol.ts'
import { decodeVersioned, encodeVersioned } from '../../protocol/versioned.ts'
import { type BrokerLink, requestMs, retryMs } from './brokerLink.ts'
import { CoordinatorLink } from './coordinatorLink.ts'
import type { GroupChecked } from './groupChecked.ts'
import type { ResponseOf } from './simKafka.ts'

/** How long a member may be silent, and how long the others wait for it, in milliseconds. */
const sessionTimeoutMs = 1200
const heartbeatMs = 400
/** A JoinGroup waits for the others; a coordinator that died meanwhile never answers. */
const joinMs = 3 * sessionTimeoutMs
const topic = 't0'

/** What a member has been given. */
export interface Membership {
  readonly generation: number
  readonly partitions: readonly number[]
}

/**
 * A consumer as Kafka's clients are, without records: it joins its group, assigns partitions if it leads, fetches where they stand,
 * commits one after the other, and joins again when it is told to. Every answer is looked at by `GroupChecked`.
 */
export class GroupMember {
  readonly #coordinator: CoordinatorLink
  readonly #checked: GroupChecked
  #memberId = ''
  #membership: Membership | null = null
  #wants = false
  #runs = false
  /** Until then it does nothing, and then goes on as if no time had passed. */
  #stalledUntilMs = 0
  #turns = 0
  #commits = 0

  constructor(link: BrokerLink, checked: GroupChecked) {
    this.#coordinator = new CoordinatorLink(link, checked.group)
    this.#checked = checked
  }

  /** What it has in the generation that it knows; null while it has to join. */
  get membership(): Membership | null {
    return this.#membership
  }

  /** How many of its commits were acknowledged. */
  get commits(): number {
    return this.#commits
  }

  /** Enters the group and stays, whatever happens, until `leave`. */
  join(): void {
    this.#wants = true
    if (this.#runs) return
    this.#runs = true
    void this.#run().finally(() => {
      this.#runs = false
      // Asked for while it was on its way out.
      if (this.#wants) this.join()
    })
  }

  /** Leaves in order, as soon as it has no request under way. */
  leave(): void {
    this.#wants = false
  }

  /** Is not heard of for so long: others may be given what it has. Then it commits as if nothing had happened. */
  stall(forMs: number): void {
    this.#stalledUntilMs = this.#link.world.nowMs + forMs
  }

  get #link(): BrokerLink {
    return this.#coordinator.link
  }

  async #run(): Promise<void> {
    while (this.#wants) {
      try {
        if (this.#membership === null) await this.#enter()
        else await this.#consume(this.#membership)
      } catch (error) {
        if (!(error instanceof EngineError)) throw error
        await this.#link.pause(retryMs)
      }
    }
    await this.#leave().catch((error: unknown) => {
      if (!(error instanceof EngineError)) throw error
    })
  }

  /** JoinGroup and SyncGroup, and where the partitions stand. */
  async #enter(): Promise<void> {
    const { group } = this.#coordinator
    const topicId = await this.#coordinator.topicId()
    const metadata = encodeVersioned(consumerProtocolSubscription, 1, { topics: [topic] })
    const joined = await this.#coordinator.ask(
      'joinGroup',
      {
        groupId: group,
        sessionTimeoutMs,
        rebalanceTimeoutMs: sessionTimeoutMs,
        memberId: this.#memberId,
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata }],
      },
      joinMs,
    )
    if (joined.memberId !== '') this.#memberId = joined.memberId
    this.#throwIf(joined.errorCode)
    const { generationId: generation, memberId } = joined
    const synced = await this.#coordinator.ask(
      'syncGroup',
      {
        groupId: group,
        generationId: generation,
        memberId,
        protocolType: 'consumer',
        protocolName: 'range',
        assignments: joined.leader === memberId ? await this.#assign(joined) : [],
      },
      joinMs,
    )
    this.#throwIf(synced.errorCode)
    const partitions = partitionsOf(synced.assignment)
    this.#checked.owns(memberId, generation, partitions)
    for (const partition of partitions) {
      const read = this.#checked.beginRead(partition)
      const { errorCode, offset } = await this.#coordinator.committed(topicId, partition)
      this.#throwIf(errorCode)
      this.#checked.read(read, offset!)
    }
    this.#membership = { generation, partitions }
  }

  /** A share of the topic's partitions for every member. */
  async #assign({
    members,
  }: ResponseOf<'joinGroup'>): Promise<{ readonly memberId: string; readonly assignment: Uint8Array }[]> {
    await this.#link.refresh()
    const count = this.#link.topics.get(topic)?.partitions.length ?? 0
    return members.map(({ memberId }, index) => {
      const partitions: number[] = []
      for (let at = index; at < count; at += members.length) partitions.push(at)
      const assignedPartitions = [{ topic, partitions }]
      return { memberId, assignment: encodeVersioned(consumerProtocolAssignment, 1, { assignedPartitions }) }
    })
  }

  /** One round: a commit and a heartbeat. */
  async #consume(membership: Membership): Promise<void> {
    const { world } = this.#link
    const stalledMs = this.#stalledUntilMs - world.nowMs
    await this.#link.pause(stalledMs > 0 ? stalledMs : heartbeatMs)
    const { generation, partitions } = membership
    if (partitions.length > 0) await this.#commit(generation, partitions[this.#turns++ % partitions.length]!)
    const { group } = this.#coordinator
    const body = { groupId: group, generationId: generation, memberId: this.#memberId }
    this.#throwIf((await this.#coordinator.ask('heartbeat', body, requestMs)).errorCode)
  }

  async #commit(generation: number, partition: number): Promise<void> {
    const topicId = await this.#coordinator.topicId()
    const commit = this.#checked.begin(generation, partition)
    const member = { generationIdOrMemberEpoch: generation, memberId: this.#memberId }
    const errorCode = await this.#coordinator.commit(topicId, partition, commit.offset, member)
    const error = this.#coordinator.errorOf(errorCode)
    if (error === null) {
      this.#checked.acked(commit)
      this.#commits++
      return
    }
    if (!mustJoin.has(error.code)) return
    this.#checked.refused(commit)
    this.#throwIf(errorCode)
  }

  async #leave(): Promise<void> {
    const memberId = this.#memberId
    this.#membership = null
    this.#memberId = ''
    if (memberId === '') return
    const body = { groupId: this.#coordinator.group, members: [{ memberId }] }
    await this.#coordinator.ask('leaveGroup', body, requestMs)
  }

  /** Throws the error that a number in an answer stands for; what the member knows of its group may be over by it. */
  #throwIf(errorCode: number): void {
    const error = this.#coordinator.errorOf(errorCode)
    if (error === null) return
    if (mustJoin.has(error.code)) this.#membership = null
    if (error.code === 'unknownMemberId') this.#memberId = ''
    throw error
  }
}

/** What says that the generation is over for a member; nothing that it has asked for in it was done. */
const mustJoin: ReadonlySet<string> = new Set([
  'rebalanceInProgress',
  'illegalGeneration',
  'unknownMemberId',
  'fencedInstanceId',
])

function partitionsOf(assignment: Uint8Array): readonly number[] {
  if (assignment.length === 0) return []
  const { assignedPartitions } = decodeVersioned(consumerProtocolAssignment, assignment)
  return assignedPartitions.flatMap(({ partitions }) => partitions)
}
