import { consumerProtocolSubscription } from '../protocol/files/consumerProtocol.ts'
import { decodeForward } from '../protocol/versioned.ts'
import type { GroupData } from './groupData.ts'
import { metadataFor } from './protocols.ts'

/** The protocol type of consumers; only theirs is understood. */
export const consumerProtocolType = 'consumer'

/**
 * The topics that the members together subscribe to, or null when that cannot be known: another protocol type,
 * no protocol selected yet, or metadata that does not follow ConsumerProtocolSubscription.
 */
export function subscribedTopics(group: GroupData): ReadonlySet<string> | null {
  if (group.protocolType !== consumerProtocolType) return null
  if (group.members.size === 0) return new Set()
  if (group.protocolName === null) return null
  const topics = new Set<string>()
  for (const member of group.members.values()) {
    const names = readTopics(metadataFor(member, group.protocolName))
    if (names === null) return null
    for (const name of names) topics.add(name)
  }
  return topics
}

/** Whether deleting an offset of `topic` would pull it from under a running consumer; when in doubt, it would. */
export function isSubscribed(group: GroupData, topic: string): boolean {
  if (group.subscribedTopics !== null) return group.subscribedTopics.has(topic)
  return group.protocolType === consumerProtocolType
}

/** The topic names of a ConsumerProtocolSubscription; null for bytes of another form. */
function readTopics(bytes: Uint8Array): readonly string[] | null {
  try {
    return decodeForward(consumerProtocolSubscription, bytes).topics
  } catch {
    return null // Whatever it is, it is the group's own affair: the broker only passes it on.
  }
}
