import type { EngineError } from '../../model/errors.ts'
import { partBytes, type SendPart } from '../../model/fileRange.ts'
import type { fetchRequest, fetchResponse } from '../../protocol/apis/fetch.ts'
import { fetchFlags } from '../../protocol/apis/quorumFields.ts'
import type { Infer, InferInput } from '../../protocol/schema.ts'
import type { Incarnation } from '../../raft.ts'
import type { Checksum } from '../../runtime/checksum.ts'
import type { GroupRef } from '../transport.ts'
import { batchesOrError } from './batches.ts'
import {
  byTopic,
  errorName,
  errorNumber,
  groupById,
  incarnationFromWire,
  incarnationToWire,
  type RequestOf,
  type ResponseOf,
  voterToWire,
} from './common.ts'

/*
 * A replica's Fetch, version 18, in an incremental session (KIP-227): one message has the Fetches of many groups. A session
 * remembers what does not change: each group's replica has told of its start once. Topics travel by id only.
 */

/** What a Fetch says of its session and replica. */
export interface FetchEnvelope {
  readonly clusterId: string | null
  readonly replicaId: number
  /** 0 while the leader has not named one. */
  readonly sessionId: number
  /** 0 begins a session, each further request has the next one. */
  readonly sessionEpoch: number
  /** How long the leader may keep the whole message when no group has anything. */
  readonly maxWaitMs: number
  readonly maxBytes: number
}

/** One group's Fetch within a session. */
export interface SessionFetch {
  readonly group: GroupRef
  readonly request: RequestOf<'fetch'>
  /** Whether the leader is told of the replica's start. */
  readonly tellsStart: boolean
  /** Whether it is to be answered at once, whatever there is. */
  readonly atOnce: boolean
}

/** A Fetch request. */
export function fetchRequestBody(
  envelope: FetchEnvelope,
  fetches: readonly SessionFetch[],
  forgotten: readonly GroupRef[],
): InferInput<typeof fetchRequest> {
  const { clusterId, replicaId, sessionId, sessionEpoch, maxWaitMs, maxBytes } = envelope
  const topics = byTopic(fetches, ({ group, request, tellsStart, atOnce }) => ({
    partition: group.partition,
    currentLeaderEpoch: request.currentLeaderEpoch,
    fetchOffset: request.fetchOffset,
    lastFetchedEpoch: request.lastFetchedEpoch,
    partitionMaxBytes: maxBytes,
    replicaDirectoryId: request.replica.directoryId,
    highWatermark: request.highWatermark,
    own: {
      flushedOffset: request.flushedOffset,
      flushedVotersVersion: request.flushedVotersVersion,
      votersVersion: request.votersVersion,
      flags:
        (request.claimOnly ? fetchFlags.claimOnly : 0) |
        (request.damaged ? fetchFlags.damaged : 0) |
        (request.quarantined ? fetchFlags.quarantined : 0) |
        (atOnce ? fetchFlags.atOnce : 0),
      round: request.round,
      incarnation: tellsStart ? incarnationToWire(request.incarnation) : null,
    },
  }))
  const forgottenTopics = byTopic(
    forgotten.map((group) => ({ group })),
    ({ group }) => group.partition,
  )
  return {
    clusterId,
    replicaState: { replicaId },
    maxWaitMs,
    minBytes: 1,
    maxBytes,
    sessionId,
    sessionEpoch,
    topics: topics.map(({ group, partitions }) => ({ topicId: group.topicId, partitions })),
    forgottenTopicsData: forgottenTopics.map(({ group, partitions }) => ({
      topicId: group.topicId,
      partitions,
    })),
  }
}

/** A Fetch that came in a session; `incarnation` is null when the session knows it already. */
export interface ReceivedFetch {
  readonly group: GroupRef
  readonly request: Omit<RequestOf<'fetch'>, 'incarnation'>
  readonly incarnation: Incarnation | null
  readonly atOnce: boolean
}

/** What a Fetch request asks. Fields that are missing read as a replica of Kafka's means them: it claims nothing. */
export function readFetchRequest(body: Infer<typeof fetchRequest>): {
  readonly envelope: FetchEnvelope
  readonly fetches: readonly ReceivedFetch[]
  readonly forgotten: readonly GroupRef[]
} {
  const { clusterId, sessionId, sessionEpoch, maxWaitMs, maxBytes } = body
  const { replicaId } = body.replicaState
  const fetches = body.topics.flatMap(({ topicId, partitions }) =>
    partitions.map(({ own, ...partition }): ReceivedFetch => {
      const flags = own?.flags ?? 0
      return {
        group: groupById(topicId, partition.partition),
        request: {
          type: 'fetch',
          clusterId,
          replica: { id: replicaId, directoryId: partition.replicaDirectoryId },
          currentLeaderEpoch: partition.currentLeaderEpoch,
          fetchOffset: partition.fetchOffset,
          lastFetchedEpoch: partition.lastFetchedEpoch,
          highWatermark: partition.highWatermark,
          maxWaitMs,
          flushedOffset: own?.flushedOffset ?? -1,
          flushedVotersVersion: own?.flushedVotersVersion ?? -1,
          votersVersion: own?.votersVersion ?? 0,
          claimOnly: (flags & fetchFlags.claimOnly) !== 0,
          damaged: (flags & fetchFlags.damaged) !== 0,
          quarantined: (flags & fetchFlags.quarantined) !== 0,
          round: own?.round ?? 0,
        },
        incarnation: own?.incarnation ? incarnationFromWire(own.incarnation) : null,
        atOnce: (flags & fetchFlags.atOnce) !== 0,
      }
    }),
  )
  const forgotten = body.forgottenTopicsData.flatMap(({ topicId, partitions }) =>
    partitions.map((partition) => groupById(topicId, partition)),
  )
  const envelope = { clusterId, replicaId, sessionId, sessionEpoch, maxWaitMs, maxBytes }
  return { envelope, fetches, forgotten }
}

/** One group's answer within a session. */
export interface SessionAnswer {
  readonly group: GroupRef
  readonly response: ResponseOf<'fetch'>
  /** In place of the response's batches. */
  readonly records: readonly SendPart[]
  /** The session epoch of the request that asked. */
  readonly askedIn: number
  readonly isClaim: boolean
}

/** A Fetch response. */
export function fetchResponseBody(
  sessionId: number,
  answers: readonly SessionAnswer[],
): InferInput<typeof fetchResponse> {
  const topics = byTopic(answers, ({ group, response, records, askedIn, isClaim }) => ({
    partitionIndex: group.partition,
    errorCode: errorNumber(response.error),
    highWatermark: response.highWatermark,
    logStartOffset: response.logStartOffset,
    divergingEpoch: response.divergingEpoch
      ? { epoch: response.divergingEpoch.epoch, endOffset: response.divergingEpoch.endOffset }
      : undefined,
    currentLeader: { leaderId: response.leaderId, leaderEpoch: response.leaderEpoch },
    snapshotId: response.snapshotId ?? undefined,
    abortedTransactions: null,
    records: { lengthBytes: records.reduce((sum, part) => sum + partBytes(part), 0), parts: records },
    own: {
      askedIn,
      isClaim,
      divergingVotersVersion: response.divergingEpoch?.votersVersion ?? 0,
      epochStarts: response.epochStarts,
      voterSets: response.voterSets.map(({ offset, version, voters }) => ({
        offset,
        version,
        voters: voters.map(voterToWire),
      })),
      logEndOffset: response.logEndOffset,
      round: response.round,
      rolledBack: response.rolledBack,
      recorded: response.recorded && incarnationToWire(response.recorded),
    },
  }))
  return {
    sessionId,
    responses: topics.map(({ group, partitions }) => ({ topicId: group.topicId, partitions })),
  }
}

/** An answer that came in a session. */
export interface ReceivedAnswer {
  readonly group: GroupRef
  /** -1 when it does not say. */
  readonly askedIn: number
  readonly isClaim: boolean
  readonly response: ResponseOf<'fetch'>
  /** What is wrong with its records; then there are none. */
  readonly damage: EngineError | null
}

/** What a Fetch response answers. Records are views of the message. */
export function readFetchResponse(
  body: Infer<typeof fetchResponse>,
  checksum: Checksum,
): readonly ReceivedAnswer[] {
  return body.responses.flatMap(({ topicId, partitions }) =>
    partitions.map(({ own, ...partition }): ReceivedAnswer => {
      const { divergingEpoch, snapshotId, currentLeader } = partition
      // Epochs and voter sets may belong between them.
      const isJoined = !own?.epochStarts?.length && !own?.voterSets?.length
      const { batches, damage } = batchesOrError(partition.records, checksum, isJoined)
      const diverges = divergingEpoch.epoch !== -1 || divergingEpoch.endOffset !== -1
      return {
        group: groupById(topicId, partition.partitionIndex),
        askedIn: own?.askedIn ?? -1,
        isClaim: own?.isClaim ?? false,
        damage,
        response: {
          type: 'fetch',
          error: errorName(body.errorCode || partition.errorCode),
          leaderId: currentLeader.leaderId,
          leaderEpoch: currentLeader.leaderEpoch,
          highWatermark: partition.highWatermark,
          logStartOffset: partition.logStartOffset,
          divergingEpoch: diverges
            ? { ...divergingEpoch, votersVersion: own?.divergingVotersVersion ?? 0 }
            : null,
          snapshotId: snapshotId.endOffset === -1 && snapshotId.epoch === -1 ? null : snapshotId,
          batches,
          epochStarts: own?.epochStarts ?? [],
          voterSets: own?.voterSets ?? [],
          logEndOffset: own?.logEndOffset ?? Math.max(partition.highWatermark, 0),
          round: own?.round ?? 0,
          rolledBack: own?.rolledBack ?? false,
          recorded: own?.recorded ? incarnationFromWire(own.recorded) : null,
        },
      }
    }),
  )
}
