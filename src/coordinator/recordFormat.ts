import {
  type CoordinatorValue,
  decodeCoordinatorKey,
  decodeCoordinatorValue,
  encodeCoordinatorKey,
  encodeCoordinatorValue,
} from '../protocol/coordinatorRecords/coordinatorRecord.ts'
import { copyBytes } from './copyBytes.ts'
import type { OffsetsRecord } from './offsetsRecords.ts'

/** Key and value as they stand in the log; a null value is a tombstone. */
export interface KeyAndValue {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/** Versions that Kafka's own tools since 2.1 read: OffsetCommitValue 3 (1 with an expiry), GroupMetadataValue 3. */
const offsetValueVersion = 3
const expiringOffsetValueVersion = 1
const groupValueVersion = 3

/** A record in Kafka's format. Throws `EngineError` for what cannot be written, as a text beyond 32,767 bytes. */
export function encodeOffsetsRecord(record: OffsetsRecord): KeyAndValue {
  if (record.type === 'group') {
    const key = encodeCoordinatorKey({ type: 'groupMetadata', group: record.groupId })
    return { key, value: encodeGroupValue(record.value) }
  }
  const { groupId: group, topic, partition } = record
  return {
    key: encodeCoordinatorKey({ type: 'offsetCommit', group, topic, partition }),
    value: encodeOffsetValue(record.value),
  }
}

function encodeGroupValue(value: Extract<OffsetsRecord, { type: 'group' }>['value']): Uint8Array | null {
  if (value === null) return null
  return encodeCoordinatorValue('groupMetadata', groupValueVersion, {
    protocolType: value.protocolType,
    generation: value.generation,
    protocol: value.protocol,
    leader: value.leader,
    currentStateTimestamp: value.currentStateTimestampMs,
    members: value.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: member.subscription,
      assignment: member.assignment,
    })),
  })
}

function encodeOffsetValue(value: Extract<OffsetsRecord, { type: 'offset' }>['value']): Uint8Array | null {
  if (value === null) return null
  const { offset, leaderEpoch, metadata, commitTimestampMs: commitTimestamp } = value
  if (value.expireTimestampMs < 0) {
    const fields = { offset, leaderEpoch, metadata, commitTimestamp }
    return encodeCoordinatorValue('offsetCommit', offsetValueVersion, fields)
  }
  // Only version 1 has room for an expiry of its own; it has none for the leader epoch.
  const fields = { offset, metadata, commitTimestamp, expireTimestamp: value.expireTimestampMs }
  return encodeCoordinatorValue('offsetCommit', expiringOffsetValueVersion, fields)
}

/**
 * A record as read from the log, sharing no memory with it; null for a type that this release does not know.
 * Throws `EngineError` (`malformed`, `unsupportedFormat`) for bytes that are none.
 */
export function decodeOffsetsRecord(
  keyBytes: Uint8Array,
  valueBytes: Uint8Array | null,
): OffsetsRecord | null {
  const key = decodeCoordinatorKey(keyBytes)
  if (key === null) return null
  if (key.type === 'groupMetadata') {
    const value =
      valueBytes === null ? null : fromGroupValue(decodeCoordinatorValue('groupMetadata', valueBytes))
    return { type: 'group', groupId: key.group, value }
  }
  const value =
    valueBytes === null ? null : fromOffsetValue(decodeCoordinatorValue('offsetCommit', valueBytes))
  return { type: 'offset', groupId: key.group, topic: key.topic, partition: key.partition, value }
}

function fromGroupValue(
  value: CoordinatorValue<'groupMetadata'>,
): Extract<OffsetsRecord, { type: 'group' }>['value'] {
  return {
    protocolType: value.protocolType,
    generation: value.generation,
    protocol: value.protocol,
    leader: value.leader,
    currentStateTimestampMs: value.currentStateTimestamp,
    members: value.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeoutMs: member.rebalanceTimeout < 0 ? member.sessionTimeout : member.rebalanceTimeout,
      sessionTimeoutMs: member.sessionTimeout,
      subscription: copyBytes(member.subscription),
      assignment: copyBytes(member.assignment),
    })),
  }
}

function fromOffsetValue(
  value: CoordinatorValue<'offsetCommit'>,
): Extract<OffsetsRecord, { type: 'offset' }>['value'] {
  return {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestampMs: value.commitTimestamp,
    expireTimestampMs: value.expireTimestamp,
  }
}
