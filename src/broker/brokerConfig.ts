import type { ClusterConfig } from '../controller/clusterConfig.ts'
import { type Configs, checkBrokerDefaults } from '../controller/topicConfigs.ts'
import { topicConfigTable } from '../controller/topicConfigTable.ts'
import { EngineError } from '../model/errors.ts'
import type { Address } from '../runtime/network.ts'
import { clusterSettings, isWildcard, refuse } from './clusterSettings.ts'
import {
  type BrokerConfigName,
  brokerConfigSynonyms,
  brokerConfigTable,
  type ConfigDefinition,
} from './configTable.ts'

/** The settings of a broker, checked. */
export interface BrokerConfig {
  readonly nodeId: number
  /** Null: whatever the directory says. */
  readonly clusterId: string | null
  readonly listen: Address
  /** What clients are told; port 0 stands for the port that the listener got. */
  readonly advertised: Address
  readonly directory: string
  /** Null: in the data directory. */
  readonly journalDirectory: string | null
  /** Null: one node that keeps its metadata itself. */
  readonly cluster: ClusterConfig | null
  /** Every setting of `brokerConfigTable` as text, defaults included; null where there is none. */
  readonly texts: ReadonlyMap<BrokerConfigName, string | null>
  /** What was given, under the broker's names: settings of the table and defaults of topics. */
  readonly statics: Configs
  /** A setting that is a number. */
  number(name: BrokerConfigName): number
  /** A setting that is true or false. */
  flag(name: BrokerConfigName): boolean
  /** A setting as text; empty where there is none. */
  text(name: BrokerConfigName): string
  /** Sentences for the log: what is legal and yet probably not meant. */
  readonly warnings: readonly string[]
}

/** What settings mean depends on it. */
export interface ConfigEnvironment {
  readonly hostName: string
  /** The path that a relative one stands for; absent where there are none. */
  readonly absolute?: (path: string) => string
}

/**
 * Checks settings under Kafka's names. `hostName` is advertised when the listener has a wildcard address and
 * nothing else is said. Throws `invalidConfig`, in one line that names the setting.
 */
export function brokerConfig(
  properties: Readonly<Record<string, string>>,
  environment: ConfigEnvironment,
): BrokerConfig {
  const texts = new Map<BrokerConfigName, string | null>()
  for (const [name, definition] of Object.entries(brokerConfigTable)) {
    texts.set(name as BrokerConfigName, definition.default)
  }
  const statics = new Map<string, string>()
  for (const [spelling, text] of Object.entries(properties)) {
    const name = brokerConfigSynonyms.get(spelling) ?? spelling
    if (Object.hasOwn(brokerConfigTable, name)) {
      checkConfigText(name as BrokerConfigName, text.trim())
      texts.set(name as BrokerConfigName, text.trim())
    } else if (!topicDefaultNames.has(name)) {
      throw new EngineError('invalidConfig', `there is no setting "${spelling}"`)
    }
    statics.set(name, text.trim())
  }
  checkBrokerDefaults(statics)
  const warnings: string[] = []
  const settings = clusterSettings(texts, new Set(statics.keys()))
  if (settings === null && Number(texts.get('default.replication.factor')) > 1) {
    refuse(
      'default.replication.factor',
      texts.get('default.replication.factor')!,
      '1 on a node that stands alone',
    )
  }
  const listen = settings?.client.listen ?? address('listeners', texts.get('listeners')!)
  const advertised = advertisedAddress(
    texts.get('advertised.listeners') ?? null,
    listen,
    environment.hostName,
    warnings,
    settings?.client.advertised,
  )
  const journalDirectory = texts.get('cordwood.journal.directory') || null
  return {
    nodeId: Number(texts.get('node.id')),
    clusterId: texts.get('cordwood.cluster.id') ?? null,
    listen,
    advertised,
    directory: directory(texts.get('log.dirs')!),
    // The data directory notes it, and is read from elsewhere as well.
    journalDirectory: journalDirectory && (environment.absolute?.(journalDirectory) ?? journalDirectory),
    cluster: settings?.cluster ?? null,
    texts,
    statics,
    number: (name) => Number(texts.get(name)),
    flag: (name) => texts.get(name) === 'true',
    text: (name) => texts.get(name) ?? '',
    warnings,
  }
}

/** Throws `invalidConfig` if `value` is not one that the setting `name` may have. */
export function checkConfigText(name: BrokerConfigName, value: string): void {
  const definition: ConfigDefinition = brokerConfigTable[name]
  switch (definition.type) {
    case 'boolean':
      if (value !== 'true' && value !== 'false') refuse(name, value, 'true or false')
      break
    case 'int':
    case 'long':
      checkNumber(name, definition, value)
      break
    default:
      if (definition.oneOf && !definition.oneOf.includes(value))
        refuse(name, value, definition.oneOf.join(' or '))
  }
}

function checkNumber(name: BrokerConfigName, definition: ConfigDefinition, value: string): void {
  const { min, max } = definition
  // A long beyond 2^53 can only mean "no limit"; Number rounds it to something just as large.
  const number = Number(value)
  const isLong = definition.type === 'long' && /^-?\d{1,19}$/.test(value) && BigInt(value) <= 2n ** 63n - 1n
  if (!isLong && !(/^-?\d{1,10}$/.test(value) && Math.abs(number) <= 2 ** 31))
    refuse(name, value, 'a whole number')
  if (min !== undefined && number < min) refuse(name, value, `at least ${min}`)
  if (max !== undefined && number > max) refuse(name, value, `at most ${max}`)
}

/** The broker's names for the defaults of topics. */
export const topicDefaultNames: ReadonlySet<string> = new Set(
  [...topicConfigTable.values()].flatMap(({ synonyms }) => synonyms.map(({ name }) => name)),
)

function directory(text: string): string {
  const directories = text.split(',').filter((one) => one.trim() !== '')
  if (directories.length !== 1) refuse('log.dirs', text, 'exactly one directory')
  return directories[0]!.trim()
}

function address(name: string, text: string): Address {
  const listeners = text.split(',').filter((one) => one.trim() !== '')
  if (listeners.length !== 1) refuse(name, text, 'exactly one listener')
  const match = /^([A-Za-z0-9_]+):\/\/(?:\[([^\]]*)\]|([^:/]*)):(\d{1,5})$/.exec(listeners[0]!.trim())
  if (!match) refuse(name, text, 'of the form PLAINTEXT://HOST:PORT')
  const [, protocol, ipv6, host, portText] = match
  if (protocol!.toUpperCase() !== 'PLAINTEXT')
    refuse(name, text, 'of the protocol PLAINTEXT, the only one so far')
  const port = Number(portText)
  if (port > 65_535) refuse(name, text, 'of a port up to 65535')
  return { host: ipv6 || host || '0.0.0.0', port }
}

function advertisedAddress(
  text: string | null,
  listen: Address,
  hostName: string,
  warnings: string[],
  ofCluster?: Address,
): Address {
  if (text !== null) {
    const advertised = ofCluster ?? address('advertised.listeners', text)
    if (isWildcard(advertised.host))
      refuse('advertised.listeners', text, 'an address that clients can connect to')
    return advertised
  }
  if (!isWildcard(listen.host)) return listen
  warnings.push(
    `listening on all addresses and telling clients to connect to "${hostName}": ` +
      'set advertised.listeners if they cannot reach the broker under that name',
  )
  return { host: hostName, port: listen.port }
}
