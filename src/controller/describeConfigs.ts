import { EngineError } from '../model/errors.ts'
import { ConfigType } from './configValues.ts'
import type { MetadataImage } from './image.ts'
import { ConfigResourceType } from './replay.ts'
import { throttleRates } from './throttles.ts'
import {
  ConfigSource,
  type Configs,
  LayeredConfigs,
  layersOf,
  topicConfigCandidates,
} from './topicConfigs.ts'
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
  // The empty name is the default of all brokers, which holds only what was set while they run.
  if (resourceName === '') return defaultEntries(image, isWanted)
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

/** What was set for all brokers while they run. */
function defaultEntries(image: MetadataImage, isWanted: (name: string) => boolean): readonly ConfigEntry[] {
  const source = ConfigSource.dynamicDefaultBroker
  return [...(image.brokerConfigs.get('') ?? [])]
    .filter(([name]) => isWanted(name))
    .map(([name, value]) => ({
      name,
      value,
      readOnly: false,
      configSource: source,
      isDefault: false,
      isSensitive: false,
      synonyms: [{ name, value, source }],
      configType: ConfigType.string,
      documentation: null,
    }))
}

/** What the broker was started with or told since, and under its broker-level name every default of a topic config. */
function brokerEntries(broker: Configs, isWanted: (name: string) => boolean): readonly ConfigEntry[] {
  const entries = new Map<string, ConfigEntry>()
  const add = (
    name: string,
    value: string,
    source: number,
    type: number,
    documentation: string | null,
    readOnly = true,
  ): void => {
    const known = entries.get(name)
    if (known !== undefined) {
      entries.set(name, { ...known, synonyms: [...known.synonyms, { name, value, source }] })
      return
    }
    if (!isWanted(name)) return
    const isDefault = source === ConfigSource.default
    entries.set(name, {
      name,
      value,
      readOnly,
      configSource: source,
      isDefault,
      isSensitive: false,
      synonyms: [{ name, value, source }],
      configType: type,
      documentation,
    })
  }
  const isAlterable = broker instanceof LayeredConfigs
  const ofTopics = new Set<string>()
  for (const definition of topicConfigTable.values()) {
    for (const { name, factor } of definition.synonyms) {
      if (ofTopics.has(name)) continue
      ofTopics.add(name)
      const type = ConfigType[definition.type]
      let isSet = false
      for (const { source, configs } of layersOf(broker)) {
        const value = configs.get(name)
        if (value === undefined) continue
        isSet = true
        add(name, value, source, type, definition.documentation, !isAlterable)
      }
      if (!isSet && factor === 1) {
        add(name, definition.default, ConfigSource.default, type, definition.documentation, !isAlterable)
      }
    }
  }
  for (const { source, configs } of layersOf(broker)) {
    for (const [name, value] of configs) {
      if (ofTopics.has(name)) continue
      const isRate = throttleRates.has(name)
      add(name, value, source, isRate ? ConfigType.long : ConfigType.string, null, !isRate)
    }
  }
  return [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}
