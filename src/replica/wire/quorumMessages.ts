import type {
  beginQuorumEpochRequest,
  beginQuorumEpochResponse,
} from '../../protocol/apis/beginQuorumEpoch.ts'
import type { endQuorumEpochRequest, endQuorumEpochResponse } from '../../protocol/apis/endQuorumEpoch.ts'
import type { voteRequest, voteResponse } from '../../protocol/apis/vote.ts'
import type { Infer, InferInput } from '../../protocol/schema.ts'
import type { Endpoint, Incarnation } from '../../raft.ts'
import {
  type Answered,
  type Asked,
  byTopicName,
  endpointsToWire,
  errorName,
  errorNumber,
  groupOf,
  incarnationFromWire,
  incarnationToWire,
} from './common.ts'

/*
 * Vote, BeginQuorumEpoch and EndQuorumEpoch: what the core says of one group, and messages that say it of many. All that
 * travels in one message has one cluster id and one addressee. What is private and missing reads as the least it can mean.
 */

/** Stands for a start that is not told: of no replica. */
const noStart = (id: number, directoryId: string): Incarnation => ({
  id,
  directoryId,
  incarnation: 0,
  startNonce: 0,
  earlierNonces: [],
})

/** A Vote request. `asked` is not empty. */
export function voteRequestBody(asked: readonly Asked<'vote'>[]): InferInput<typeof voteRequest> {
  const { clusterId, voter } = asked[0]!.request
  const topics = byTopicName(asked, ({ group, request }) => ({
    partitionIndex: group.partition,
    replicaEpoch: request.replicaEpoch,
    replicaId: request.candidate.id,
    replicaDirectoryId: request.candidate.directoryId,
    voterDirectoryId: request.voter.directoryId,
    lastOffsetEpoch: request.lastOffsetEpoch,
    lastOffset: request.lastOffset,
    preVote: request.preVote,
    own: { votersVersion: request.votersVersion, incarnation: incarnationToWire(request.incarnation) },
  }))
  return {
    clusterId,
    voterId: voter.id,
    topics,
  }
}

/** What a Vote request asks. */
export function readVoteRequest(body: Infer<typeof voteRequest>): readonly Asked<'vote'>[] {
  const { clusterId, voterId, topics } = body
  return topics.flatMap(({ topicName, topicId, partitions }) =>
    partitions.map(({ own, ...partition }) => ({
      group: groupOf(topicName, topicId, partition.partitionIndex),
      request: {
        type: 'vote',
        clusterId,
        voter: { id: voterId, directoryId: partition.voterDirectoryId },
        replicaEpoch: partition.replicaEpoch,
        candidate: { id: partition.replicaId, directoryId: partition.replicaDirectoryId },
        lastOffsetEpoch: partition.lastOffsetEpoch,
        lastOffset: partition.lastOffset,
        preVote: partition.preVote,
        votersVersion: own?.votersVersion ?? 0,
        incarnation: own
          ? incarnationFromWire(own.incarnation)
          : noStart(partition.replicaId, partition.replicaDirectoryId),
      },
    })),
  )
}

/** A Vote response. */
export function voteResponseBody(answers: readonly Answered<'vote'>[]): InferInput<typeof voteResponse> {
  const topics = byTopicName(answers, ({ group, response }) => ({
    partitionIndex: group.partition,
    errorCode: errorNumber(response.error),
    leaderId: response.leaderId,
    leaderEpoch: response.leaderEpoch,
    voteGranted: response.voteGranted,
    own: {
      quarantined: response.quarantined,
      recorded: response.recorded && incarnationToWire(response.recorded),
    },
  }))
  return {
    topics,
  }
}

/** What a Vote response answers; an error of the whole message is that of every group in it. */
export function readVoteResponse(body: Infer<typeof voteResponse>): readonly Answered<'vote'>[] {
  return body.topics.flatMap(({ topicName, topicId, partitions }) =>
    partitions.map(({ own, ...partition }) => ({
      group: groupOf(topicName, topicId, partition.partitionIndex),
      response: {
        type: 'vote',
        error: errorName(body.errorCode || partition.errorCode),
        leaderId: partition.leaderId,
        leaderEpoch: partition.leaderEpoch,
        voteGranted: body.errorCode === 0 && partition.errorCode === 0 && partition.voteGranted,
        quarantined: own?.quarantined ?? false,
        recorded: own?.recorded ? incarnationFromWire(own.recorded) : null,
      },
    })),
  )
}

/** A BeginQuorumEpoch request; `endpoints` are those of the sender. `asked` is not empty. */
export function beginRequestBody(
  asked: readonly Asked<'beginQuorumEpoch'>[],
  endpoints: readonly Endpoint[],
): InferInput<typeof beginQuorumEpochRequest> {
  const { clusterId, voter } = asked[0]!.request
  const topics = byTopicName(asked, ({ group, request }) => ({
    partitionIndex: group.partition,
    voterDirectoryId: request.voter.directoryId,
    leaderId: request.leaderId,
    leaderEpoch: request.leaderEpoch,
  }))
  return {
    clusterId,
    voterId: voter.id,
    topics,
    leaderEndpoints: endpointsToWire(endpoints),
  }
}

/** What a BeginQuorumEpoch request says. */
export function readBeginRequest(
  body: Infer<typeof beginQuorumEpochRequest>,
): readonly Asked<'beginQuorumEpoch'>[] {
  const { clusterId, voterId, topics } = body
  return topics.flatMap(({ topicName, topicId, partitions }) =>
    partitions.map(({ partitionIndex, voterDirectoryId, leaderId, leaderEpoch }) => ({
      group: groupOf(topicName, topicId, partitionIndex),
      request: {
        type: 'beginQuorumEpoch',
        clusterId,
        voter: { id: voterId, directoryId: voterDirectoryId },
        leaderId,
        leaderEpoch,
      },
    })),
  )
}

/** An EndQuorumEpoch request; `endpoints` are those of the sender. `asked` is not empty. */
export function endRequestBody(
  asked: readonly Asked<'endQuorumEpoch'>[],
  endpoints: readonly Endpoint[],
): InferInput<typeof endQuorumEpochRequest> {
  const topics = byTopicName(asked, ({ group, request }) => ({
    partitionIndex: group.partition,
    leaderId: request.leaderId,
    leaderEpoch: request.leaderEpoch,
    preferredCandidates: request.preferredCandidates.map(({ id, directoryId }) => ({
      candidateId: id,
      candidateDirectoryId: directoryId,
    })),
  }))
  return {
    clusterId: asked[0]!.request.clusterId,
    topics,
    leaderEndpoints: endpointsToWire(endpoints),
  }
}

/** What an EndQuorumEpoch request says. */
export function readEndRequest(
  body: Infer<typeof endQuorumEpochRequest>,
): readonly Asked<'endQuorumEpoch'>[] {
  const { clusterId, topics } = body
  return topics.flatMap(({ topicName, topicId, partitions }) =>
    partitions.map(({ partitionIndex, leaderId, leaderEpoch, preferredCandidates }) => ({
      group: groupOf(topicName, topicId, partitionIndex),
      request: {
        type: 'endQuorumEpoch',
        clusterId,
        leaderId,
        leaderEpoch,
        preferredCandidates: preferredCandidates.map(({ candidateId, candidateDirectoryId }) => ({
          id: candidateId,
          directoryId: candidateDirectoryId,
        })),
      },
    })),
  )
}

/** The kinds whose answer says nothing but who leads. */
export type LeaderAnswer = 'beginQuorumEpoch' | 'endQuorumEpoch'

/** A BeginQuorumEpoch or EndQuorumEpoch response, which look alike. */
export function leaderResponseBody(
  answers: readonly (Answered<'beginQuorumEpoch'> | Answered<'endQuorumEpoch'>)[],
): InferInput<typeof beginQuorumEpochResponse> & InferInput<typeof endQuorumEpochResponse> {
  const topics = byTopicName(answers, ({ group, response }) => ({
    partitionIndex: group.partition,
    errorCode: errorNumber(response.error),
    leaderId: response.leaderId,
    leaderEpoch: response.leaderEpoch,
  }))
  return {
    topics,
  }
}

/** What a BeginQuorumEpoch or EndQuorumEpoch response answers. */
export function readLeaderResponse<T extends LeaderAnswer>(
  type: T,
  body: Infer<typeof beginQuorumEpochResponse> | Infer<typeof endQuorumEpochResponse>,
): readonly Answered<T>[] {
  return body.topics.flatMap(({ topicName, topicId, partitions }) =>
    partitions.map(({ partitionIndex, errorCode, leaderId, leaderEpoch }) => ({
      group: groupOf(topicName, topicId, partitionIndex),
      response: {
        type,
        error: errorName(body.errorCode || errorCode),
        leaderId,
        leaderEpoch,
      } as Answered<T>['response'],
    })),
  )
}
