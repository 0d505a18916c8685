import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { kafkaSetting } from '../../src/cli/kafkaSettings.ts'
import { nearest } from '../../src/cli/nearest.ts'
import { parseProperties } from '../../src/cli/properties.ts'
import {
  gatherSettings,
  knownSettings,
  originIn,
  type Setting,
  type SettingSources,
} from '../../src/cli/settings.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { run } from './commandLine.ts'

function gather(sources: {
  readonly text?: string
  readonly environment?: SettingSources['environment']
  readonly set?: SettingSources['set']
  readonly flags?: readonly Setting[]
}): ReturnType<typeof gatherSettings> {
  const { text, environment = {}, set = [], flags = [] } = sources
  const file =
    text === undefined
      ? null
      : { path: 'server.properties', properties: parseProperties(text, 'server.properties') }
  return gatherSettings({ file, environment, set, flags })
}

function values({ settings }: ReturnType<typeof gatherSettings>): Record<string, string> {
  return Object.fromEntries([...settings.values()].map(({ name, value }) => [name, value]))
}

describe('which source wins', () => {
  const text = 'num.partitions=1'
  const kafka = { KAFKA_NUM_PARTITIONS: '2' }
  const environment = { ...kafka, CORDWOOD_NUM_PARTITIONS: '3' }
  const set = [['num.partitions', '4']] as const
  const flags = [{ name: 'num.partitions', value: '5', origin: '--flag' }]

  test.each([
    ['the file', { text }, '1', 'server.properties:1'],
    [
      'the image’s variable over it',
      { text, environment: kafka },
      '2',
      'KAFKA_NUM_PARTITIONS in the environment',
    ],
    ['our variable over that', { text, environment }, '3', 'CORDWOOD_NUM_PARTITIONS in the environment'],
    ['--set over that', { text, environment, set }, '4', '--set'],
    ['an option over all', { text, environment, set, flags }, '5', '--flag'],
  ])('%s', (_, sources, value, origin) => {
    expect(gather(sources).settings.get('num.partitions')).toEqual({ name: 'num.partitions', value, origin })
  })

  test('another spelling is the same setting', () => {
    const gathered = gather({ text: 'broker.id=1', environment: { CORDWOOD_NODE_ID: '2' } })
    expect(values(gathered)).toEqual({ 'node.id': '2' })
  })

  test('of two lines of a file the later counts, and the log says so', () => {
    const { settings, warnings } = gather({ text: 'num.partitions=1\n\nnum.partitions=2' })
    expect(settings.get('num.partitions')?.value).toBe('2')
    expect(warnings).toEqual([
      'server.properties:3: num.partitions stands above already, at server.properties:1; this one counts',
    ])
  })
})

describe('names', () => {
  test.each([
    ['num.partitons', 'did you mean "num.partitions"?'],
    ['log.dir.s', 'did you mean "log.dirs"?'],
    ['node_id', 'did you mean "node.id"?'],
    ['controller.quorum.botstrap.servers', 'did you mean "controller.quorum.bootstrap.servers"?'],
    ['Listeners', 'did you mean "listeners"?'],
    ['retention.ms', "that is a topic's, the default of all topics is log.retention.ms"],
  ])('%s is refused with where it stands and what was meant', (name, meant) => {
    expect(gather({ text: `# first\n${name}=1` }).problems).toEqual([
      `server.properties:2: there is no setting "${name}"; ${meant}`,
    ])
  })

  test('a name in a family of Kafka’s that Kafka does not have is refused where it matters', () => {
    const names = ['controller.quorum.something.ms', 'metadata.log.directories']
    const text = names.map((name) => `${name}=1`).join('\n')
    expect(gather({ text }).problems.map((problem) => problem.split(';')[0])).toEqual([
      'server.properties:1: there is no setting "controller.quorum.something.ms"',
      'server.properties:2: there is no setting "metadata.log.directories"',
    ])
    expect(gather({ text: 'controller.quorum.fetch.max.bytes=1' }).problems).toEqual([])
  })

  test('a name that is like nothing is refused without a guess', () => {
    expect(gather({ set: [['quux', '1']] }).problems).toEqual(['--set: there is no setting "quux"'])
  })

  test('all that is wrong is told, not only the first', () => {
    expect(gather({ text: 'a.b.c=1\nssl.keystore.location=/k' }).problems).toEqual([
      'server.properties:1: there is no setting "a.b.c"',
      'server.properties:2: cordwood cannot do ssl.keystore.location=/k: there is no TLS and no SASL yet',
    ])
  })

  test('a setting of Kafka that changes no promise is left out with its reason, many of them in one line', () => {
    const { problems, warnings, settings } = gather({
      text: 'num.io.threads=8\nnum.network.threads=3\nsocket.send.buffer.bytes=102400',
    })
    expect([problems, settings.size]).toEqual([[], 0])
    expect(warnings).toEqual([
      'left out num.io.threads, num.network.threads: there are no thread pools to size',
      'left out socket.send.buffer.bytes: the system chooses the sizes and times of sockets',
    ])
  })

  test.each([
    ['security.inter.broker.protocol=PLAINTEXT', 'security.inter.broker.protocol=SSL'],
    [
      'listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL',
      'listener.security.protocol.map=EXTERNAL:SSL',
    ],
    ['remote.log.storage.system.enable=false', 'remote.log.storage.system.enable=true'],
    ['log.cleaner.enable=true', 'log.cleaner.enable=false'],
  ])('what Kafka says and is so anyway is taken without a word: %s', (same, other) => {
    expect(gather({ text: same })).toMatchObject({ problems: [], warnings: [] })
    expect(gather({ text: other }).problems).toHaveLength(1)
  })

  test('every setting of Kafka is honoured, left out with a reason, or refused with a reason', () => {
    const names = readFileSync(new URL('./data/kafka-4.3-broker-configs.txt', import.meta.url), 'utf8').trim()
    const nowhere = names
      .split('\n')
      .filter((name) => !knownSettings.has(name) && kafkaSetting(name, 'x') === null)
    expect(nowhere).toEqual([])
  })

  test('no known setting is met by a rule for those that are missing', () => {
    // A rule is read only for what is not known; this keeps the rules short of what has come since.
    const both = [...knownSettings].filter((name) => kafkaSetting(name, 'x')?.verdict === 'refused')
    expect(both).toEqual([])
  })
})

describe('the environment', () => {
  test('a variable stands for a setting by Kafka’s rule for its image', () => {
    const environment = {
      KAFKA_LOG_DIRS: '/data',
      KAFKA_LOG_RETENTION_MS: '5',
      CORDWOOD_FLUSH_POLICY: 'none',
      CORDWOOD_NODE_ID: '7',
    }
    expect(values(gather({ environment }))).toEqual({
      'log.dirs': '/data',
      'log.retention.ms': '5',
      'cordwood.flush.policy': 'none',
      'node.id': '7',
    })
  })

  test('a wrong variable of ours is refused; one of Kafka’s may belong to another program', () => {
    const { problems, warnings } = gather({
      environment: {
        CORDWOOD_NODEID: '1',
        KAFKA_NODEID: '1',
        KAFKA_BROKERS: 'broker:9092',
        KAFKA_SSL_KEYSTORE_LOCATION: '/k',
      },
    })
    expect(problems).toEqual([
      'KAFKA_SSL_KEYSTORE_LOCATION in the environment: cordwood cannot do ssl.keystore.location=/k: there is no TLS and no SASL yet',
      'CORDWOOD_NODEID in the environment: there is no setting "nodeid"; did you mean "node.id"?',
    ])
    expect(warnings).toEqual([
      'KAFKA_NODEID in the environment: there is no setting "nodeid"; did you mean "node.id"?; left out',
    ])
  })

  test('what Kubernetes, Kafka’s scripts and clients of other clusters put there is no setting', () => {
    const environment = {
      CORDWOOD_SERVICE_HOST: '10.0.0.1',
      CORDWOOD_SERVICE_PORT: '9092',
      CORDWOOD_SERVICE_PORT_CLIENTS: '9092',
      CORDWOOD_PORT: 'tcp://10.0.0.1:9092',
      CORDWOOD_PORT_9092_TCP: 'tcp://10.0.0.1:9092',
      CORDWOOD_PORT_9092_TCP_ADDR: '10.0.0.1',
      CORDWOOD_PORT_9092_TCP_PROTO: 'tcp',
      CORDWOOD_DEBUG: '1',
      CORDWOOD_LOG_LEVEL: 'warn',
      KAFKA_HOME: '/opt/kafka',
      KAFKA_HEAP_OPTS: '-Xmx1g',
      KAFKA_PORT: 'tcp://10.0.0.2:9092',
      KAFKA_SASL_PASSWORD: 'secret',
      KAFKA_BOOTSTRAP_SERVERS: 'broker:9092',
    }
    expect(gather({ environment })).toEqual({ settings: new Map(), warnings: [], problems: [] })
  })
})

describe('serve', () => {
  const file = (text: string): string => {
    const path = join(temporaryDirectory(), 'server.properties')
    writeFileSync(path, text)
    return path
  }

  test('a typo in the file is one line with file, line and the name that was meant', async () => {
    const path = file('num.partitions=3\nlog.retention.hour=4\n')
    const outcome = await run(['serve', '--config', path])
    expect(outcome).toMatchObject({ exitCode: 2, stdout: '' })
    expect(outcome.stderr).toBe(
      `cordwood: ${path}:2: there is no setting "log.retention.hour"; did you mean "log.retention.hours"?\n`,
    )
  })

  test.each([
    ['num.partitions=0', 'num.partitions=0 is not valid'],
    ['log.retention.hours=soon', 'log.retention.hours'],
    ['listeners=SASL_SSL://:9092', 'listeners=SASL_SSL'],
  ])('a wrong value is told with file and line: %s', async (line, message) => {
    const path = file(`delete.topic.enable=true\n${line}\n`)
    const { exitCode, stderr } = await run(['serve', '--config', path])
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining(`cordwood: ${path}:2: ${message}`)])
    expect(stderr.trim()).not.toContain('\n')
  })

  test('a line that is no setting, and a file that is not there', async () => {
    const path = file('num.partitions=3\n=4\n')
    expect((await run(['serve', '--config', path])).stderr).toContain(`${path}:2: expected name=value`)
    const missing = await run(['serve', '--config', `${path}.not`])
    expect([missing.exitCode, missing.stderr]).toEqual([
      2,
      expect.stringContaining(`cannot read --config ${path}.not`),
    ])
  })

  test('--check-config says that the settings are right, with what is left out', async () => {
    const path = file('num.partitions=3\nnum.io.threads=8\n')
    const { exitCode, stdout, stderr } = await run(['serve', '--config', path, '--check-config'])
    expect([exitCode, stdout]).toEqual([0, 'the settings are right\n'])
    expect(stderr).toBe('warning: left out num.io.threads: there are no thread pools to size\n')
  })

  test('Kafka’s own server.properties is right as it is', async () => {
    const path = fileURLToPath(new URL('./data/kafka-4.3-server.properties', import.meta.url))
    const { exitCode, stdout, stderr } = await run(['serve', '--config', path, '--check-config'])
    expect([exitCode, stdout]).toEqual([0, 'the settings are right\n'])
    const leftOut = stderr.match(/left out/g) ?? []
    expect([leftOut.length, stderr.trim().split('\n').length]).toEqual([4, 4])
  })

  test('--listen and --advertise mean the listener of clients, also in a cluster', async () => {
    const path = fileURLToPath(new URL('./data/kafka-4.3-server.properties', import.meta.url))
    const flags = ['--listen', '0.0.0.0:19092', '--advertise', 'me:19092']
    const { stdout } = await run(['serve', '--config', path, ...flags, '--print-config'])
    expect(stdout).toContain('listeners=PLAINTEXT://0.0.0.0:19092,CONTROLLER://:9093\n')
    expect(stdout).toContain('advertised.listeners=PLAINTEXT://me:19092,CONTROLLER://localhost:9093\n')
  })

  test('--print-config prints a file that means the same, with the origin of each line', async () => {
    const path = file('num.partitions=3\n')
    const printed = await run(['serve', '--set', 'node.id=9', '--print-config'], '', {
      CORDWOOD_CONFIG: path,
    })
    expect(printed.stdout).toContain(`# ${path}:1\nnum.partitions=3\n`)
    expect(printed.stdout).toContain('# --set\nnode.id=9\n')
    expect(printed.stdout).toContain('# default\nauto.create.topics.enable=true\n')
    const again = await run(['serve', '--config', file(printed.stdout), '--print-config'])
    const lines = (text: string): string[] =>
      text
        .split('\n')
        .filter((line) => !line.startsWith('#'))
        .sort()
    expect(lines(again.stdout)).toEqual(lines(printed.stdout))
  })

  test('a log level or format in the environment that is none is refused by name, also by --check-config', async () => {
    for (const args of [['serve'], ['serve', '--check-config']]) {
      for (const name of ['CORDWOOD_LOG_LEVEL', 'CORDWOOD_LOG_FORMAT']) {
        const { exitCode, stdout, stderr } = await run(args, '', { [name]: 'loud' })
        expect([exitCode, stdout, stderr]).toEqual([2, '', expect.stringContaining(`${name}=loud`)])
      }
    }
  })
})

test('a message finds the place of the setting that it names first, as a whole word', () => {
  const setting = (name: string, origin: string): [string, Setting] => [name, { name, value: '', origin }]
  const settings = new Map([
    setting('listeners', 'a:1'),
    setting('advertised.listeners', 'a:2'),
    setting('log.retention.ms', 'a:3'),
  ])
  expect(originIn('advertised.listeners=x is not valid', settings)).toBe('a:2: ')
  expect(originIn('listeners=x is not valid: see advertised.listeners', settings)).toBe('a:1: ')
  expect(originIn('log.retention.ms.x', settings)).toBe('')
  expect(originIn('about log.retention.ms.', settings)).toBe('a:3: ')
})

test('the nearest word is at most a third of the letters away', () => {
  const words = ['listeners', 'log.dirs', 'node.id']
  expect(nearest('lisetners', words)).toBe('listeners')
  expect(nearest('nodeid', words)).toBe('node.id')
  expect(nearest('entirely', words)).toBe(null)
  expect(nearest('', words)).toBe(null)
})

test('whatever a file holds, it is parsed or refused with its line', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        for (const { name, line } of parseProperties(text, 'f')) {
          expect(name).not.toBe('')
          expect(line).toBeGreaterThan(0)
        }
      } catch (error) {
        expect((error as Error).message).toMatch(/^f:\d+: /)
      }
    }),
  )
})
