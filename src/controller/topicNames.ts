import { EngineError } from '../model/errors.ts'

/** The topic that holds the cluster's metadata; it is in no image and clients never write it. */
export const metadataTopicName = '__cluster_metadata'

/** Topics that the broker makes for itself. Source: Kafka `Topic.INTERNAL_TOPICS`. */
const internalTopics: ReadonlySet<string> = new Set([
  '__consumer_offsets',
  '__transaction_state',
  '__share_group_state',
])

const maxLength = 249

/** Whether Metadata marks the topic as internal. */
export function isInternalTopic(name: string): boolean {
  return internalTopics.has(name)
}

/**
 * Throws `invalidTopicException` unless `name` is a legal topic name: 1 to 249 of ASCII letters, digits, dot,
 * underscore and hyphen, and neither "." nor "..". Source: Kafka `Topic.validate`.
 */
export function checkTopicName(name: string): void {
  const wrong = whatIsWrongWithName(name)
  if (wrong !== null) throw new EngineError('invalidTopicException', `Topic name is invalid: ${wrong}`)
}

/**
 * Throws if clients may not create, grow or delete the topic: `topicAuthorizationFailed` for the metadata
 * topic, as in Kafka, `invalidTopicException` for the internal ones, whose partition count carries meaning.
 */
export function checkNotReserved(name: string): void {
  if (name === metadataTopicName) {
    throw new EngineError('topicAuthorizationFailed', `Topic '${name}' is kept by the controller alone`)
  }
  if (isInternalTopic(name)) {
    throw new EngineError('invalidTopicException', `Topic '${name}' is internal and kept by the broker alone`)
  }
}

/**
 * The name with dots as underscores if it has either, else null. Two topics with the same one collide, because
 * Kafka's metrics cannot tell them apart. Source: Kafka `Topic.unifyCollisionChars`.
 */
export function collisionKey(name: string): string | null {
  return /[._]/.test(name) ? name.replaceAll('.', '_') : null
}

function whatIsWrongWithName(name: string): string | null {
  if (name === '') return 'the empty string is not allowed'
  if (name === '.' || name === '..') return "'.' or '..' is not allowed"
  if (name.length > maxLength) {
    return `the length of '${name.slice(0, maxLength)}…' is longer than the max allowed length ${maxLength}`
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return `'${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`
  }
  return null
}
