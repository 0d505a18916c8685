import { metadataTopicId } from '../../model/uuid.ts'
import type {
  addRaftVoterRequest,
  addRaftVoterResponse,
  removeRaftVoterRequest,
  removeRaftVoterResponse,
  updateRaftVoterRequest,
  updateRaftVoterResponse,
} from '../../protocol/apis/raftVoters.ts'
import type { Infer, InferInput } from '../../protocol/schema.ts'
import type { GroupRef } from '../transport.ts'
import {
  type Answered,
  type Asked,
  endpointsToWire,
  errorName,
  errorNumber,
  metadataTopic,
  type ResponseOf,
} from './common.ts'

/*
 * AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter: in Kafka about the metadata quorum only, here about any group, which a
 * private field names. Nothing private stands in a message about the metadata log that Kafka could not say.
 */

const metadataGroup: GroupRef = { topicId: metadataTopicId, topic: metadataTopic, partition: 0 }

/** The range of kraft.version that Kafka's AddRaftVoter leaves out. */
const plainVersions = { minVersion: 0, maxVersion: 1 }

/** An AddRaftVoter request. */
export function addRequestBody({
  group,
  request,
}: Asked<'addVoter'>): InferInput<typeof addRaftVoterRequest> {
  const { id, directoryId, endpoints, minVersion, maxVersion } = request.voter
  return {
    clusterId: request.clusterId,
    timeoutMs: request.timeoutMs,
    voterId: id,
    voterDirectoryId: directoryId,
    listeners: endpointsToWire(endpoints),
    ackWhenCommitted: request.ackWhenCommitted,
    own: { group: plain(group), minVersion, maxVersion },
  }
}

/** What an AddRaftVoter request asks. */
export function readAddRequest(body: Infer<typeof addRaftVoterRequest>): Asked<'addVoter'> {
  const { own } = body
  return {
    group: own?.group ?? metadataGroup,
    request: {
      type: 'addVoter',
      clusterId: body.clusterId,
      voter: {
        id: body.voterId,
        directoryId: body.voterDirectoryId,
        endpoints: body.listeners,
        minVersion: own?.minVersion ?? plainVersions.minVersion,
        maxVersion: own?.maxVersion ?? plainVersions.maxVersion,
      },
      timeoutMs: body.timeoutMs,
      ackWhenCommitted: body.ackWhenCommitted,
    },
  }
}

/** A RemoveRaftVoter request. */
export function removeRequestBody({
  group,
  request,
}: Asked<'removeVoter'>): InferInput<typeof removeRaftVoterRequest> {
  return {
    clusterId: request.clusterId,
    voterId: request.voter.id,
    voterDirectoryId: request.voter.directoryId,
    own: plain(group),
  }
}

/** What a RemoveRaftVoter request asks. */
export function readRemoveRequest(body: Infer<typeof removeRaftVoterRequest>): Asked<'removeVoter'> {
  return {
    group: body.own ?? metadataGroup,
    request: {
      type: 'removeVoter',
      clusterId: body.clusterId,
      voter: { id: body.voterId, directoryId: body.voterDirectoryId },
    },
  }
}

/** An UpdateRaftVoter request. */
export function updateRequestBody({
  group,
  request,
}: Asked<'updateVoter'>): InferInput<typeof updateRaftVoterRequest> {
  const { id, directoryId, endpoints, minVersion, maxVersion } = request.voter
  return {
    clusterId: request.clusterId,
    currentLeaderEpoch: request.currentLeaderEpoch,
    voterId: id,
    voterDirectoryId: directoryId,
    listeners: endpointsToWire(endpoints),
    kRaftVersionFeature: { minSupportedVersion: minVersion, maxSupportedVersion: maxVersion },
    own: plain(group),
  }
}

/** What an UpdateRaftVoter request asks. */
export function readUpdateRequest(body: Infer<typeof updateRaftVoterRequest>): Asked<'updateVoter'> {
  return {
    group: body.own ?? metadataGroup,
    request: {
      type: 'updateVoter',
      clusterId: body.clusterId,
      currentLeaderEpoch: body.currentLeaderEpoch,
      voter: {
        id: body.voterId,
        directoryId: body.voterDirectoryId,
        endpoints: body.listeners,
        minVersion: body.kRaftVersionFeature.minSupportedVersion,
        maxVersion: body.kRaftVersionFeature.maxSupportedVersion,
      },
    },
  }
}

/** An AddRaftVoter or RemoveRaftVoter response, which look alike. */
export function voterResponseBody(
  response: ResponseOf<'addVoter' | 'removeVoter'>,
): InferInput<typeof addRaftVoterResponse> & InferInput<typeof removeRaftVoterResponse> {
  const { error, leaderId, leaderEpoch } = response
  return { errorCode: errorNumber(error), errorMessage: null, own: { leaderId, leaderEpoch } }
}

/** What an AddRaftVoter or RemoveRaftVoter response answers. */
export function readVoterResponse<T extends 'addVoter' | 'removeVoter'>(
  type: T,
  body: Infer<typeof addRaftVoterResponse> | Infer<typeof removeRaftVoterResponse>,
): Answered<T>['response'] {
  const { leaderId = -1, leaderEpoch = -1 } = body.own ?? {}
  return { type, error: errorName(body.errorCode), leaderId, leaderEpoch } as Answered<T>['response']
}

/** An UpdateRaftVoter response. */
export function updateResponseBody(
  response: ResponseOf<'updateVoter'>,
): InferInput<typeof updateRaftVoterResponse> {
  const { error, leaderId, leaderEpoch } = response
  return { errorCode: errorNumber(error), currentLeader: { leaderId, leaderEpoch } }
}

/** What an UpdateRaftVoter response answers. */
export function readUpdateResponse(body: Infer<typeof updateRaftVoterResponse>): ResponseOf<'updateVoter'> {
  const { leaderId, leaderEpoch } = body.currentLeader
  return { type: 'updateVoter', error: errorName(body.errorCode), leaderId, leaderEpoch }
}

function plain({ topicId, topic, partition }: GroupRef): GroupRef {
  return { topicId, topic, partition }
}
