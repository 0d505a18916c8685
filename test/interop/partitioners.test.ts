import { afterAll, beforeAll, expect, test } from 'vitest'
import { java, kcat, kcatRead, kgoCat, python } from './support/clients.ts'
import { birdstrikes, keyedLines } from './support/data.ts'
import { expectSameRecords } from './support/expectations.ts'
import { createTopic, kafkajs } from './support/kafkajs.ts'
import { javaPartition, librdkafkaPartition } from './support/partitioners.ts'
import { type Server, startServer } from './support/server.ts'

const partitions = 7
// Java's console producer takes CR LF for one line end, so the values go without it.
const records = birdstrikes()
  .slice(0, 2000)
  .map(({ key, value }) => ({ key, value: value.trimEnd() }))
const input = keyedLines(records)
const run = `${process.pid}`

let server: Server
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server?.stop())

/** Sends the records through each client in its default settings. */
const producers: Record<string, (topic: string) => Promise<unknown>> = {
  java: (topic) =>
    java(
      'consoleProducer',
      [
        ...['--bootstrap-server', server.bootstrap, '--topic', topic],
        ...['--reader-property', 'parse.key=true', '--reader-property', 'key.separator=\t'],
      ],
      { input },
    ),
  kafkajs: async (topic) => {
    const producer = kafkajs(server.bootstrap).producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    await producer.send({ topic, acks: -1, messages: records.map((record) => ({ ...record })) })
    await producer.disconnect()
  },
  'franz-go': (topic) => kgoCat('produce', server.bootstrap, ['-t', topic], { input }),
  kcat: (topic) => kcat(server.bootstrap, ['-P', '-t', topic, '-K', '\t'], { input }),
  'confluent-kafka': (topic) =>
    python(
      `import sys
from confluent_kafka import Producer
failed = []
producer = Producer({'bootstrap.servers': sys.argv[1], 'enable.idempotence': True, 'linger.ms': 5})
for line in sys.stdin.buffer:
    key, _, value = line.rstrip(b'\\n').partition(b'\\t')
    producer.produce(sys.argv[2], value, key, on_delivery=lambda error, message: error and failed.append(error))
    producer.poll(0)
left = producer.flush(30)
sys.exit(1 if left or failed else 0)`,
      [server.bootstrap, topic],
      { input },
    ),
  'kafka-python': (topic) =>
    python(
      `import sys
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers=sys.argv[1], linger_ms=5)
sent = []
for line in sys.stdin.buffer:
    key, _, value = line.rstrip(b'\\n').partition(b'\\t')
    sent.append(producer.send(sys.argv[2], value, key))
producer.flush(30)
for future in sent: future.get(1)
producer.close()`,
      [server.bootstrap, topic],
      { input },
    ),
}

const murmur2 = ['java', 'kafkajs', 'franz-go', 'kafka-python']

test.each(Object.keys(producers))(
  '%s puts every key where its partitioner wants it, and kcat reads the same records',
  async (name) => {
    const topic = `keys-${name}-${run}`
    await createTopic(server.bootstrap, topic, partitions)
    await producers[name]!(topic)

    const seen = await kcatRead(server.bootstrap, topic)
    expectSameRecords(seen, records)
    const partitionOf = murmur2.includes(name) ? javaPartition : librdkafkaPartition
    for (const { key, partition } of seen)
      expect(partition, key).toBe(partitionOf(Buffer.from(key), partitions))
  },
)
