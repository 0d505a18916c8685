import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { javaConsume, kcat, kcatRead, kgoCat, parseSeen, type Seen } from './support/clients.ts'
import { birdstrikes, keyedLines } from './support/data.ts'
import { dumpTopic } from './support/dumpLog.ts'
import { expectIdentical, expectSameRecords, inOffsetOrder } from './support/expectations.ts'
import { createTopic, kafkajsConsume } from './support/kafkajs.ts'
import { librdkafkaPartition } from './support/partitioners.ts'
import { ownsServer, type Server, startServer } from './support/server.ts'

const partitions = 4
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const records = birdstrikes()
const run = `${process.pid}`
const topicOf = (codec: string): string => `birdstrikes-${codec}-${run}`

describe('10,000 bird strikes keyed by airline operator, produced by kcat', () => {
  let server: Server
  /** What kcat read before the server was killed, by codec. */
  const before = new Map<string, Seen[]>()

  beforeAll(async () => {
    server = await startServer()
  })
  afterAll(() => server?.stop())

  const kcatConsume = (topic: string): Promise<Seen[]> => kcatRead(server.bootstrap, topic)

  test.each(codecs)(
    'with %s: kcat, Java and franz-go read them back byte for byte, in order per key',
    async (codec) => {
      const topic = topicOf(codec)
      await createTopic(server.bootstrap, topic, partitions)
      const produce = ['-P', '-t', topic, '-K', '\t', '-X', 'linger.ms=5', '-X', 'acks=all']
      const compress = codec === 'none' ? [] : ['-z', codec]
      await kcat(server.bootstrap, [...produce, ...compress], { input: keyedLines(records) })

      const byKcat = await kcatConsume(topic)
      expectSameRecords(byKcat, records)
      before.set(codec, inOffsetOrder(byKcat))
      const [byJava, byFranz] = await Promise.all([
        javaConsume(server.bootstrap, topic, records.length),
        kgoCat('consume', server.bootstrap, ['-t', topic, '-n', `${records.length}`]),
      ])
      expectSameRecords(byJava, records)
      expectIdentical(inOffsetOrder(byJava), before.get(codec)!)
      expectIdentical(inOffsetOrder(parseSeen(byFranz.stdout)), before.get(codec)!)
    },
  )

  // kafkajs itself speaks no other codec.
  test.each(['none', 'gzip'])('with %s: kafkajs reads the same records', async (codec) => {
    const seen = await kafkajsConsume(
      server.bootstrap,
      topicOf(codec),
      `readers-${codec}-${run}`,
      records.length,
    )
    expectIdentical(inOffsetOrder(seen), before.get(codec)!)
  })

  test('every key is in the partition that librdkafka picks for it (consistent_random)', () => {
    for (const { key, partition } of before.get('none')!) {
      expect(partition, key).toBe(librdkafkaPartition(Buffer.from(key), partitions))
    }
  })

  describe.runIf(ownsServer)('after the server was killed with SIGKILL and started again', () => {
    test('it listens again', async () => {
      await server.kill()
      await server.restart()
      expect(await kcatConsume(topicOf('none'))).toHaveLength(records.length)
    })

    test.each(codecs)('with %s: kcat reads the same records at the same offsets', async (codec) => {
      expectIdentical(inOffsetOrder(await kcatConsume(topicOf(codec))), before.get(codec)!)
    })

    test('kafkajs and the Java console consumer read the same records at the same offsets', async () => {
      const [byKafkajs, byJava] = await Promise.all([
        kafkajsConsume(server.bootstrap, topicOf('none'), `readers-again-${run}`, records.length),
        javaConsume(server.bootstrap, topicOf('zstd'), records.length),
      ])
      expectIdentical(inOffsetOrder(byKafkajs), before.get('none')!)
      expectIdentical(inOffsetOrder(byJava), before.get('zstd')!)
    })

    test.each(codecs)(
      "with %s: Kafka's DumpLogSegments agrees on every offset, record and CRC",
      async (codec) => {
        const dump = await dumpTopic(server.logDirectory, topicOf(codec), partitions)
        expect(dump.complaints).toEqual([])
        expectIdentical(dump.records, before.get(codec)!)
        expect(dump.batches.every((batch) => batch.isValid)).toBe(true)
        // librdkafka leaves a batch as it is when compressing does not make it smaller: a batch of a record or two.
        const large = dump.batches.filter((batch) => batch.lastOffset - batch.baseOffset >= 10)
        expect(new Set(large.map((batch) => batch.codec))).toEqual(new Set([codec]))
      },
    )
  })
})
