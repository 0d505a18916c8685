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
import { listItems, whatIsWrong } from './configValues.ts'
import type { MetadataImage, TopicImage } from './image.ts'
import { decideEach, duplicates } from './outcomes.ts'
import { ConfigResourceType } from './replay.ts'
import { throttledReplicas, throttleRate, throttleRates } from './throttles.ts'
import {
  type Configs,
  checkBrokerDefaults,
  checkTogether,
  checkTopicConfig,
  noConfigs,
  topicConfigsNamed,
  topicConfigValue,
} from './topicConfigs.ts'
import { topicConfigTable } from './topicConfigTable.ts'
import { checkTopicName, isInternalTopic, metadataTopicName } from './topicNames.ts'

type Of<T extends Command['type']> = Extract<Command, { readonly type: T }>

/** Whose configs they are. */
interface ConfigOwner {
  readonly resource: { readonly resourceType: number; readonly resourceName: string }
  readonly configs: Configs
  /** The value to store. Throws `invalidConfig`. */
  check(name: string, value: string | null): string
  isKnown(name: string): boolean
  /** Throws `invalidConfig` when they contradict each other. `broker`: the defaults that topics have. */
  checkTogether(configs: Configs, broker: Configs): void
}

/** What Kafka's tools take back whether they have set it or not, and this has nothing of. */
const foreign: ReadonlySet<string> = new Set(['replica.alter.log.dirs.io.max.bytes.per.second'])

interface Resource {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly { readonly name: string }[]
}

/**
 * Configs of topics, and of the brokers of a cluster, replaced: what is not named goes back to its default. Errors per resource: `invalidConfig`,
 * `unknownTopicOrPartition`, `invalidRequest`. Source: Kafka AlterConfigs, KIP-133.
 */
export function decideAlterConfigs(
  image: MetadataImage,
  command: Of<'alterConfigs'>,
  { broker = noConfigs, elects = false }: Partial<Pick<DecisionContext, 'broker' | 'elects'>> = {},
): Decision<CommandResults['alterConfigs']> {
  return decideEachResource(image, command.resources, elects, (owner, { configs }) => {
    const wanted = new Map(configs.map(({ name, value }) => [name, owner.check(name, value)]))
    owner.checkTogether(wanted, broker)
    return configRecords(owner, wanted)
  })
}

/**
 * Configs of topics, and of the brokers of a cluster, changed one by one: set, deleted, or for lists appended to and subtracted from. Errors per
 * resource: `invalidConfig`, `unknownTopicOrPartition`, `invalidRequest`. Source: KIP-339.
 */
export function decideIncrementalAlterConfigs(
  image: MetadataImage,
  command: Of<'incrementalAlterConfigs'>,
  { broker, elects = false }: DecisionContext,
): Decision<CommandResults['incrementalAlterConfigs']> {
  return decideEachResource(image, command.resources, elects, (owner, { configs }) => {
    const wanted = new Map(owner.configs)
    for (const change of configs) {
      const value = changedValue(owner, change, broker)
      if (value === null) wanted.delete(change.name)
      else wanted.set(change.name, owner.check(change.name, value))
    }
    owner.checkTogether(wanted, broker)
    return configRecords(owner, wanted)
  })
}

function decideEachResource<R extends Resource>(
  image: MetadataImage,
  resources: readonly R[],
  isCluster: boolean,
  decideOne: (owner: ConfigOwner, resource: R) => readonly MetadataRecordInput[],
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
    const isBrokers = isCluster && resource.resourceType === ConfigResourceType.broker
    const owner = isBrokers ? brokerOwner(image, resource.resourceName) : topicOwner(topicOf(image, resource))
    return { records: decideOne(owner, resource), result: null }
  })
}

function topicOwner({ name, configs }: TopicImage): ConfigOwner {
  const resource = { resourceType: ConfigResourceType.topic, resourceName: name }
  const check = checkTopicConfig
  const isKnown = (config: string): boolean => topicConfigTable.has(config)
  if (!isInternalTopic(name)) return { resource, configs, check, isKnown, checkTogether }
  return {
    resource,
    configs,
    check,
    isKnown,
    checkTogether: (wanted) => checkInternal(name, configs, wanted),
  }
}

/**
 * The configs of internal topics are the broker's own: with another retention committed offsets would be deleted. Only what
 * moving its partitions needs may be set.
 */
function checkInternal(topic: string, before: Configs, wanted: Configs): void {
  for (const name of new Set([...before.keys(), ...wanted.keys()])) {
    if (throttledReplicas.has(name) || before.get(name) === wanted.get(name)) continue
    throw new EngineError('policyViolation', `The configs of '${topic}' are the broker's own`)
  }
}

/** One broker, or all of them under the empty name: what they hold are the defaults of topics, and the rates of replicas that catch up. */
function brokerOwner(image: MetadataImage, resourceName: string): ConfigOwner {
  if (resourceName !== '' && !image.brokers.has(Number(resourceName))) {
    throw new EngineError('invalidRequest', `There is no broker ${resourceName}.`)
  }
  const resource = { resourceType: ConfigResourceType.broker, resourceName }
  const configs = image.brokerConfigs.get(resourceName) ?? noConfigs
  const isKnown = (config: string): boolean =>
    throttleRates.has(config) || topicConfigsNamed(config).length > 0
  const check = (config: string, value: string | null): string => {
    if (!isKnown(config)) {
      const text = `${config} cannot be altered while the broker runs: set it when it is started`
      throw new EngineError('invalidConfig', text)
    }
    if (value === null) throw new EngineError('invalidConfig', `null value not supported for ${config}`)
    const text = value.trim()
    const wrong = throttleRates.has(config) ? whatIsWrong(throttleRate, text) : null
    if (wrong !== null)
      throw new EngineError('invalidConfig', `Invalid value ${text} for configuration ${config}: ${wrong}`)
    checkBrokerDefaults(new Map([[config, text]]))
    return text
  }
  return { resource, configs, check, isKnown, checkTogether: checkBrokerDefaults }
}

/** The topic that a resource names; other resources have nothing that can be altered yet. */
function topicOf(image: MetadataImage, { resourceType, resourceName }: Resource): TopicImage {
  if (resourceType === ConfigResourceType.topic) {
    checkTopicName(resourceName)
    if (resourceName === metadataTopicName) {
      throw new EngineError(
        'topicAuthorizationFailed',
        `The configs of '${resourceName}' are the controller's own`,
      )
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
  owner: ConfigOwner,
  { name, configOperation, value }: ConfigChange['configs'][number],
  broker: Configs,
): string | null {
  switch (configOperation) {
    case ConfigOperation.set:
      return owner.check(name, value)
    case ConfigOperation.delete:
      if (owner.isKnown(name) || foreign.has(name)) return null
      throw new EngineError('invalidConfig', `unknown config: ${name}`)
    case ConfigOperation.append:
    case ConfigOperation.subtract: {
      const definition = topicConfigTable.get(name) ?? topicConfigTable.get(topicConfigsNamed(name)[0] ?? '')
      if (definition === undefined || !owner.isKnown(name)) {
        throw new EngineError('invalidConfig', `unknown config: ${name}`)
      }
      if (definition.type !== 'list') {
        const verb = configOperation === ConfigOperation.append ? 'append' : 'subtract'
        throw new EngineError('invalidConfig', `Can't ${verb} to key ${name} because its type is not LIST.`)
      }
      if (value === null)
        throw new EngineError('invalidConfig', `null value not supported for topic config: ${name}`)
      const before = listItems(
        owner.configs.get(name) ??
          topicConfigValue(
            topicConfigTable.has(name) ? name : topicConfigsNamed(name)[0]!,
            noConfigs,
            broker,
          ),
      )
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

/** The records that turn the configs into `wanted`; none for what stays. */
function configRecords({ resource, configs }: ConfigOwner, wanted: Configs): readonly MetadataRecordInput[] {
  const records: MetadataRecordInput[] = []
  for (const [name, value] of wanted) {
    if (configs.get(name) !== value) {
      records.push({ type: 'configRecord', version: 0, ...resource, name, value })
    }
  }
  for (const name of configs.keys()) {
    if (!wanted.has(name)) records.push({ type: 'configRecord', version: 0, ...resource, name, value: null })
  }
  return records
}
