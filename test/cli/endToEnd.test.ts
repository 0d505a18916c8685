import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Broker } from '../../src/broker/broker.ts'
import { brokerConfig } from '../../src/broker/brokerConfig.ts'
import { formatAddress } from '../../src/cli/options.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { type Outcome, type RunningCommand, run, start } from './commandLine.ts'

const csvFile = join(import.meta.dirname, '../../node_modules/vega-datasets/data/birdstrikes.csv')

let runtime: Runtime
let broker: Broker
let bootstrap: string
let directory: string

beforeEach(async () => {
  directory = temporaryDirectory()
  await startBroker()
})

afterEach(async () => {
  await broker.close()
  await runtime.disk.close()
})

async function startBroker(): Promise<void> {
  runtime = createNodeRuntime()
  const settings = { listeners: 'PLAINTEXT://127.0.0.1:0', 'log.dirs': directory }
  broker = await Broker.start(runtime, brokerConfig(settings, { hostName: 'localhost' }), silentLogger)
  bootstrap = formatAddress(broker.address)
}

/** Runs `cordwood ...args --bootstrap …` and expects success. */
async function cordwood(args: readonly string[], input: string | Uint8Array = ''): Promise<Outcome> {
  const outcome = await run([...args, '--bootstrap', bootstrap], input)
  expect(outcome.stderr).not.toContain('cordwood:')
  expect(outcome.exitCode).toBe(0)
  return outcome
}

async function failing(args: readonly string[], input: string | Uint8Array = ''): Promise<Outcome> {
  return run([...args, '--bootstrap', bootstrap], input)
}

function follow(args: readonly string[]): RunningCommand {
  return start([...args, '--follow', '--bootstrap', bootstrap])
}

test('lines that were produced are the lines that are consumed', async () => {
  const { stderr } = await cordwood(['produce', 'greetings'], 'hello\n\nworld\n')
  expect(stderr).toMatch(/^sent 3 records, 10 bytes in /)
  expect((await cordwood(['consume', 'greetings'])).stdout).toBe('hello\n\nworld\n')
})

test('real records keyed by a CSV column keep their order per key through a restart of the broker', async () => {
  await cordwood(['topics', 'create', 'strikes', '--partitions', '3'])
  await cordwood(['produce', 'strikes', '--file', csvFile, '--csv-key', '5', '--skip-lines', '1'])
  await broker.close()
  await runtime.disk.close()
  await startBroker()

  const { stdout } = await cordwood(['consume', 'strikes', '--format', '%k\\t%v\\n'])

  const lines = readFileSync(csvFile, 'utf8').split('\n').slice(1, 10_001)
  expect(lines).toHaveLength(10_000)
  expect(byKey(stdout.slice(0, -1).split('\n'))).toEqual(
    byKey(lines.map((line) => `${line.split(',')[4]}\t${line}`)),
  )
})

/** Lines `key TAB value`, gathered by key in their order. */
function byKey(lines: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const line of lines) {
    const key = line.slice(0, line.indexOf('\t'))
    groups.set(key, [...(groups.get(key) ?? []), line])
  }
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)))
}

test('gzip is undone by consume, and any bytes pass as base64', async () => {
  const odd = Buffer.from([0, 10, 255, 13]).toString('base64')
  await cordwood(
    ['produce', 'odd', '--compression', 'gzip', '--base64', '--header', 'a=1'],
    `${odd}\n${odd}\n`,
  )
  expect((await cordwood(['consume', 'odd', '--base64'])).stdout).toBe(`${odd}\n${odd}\n`)
  const { stdoutBytes } = await cordwood(['consume', 'odd', '--count', '1', '--format', '%v'])
  expect([...stdoutBytes]).toEqual([0, 10, 255, 13])
})

test('what consume --json prints, produce --json takes: a copy is the same', async () => {
  await cordwood(
    ['produce', 'one', '--json'],
    '{"key":"k","value":"v","headers":[{"key":"h","value":null}],"timestamp":1000}\n{"key":null,"value":null}\n',
  )
  const first = await cordwood(['consume', 'one', '--json'])
  await cordwood(['produce', 'two', '--json'], first.stdout)
  const second = await cordwood(['consume', 'two', '--json'])
  expect(second.stdout).toBe(first.stdout.replaceAll('"one"', '"two"'))
  expect(JSON.parse(first.stdout.split('\n')[0]!)).toEqual({
    topic: 'one',
    partition: 0,
    offset: 0,
    timestamp: 1000,
    key: 'k',
    value: 'v',
    headers: [{ key: 'h', value: null }],
  })
})

test('consume begins where --from says and ends after --count', async () => {
  const records = [1000, 2000, 3000, 4000].map((timestamp) =>
    JSON.stringify({ value: `at ${timestamp}`, timestamp }),
  )
  await cordwood([
    'topics',
    'create',
    'timed',
    '--config',
    `message.timestamp.before.max.ms=${Number.MAX_SAFE_INTEGER}`,
  ])
  // One batch each, so that there is something to find between them.
  for (const record of records) await cordwood(['produce', 'timed', '--json'], record)
  expect((await cordwood(['consume', 'timed', '--from', '2', '--count', '1'])).stdout).toBe('at 3000\n')
  expect((await cordwood(['consume', 'timed', '--from', '@2500'])).stdout).toBe('at 3000\nat 4000\n')
  expect((await cordwood(['consume', 'timed', '--from', '1970-01-01T00:00:04Z'])).stdout).toBe('at 4000\n')
  const { stderr, exitCode } = await failing(['consume', 'timed', '--from', 'latest'])
  expect([stderr, exitCode]).toEqual(['cordwood: there are no such records\n', 0])
})

test('consume --follow prints what comes later, until it is interrupted', async () => {
  await cordwood(['topics', 'create', 'live'])
  const following = follow(['consume', 'live'])
  await cordwood(['produce', 'live'], 'first\n')
  await following.printed('first\n')
  await cordwood(['produce', 'live'], 'second\n')
  await following.printed('second\n')
  following.interrupt()
  expect(await following.done).toMatchObject({ exitCode: 0, stdout: 'first\nsecond\n' })
})

test('every acknowledgement mode stores the records', async () => {
  await cordwood(['topics', 'create', 'acks'])
  for (const acks of ['0', '1', 'all']) await cordwood(['produce', 'acks', '--acks', acks], `${acks}\n`)
  // Nobody answers with acks=0, so those records may come a moment after the command has ended.
  const following = follow(['consume', 'acks'])
  for (const acks of ['0', '1', 'all']) await following.printed(`${acks}\n`)
  following.interrupt()
  expect((await following.done).stdout.split('\n').sort()).toEqual(['', '0', '1', 'all'])
})

test('a topic is created, described, altered and deleted', async () => {
  await cordwood(['topics', 'create', 'orders', '--partitions', '2', '--config', 'retention.ms=1000000'])
  expect((await cordwood(['topics', 'list'])).stdout).toMatch(
    /^TOPIC {3}PARTITIONS {2}ID\norders {11}2 {2}\S{22}\n$/,
  )
  await cordwood([
    'topics',
    'alter',
    'orders',
    '--partitions',
    '3',
    '--config',
    'max.message.bytes=2000',
    '--delete-config',
    'retention.ms',
  ])
  await cordwood(['produce', 'orders', '--partition', '2'], 'x\n')

  const { name, configs, partitions } = JSON.parse(
    (await cordwood(['topics', 'describe', 'orders', '--json'])).stdout,
  )

  expect(name).toBe('orders')
  expect(configs).toEqual({ 'max.message.bytes': '2000' })
  expect(partitions.map(({ endOffset }: { endOffset: number }) => endOffset)).toEqual([0, 0, 1])
  await cordwood(['topics', 'delete', 'orders'])
  expect((await cordwood(['topics', 'list', '--json'])).stdout).toBe('')
})

test("an error of the broker is one line with Kafka's name for it, and exit code 1", async () => {
  await cordwood(['topics', 'create', 'there', '--config', 'max.message.bytes=100'])
  for (const [args, message, input] of [
    [['topics', 'create', 'there'], 'TOPIC_ALREADY_EXISTS'],
    [['topics', 'delete', 'nowhere'], 'UNKNOWN_TOPIC_OR_PARTITION'],
    [['topics', 'create', 'a', '--config', 'cleanup.policy=burn'], 'INVALID_CONFIG'],
    [['topics', 'alter', 'there', '--partitions', '1'], 'INVALID_PARTITIONS'],
    [['consume', 'nowhere'], 'cordwood topics create nowhere'],
    [['produce', '..'], 'INVALID_TOPIC_EXCEPTION', 'x'],
    [['produce', 'there', '--quiet'], 'MESSAGE_TOO_LARGE', `${'x'.repeat(200)}\n`],
  ] as const) {
    const { exitCode, stderr } = await failing(args, input)
    expect(stderr, args.join(' ')).toMatch(/^cordwood: [^\n]+\n$/)
    expect(stderr, args.join(' ')).toContain(message)
    expect(exitCode, args.join(' ')).toBe(1)
  }
})

test('a bad line of the input is named, and what stands before it is sent', async () => {
  const { exitCode, stderr } = await failing(
    ['produce', 'partly', '--json', '--quiet'],
    '{"value":"good"}\nbad\n',
  )
  expect(exitCode).toBe(2)
  expect(stderr).toMatch(/^cordwood: line 2: not JSON/)
  expect((await cordwood(['consume', 'partly'])).stdout).toBe('good\n')
})

test('consume checks the checksum of what it is given, prints what is good and names the bad offset', async () => {
  await cordwood(['produce', 'rotten'], 'good\n')
  await cordwood(['produce', 'rotten'], 'spoilt\n')
  const segment = join(directory, 'rotten-0', '00000000000000000000.log')
  const bytes = readFileSync(segment)
  bytes[bytes.indexOf('spoilt')] = 'S'.charCodeAt(0)
  writeFileSync(segment, bytes, { flag: 'r+' })
  const { exitCode, stdout, stderr } = await failing(['consume', 'rotten'])
  expect(stderr).toMatch(/^cordwood: CORRUPT_MESSAGE: rotten-0 is damaged at offset 1: [^\n]+\n$/)
  expect([exitCode, stdout]).toEqual([1, 'good\n'])
})

test('dump shows what was produced, and names the byte at which a file is damaged', async () => {
  await cordwood(['produce', 'dumped', '--header', 'a=1'], 'one\ntwo\n')
  await cordwood(['produce', 'dumped'], 'three\n')
  await broker.close()
  const segment = join(directory, 'dumped-0', '00000000000000000000.log')

  const whole = await run(['dump', '--records', '--json', segment])
  expect(whole.exitCode).toBe(0)
  const entries = whole.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(entries.map(({ kind }) => kind)).toEqual(['batch', 'record', 'record', 'batch', 'record', 'summary'])
  expect(entries[2]).toMatchObject({ offset: 1, value: 'two', headers: [{ key: 'a', value: '1' }] })
  expect(entries[5]).toMatchObject({ state: 'intact', batches: 2, records: 3, nextOffset: 3 })
  const second: number = entries[3].position

  const bytes = readFileSync(segment)
  const damaged = join(temporaryDirectory(), '00000000000000000000.log')
  for (const [name, spoiled, position] of [
    ['a flipped bit', Buffer.from(bytes).fill(bytes[second - 1]! ^ 1, second - 1, second), 0],
    ['a cut tail', bytes.subarray(0, -1), second],
    ['zeros at the end', Buffer.concat([bytes, Buffer.alloc(100)]), bytes.length],
  ] as const) {
    writeFileSync(damaged, spoiled)
    const { exitCode, stdout, stderr } = await run(['dump', '--summary', '--json', damaged])
    const [damage, summary] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(damage, name).toMatchObject({ kind: 'damage', position })
    expect(summary, name).toMatchObject({ state: 'damaged' })
    expect(stderr, name).toContain('damage in 1 of 1 file')
    expect(exitCode, name).toBe(1)
  }
})
