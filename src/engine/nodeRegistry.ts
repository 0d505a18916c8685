import { EngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
  type MetadataRecord,
  type MetadataRecordInput,
} from '../protocol/metadataRecords/metadataRecord.ts'
import type { ReplicaKey } from '../raft.ts'
import type { BatchMachine } from '../replica/machineRunner.ts'
import type { BatchHeader } from '../segment/recordBatch.ts'
import { readRecords } from '../segment/records.ts'
import type { LogSettings } from './logSettings.ts'

/** A partition that the nodes of a cluster have agreed on. */
export interface PartitionEntry {
  readonly topic: string
  readonly topicId: Uuid
  readonly partition: number
  /** The voters that its group begins with. */
  readonly replicas: readonly ReplicaKey[]
  /** Ids of the only nodes that are to have a replica, in their order; null for all that vote. */
  readonly placement: readonly number[] | null
  readonly settings: LogSettings
}

interface TopicEntry {
  readonly topicId: Uuid
  readonly settings: Map<string, string>
  readonly partitions: Map<number, readonly ReplicaKey[]>
}

/** Kafka's number for topics as owners of configs. */
const topicResource = 2
const configPrefix = 'cordwood.log.'
const placementPrefix = 'cordwood.replicas.'

/**
 * Which partitions there are: Kafka's records of topics, partitions and configs, as they lie in `__cluster_metadata`, and what
 * follows from them. The first record that names something wins, so that whoever asks for it twice, or two at once, is harmless.
 */
export class NodeRegistry implements BatchMachine {
  readonly #topics = new Map<string, TopicEntry>()
  readonly #names = new Map<Uuid, string>()
  /** Called after every change with what is new. */
  onChange: (added: readonly PartitionEntry[], removed: readonly PartitionEntry[]) => void = () => {}

  /** A partition, or null when nobody has asked for it. */
  get(topic: string, partition: number): PartitionEntry | null {
    const entry = this.#topics.get(topic)
    const replicas = entry?.partitions.get(partition)
    if (entry === undefined || replicas === undefined) return null
    const placement = placementOf(entry, partition)
    return { topic, topicId: entry.topicId, partition, replicas, placement, settings: settingsOf(entry) }
  }

  /** All partitions, by topic and number. */
  get partitions(): readonly PartitionEntry[] {
    const found: PartitionEntry[] = []
    for (const [topic, { partitions }] of this.#topics) {
      for (const partition of partitions.keys()) found.push(this.get(topic, partition)!)
    }
    return found
  }

  /** The records that make a partition, and its topic where that is new too; none when it is there. */
  decideCreate(
    topic: string,
    partition: number,
    settings: LogSettings,
    placement: readonly number[] | null,
    replicas: readonly ReplicaKey[],
    newId: () => Uuid,
  ): MetadataRecordInput[] {
    const known = this.#topics.get(topic)
    if (known?.partitions.has(partition)) return []
    const records: MetadataRecordInput[] = []
    const topicId = known?.topicId ?? newId()
    if (known === undefined) {
      records.push({ type: 'topicRecord', version: 0, name: topic, topicId })
      for (const [name, value] of Object.entries(settings)) {
        if (value !== undefined)
          records.push(configRecordOf(topic, configPrefix + name, JSON.stringify(value)))
      }
    }
    if (placement !== null) {
      records.push(configRecordOf(topic, `${placementPrefix}${partition}`, JSON.stringify(placement)))
    }
    records.push(partitionRecordOf(topicId, partition, replicas))
    return records
  }

  /** The records that remove a topic; none when there is none. */
  decideRemove(topic: string): MetadataRecordInput[] {
    const known = this.#topics.get(topic)
    return known === undefined ? [] : [{ type: 'removeTopicRecord', version: 0, topicId: known.topicId }]
  }

  apply(_: BatchHeader, bytes: Uint8Array): readonly unknown[] {
    const added: PartitionEntry[] = []
    const removed: PartitionEntry[] = []
    let count = 0
    for (const { value } of readRecords(bytes)) {
      count++
      if (value !== null) this.#replay(decodeMetadataRecord(value), added, removed)
    }
    // Settings may follow the partition in the same batch.
    const current = added.flatMap(({ topic, partition }) => this.get(topic, partition) ?? [])
    if (current.length > 0 || removed.length > 0) this.onChange(current, removed)
    return new Array(count).fill(null)
  }

  *snapshot(): Generator<Uint8Array> {
    for (const [name, { topicId, settings, partitions }] of this.#topics) {
      yield encodeMetadataRecord({ type: 'topicRecord', version: 0, name, topicId })
      for (const [config, value] of settings) {
        yield encodeMetadataRecord(configRecordOf(name, config, value))
      }
      for (const [partition, replicas] of partitions) {
        yield encodeMetadataRecord(partitionRecordOf(topicId, partition, replicas))
      }
    }
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const before = this.partitions
    this.#topics.clear()
    this.#names.clear()
    for await (const chunk of chunks) this.#replay(decodeMetadataRecord(chunk), [], [])
    const isIn = (all: readonly PartitionEntry[], entry: PartitionEntry): boolean =>
      all.some(({ topicId, partition }) => topicId === entry.topicId && partition === entry.partition)
    const after = this.partitions
    this.onChange(
      after.filter((entry) => !isIn(before, entry)),
      before.filter((entry) => !isIn(after, entry)),
    )
  }

  #replay(record: MetadataRecord, added: PartitionEntry[], removed: PartitionEntry[]): void {
    switch (record.type) {
      case 'topicRecord':
        if (this.#topics.has(record.name)) return
        this.#topics.set(record.name, {
          topicId: record.topicId,
          settings: new Map(),
          partitions: new Map(),
        })
        this.#names.set(record.topicId, record.name)
        return
      case 'configRecord': {
        const topic = this.#topics.get(record.resourceName)
        if (topic === undefined || topic.settings.has(record.name) || record.value === null) return
        if (record.resourceType !== topicResource || isTooLate(topic, record.name)) return
        topic.settings.set(record.name, record.value)
        return
      }
      case 'partitionRecord': {
        const topic = this.#names.get(record.topicId)
        const partitions = topic === undefined ? undefined : this.#topics.get(topic)!.partitions
        if (topic === undefined || partitions === undefined || partitions.has(record.partitionId)) return
        const replicas = record.replicas.map((id, index) => ({ id, directoryId: record.directories[index]! }))
        partitions.set(record.partitionId, replicas)
        added.push(this.get(topic, record.partitionId)!)
        return
      }
      case 'removeTopicRecord': {
        const topic = this.#names.get(record.topicId)
        if (topic === undefined) return
        for (const partition of this.#topics.get(topic)!.partitions.keys()) {
          removed.push(this.get(topic, partition)!)
        }
        this.#topics.delete(topic)
        this.#names.delete(record.topicId)
        return
      }
      case 'noOpRecord':
        return
      default:
        throw new EngineError(
          'directoryForeign',
          `the metadata log holds a ${record.type}: it is a broker's, or a later release has written it`,
        )
    }
  }
}

function partitionRecordOf(topicId: Uuid, partition: number, replicas: readonly ReplicaKey[]) {
  const ids = replicas.map(({ id }) => id)
  const directories = replicas.map(({ directoryId }) => directoryId)
  return {
    type: 'partitionRecord',
    version: 1,
    partitionId: partition,
    topicId,
    replicas: ids,
    isr: ids,
    removingReplicas: [],
    addingReplicas: [],
    directories,
    partitionEpoch: 0,
  } as const
}

function configRecordOf(topic: string, name: string, value: string) {
  return {
    type: 'configRecord',
    version: 0,
    resourceType: topicResource,
    resourceName: topic,
    name,
    value,
  } as const
}

/** Whether it says where a partition is to be that was made before. */
function isTooLate({ partitions }: TopicEntry, name: string): boolean {
  return name.startsWith(placementPrefix) && partitions.has(Number(name.slice(placementPrefix.length)))
}

function placementOf({ settings }: TopicEntry, partition: number): readonly number[] | null {
  const value = settings.get(`${placementPrefix}${partition}`)
  return value === undefined ? null : JSON.parse(value)
}

function settingsOf({ settings }: TopicEntry): LogSettings {
  const found: Record<string, unknown> = {}
  for (const [name, value] of settings) {
    if (name.startsWith(configPrefix)) found[name.slice(configPrefix.length)] = JSON.parse(value)
  }
  return found
}
