import { expect, test } from 'vitest'
import { brokerConfig } from '../../src/broker/brokerConfig.ts'
import { EngineError } from '../../src/model/errors.ts'

const environment = { hostName: 'this-host' }

function refusal(properties: Record<string, string>): string {
  try {
    brokerConfig(properties, environment)
  } catch (error) {
    expect(error).toBeInstanceOf(EngineError)
    expect((error as EngineError).code).toBe('invalidConfig')
    return (error as EngineError).message
  }
  throw new Error('the settings were accepted')
}

test('without settings everything has its default', () => {
  const config = brokerConfig({}, environment)
  expect(config.listen).toEqual({ host: '127.0.0.1', port: 9092 })
  expect(config.advertised).toEqual({ host: '127.0.0.1', port: 9092 })
  expect(config.directory).toBe('./cordwood-data')
  expect(config.number('socket.request.max.bytes')).toBe(104_857_600)
  expect(config.flag('auto.create.topics.enable')).toBe(true)
  expect(config.warnings).toEqual([])
  expect([...config.statics]).toEqual([])
})

test('a setting that nobody knows is refused by name', () => {
  expect(refusal({ 'log.dirz': '/x' })).toContain('"log.dirz"')
})

test('defaults of topics that contradict each other are refused', () => {
  const properties = { 'log.cleaner.min.compaction.lag.ms': '8', 'log.cleaner.max.compaction.lag.ms': '7' }
  expect(refusal(properties)).toContain('min.compaction.lag.ms (8) > max.compaction.lag.ms (7)')
})

test.each([
  [{ 'num.partitions': '0' }, 'num.partitions=0'],
  [{ 'num.partitions': '1.5' }, 'num.partitions=1.5'],
  [{ 'num.partitions': '1e3' }, 'num.partitions=1e3'],
  [{ 'auto.create.topics.enable': 'yes' }, 'auto.create.topics.enable=yes'],
  [{ 'log.retention.ms': 'forever' }, 'log.retention.ms'],
  [{ 'cordwood.flush.policy': 'sometimes' }, 'cordwood.flush.policy'],
  [{ 'log.cleanup.policy': 'burn' }, 'log.cleanup.policy'],
  [{ 'log.dirs': '/a,/b' }, 'log.dirs=/a,/b'],
  [{ listeners: 'SASL_SSL://127.0.0.1:9092' }, 'PLAINTEXT'],
  [{ listeners: '127.0.0.1:9092' }, 'PLAINTEXT://HOST:PORT'],
  [{ listeners: 'PLAINTEXT://127.0.0.1:70000' }, '65535'],
  [{ 'advertised.listeners': 'PLAINTEXT://0.0.0.0:9092' }, 'clients can connect'],
])('an illegal value is refused with a sentence that names the setting: %j', (properties, text) => {
  expect(refusal(properties as Record<string, string>)).toContain(text)
})

test('a wildcard address is advertised under the host name, with a warning', () => {
  const config = brokerConfig({ listeners: 'PLAINTEXT://:19092' }, environment)
  expect(config.listen).toEqual({ host: '0.0.0.0', port: 19092 })
  expect(config.advertised).toEqual({ host: 'this-host', port: 19092 })
  expect(config.warnings).toHaveLength(1)
})

test('an IPv6 address stands in brackets', () => {
  expect(brokerConfig({ listeners: 'PLAINTEXT://[::1]:9092' }, environment).listen).toEqual({
    host: '::1',
    port: 9092,
  })
})

test('defaults of topics keep the names that they were given under', () => {
  const config = brokerConfig({ 'log.retention.hours': '5', 'log.segment.bytes': ' 2000000 ' }, environment)
  expect([...config.statics]).toEqual([
    ['log.retention.hours', '5'],
    ['log.segment.bytes', '2000000'],
  ])
})

test('older spellings of a setting are understood', () => {
  const config = brokerConfig({ 'log.dir': '/data', 'broker.id': '7' }, environment)
  expect(config.directory).toBe('/data')
  expect(config.nodeId).toBe(7)
})

test('a controller whose bootstrap servers are itself begins a cluster; with others it asks them', () => {
  const settings = {
    'process.roles': 'broker,controller',
    'node.id': '7',
    listeners: 'PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093',
    'controller.quorum.bootstrap.servers': '127.0.0.1:9093',
  }
  expect(brokerConfig(settings, environment).cluster).toMatchObject({
    voters: [{ id: 7, host: '127.0.0.1', port: 9093 }],
    bootstrapServers: [],
  })
  const servers = '127.0.0.1:9093,127.0.0.1:9193'
  const others = brokerConfig({ ...settings, 'controller.quorum.bootstrap.servers': servers }, environment)
  expect(others.cluster?.voters).toEqual([])
  expect(others.cluster?.bootstrapServers).toHaveLength(2)
})

test('a relative directory for the journal stands for the one that is meant now: the data directory notes it', () => {
  const properties = { 'cordwood.journal.directory': 'fast/journal' }
  const absolute = (path: string): string => `/srv/${path}`
  expect(brokerConfig(properties, { ...environment, absolute }).journalDirectory).toBe('/srv/fast/journal')
})
