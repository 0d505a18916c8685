import type { KafkaErrorName } from '../model/kafkaErrors.ts'
import type { Logger } from '../model/logger.ts'
import { randomUuid } from '../model/uuid.ts'
import type { Timer } from '../runtime/clock.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { errorNumber, joinError, syncError } from './answers.ts'
import { commitError } from './committing.ts'
import { defaultGroupCoordinatorConfig, type GroupCoordinatorConfig } from './coordinatorConfig.ts'
import {
  deadGroup,
  describeGroup,
  fetchGroupOffsets,
  listGroup,
  matchesFilter,
  noOffsets,
} from './describing.ts'
import type {
  DeletableGroupResult,
  DeleteGroupsRequest,
  DeleteGroupsResponse,
  DescribedGroup,
  DescribeGroupsRequest,
  DescribeGroupsResponse,
  HeartbeatRequest,
  HeartbeatResponse,
  JoinGroupRequest,
  JoinGroupResponse,
  LeaveGroupRequest,
  LeaveGroupResponse,
  ListGroupsRequest,
  ListGroupsResponse,
  OffsetCommitRequest,
  OffsetCommitResponse,
  OffsetDeleteRequest,
  OffsetDeleteResponse,
  OffsetFetchRequest,
  OffsetFetchRequestGroup,
  OffsetFetchResponse,
  OffsetFetchResponseGroup,
  RequestContext,
  SyncGroupRequest,
  SyncGroupResponse,
} from './messages.ts'
import { offsetsPartition } from './offsetsPartition.ts'
import type { OffsetsTopic } from './offsetsReign.ts'
import type { Shard } from './shard.ts'
import { Shards } from './shards.ts'
import { Waiters } from './waiters.ts'

/** What a coordinator is made of. */
export interface GroupCoordinatorOptions {
  readonly logger: Logger
  /** What is not named has its default. */
  readonly config?: Partial<GroupCoordinatorConfig>
  readonly offsets: OffsetsTopic
}

/**
 * Serves the group APIs from the logs of `__consumer_offsets`. Requests and responses are those of the newest
 * versions; handlers drop what an older version lacks. What is answered is durable first, in the sense of the
 * log's flush policy. Errors are numbers in the responses: no method rejects because of what a client sent.
 */
export class GroupCoordinator {
  readonly #runtime: Runtime
  readonly #options: GroupCoordinatorOptions
  readonly #config: GroupCoordinatorConfig
  readonly #shards: Shards
  readonly #waiters: Waiters
  #expiry: Timer | null = null
  #closed = false

  constructor(runtime: Runtime, options: GroupCoordinatorOptions) {
    this.#runtime = runtime
    this.#options = options
    this.#config = { ...defaultGroupCoordinatorConfig, ...options.config }
    this.#waiters = new Waiters(runtime.clock, this.#config.offsetCommitTimeoutMs)
    this.#shards = new Shards(runtime, options.offsets, {
      config: this.#config,
      logger: options.logger,
      answer: (token, response) => this.#waiters.answer(token, response),
    })
  }

  /** Reads every offsets log that this node leads. Requests that come before are told to wait (14). */
  async start(): Promise<void> {
    await this.#shards.start()
    this.#scheduleExpiry()
  }

  /**
   * To be called when this node may have begun or ceased to lead a partition of `__consumer_offsets`: its log is read, or
   * whoever waits for its groups is sent away (16).
   */
  leadershipChanged(partition: number): void {
    this.#shards.look(partition)
  }

  /** The partition of `__consumer_offsets` that decides for this group. */
  partitionFor(groupId: string): number {
    return offsetsPartition(groupId, this.#options.offsets.partitionCount)
  }

  /** Enters a group; resolves when the generation is decided, which may take the rebalance timeout. */
  async joinGroup(request: JoinGroupRequest, context: RequestContext): Promise<JoinGroupResponse> {
    const { groupId, memberId, sessionTimeoutMs } = request
    const refusal = this.#refuseGroup(groupId) ?? this.#refuseSession(sessionTimeoutMs)
    if (refusal !== null) return forVersion(joinError(refusal, memberId), context)
    const response = await this.#waiters.wait<JoinGroupResponse>((token) => {
      const prefix = request.groupInstanceId ?? context.clientId
      const event = {
        type: 'join',
        token,
        request,
        clientId: context.clientId,
        clientHost: `/${context.clientHost}`, // As Java's InetAddress says it; Kafka's tools expect it.
        newMemberId: `${prefix}-${randomUuid(this.#runtime.random)}`,
        requireKnownMemberId: context.apiVersion >= 4,
        supportsSkippingAssignment: context.apiVersion >= 9,
      } as const
      const isSent = this.#shard(groupId)!.send(groupId, event, memberId === '')
      if (!isSent) this.#waiters.answer(token, joinError('unknownMemberId', memberId))
    })
    return forVersion(response, context)
  }

  /** Fetches the member's assignment; resolves when the leader has brought it and it is durable. */
  async syncGroup(request: SyncGroupRequest): Promise<SyncGroupResponse> {
    const refusal = this.#refuseGroup(request.groupId)
    // Nothing is known of the generation yet: joining again is what helps. As Kafka does.
    if (refusal === 'coordinatorLoadInProgress') return syncError('rebalanceInProgress')
    if (refusal !== null) return syncError(refusal)
    return this.#waiters.wait((token) => {
      const isSent = this.#shard(request.groupId)!.send(request.groupId, { type: 'sync', token, request })
      if (!isSent) this.#waiters.answer(token, syncError('unknownMemberId'))
    })
  }

  /** Keeps the member's session alive. */
  async heartbeat(request: HeartbeatRequest): Promise<HeartbeatResponse> {
    const refusal = this.#refuseGroup(request.groupId)
    // Sessions begin anew when the log has been read, so that there is nothing to lose. As Kafka does.
    if (refusal === 'coordinatorLoadInProgress') return { throttleTimeMs: 0, errorCode: 0 }
    if (refusal !== null) return { throttleTimeMs: 0, errorCode: errorNumber(refusal) }
    return this.#waiters.wait((token) => {
      const isSent = this.#shard(request.groupId)!.send(request.groupId, {
        type: 'heartbeat',
        token,
        request,
      })
      if (!isSent) {
        this.#waiters.answer(token, { throttleTimeMs: 0, errorCode: errorNumber('unknownMemberId') })
      }
    })
  }

  /** Takes members out of a group. In a group that does not exist all of them are unknown. */
  async leaveGroup(request: LeaveGroupRequest): Promise<LeaveGroupResponse> {
    const failed = (error: KafkaErrorName): LeaveGroupResponse => {
      return { throttleTimeMs: 0, errorCode: errorNumber(error), members: [] }
    }
    const refusal = this.#refuseGroup(request.groupId)
    if (refusal !== null) return failed(refusal)
    return this.#waiters.wait(
      (token) => {
        if (this.#shard(request.groupId)!.send(request.groupId, { type: 'leave', token, request })) return
        const errorCode = errorNumber('unknownMemberId')
        const members = request.members.map(({ memberId, groupInstanceId }) => ({
          memberId,
          groupInstanceId,
          errorCode,
        }))
        this.#waiters.answer(token, { throttleTimeMs: 0, errorCode: 0, members })
      },
      () => failed('coordinatorNotAvailable'),
    )
  }

  /**
   * Commits offsets. Whether the topics exist is not looked at: the handler refuses unknown ones (3) itself.
   * Without a generation a group is made on the way.
   */
  async commitOffsets(request: OffsetCommitRequest, context: RequestContext): Promise<OffsetCommitResponse> {
    const { groupId } = request
    const refusal = this.#refuse(groupId)
    if (refusal !== null) return commitError(request, refusal)
    return this.#waiters.wait(
      (token) => {
        const isSimple = request.generationIdOrMemberEpoch < 0
        if (this.#shard(groupId)!.send(groupId, { type: 'commitOffsets', token, request }, isSimple)) return
        const error = context.apiVersion >= 9 ? 'groupIdNotFound' : 'illegalGeneration'
        this.#waiters.answer(token, commitError(request, error))
      },
      () => commitError(request, 'coordinatorNotAvailable'),
    )
  }

  /**
   * What groups have committed, once it is sure that nobody else has committed for them: at once where nobody else may.
   * `requireStable` changes nothing while there are no transactional commits: what is not committed does not show. A group that cannot be asked gets its error and no topics; so does one that is
   * asked for again in the same request (42), which would make a large answer of a small question.
   */
  fetchOffsets(request: OffsetFetchRequest): OffsetFetchResponse | Promise<OffsetFetchResponse> {
    const shards = new Set(request.groups.map(({ groupId }) => this.#shard(groupId)))
    const unsure = new Set<Shard>()
    const confirming = [...shards].flatMap((shard) => {
      const confirmed = shard?.refusal === null ? shard.reign.confirm() : null
      return confirmed === null ? [] : [confirmed.catch(() => unsure.add(shard!))]
    })
    if (confirming.length === 0) return this.#fetchAll(request, unsure)
    return Promise.all(confirming).then(() => this.#fetchAll(request, unsure))
  }

  #fetchAll(request: OffsetFetchRequest, unsure: ReadonlySet<Shard>): OffsetFetchResponse {
    const seen = new Set<string>()
    const groups = request.groups.map((group) => {
      const { groupId } = group
      if (seen.has(groupId)) return { groupId, topics: [], errorCode: errorNumber('invalidRequest') }
      seen.add(groupId)
      return this.#fetchGroup(group, unsure)
    })
    return { throttleTimeMs: 0, groups }
  }

  #fetchGroup(request: OffsetFetchRequestGroup, unsure: ReadonlySet<Shard>): OffsetFetchResponseGroup {
    const { groupId } = request
    const shard = this.#shard(groupId)
    const refusal = shard === null || unsure.has(shard) ? 'notCoordinator' : shard.refusal
    if (refusal !== null) return { groupId, topics: [], errorCode: errorNumber(refusal) }
    const group = shard!.group(groupId)
    return group === undefined ? noOffsets(request) : fetchGroupOffsets(group.data, request)
  }

  /** All groups in one of the states and of one of the types asked for. Incomplete (14) while logs are read. */
  listGroups(request: ListGroupsRequest): ListGroupsResponse {
    const groups: ListGroupsResponse['groups'][number][] = []
    let error: KafkaErrorName = 'none'
    for (const shard of this.#shards.values()) {
      if (shard.refusal === 'coordinatorLoadInProgress') error = shard.refusal
      for (const group of shard.groups()) {
        if (matchesFilter(group.data, request)) groups.push(listGroup(group.data))
      }
    }
    return { throttleTimeMs: 0, errorCode: errorNumber(error), groups }
  }

  /**
   * State and members of groups, each once. A group that does not exist is dead, and from version 6 on an error (69).
   */
  describeGroups(request: DescribeGroupsRequest, context: RequestContext): DescribeGroupsResponse {
    const describe = (groupId: string): DescribedGroup => {
      const refusal = this.#refuse(groupId)
      if (refusal !== null) return { ...deadGroup(groupId), groupState: '', errorCode: errorNumber(refusal) }
      const group = this.#shard(groupId)!.group(groupId)
      if (group !== undefined && group.data.state !== 'dead') return describeGroup(group.data)
      if (context.apiVersion < 6) return deadGroup(groupId)
      const errorMessage = `Group ${groupId} not found.`
      return { ...deadGroup(groupId), errorCode: errorNumber('groupIdNotFound'), errorMessage }
    }
    return { throttleTimeMs: 0, groups: [...new Set(request.groups)].map(describe) }
  }

  /** Deletes groups without members, each once, with what they committed. */
  async deleteGroups(request: DeleteGroupsRequest): Promise<DeleteGroupsResponse> {
    const results = await Promise.all(
      [...new Set(request.groupsNames)].map((groupId) => this.#deleteGroup(groupId)),
    )
    return { throttleTimeMs: 0, results }
  }

  async #deleteGroup(groupId: string): Promise<DeletableGroupResult> {
    const failed = (error: KafkaErrorName): DeletableGroupResult => {
      return { groupId, errorCode: errorNumber(error), errorMessage: null }
    }
    const refusal = this.#refuse(groupId)
    if (refusal !== null) return failed(refusal)
    return this.#waiters.wait(
      (token) => {
        const isSent = this.#shard(groupId)!.send(groupId, { type: 'deleteGroup', token })
        if (!isSent) this.#waiters.answer(token, failed('groupIdNotFound'))
      },
      () => failed('coordinatorNotAvailable'),
    )
  }

  /** Deletes offsets of topics that nobody in the group subscribes to. */
  async deleteOffsets(request: OffsetDeleteRequest): Promise<OffsetDeleteResponse> {
    const { groupId } = request
    const failed = (error: KafkaErrorName): OffsetDeleteResponse => {
      return { errorCode: errorNumber(error), throttleTimeMs: 0, topics: [] }
    }
    const refusal = this.#refuse(groupId)
    if (refusal !== null) return failed(refusal)
    return this.#waiters.wait(
      (token) => {
        const isSent = this.#shard(groupId)!.send(groupId, { type: 'deleteOffsets', token, request })
        if (!isSent) this.#waiters.answer(token, failed('groupIdNotFound'))
      },
      () => failed('coordinatorNotAvailable'),
    )
  }

  /** Forgets what was committed for topics that are gone. */
  onTopicsDeleted(names: Iterable<string>): void {
    const topics = new Set(names)
    if (topics.size === 0) return
    for (const shard of this.#shards.values()) shard.topicsDeleted(topics)
  }

  /**
   * Forgets what was committed for topics that are not there. To be called once after `start`: the broker may have
   * died between the deletion of a topic and that of its offsets, and a new topic of that name must not inherit them.
   */
  forgetMissingTopics(exists: (topic: string) => boolean): void {
    const missing = new Set<string>()
    for (const shard of this.#shards.values()) {
      for (const group of shard.groups()) {
        for (const topic of group.data.offsets.keys()) if (!exists(topic)) missing.add(topic)
      }
    }
    this.onTopicsDeleted(missing)
  }

  /** Sends away whoever waits (16) and resolves once what was handed to the logs has ended. Safe to call twice. */
  async close(): Promise<void> {
    this.#closed = true
    this.#expiry?.cancel()
    await this.#shards.close()
    this.#waiters.close()
  }

  /** Why a request about this group is refused as a whole, or null. An empty id is no group for members (24). */
  #refuseGroup(groupId: string): KafkaErrorName | null {
    return groupId === '' ? 'invalidGroupId' : this.#refuse(groupId)
  }

  #refuse(groupId: string): KafkaErrorName | null {
    const shard = this.#shard(groupId)
    return shard === null ? 'notCoordinator' : shard.refusal
  }

  #refuseSession(sessionTimeoutMs: number): KafkaErrorName | null {
    const { groupMinSessionTimeoutMs: min, groupMaxSessionTimeoutMs: max } = this.#config
    return sessionTimeoutMs < min || sessionTimeoutMs > max ? 'invalidSessionTimeout' : null
  }

  /** The shard of the group; null while another node leads its partition. */
  #shard(groupId: string): Shard | null {
    return this.#shards.look(this.partitionFor(groupId))
  }

  #scheduleExpiry(): void {
    if (this.#closed) return
    this.#expiry = this.#runtime.clock.setTimer(this.#config.offsetsRetentionCheckIntervalMs, () => {
      for (const shard of this.#shards.values()) shard.sendToAll({ type: 'expireOffsets' })
      this.#scheduleExpiry()
    })
  }
}

/** Before version 7 a protocol name cannot be null. */
function forVersion(response: JoinGroupResponse, context: RequestContext): JoinGroupResponse {
  return context.apiVersion >= 7 ? response : { ...response, protocolName: response.protocolName ?? '' }
}
