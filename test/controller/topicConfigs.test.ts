import { describe, expect, test } from 'vitest'
import { longMaxText } from '../../src/controller/configValues.ts'
import {
  checkBrokerDefaults,
  checkTopicConfig,
  minInsyncReplicas,
  noConfigs,
  toLogConfig,
  topicConfigCandidates,
} from '../../src/controller/topicConfigs.ts'
import { topicConfigTable } from '../../src/controller/topicConfigTable.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'

const invalid = (text: string | RegExp) =>
  expect.objectContaining({ code: 'invalidConfig', message: expect.stringMatching(text) })

describe('a value that a client sets', () => {
  test.each([...topicConfigTable])('may always be the default: %s', (name, definition) => {
    expect(checkTopicConfig(name, definition.default)).toBe(definition.default)
  })

  test.each([
    ['retention.ms', '-1'],
    ['retention.ms', '9223372036854775807'],
    ['retention.bytes', '+1000'],
    ['segment.bytes', '1048576'],
    ['max.message.bytes', '2147483647'],
    ['message.timestamp.type', 'LogAppendTime'],
    ['flush.messages', '1'],
    ['flush.messages', longMaxText],
    ['flush.messages', '1000'],
    ['flush.ms', '1000'],
    ['flush.ms', '9223372036854775806'],
    ['cordwood.flush.policy', 'none'],
    ['cordwood.flush.policy', 'append'],
    ['cordwood.flush.bytes', '65536'],
    ['min.insync.replicas', '2'],
    ['cleanup.policy', ' delete '],
    ['preallocate', 'FALSE'],
    ['min.cleanable.dirty.ratio', '0.50'],
  ])('is taken: %s=%s', (name, value) => {
    expect(checkTopicConfig(name, value)).toBe(value.trim())
  })

  test.each([
    ['retention.ms', '-2', 'Value must be at least -1'],
    ['retention.ms', 'soon', 'Not a number of type LONG'],
    ['retention.ms', '1e3', 'Not a number of type LONG'],
    ['retention.ms', '', 'Not a number of type LONG'],
    ['retention.ms', '9223372036854775808', 'Not a number of type LONG'],
    ['segment.bytes', '2147483648', 'Not a number of type INT'],
    ['segment.bytes', '100', 'Value must be at least 1024'],
    ['segment.ms', '0', 'Value must be at least 1'],
    ['message.timestamp.type', 'createtime', 'String must be one of: CreateTime, LogAppendTime'],
    ['preallocate', 'yes', 'true or false'],
    ['min.cleanable.dirty.ratio', 'NaN', 'DOUBLE'],
    ['min.cleanable.dirty.ratio', '1.5', 'no more than 1'],
    ['cleanup.policy', 'delete,burn', 'String must be one of'],
    ['cordwood.flush.policy', 'sometimes', 'String must be one of'],
    ['cordwood.flush.bytes', '0', 'Value must be at least 1'],
    ['flush.messages', '0', 'Value must be at least 1'],
    ['flush.ms', '-1', 'Value must be at least 0'],
  ])('is refused because it is illegal: %s=%s', (name, value, text) => {
    expect(() => checkTopicConfig(name, value)).toThrow(invalid(text))
  })

  test.each([
    ['compression.type', 'gzip', 'only producer is'],
    ['segment.jitter.ms', '5', 'only 0 is'],
    ['remote.storage.enable', 'true', 'only false is'],
  ])('is refused because it has no effect yet: %s=%s', (name, value, text) => {
    expect(() => checkTopicConfig(name, value)).toThrow(invalid(`is not supported yet: ${text}`))
  })

  test.each([
    ['delete', { delete: true, compact: false }],
    ['compact', { delete: false, compact: true }],
    ['compact,delete', { delete: true, compact: true }],
    ['delete, compact', { delete: true, compact: true }],
    ['', { delete: false, compact: false }],
  ])('cleanup.policy=%s is taken apart', (value, cleanupPolicy) => {
    const own = new Map([['cleanup.policy', checkTopicConfig('cleanup.policy', value)]])
    expect(toLogConfig(own).cleanupPolicy).toEqual(cleanupPolicy)
  })

  test('for compaction reach the log, also from the broker under its names', () => {
    const broker = new Map([
      ['log.cleaner.delete.retention.ms', '7'],
      ['log.cleaner.min.compaction.lag.ms', '8'],
      ['log.cleaner.min.cleanable.ratio', '0.25'],
    ])
    const own = new Map([
      ['cleanup.policy', 'compact'],
      ['max.compaction.lag.ms', '9000'],
    ])
    expect(toLogConfig(own, broker)).toMatchObject({
      deleteRetentionMs: 7,
      minCompactionLagMs: 8,
      maxCompactionLagMs: 9000,
      minCleanableDirtyRatio: 0.25,
    })
  })

  test.each(['retention.m', '', 'constructor', '__proto__', 'log.retention.ms'])(
    'is refused for the unknown name %j',
    (name) => {
      expect(() => checkTopicConfig(name, '1')).toThrow(invalid('unknown topic config'))
    },
  )

  test('is never null', () => {
    expect(() => checkTopicConfig('retention.ms', null)).toThrow(invalid('null value'))
  })
})

describe('the config of a log', () => {
  test("is Kafka's when nothing is set", () => {
    expect(toLogConfig(noConfigs)).toEqual(defaultLogConfig)
    expect(minInsyncReplicas(noConfigs)).toBe(1)
  })

  test("has the topic's own value before the broker's, and the most specific of these first", () => {
    const broker = new Map([
      ['log.retention.hours', '2'],
      ['log.retention.minutes', '90'],
      ['log.segment.bytes', '4096'],
      ['log.roll.hours', '3'],
    ])
    const config = toLogConfig(new Map([['segment.bytes', '2048']]), broker)
    expect(config).toMatchObject({ retentionMs: 90 * 60_000, segmentBytes: 2048, segmentMs: 3 * 3_600_000 })
  })

  test('has 2^53 - 1 for numbers that are larger', () => {
    const config = toLogConfig(new Map([['retention.ms', longMaxText]]))
    expect(config.retentionMs).toBe(Number.MAX_SAFE_INTEGER)
    expect(config.timestampBeforeMaxMs).toBe(Number.MAX_SAFE_INTEGER)
  })

  test('is durable with flush.messages=1, whatever the policy says', () => {
    const none = new Map([['cordwood.flush.policy', 'none']])
    expect(toLogConfig(none).flush).toBe('none')
    expect(toLogConfig(noConfigs, none).flush).toBe('none')
    expect(toLogConfig(new Map([['flush.messages', '1']]), none).flush).toBe('journal')
    expect(toLogConfig(none, new Map([['log.flush.interval.messages', '1']])).flush).toBe('journal')
  })

  test.each(['journal', 'batch', 'append'])(
    "is not weakened by Kafka's flush settings under %s",
    (policy) => {
      const overrides = new Map([
        ['cordwood.flush.policy', policy],
        ['flush.messages', '100000'],
        ['flush.ms', '60000'],
      ])
      expect(toLogConfig(overrides).flush).toBe(policy)
      expect(toLogConfig(new Map(), new Map([['log.flush.interval.ms', '1000']])).flush).toBe('journal')
    },
  )

  test.each([
    [{ 'cordwood.flush.policy': 'interval' }, { intervalMs: 1000 }],
    [{ 'cordwood.flush.policy': 'interval', 'flush.ms': '50' }, { intervalMs: 50 }],
    [{ 'cordwood.flush.policy': 'interval', 'flush.ms': '0' }, { intervalMs: 1 }],
    [{ 'cordwood.flush.policy': 'bytes' }, { bytes: 1_048_576 }],
    [
      { 'cordwood.flush.policy': 'bytes', 'cordwood.flush.bytes': '9', 'flush.ms': '7' },
      { bytes: 9, intervalMs: 7 },
    ],
    [{ 'cordwood.flush.policy': 'records' }, { records: 10_000 }],
    [{ 'cordwood.flush.policy': 'records', 'flush.messages': '20' }, { records: 20 }],
    [
      { 'cordwood.flush.policy': 'none', 'flush.messages': '20', 'flush.ms': '30' },
      { records: 20, intervalMs: 30 },
    ],
    [{ 'cordwood.flush.policy': 'none' }, 'none'],
    [{ 'cordwood.flush.policy': 'interval', 'flush.messages': '1' }, 'journal'],
    [{ 'cordwood.flush.policy': 'of a later release' }, 'journal'],
  ])('has these bounds for %j', (overrides, flush) => {
    expect(toLogConfig(new Map(Object.entries(overrides))).flush).toEqual(flush)
  })
})

test('candidates say where a value comes from, each in its own unit', () => {
  const broker = new Map([['log.retention.hours', '1']])
  expect(topicConfigCandidates('retention.ms', new Map([['retention.ms', '5']]), broker)).toEqual([
    { name: 'retention.ms', written: '5', value: '5', source: 1 },
    { name: 'log.retention.hours', written: '1', value: '3600000', source: 4 },
    { name: 'log.retention.hours', written: '168', value: '604800000', source: 5 },
  ])
})

test("a broker's defaults are held to the same rules, under their own names", () => {
  expect(() => checkBrokerDefaults(new Map([['log.preallocate', 'true']]))).toThrow(
    invalid(/^log\.preallocate: .*not supported yet/),
  )
  expect(() => checkBrokerDefaults(new Map([['log.retention.hours', 'x']]))).toThrow(invalid('Not a number'))
  expect(() => checkBrokerDefaults(new Map([['log.retention.hours', '-1']]))).not.toThrow()
  expect(() => checkBrokerDefaults(new Map([['listeners', 'anything']]))).not.toThrow()
})
