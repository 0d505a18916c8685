import { EngineError } from '../model/errors.ts'
import { ConfigType } from './configValues.ts'
import type { MetadataImage } from './image.ts'
import { ConfigResourceType } from './replay.ts'
import { ConfigSource, type Configs, topicConfigCandidates } from './topicConfigs.ts'
import { topicConfigTable } from './topicConfigTable.ts'
import { checkTopicName } from './topicNames.ts'

/** One config as DescribeConfigs tells it. */
export interface ConfigEntry {
  readonly name: string
  readonly value: string | null
  readonly readOnly: boolean
  /** One of `ConfigSource`. */
  readonly configSource: number
  readonly isDefault: boolean
  readonly isSensitive: boolean
  /** Everything that gives it a value, the one in effect first. */
  readonly synonyms: readonly {
    readonly name: string
    readonly value: string | null
    readonly source: number
  }[]
  /** One of `ConfigType`. */
  readonly configType: number
  readonly documentation: string | null
}

/** Which resource, and which of its configs; null and, as in Kafka, the empty list for all. */
export interface ConfigQuery {
  readonly resourceType: number
  readonly resourceName: string
  readonly configurationKeys: readonly string[] | null
}

/**
 * The configs of a topic or of broker `nodeId`, by name. Unknown names in `configurationKeys` are left out, as
 * in Kafka. Throws `invalidTopicException`, `unknownTopicOrPartition`, and `invalidRequest` for another broker
 * or another kind of resource.
 */
export function describeConfigs(
  image: MetadataImage,
  { resourceType, resourceName, configurationKeys }: ConfigQuery,
  { broker, nodeId }: { readonly broker: Configs; readonly nodeId: number },
): readonly ConfigEntry[] {
  const wanted =
    configurationKeys === null || configurationKeys.length === 0 ? null : new Set(configurationKeys)
  const isWanted = (name: string): boolean => wanted === null || wanted.has(name)
  if (resourceType === ConfigResourceType.topic) {
    checkTopicName(resourceName)
    const topic = image.topics.get(resourceName)
    if (topic === undefined) {
      throw new EngineError('unknownTopicOrPartition', `The topic '${resourceName}' does not exist.`)
    }
    return topicEntries(topic.configs, broker, isWanted)
  }
  if (resourceType !== ConfigResourceType.broker) {
    throw new EngineError('invalidRequest', `configs of resource type ${resourceType} are not supported yet`)
  }
  // The empty name is the default of all brokers, which can hold dynamic configs only: there are none yet.
  if (resourceName === '') return []
  if (resourceName !== String(nodeId)) {
    const text = `Unexpected broker id, expected ${nodeId} or empty string, but received ${resourceName}`
    throw new EngineError('invalidRequest', text)
  }
  return brokerEntries(broker, isWanted)
}

/** Every topic config, with a topic's `overrides`. */
export function topicEntries(
  overrides: Configs,
  broker: Configs,
  isWanted: (name: string) => boolean = () => true,
): readonly ConfigEntry[] {
  const entries: ConfigEntry[] = []
  for (const [name, definition] of topicConfigTable) {
    if (!isWanted(name)) continue
    const candidates = topicConfigCandidates(name, overrides, broker)
    const { value, source } = candidates[0]!
    entries.push({
      name,
      value,
      readOnly: false,
      configSource: source,
      isDefault: source === ConfigSource.default,
      isSensitive: false,
      synonyms: candidates.map((candidate) => ({
        name: candidate.name,
        value: candidate.written,
        source: candidate.source,
      })),
      configType: ConfigType[definition.type],
      documentation: definition.documentation,
    })
  }
  return entries
}

/** What the broker was started with, and under its broker-level name every default of a topic config. */
function brokerEntries(broker: Configs, isWanted: (name: string) => boolean): readonly ConfigEntry[] {
  const entries = new Map<string, ConfigEntry>()
  const add = (
    name: string,
    value: string,
    source: number,
    type: number,
    documentation: string | null,
  ): void => {
    if (!isWanted(name) || entries.has(name)) return
    const isDefault = source === ConfigSource.default
    entries.set(name, {
      name,
      value,
      readOnly: true,
      configSource: source,
      isDefault,
      isSensitive: false,
      synonyms: [{ name, value, source }],
      configType: type,
      documentation,
    })
  }
  for (const definition of topicConfigTable.values()) {
    for (const { name, factor } of definition.synonyms) {
      const value = broker.get(name)
      const type = ConfigType[definition.type]
      if (value !== undefined) add(name, value, ConfigSource.staticBroker, type, definition.documentation)
      else if (factor === 1)
        add(name, definition.default, ConfigSource.default, type, definition.documentation)
    }
  }
  for (const [name, value] of broker) add(name, value, ConfigSource.staticBroker, ConfigType.string, null)
  return [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}
