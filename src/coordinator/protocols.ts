import { copyBytes } from './copyBytes.ts'
import type { GroupData, Member } from './groupData.ts'
import type { JoinProtocol } from './messages.ts'

const empty = new Uint8Array(0)

/** More protocols than this in one JoinGroup are no client's, but an attempt to make the broker work and remember. */
const maxProtocols = 256

/** Notes what a member speaks (`by` 1), or no longer does (`by` -1). */
export function countProtocols(group: GroupData, member: Member, by: 1 | -1): void {
  for (const { name } of member.protocols) {
    const count = (group.protocolCounts.get(name) ?? 0) + by
    if (count === 0) group.protocolCounts.delete(name)
    else group.protocolCounts.set(name, count)
  }
}

function isCommon(group: GroupData, { name }: JoinProtocol): boolean {
  return group.protocolCounts.get(name) === group.members.size
}

/**
 * Whether a member with these protocols may join: in a group without members it needs a type and at least one protocol,
 * otherwise the group's type and a protocol that all present members have too.
 */
export function supportsProtocols(
  group: GroupData,
  type: string,
  protocols: readonly JoinProtocol[],
): boolean {
  if (protocols.length > maxProtocols) return false
  if (group.members.size === 0) return type !== '' && protocols.length > 0
  return group.protocolType === type && protocols.some((protocol) => isCommon(group, protocol))
}

/**
 * The protocol of the next generation: each member votes for the first of its own that all have; the one with
 * most votes wins, the earlier voted one on a tie. Null when there is none. Source: Kafka's selectProtocol.
 */
export function selectProtocol(group: GroupData): string | null {
  const votes = new Map<string, number>()
  for (const member of group.members.values()) {
    const choice = member.protocols.find((protocol) => isCommon(group, protocol))
    if (choice !== undefined) votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1)
  }
  let selected: string | null = null
  for (const [name, count] of votes) {
    if (selected === null || count > votes.get(selected)!) selected = name
  }
  return selected
}

/** What `member` says in the protocol `name`; empty when it does not speak it. */
export function metadataFor(member: Member, name: string | null): Uint8Array {
  return member.protocols.find((protocol) => protocol.name === name)?.metadata ?? empty
}

/** Whether `protocols` are byte for byte what the member joined with, in the same order. */
export function sameProtocols(member: Member, protocols: readonly JoinProtocol[]): boolean {
  if (member.protocols.length !== protocols.length) return false
  return protocols.every((protocol, index) => {
    const own = member.protocols[index]!
    return own.name === protocol.name && Buffer.compare(own.metadata, protocol.metadata) === 0
  })
}

/** A copy that does not share memory with the request. The first of equal names counts. */
export function copyProtocols(protocols: readonly JoinProtocol[]): JoinProtocol[] {
  const byName = new Map<string, JoinProtocol>()
  for (const { name, metadata } of protocols) {
    if (!byName.has(name)) byName.set(name, { name, metadata: copyBytes(metadata) })
  }
  return [...byName.values()]
}
