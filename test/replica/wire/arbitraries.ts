import fc from 'fast-check'
import { KafkaError, type KafkaErrorName } from '../../../src/model/kafkaErrors.ts'
import { metadataTopicId, uuidFromBytes } from '../../../src/model/uuid.ts'
import type { Incarnation, RaftRequest, RaftResponse, ReplicaKey, Voter } from '../../../src/raft.ts'
import type { GroupRef } from '../../../src/replica/transport.ts'

const epoch = fc.nat()
const offset = fc.maxSafeInteger().filter((value) => value >= 0)
const nodeId = fc.nat()
const uuid = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(uuidFromBytes)
const text = fc.string({ maxLength: 12 })
const version = fc.nat(1000)
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff })

/** Any replica. */
export const replicaKey: fc.Arbitrary<ReplicaKey> = fc.record(
  { id: nodeId, directoryId: uuid },
  { noNullPrototype: true },
)

/** Any start of a replica. */
export const incarnation: fc.Arbitrary<Incarnation> = fc.record(
  {
    id: nodeId,
    directoryId: uuid,
    incarnation: offset,
    startNonce: uint32,
    earlierNonces: fc.array(uint32, { maxLength: 16 }),
  },
  { noNullPrototype: true },
)

const endpoint = fc.record({ name: text, host: text, port: fc.nat(0xffff) }, { noNullPrototype: true })

/** Any member of a voter set. */
export const voter: fc.Arbitrary<Voter> = fc.record(
  {
    id: nodeId,
    directoryId: uuid,
    endpoints: fc.array(endpoint, { maxLength: 3 }),
    minVersion: fc.nat(10),
    maxVersion: fc.nat(10),
  },
  { noNullPrototype: true },
)

/** Any group; one of them that of the metadata. */
export const group: fc.Arbitrary<GroupRef> = fc.oneof(
  fc.constant({ topicId: metadataTopicId, topic: '__cluster_metadata', partition: 0 }),
  fc.record({ topicId: uuid, topic: text, partition: fc.nat(100) }, { noNullPrototype: true }),
)

/** Any error of Kafka's, often none. */
export const error: fc.Arbitrary<KafkaErrorName> = fc.oneof(
  fc.constant<KafkaErrorName>('none'),
  fc.constantFrom(...(Object.keys(KafkaError) as KafkaErrorName[])),
)

const leader = {
  error,
  leaderId: fc.oneof(fc.constant(-1), nodeId),
  leaderEpoch: epoch,
}

const snapshotId = fc.record({ endOffset: offset, epoch }, { noNullPrototype: true })
const recorded = fc.option(incarnation, { nil: null })

/** What all requests of one message have in common. */
export interface Envelope {
  readonly clusterId: string | null
  readonly to: number
  readonly from: number
}

/** What all requests of one message have in common, at random. */
export const envelope: fc.Arbitrary<Envelope> = fc.record({
  clusterId: fc.option(text, { nil: null }),
  to: nodeId,
  from: nodeId,
})

type Of<T extends RaftRequest['type']> = Extract<RaftRequest, { readonly type: T }>
type AnswerOf<T extends RaftResponse['type']> = Extract<RaftResponse, { readonly type: T }>
const type = <T extends string>(name: T) => fc.constant(name)
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>
const keyOf = (id: number): fc.Arbitrary<ReplicaKey> => record({ id: fc.constant(id), directoryId: uuid })

/** Any request of the core, by type; those of one envelope may travel together. */
export const requests: {
  readonly [T in RaftRequest['type']]: (envelope: Envelope) => fc.Arbitrary<Of<T>>
} = {
  vote: ({ clusterId, to, from }) =>
    record<Of<'vote'>>({
      type: type('vote'),
      clusterId: fc.constant(clusterId),
      voter: keyOf(to),
      replicaEpoch: epoch,
      candidate: keyOf(from),
      lastOffsetEpoch: epoch,
      lastOffset: offset,
      preVote: fc.boolean(),
      votersVersion: version,
      incarnation,
    }),
  beginQuorumEpoch: ({ clusterId, to, from }) =>
    record<Of<'beginQuorumEpoch'>>({
      type: type('beginQuorumEpoch'),
      clusterId: fc.constant(clusterId),
      voter: keyOf(to),
      leaderId: fc.constant(from),
      leaderEpoch: epoch,
    }),
  endQuorumEpoch: ({ clusterId, from }) =>
    record<Of<'endQuorumEpoch'>>({
      type: type('endQuorumEpoch'),
      clusterId: fc.constant(clusterId),
      leaderId: fc.constant(from),
      leaderEpoch: epoch,
      preferredCandidates: fc.array(replicaKey, { maxLength: 4 }),
    }),
  fetch: ({ clusterId, from }) =>
    record<Of<'fetch'>>({
      type: type('fetch'),
      clusterId: fc.constant(clusterId),
      replica: keyOf(from),
      currentLeaderEpoch: epoch,
      fetchOffset: offset,
      lastFetchedEpoch: epoch,
      highWatermark: fc.oneof(fc.constant(-1), offset),
      maxWaitMs: fc.constant(200),
      flushedOffset: fc.oneof(fc.constant(-1), offset),
      flushedVotersVersion: fc.oneof(fc.constant(-1), version),
      votersVersion: version,
      claimOnly: fc.boolean(),
      damaged: fc.boolean(),
      quarantined: fc.boolean(),
      round: offset,
      incarnation,
    }),
  fetchSnapshot: ({ clusterId, from }) =>
    record<Of<'fetchSnapshot'>>({
      type: type('fetchSnapshot'),
      clusterId: fc.constant(clusterId),
      replica: keyOf(from),
      currentLeaderEpoch: epoch,
      snapshotId,
      position: offset,
    }),
  addVoter: ({ clusterId }) =>
    record<Of<'addVoter'>>({
      type: type('addVoter'),
      clusterId: fc.constant(clusterId),
      voter,
      timeoutMs: fc.nat(),
      ackWhenCommitted: fc.boolean(),
    }),
  removeVoter: ({ clusterId }) =>
    record<Of<'removeVoter'>>({
      type: type('removeVoter'),
      clusterId: fc.constant(clusterId),
      voter: replicaKey,
    }),
  updateVoter: ({ clusterId }) =>
    record<Of<'updateVoter'>>({
      type: type('updateVoter'),
      clusterId: fc.constant(clusterId),
      currentLeaderEpoch: epoch,
      voter,
    }),
}

/** Any answer of the core, by type; a Fetch has no batches. */
export const responses: {
  readonly [T in RaftResponse['type']]: () => fc.Arbitrary<AnswerOf<T>>
} = {
  vote: () =>
    record<AnswerOf<'vote'>>({
      type: type('vote'),
      ...leader,
      voteGranted: fc.boolean(),
      quarantined: fc.boolean(),
      recorded,
    }).map((vote) => ({ ...vote, voteGranted: vote.error === 'none' && vote.voteGranted })),
  beginQuorumEpoch: () => record<AnswerOf<'beginQuorumEpoch'>>({ type: type('beginQuorumEpoch'), ...leader }),
  endQuorumEpoch: () => record<AnswerOf<'endQuorumEpoch'>>({ type: type('endQuorumEpoch'), ...leader }),
  fetch: () =>
    record<AnswerOf<'fetch'>>({
      type: type('fetch'),
      ...leader,
      highWatermark: fc.oneof(fc.constant(-1), offset),
      logStartOffset: offset,
      divergingEpoch: fc.option(record({ epoch, endOffset: offset, votersVersion: version }), { nil: null }),
      snapshotId: fc.option(snapshotId, { nil: null }),
      batches: fc.constant([]),
      epochStarts: fc.array(record({ epoch, startOffset: offset, votersVersion: version }), { maxLength: 3 }),
      voterSets: fc.array(record({ offset, version, voters: fc.array(voter, { maxLength: 3 }) }), {
        maxLength: 2,
      }),
      logEndOffset: offset,
      round: offset,
      rolledBack: fc.boolean(),
      recorded,
    }),
  fetchSnapshot: () =>
    record<AnswerOf<'fetchSnapshot'>>({
      type: type('fetchSnapshot'),
      ...leader,
      snapshotId,
      size: offset,
      position: offset,
      bytes: fc.uint8Array({ maxLength: 40 }),
    }),
  addVoter: () => record<AnswerOf<'addVoter'>>({ type: type('addVoter'), ...leader }),
  removeVoter: () => record<AnswerOf<'removeVoter'>>({ type: type('removeVoter'), ...leader }),
  updateVoter: () => record<AnswerOf<'updateVoter'>>({ type: type('updateVoter'), ...leader }),
}

/** Groups without repetition. */
export const groups = (most: number): fc.Arbitrary<GroupRef[]> =>
  fc.uniqueArray(group, {
    maxLength: most,
    minLength: 1,
    selector: ({ topicId, partition }) => `${topicId}/${partition}`,
  })
