import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  java,
  javaConsume,
  kcat,
  kcatFormat,
  kgoCat,
  parseSeen,
  python,
  type Seen,
} from './support/clients.ts'
import { birdstrikes, keyedLines } from './support/data.ts'
import { createTopic, kafkajs, kafkajsConsume, toSeen, withAdmin } from './support/kafkajs.ts'
import { until } from './support/run.ts'
import { ownsServer, type Server, startServer } from './support/server.ts'

const partitions = 4
const records = birdstrikes()
const part = 3000
const run = `${process.pid}`
const topic = `groups-${run}`

let server: Server
beforeAll(async () => {
  server = await startServer()
  await createTopic(server.bootstrap, topic, partitions)
  await kcat(server.bootstrap, ['-P', '-t', topic, '-K', '\t'], { input: keyedLines(records) })
})
afterAll(() => server?.stop())

/** Reads exactly `count` records as a member of `group`, commits them and leaves. */
type Consume = (group: string, count: number) => Promise<Seen[]>

const groupClients: Record<string, Consume> = {
  kafkajs: (group, count) => kafkajsConsume(server.bootstrap, topic, group, count),
  'kcat -G': async (group, count) => {
    const reset = ['-X', 'auto.offset.reset=earliest']
    const { stdout } = await kcat(server.bootstrap, [
      '-q',
      '-c',
      `${count}`,
      ...reset,
      ...kcatFormat,
      '-G',
      group,
      topic,
    ])
    return parseSeen(stdout)
  },
  'the Java console consumer': (group, count) =>
    javaConsume(server.bootstrap, topic, count, ['--group', group]),
  'franz-go': async (group, count) => {
    const { stdout } = await kgoCat('consume', server.bootstrap, ['-t', topic, '-g', group, '-n', `${count}`])
    return parseSeen(stdout)
  },
  'confluent-kafka': (group, count) => pythonConsume(confluentKafka, group, count),
  'kafka-python': (group, count) => pythonConsume(kafkaPython, group, count),
}

async function pythonConsume(program: string, group: string, count: number): Promise<Seen[]> {
  const { stdout } = await python(program, [server.bootstrap, topic, group, `${count}`])
  return parseSeen(stdout)
}

const confluentKafka = `import sys
from confluent_kafka import Consumer
boot, topic, group, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
consumer = Consumer({'bootstrap.servers': boot, 'group.id': group, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False})
consumer.subscribe([topic])
out, last = sys.stdout.buffer, None
while count > 0:
    message = consumer.poll(30)
    if message is None or message.error(): sys.exit('confluent-kafka: ' + str(message and message.error()))
    out.write(b'%d\\t%d\\t%s\\t%s\\n' % (message.partition(), message.offset(), message.key(), message.value()))
    count -= 1
consumer.commit(asynchronous=False)
consumer.close()`

const kafkaPython = `import sys
from kafka import KafkaConsumer
boot, topic, group, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
consumer = KafkaConsumer(topic, bootstrap_servers=boot, group_id=group, auto_offset_reset='earliest', enable_auto_commit=False, consumer_timeout_ms=30000)
out = sys.stdout.buffer
for message in consumer:
    out.write(b'%d\\t%d\\t%s\\t%s\\n' % (message.partition, message.offset, message.key, message.value))
    count -= 1
    if count == 0: break
if count > 0: sys.exit('kafka-python: %d records are missing' % count)
consumer.commit()
consumer.close()`

/** Offsets that must not be read twice nor left out: each partition's run of offsets, from 0 on. */
function expectEveryOffsetOnce(seen: readonly Seen[], count: number): void {
  const ids = new Set(seen.map(({ partition, offset }) => `${partition}/${offset}`))
  expect(seen.length).toBe(count)
  expect(ids.size).toBe(count)
}

const names = Object.keys(groupClients)
const groupOf = (name: string): string => `group-${names.indexOf(name)}-${run}`
const first = new Map<string, Seen[]>()
const second = new Map<string, Seen[]>()

describe('a group that reads a part, commits, leaves and comes back', () => {
  test.each(names)('%s resumes where it was', async (name) => {
    const consume = groupClients[name]!
    first.set(name, await consume(groupOf(name), part))
    second.set(name, await consume(groupOf(name), part))
    expectEveryOffsetOnce([...first.get(name)!, ...second.get(name)!], 2 * part)
  })

  test('a group that changes its client goes on at the committed offsets', async () => {
    const group = `mixed-${run}`
    const seen: Seen[] = []
    for (const name of ['kafkajs', 'kcat -G', 'the Java console consumer'])
      seen.push(...(await groupClients[name]!(group, 2000)))
    expectEveryOffsetOnce(seen, 6000)
  })

  test.runIf(ownsServer)('the server is killed with SIGKILL and started again', async () => {
    const committed = () =>
      withAdmin(server.bootstrap, (admin) =>
        admin.fetchOffsets({ groupId: groupOf('kafkajs'), topics: [topic] }),
      )
    const before = await committed()
    await server.kill()
    await server.restart()
    expect(await until('committed offsets', committed)).toEqual(before)
  })

  test.each(names)('%s reads the rest, each record once', async (name) => {
    const rest = await groupClients[name]!(groupOf(name), records.length - 2 * part)
    expectEveryOffsetOnce([...first.get(name)!, ...second.get(name)!, ...rest], records.length)
  })

  test('kafka-consumer-groups shows them without lag, and can delete and reset them', async () => {
    const tool = async (...args: string[]): Promise<string> =>
      (await java('consumerGroups', ['--bootstrap-server', server.bootstrap, ...args])).stdout
    const group = groupOf('kcat -G')

    const list = await tool('--list')
    for (const name of names) expect(list).toContain(groupOf(name))
    const lags = (await tool('--describe', '--group', group))
      .split('\n')
      .filter((line) => line.startsWith(group))
    expect(lags.length).toBe(partitions)
    for (const line of lags) expect(line.split(/\s+/)[5], line).toBe('0')
    expect(await tool('--describe', '--group', group, '--state')).toMatch(/Empty\s+0/)

    await tool('--group', group, '--topic', topic, '--reset-offsets', '--to-earliest', '--execute')
    const again = await groupClients['kcat -G']!(group, 100)
    expect(again.every(({ offset }) => offset < 100)).toBe(true)

    expect(await tool('--delete', '--group', group)).toMatch(/successful/)
    expect(await tool('--list')).not.toContain(group)
  })
})

test('two consumers of a group share the partitions, and one takes over when the other leaves', async () => {
  const groupId = `pair-${run}`
  const open = async (): Promise<{ seen: Seen[]; assigned: () => number[]; stop: () => Promise<void> }> => {
    const consumer = kafkajs(server.bootstrap).consumer({
      groupId,
      sessionTimeout: 10_000,
      heartbeatInterval: 500,
    })
    const seen: Seen[] = []
    let assigned: number[] = []
    consumer.on('consumer.group_join', ({ payload }) => {
      assigned = [...(payload.memberAssignment[topic] ?? [])].sort()
    })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ partition, message }) => void seen.push(toSeen(partition, message)),
    })
    return { seen, assigned: () => assigned, stop: () => consumer.disconnect() }
  }
  const one = await open()
  await until('the first to have all partitions', () => one.assigned().length === partitions)
  const two = await open()
  try {
    await until(
      'both to share the partitions',
      () => one.assigned().length === 2 && two.assigned().length === 2,
      60_000,
    )
    expect([...one.assigned(), ...two.assigned()].sort()).toEqual([0, 1, 2, 3])
    await one.stop()
    await until('the other to take over', () => two.assigned().length === partitions, 60_000)
    await until('every record to be read', () => {
      const ids = new Set([...one.seen, ...two.seen].map(({ partition, offset }) => `${partition}/${offset}`))
      return ids.size === records.length
    })
  } finally {
    await Promise.allSettled([one.stop(), two.stop()])
  }
  const order = new Map<number, number>()
  for (const { partition, offset } of one.seen) {
    expect(offset).toBeGreaterThanOrEqual(order.get(partition) ?? 0)
    order.set(partition, offset)
  }
})
