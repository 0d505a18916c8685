import { copyBytes } from './copyBytes.ts'
import type { GroupData, Member } from './groupData.ts'
import type { JoinProtocol } from './messages.ts'

const empty = new Uint8Array(0)

/** Names that every member can speak, in the first member's order; empty for a group without members. */
function commonProtocols(group: GroupData): string[] {
  const members = [...group.members.values()]
  const names = new Set(members[0]?.protocols.map((protocol) => protocol.name))
  for (const member of members) {
    const own = new Set(member.protocols.map((protocol) => protocol.name))
    for (const name of names) if (!own.has(name)) names.delete(name)
  }
  return [...names]
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
  if (group.members.size === 0) return type !== '' && protocols.length > 0
  if (group.protocolType !== type) return false
  const common = commonProtocols(group)
  return protocols.some((protocol) => common.includes(protocol.name))
}

/**
 * The protocol of the next generation: each member votes for the first of its own that all have; the one with
 * most votes wins, the earlier voted one on a tie. Null when there is none. Source: Kafka's selectProtocol.
 */
export function selectProtocol(group: GroupData): string | null {
  const common = new Set(commonProtocols(group))
  const votes = new Map<string, number>()
  for (const member of group.members.values()) {
    const choice = member.protocols.find((protocol) => common.has(protocol.name))
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
