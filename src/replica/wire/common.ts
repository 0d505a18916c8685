import { EngineErrorCode, type EngineErrorName } from '../../model/errors.ts'
import { kafkaErrorName } from '../../model/kafkaErrors.ts'
import { metadataTopicId, type Uuid, zeroUuid } from '../../model/uuid.ts'
import type { incarnationFields, listenerFields, voterFields } from '../../protocol/apis/quorumFields.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Endpoint, Incarnation, RaftRequest, RaftResponse, Voter } from '../../raft.ts'
import type { GroupRef } from '../transport.ts'

/** The name of the topic that holds the cluster's metadata. */
export const metadataTopic = '__cluster_metadata'

/** A request of the core of one kind. */
export type RequestOf<T extends RaftRequest['type']> = Extract<RaftRequest, { readonly type: T }>
/** An answer of the core of one kind. */
export type ResponseOf<T extends RaftResponse['type']> = Extract<RaftResponse, { readonly type: T }>

/** A request and the group that it is about. */
export interface Asked<T extends RaftRequest['type']> {
  readonly group: GroupRef
  readonly request: RequestOf<T>
}

/** An answer and the group that it is about. */
export interface Answered<T extends RaftResponse['type']> {
  readonly group: GroupRef
  readonly response: ResponseOf<T>
}

/** The number of an error on the wire. */
export function errorNumber(name: EngineErrorName): number {
  return EngineErrorCode[name].kafka
}

/** The error of a number on the wire; `unknownServerError` for one that nobody knows. */
export function errorName(code: number): EngineErrorName {
  return kafkaErrorName(code)
}

/** The group of a message that names its topic; Kafka's own messages do so without an id. */
export function groupOf(topicName: string, topicId: Uuid, partition: number): GroupRef {
  const isMetadata = topicId === zeroUuid && topicName === metadataTopic
  return { topicId: isMetadata ? metadataTopicId : topicId, topic: topicName, partition }
}

/** The group of a message that gives a topic's id only; the name is empty unless everybody knows it. */
export function groupById(topicId: Uuid, partition: number): GroupRef {
  return { topicId, topic: topicId === metadataTopicId ? metadataTopic : '', partition }
}

/** The id that goes with a topic's name: none where the name says it all. */
export function idBesideName({ topic, topicId }: GroupRef): Uuid {
  return topic === metadataTopic && topicId === metadataTopicId ? zeroUuid : topicId
}

/** What several groups have to say, by topic, both in the order of their first appearance. */
export function byTopic<T extends { readonly group: GroupRef }, P>(
  items: readonly T[],
  partitionOf: (item: T) => P,
): readonly { readonly group: GroupRef; readonly partitions: readonly P[] }[] {
  const topics = new Map<Uuid, { group: GroupRef; partitions: P[] }>()
  for (const item of items) {
    const { group } = item
    const topic = topics.get(group.topicId)
    if (topic === undefined) topics.set(group.topicId, { group, partitions: [partitionOf(item)] })
    else topic.partitions.push(partitionOf(item))
  }
  return [...topics.values()]
}

/** The same as messages have it that name their topics. */
export function byTopicName<T extends { readonly group: GroupRef }, P>(
  items: readonly T[],
  partitionOf: (item: T) => P,
): readonly { readonly topicName: string; readonly topicId: Uuid; readonly partitions: readonly P[] }[] {
  return byTopic(items, partitionOf).map(({ group, partitions }) => ({
    topicName: group.topic,
    topicId: idBesideName(group),
    partitions,
  }))
}

/** A start of a replica as it travels. */
export function incarnationToWire(seen: Incarnation): Infer<typeof incarnationFields> {
  const { startNonce, earlierNonces } = seen
  return { ...seen, startNonce: startNonce | 0, earlierNonces: earlierNonces.map((nonce) => nonce | 0) }
}

/** A start of a replica as it came. */
export function incarnationFromWire(wire: Infer<typeof incarnationFields>): Incarnation {
  const { id, directoryId, incarnation, startNonce, earlierNonces } = wire
  return {
    id,
    directoryId,
    incarnation,
    startNonce: startNonce >>> 0,
    earlierNonces: earlierNonces.map((nonce) => nonce >>> 0),
  }
}

/** Endpoints without whatever else the objects may carry. */
export function endpointsToWire(endpoints: readonly Endpoint[]): Infer<typeof listenerFields>[] {
  return endpoints.map(({ name, host, port }) => ({ name, host, port }))
}

/** A voter without whatever else the object may carry. */
export function voterToWire(voter: Voter): Infer<typeof voterFields> {
  const { id, directoryId, endpoints, minVersion, maxVersion } = voter
  return { id, directoryId, endpoints: endpointsToWire(endpoints), minVersion, maxVersion }
}
