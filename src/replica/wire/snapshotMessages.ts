import type { fetchSnapshotRequest, fetchSnapshotResponse } from '../../protocol/apis/fetchSnapshot.ts'
import type { Infer, InferInput } from '../../protocol/schema.ts'
import {
  type Answered,
  type Asked,
  byTopic,
  errorName,
  errorNumber,
  groupOf,
  idBesideName,
} from './common.ts'

/** A FetchSnapshot request of one replica. `asked` is not empty. */
export function snapshotRequestBody(
  asked: readonly Asked<'fetchSnapshot'>[],
): InferInput<typeof fetchSnapshotRequest> {
  const { clusterId, replica } = asked[0]!.request
  const topics = byTopic(asked, ({ group, request }) => ({
    partition: group.partition,
    currentLeaderEpoch: request.currentLeaderEpoch,
    snapshotId: request.snapshotId,
    position: request.position,
    replicaDirectoryId: request.replica.directoryId,
  }))
  return {
    clusterId,
    replicaId: replica.id,
    topics: topics.map(({ group, partitions }) => ({
      name: group.topic,
      topicId: idBesideName(group),
      partitions,
    })),
  }
}

/** What a FetchSnapshot request asks. */
export function readSnapshotRequest(
  body: Infer<typeof fetchSnapshotRequest>,
): readonly Asked<'fetchSnapshot'>[] {
  const { clusterId, replicaId, topics } = body
  return topics.flatMap(({ name, topicId, partitions }) =>
    partitions.map(({ partition, currentLeaderEpoch, snapshotId, position, replicaDirectoryId }) => ({
      group: groupOf(name, topicId, partition),
      request: {
        type: 'fetchSnapshot',
        clusterId,
        replica: { id: replicaId, directoryId: replicaDirectoryId },
        currentLeaderEpoch,
        snapshotId,
        position,
      },
    })),
  )
}

/** A FetchSnapshot response. */
export function snapshotResponseBody(
  answers: readonly Answered<'fetchSnapshot'>[],
): InferInput<typeof fetchSnapshotResponse> {
  const topics = byTopic(answers, ({ group, response }) => ({
    index: group.partition,
    errorCode: errorNumber(response.error),
    snapshotId: response.snapshotId,
    currentLeader: { leaderId: response.leaderId, leaderEpoch: response.leaderEpoch },
    size: response.size,
    position: response.position,
    unalignedRecords: response.bytes,
  }))
  return {
    topics: topics.map(({ group, partitions }) => ({
      name: group.topic,
      topicId: idBesideName(group),
      partitions,
    })),
  }
}

/** What a FetchSnapshot response answers. Bytes are a copy: they are written long after the message is gone. */
export function readSnapshotResponse(
  body: Infer<typeof fetchSnapshotResponse>,
): readonly Answered<'fetchSnapshot'>[] {
  return body.topics.flatMap(({ name, topicId, partitions }) =>
    partitions.map(({ index, errorCode, snapshotId, currentLeader, size, position, unalignedRecords }) => ({
      group: groupOf(name, topicId, index),
      response: {
        type: 'fetchSnapshot',
        error: errorName(body.errorCode || errorCode),
        leaderId: currentLeader.leaderId,
        leaderEpoch: currentLeader.leaderEpoch,
        snapshotId,
        size,
        position,
        bytes: Uint8Array.from(unalignedRecords ?? []),
      },
    })),
  )
}
