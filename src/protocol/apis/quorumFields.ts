import { array, bool, int16, int32, int64, string, uint16, uuid } from '../schema.ts'

/**
 * The tag of this project's private fields, far from those that Kafka gives out. Kafka ignores tags that it does not know;
 * a message without these fields reads as one of Kafka's.
 */
export const privateTag = 1000

/** Where nodes listen that an answer names as leaders. Source: KIP-853. */
export const nodeEndpointFields = {
  nodeId: int32('0+'),
  host: string('0+'),
  port: uint16('0+'),
}

/** What BeginQuorumEpoch and EndQuorumEpoch answer. Source: KIP-595, KIP-853. */
export const quorumEpochAnswerFields = {
  errorCode: int16('0+'),
  topics: array('0+', {
    topicName: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      errorCode: int16('0+'),
      leaderId: int32('0+'),
      leaderEpoch: int32('0+'),
    }),
    topicId: uuid('1+', { tag: privateTag, ignorable: true }), // Private.
  }),
  nodeEndpoints: array('1+', nodeEndpointFields, { tag: 0 }),
}

/** A listener of one node. */
export const listenerFields = {
  name: string('0+'),
  host: string('0+'),
  port: uint16('0+'),
}

/** Private: one start of a replica. */
export const incarnationFields = {
  id: int32('0+'),
  directoryId: uuid('0+'),
  incarnation: int64('0+'),
  // Nonces are unsigned and travel as the signed number of the same bits.
  startNonce: int32('0+'),
  earlierNonces: array('0+', 'int32'),
}

/** Private: a member of a voter set. */
export const voterFields = {
  id: int32('0+'),
  directoryId: uuid('0+'),
  endpoints: array('0+', listenerFields),
  minVersion: int32('0+'),
  maxVersion: int32('0+'),
}

/** Private: the group of a message that Kafka has for the metadata quorum only. */
export const groupFields = {
  topicId: uuid('0+'),
  topic: string('0+'),
  partition: int32('0+'),
}

/** Private: what an answer says that in Kafka says nothing of leadership. */
export const leaderFields = {
  leaderId: int32('0+', { default: -1 }),
  leaderEpoch: int32('0+', { default: -1 }),
}

/** Private: how a Fetch of a replica is meant, one bit each. */
export const fetchFlags = {
  claimOnly: 1,
  quarantined: 2,
  /** To be answered at once, whatever there is. */
  atOnce: 4,
  /** Some of what the replica holds cannot be read. */
  damaged: 8,
} as const

/** Private: what a replica's Fetch says beside Kafka's fields. */
export const fetchRequestFields = {
  flushedOffset: int64('0+', { default: -1 }),
  flushedVotersVersion: int32('0+', { default: -1 }),
  votersVersion: int32('0+'),
  flags: int32('0+'),
  round: int64('0+'),
}

/** Private: what the answer to a replica's Fetch says beside Kafka's fields. */
export const fetchResponseFields = {
  /** The session epoch of the request that this answers, and whether it answers the claim in it. */
  askedIn: int32('0+'),
  isClaim: bool('0+'),
  divergingVotersVersion: int32('0+'),
  epochStarts: array('0+', {
    epoch: int32('0+'),
    startOffset: int64('0+'),
    votersVersion: int32('0+'),
  }),
  voterSets: array('0+', {
    offset: int64('0+'),
    version: int32('0+'),
    voters: array('0+', voterFields),
  }),
  logEndOffset: int64('0+'),
  round: int64('0+'),
  rolledBack: bool('0+'),
}
