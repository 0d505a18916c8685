import { KafkaError, type KafkaErrorName } from '../model/kafkaErrors.ts'
import type { GroupData, Member } from './groupData.ts'
import type { JoinGroupResponse, JoinGroupResponseMember, SyncGroupResponse } from './messages.ts'
import { metadataFor } from './protocols.ts'

const empty = new Uint8Array(0)

/** The number of an error on the wire. */
export function errorNumber(name: KafkaErrorName): number {
  return KafkaError[name].kafka
}

/** A JoinGroup that did not work out. */
export function joinError(error: KafkaErrorName, memberId: string): JoinGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: errorNumber(error),
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    memberId,
    members: [],
  }
}

/** The current generation as `memberId` is told of it: the leader alone learns who the members are. */
export function joinSuccess(group: GroupData, memberId: string): JoinGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: 0,
    generationId: group.generationId,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    leader: group.leaderId ?? '',
    skipAssignment: false,
    memberId,
    members: group.leaderId === memberId ? memberList(group) : [],
  }
}

function memberList(group: GroupData): JoinGroupResponseMember[] {
  return Array.from(group.members.values(), (member) => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    metadata: metadataFor(member, group.protocolName),
  }))
}

/** A SyncGroup that did not work out. */
export function syncError(error: KafkaErrorName): SyncGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: errorNumber(error),
    protocolType: null,
    protocolName: null,
    assignment: empty,
  }
}

/** The member's assignment in the current generation. */
export function syncSuccess(group: GroupData, member: Member): SyncGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: 0,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    assignment: member.assignment,
  }
}
