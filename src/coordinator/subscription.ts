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

/**
 * The topic names of a ConsumerProtocolSubscription: int16 version, int32 count, strings with int16 lengths; what
 * follows does not matter here. Null for bytes of another form.
 */
function readTopics(bytes: Uint8Array): string[] | null {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.length < 6 || view.readInt16BE(0) < 0) return null
  const count = view.readInt32BE(2)
  if (count < 0 || count > (view.length - 6) / 2) return null
  const names: string[] = []
  let position = 6
  for (let index = 0; index < count; index++) {
    if (position + 2 > view.length) return null
    const length = view.readInt16BE(position)
    position += 2
    if (length < 0 || position + length > view.length) return null
    names.push(view.toString('utf8', position, position + length))
    position += length
  }
  return names
}
