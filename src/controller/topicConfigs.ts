import { EngineError } from '../model/errors.ts'
import type { FlushPolicy } from '../model/flushPolicy.ts'
import type { LogConfig } from '../segment/logConfig.ts'
import { clampedNumber, sameValue, whatIsWrong } from './configValues.ts'
import { type TopicConfigDefinition, topicConfigTable } from './topicConfigTable.ts'

/** Configs by name, as text: a topic's overrides by topic name, or a broker's static configs by broker name. */
export type Configs = ReadonlyMap<string, string>

/** The bounds of the policies `interval` and `records` where flush.ms and flush.messages say nothing. */
const defaultIntervalMs = 1000
const defaultRecords = 10_000

/** No configs at all. */
export const noConfigs: Configs = new Map()

/** Where a value comes from, with Kafka's numbers. Source: DescribeConfigs, "ConfigSource". */
export const ConfigSource = {
  unknown: 0,
  dynamicTopic: 1,
  dynamicBroker: 2,
  dynamicDefaultBroker: 3,
  staticBroker: 4,
  default: 5,
} as const

/** One source of a broker's configs. */
export interface ConfigLayer {
  /** One of `ConfigSource`. */
  readonly source: number
  readonly configs: Configs
}

/** A broker's configs from several sources, the first of which has the say. */
export class LayeredConfigs extends Map<string, string> {
  readonly layers: readonly ConfigLayer[]

  constructor(layers: readonly ConfigLayer[]) {
    super(layers.toReversed().flatMap(({ configs }) => [...configs]))
    this.layers = layers
  }
}

/** The sources of `broker`; what was given when it was started where it knows of no others. */
export function layersOf(broker: Configs): readonly ConfigLayer[] {
  return broker instanceof LayeredConfigs
    ? broker.layers
    : [{ source: ConfigSource.staticBroker, configs: broker }]
}

/** The topic configs that have a default of this name among a broker's configs. */
export function topicConfigsNamed(brokerName: string): readonly string[] {
  return [...topicConfigTable]
    .filter(([, { synonyms }]) => synonyms.some(({ name }) => name === brokerName))
    .map(([name]) => name)
}

/** One place that gives a config a value. */
export interface ConfigCandidate {
  readonly name: string
  /** As it was written under `name`, in that name's unit. */
  readonly written: string
  /** In the topic config's unit. */
  readonly value: string
  readonly source: number
}

/**
 * The value to store for a topic config that a client set: `value` without blanks around it. Throws
 * `invalidConfig` for an unknown name, an illegal value, and a legal one that has no effect yet.
 */
export function checkTopicConfig(name: string, value: string | null): string {
  const definition = topicConfigTable.get(name)
  if (definition === undefined) throw new EngineError('invalidConfig', `unknown topic config: ${name}`)
  if (value === null) {
    throw new EngineError('invalidConfig', `null value not supported for topic config: ${name}`)
  }
  const text = value.trim()
  const wrong = whatIsWrong(definition, text)
  if (wrong !== null) {
    throw new EngineError('invalidConfig', `Invalid value ${text} for configuration ${name}: ${wrong}`)
  }
  if (!isHonoured(definition, text)) {
    throw new EngineError(
      'invalidConfig',
      `${name}=${text} is not supported yet: ${whatIsSupported(definition)}`,
    )
  }
  return text
}

/**
 * Throws `invalidConfig` if a broker's static configs give a topic config a default that is illegal or has no
 * effect yet, or defaults that contradict each other. Names that are not about topics are not looked at.
 */
export function checkBrokerDefaults(broker: Configs): void {
  for (const [name, definition] of topicConfigTable) {
    for (const synonym of definition.synonyms) {
      const value = broker.get(synonym.name)
      if (value === undefined) continue
      try {
        checkTopicConfig(name, scaled(value, synonym.factor))
      } catch (cause) {
        if (!(cause instanceof EngineError)) throw cause
        throw new EngineError('invalidConfig', `${synonym.name}: ${cause.message}`, { cause })
      }
    }
  }
  checkTogether(noConfigs, broker)
}

/**
 * Throws `invalidConfig` if configs that are legal each contradict each other, with what the broker has for those that
 * are not named. Source: Kafka's LogConfig, "validateValues".
 */
export function checkTogether(overrides: Configs, broker: Configs = noConfigs): void {
  const [min, max] = ['min.compaction.lag.ms', 'max.compaction.lag.ms'] as const
  const [least, most] = [topicConfigValue(min, overrides, broker), topicConfigValue(max, overrides, broker)]
  if (clampedNumber(least) > clampedNumber(most)) {
    throw new EngineError(
      'invalidConfig',
      `conflict topic config setting ${min} (${least}) > ${max} (${most})`,
    )
  }
}

/**
 * Everything that gives topic config `name` a value, the one in effect first: the topic's own, the broker's
 * static ones under their own names, Kafka's default. Throws `invalidConfig` for an unknown name.
 */
export function topicConfigCandidates(name: string, overrides: Configs, broker: Configs): ConfigCandidate[] {
  const definition = topicConfigTable.get(name)
  if (definition === undefined) throw new EngineError('invalidConfig', `unknown topic config: ${name}`)
  const candidates: ConfigCandidate[] = []
  const own = overrides.get(name)
  if (own !== undefined) {
    candidates.push({ name, written: own, value: own, source: ConfigSource.dynamicTopic })
  }
  for (const { source, configs } of layersOf(broker)) {
    for (const synonym of definition.synonyms) {
      const written = configs.get(synonym.name)?.trim()
      if (written === undefined) continue
      candidates.push({ name: synonym.name, written, value: scaled(written, synonym.factor), source })
    }
  }
  const value = definition.default
  const { name: lastName, factor } = definition.synonyms.at(-1) ?? { name, factor: 1 }
  const written = factor === 1 ? value : String(Number(value) / factor)
  candidates.push({ name: lastName, written, value, source: ConfigSource.default })
  return candidates
}

/** The value of a topic config that is in effect, as text. Throws `invalidConfig` for an unknown name. */
export function topicConfigValue(name: string, overrides: Configs, broker: Configs = noConfigs): string {
  return topicConfigCandidates(name, overrides, broker)[0]!.value
}

/**
 * What a topic's log is to do, from the topic's overrides and the broker's static configs. Bytes and
 * milliseconds; values near 2^63 become 2^53 - 1.
 */
export function toLogConfig(overrides: Configs, broker: Configs = noConfigs): LogConfig {
  const text = (name: string): string => topicConfigValue(name, overrides, broker)
  const number = (name: string): number => clampedNumber(text(name))
  const policies = text('cleanup.policy')
    .split(',')
    .map((word) => word.trim())
  const cleanupPolicy = { delete: policies.includes('delete'), compact: policies.includes('compact') }
  return {
    segmentBytes: number('segment.bytes'),
    segmentMs: number('segment.ms'),
    indexIntervalBytes: number('index.interval.bytes'),
    segmentIndexBytes: number('segment.index.bytes'),
    retentionMs: number('retention.ms'),
    retentionBytes: number('retention.bytes'),
    maxMessageBytes: number('max.message.bytes'),
    timestampType: text('message.timestamp.type') === 'LogAppendTime' ? 'logAppendTime' : 'createTime',
    timestampBeforeMaxMs: number('message.timestamp.before.max.ms'),
    timestampAfterMaxMs: number('message.timestamp.after.max.ms'),
    fileDeleteDelayMs: number('file.delete.delay.ms'),
    flush: flushPolicy(overrides, broker),
    cleanupPolicy,
    deleteRetentionMs: number('delete.retention.ms'),
    minCompactionLagMs: number('min.compaction.lag.ms'),
    maxCompactionLagMs: number('max.compaction.lag.ms'),
    minCleanableDirtyRatio: Number(text('min.cleanable.dirty.ratio')),
  }
}

/** How many caught-up replicas an append with acks=all needs. */
export function minInsyncReplicas(overrides: Configs, broker: Configs = noConfigs): number {
  return clampedNumber(topicConfigValue('min.insync.replicas', overrides, broker))
}

/**
 * Kafka's `flush.messages` and `flush.ms` only ever strengthen: a durable policy stays what it is, under a relaxed
 * one they are further bounds. `flush.messages=1` promises a sync before every acknowledgement. A policy that a
 * later release has stored and this one does not know counts as durable.
 */
function flushPolicy(overrides: Configs, broker: Configs): FlushPolicy {
  const number = (name: string): number => clampedNumber(topicConfigValue(name, overrides, broker))
  const policy = topicConfigValue('cordwood.flush.policy', overrides, broker)
  if (policy === 'batch' || policy === 'append') return policy
  if (policy !== 'none' && policy !== 'interval' && policy !== 'bytes' && policy !== 'records')
    return 'journal'
  const isSet = (value: number): boolean => value < Number.MAX_SAFE_INTEGER
  const messages = number('flush.messages')
  const intervalMs = Math.max(1, number('flush.ms'))
  if (messages === 1) return 'journal'
  const bounds = {
    ...(isSet(intervalMs) ? { intervalMs } : policy === 'interval' ? { intervalMs: defaultIntervalMs } : {}),
    ...(policy === 'bytes' ? { bytes: number('cordwood.flush.bytes') } : {}),
    ...(isSet(messages) ? { records: messages } : policy === 'records' ? { records: defaultRecords } : {}),
  }
  return Object.keys(bounds).length === 0 ? 'none' : bounds
}

function isHonoured(definition: TopicConfigDefinition, text: string): boolean {
  if (sameValue(definition.type, text, definition.default)) return true
  if (!definition.honoured) return false
  return definition.honouredValues?.some((value) => sameValue(definition.type, text, value)) ?? true
}

function whatIsSupported(definition: TopicConfigDefinition): string {
  const values = new Set([...((definition.honoured && definition.honouredValues) || []), definition.default])
  const list = [...values].map((value) => (value === '' ? 'the empty default' : value)).join(', ')
  return values.size === 1 ? `only ${list} is` : `only ${list} are`
}

/** A broker value in the topic config's unit; what is not a number stays as it is and fails the check later. */
function scaled(value: string, factor: number): string {
  if (factor === 1 || !/^\d{1,18}$/.test(value)) return value
  return String(BigInt(value) * BigInt(factor))
}
