import { EngineError } from '../model/errors.ts'
import type { MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import {
  type Command,
  type CommandResults,
  type ConfigChange,
  ConfigOperation,
  type Decision,
  type DecisionContext,
} from './commands.ts'
import { listItems } from './configValues.ts'
import type { MetadataImage, TopicImage } from './image.ts'
import { decideEach, duplicates } from './outcomes.ts'
import { ConfigResourceType } from './replay.ts'
import { type Configs, checkTopicConfig, topicConfigValue } from './topicConfigs.ts'
import { topicConfigTable } from './topicConfigTable.ts'
import { checkTopicName, isInternalTopic, metadataTopicName } from './topicNames.ts'

type Of<T extends Command['type']> = Extract<Command, { readonly type: T }>

interface Resource {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly { readonly name: string }[]
}

/**
 * Configs of topics, replaced: what is not named goes back to its default. Errors per resource: `invalidConfig`,
 * `unknownTopicOrPartition`, `invalidRequest`. Source: Kafka AlterConfigs, KIP-133.
 */
export function decideAlterConfigs(
  image: MetadataImage,
  command: Of<'alterConfigs'>,
): Decision<CommandResults['alterConfigs']> {
  return decideEachResource(image, command.resources, (topic, { configs }) => {
    const wanted = new Map(configs.map(({ name, value }) => [name, checkTopicConfig(name, value)]))
    return configRecords(topic, wanted)
  })
}

/**
 * Configs of topics, changed one by one: set, deleted, or for lists appended to and subtracted from. Errors per
 * resource: `invalidConfig`, `unknownTopicOrPartition`, `invalidRequest`. Source: KIP-339.
 */
export function decideIncrementalAlterConfigs(
  image: MetadataImage,
  command: Of<'incrementalAlterConfigs'>,
  { broker }: DecisionContext,
): Decision<CommandResults['incrementalAlterConfigs']> {
  return decideEachResource(image, command.resources, (topic, { configs }) => {
    const wanted = new Map(topic.configs)
    for (const change of configs) {
      const value = changedValue(topic, change, broker)
      if (value === null) wanted.delete(change.name)
      else wanted.set(change.name, checkTopicConfig(change.name, value))
    }
    return configRecords(topic, wanted)
  })
}

function decideEachResource<R extends Resource>(
  image: MetadataImage,
  resources: readonly R[],
  decideOne: (topic: TopicImage, resource: R) => readonly MetadataRecordInput[],
): Decision<CommandResults['alterConfigs']> {
  const keyOf = ({ resourceType, resourceName }: Resource): string => `${resourceType} ${resourceName}`
  const twice = duplicates(resources.map(keyOf))
  return decideEach(resources, (resource) => {
    if (twice.has(keyOf(resource))) {
      throw new EngineError('invalidRequest', 'Each resource must appear at most once.')
    }
    if (duplicates(resource.configs.map(({ name }) => name)).size > 0) {
      throw new EngineError('invalidRequest', 'Error due to duplicate config keys')
    }
    const topic = topicOf(image, resource)
    return { records: decideOne(topic, resource), result: null }
  })
}

/**
 * The topic that a resource names; other resources have nothing that can be altered yet. The configs of internal
 * topics are the broker's own: with another retention committed offsets would be deleted.
 */
function topicOf(image: MetadataImage, { resourceType, resourceName }: Resource): TopicImage {
  if (resourceType === ConfigResourceType.topic) {
    checkTopicName(resourceName)
    if (resourceName === metadataTopicName) {
      throw new EngineError(
        'topicAuthorizationFailed',
        `The configs of '${resourceName}' are the controller's own`,
      )
    }
    if (isInternalTopic(resourceName)) {
      throw new EngineError('policyViolation', `The configs of '${resourceName}' are the broker's own`)
    }
    const topic = image.topics.get(resourceName)
    if (topic !== undefined) return topic
    throw new EngineError('unknownTopicOrPartition', `The topic '${resourceName}' does not exist.`)
  }
  if (resourceType === ConfigResourceType.broker) {
    const text = 'broker configs cannot be altered while the broker runs yet; set them when it is started'
    throw new EngineError('invalidRequest', text)
  }
  throw new EngineError('invalidRequest', `configs of resource type ${resourceType} are not supported yet`)
}

/** The value that a config has after one operation; null for its default. */
function changedValue(
  topic: TopicImage,
  { name, configOperation, value }: ConfigChange['configs'][number],
  broker: Configs,
): string | null {
  switch (configOperation) {
    case ConfigOperation.set:
      return checkTopicConfig(name, value)
    case ConfigOperation.delete:
      if (!topicConfigTable.has(name)) throw new EngineError('invalidConfig', `unknown topic config: ${name}`)
      return null
    case ConfigOperation.append:
    case ConfigOperation.subtract: {
      const definition = topicConfigTable.get(name)
      if (definition === undefined) throw new EngineError('invalidConfig', `unknown topic config: ${name}`)
      if (definition.type !== 'list') {
        const verb = configOperation === ConfigOperation.append ? 'append' : 'subtract'
        throw new EngineError('invalidConfig', `Can't ${verb} to key ${name} because its type is not LIST.`)
      }
      if (value === null)
        throw new EngineError('invalidConfig', `null value not supported for topic config: ${name}`)
      const before = listItems(topicConfigValue(name, topic.configs, broker))
      const items = listItems(value)
      const after =
        configOperation === ConfigOperation.append
          ? [...before, ...items.filter((item) => !before.includes(item))]
          : before.filter((item) => !items.includes(item))
      return after.join(',')
    }
    default:
      throw new EngineError('invalidRequest', `there is no config operation ${configOperation}`)
  }
}

/** The records that turn a topic's configs into `wanted`; none for what stays. */
function configRecords(topic: TopicImage, wanted: Configs): readonly MetadataRecordInput[] {
  const records: MetadataRecordInput[] = []
  const resource = { resourceType: ConfigResourceType.topic, resourceName: topic.name }
  for (const [name, value] of wanted) {
    if (topic.configs.get(name) !== value) {
      records.push({ type: 'configRecord', version: 0, ...resource, name, value })
    }
  }
  for (const name of topic.configs.keys()) {
    if (!wanted.has(name)) records.push({ type: 'configRecord', version: 0, ...resource, name, value: null })
  }
  return records
}
