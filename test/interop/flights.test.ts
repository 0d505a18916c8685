import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  java,
  javaConsume,
  kcat,
  kcatFormat,
  kcatRead,
  kgoCat,
  parseSeen,
  type Seen,
} from './support/clients.ts'
import { flights, keyedLines } from './support/data.ts'
import { dumpTopic } from './support/dumpLog.ts'
import { expectIdentical, expectSameRecords, inOffsetOrder } from './support/expectations.ts'
import { createTopic } from './support/kafkajs.ts'
import { ownsServer, type Server, startServer } from './support/server.ts'

const partitions = 3
const records = flights()
const run = `${process.pid}`

describe('200,000 flights keyed by distance, in segments of 1 MiB', () => {
  let server: Server
  beforeAll(async () => {
    server = await startServer()
  })
  afterAll(() => server?.stop())

  const topics = {
    'franz-go': `flights-franz-${run}`,
    "Java's console producer": `flights-java-${run}`,
  } as const
  const stored = new Map<string, Seen[]>()
  const names = Object.keys(topics) as (keyof typeof topics)[]

  const read = (topic: string): Promise<Seen[]> => kcatRead(server.bootstrap, topic)

  test.each(names)('%s, idempotent by default, writes them and kcat reads them back', async (name) => {
    const topic = topics[name]
    await createTopic(server.bootstrap, topic, partitions, { 'segment.bytes': '1048576' })
    const input = keyedLines(records)
    if (name === 'franz-go')
      await kgoCat('produce', server.bootstrap, ['-t', topic, '-codec', 'snappy'], { input })
    else {
      const keyed = ['--reader-property', 'parse.key=true', '--reader-property', 'key.separator=\t']
      await java('consoleProducer', ['--bootstrap-server', server.bootstrap, '--topic', topic, ...keyed], {
        input,
      })
    }
    const seen = await read(topic)
    expectSameRecords(seen, records)
    stored.set(topic, inOffsetOrder(seen))
  })

  test('the Java console consumer reads the same', async () => {
    const seen = await javaConsume(server.bootstrap, topics['franz-go'], records.length)
    expectIdentical(inOffsetOrder(seen), stored.get(topics['franz-go'])!)
  })

  test('a consumer that starts in the middle begins at exactly that offset', async () => {
    const topic = topics["Java's console producer"]
    const expected = stored.get(topic)!.filter(({ partition }) => partition === 1)
    for (const offset of [1, 17_123, expected.length - 1]) {
      const from = ['-q', '-C', '-t', topic, '-p', '1', '-o', `${offset}`, '-c', '1', ...kcatFormat]
      const { stdout } = await kcat(server.bootstrap, from)
      expectIdentical(parseSeen(stdout), [expected[offset]!])
    }
  })

  test.runIf(ownsServer)(
    "Kafka's DumpLogSegments finds every record, and every sealed index in agreement",
    async () => {
      const topic = topics["Java's console producer"]
      const dump = await dumpTopic(server.logDirectory, topic, partitions)
      expect(dump.complaints).toEqual([])
      expect(dump.indexes).toBeGreaterThan(10)
      expectIdentical(inOffsetOrder(dump.records), stored.get(topic)!)
    },
  )
})
