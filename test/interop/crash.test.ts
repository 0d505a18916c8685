import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kcatRead, kgoCat, type Seen } from './support/clients.ts'
import { flights, keyedLines } from './support/data.ts'
import { dumpTopic } from './support/dumpLog.ts'
import { createTopic, kafkajs, withAdmin } from './support/kafkajs.ts'
import { until } from './support/run.ts'
import { ownsServer, type Server, startServer } from './support/server.ts'

const run = `${process.pid}`
const kills = 3

describe.runIf(ownsServer)('a server that is killed with SIGKILL while clients write', () => {
  let server: Server
  beforeAll(async () => {
    server = await startServer()
  })
  afterAll(() => server?.stop())

  const readBack = async (topic: string): Promise<Map<string, Seen>> => {
    const seen = await kcatRead(server.bootstrap, topic)
    return new Map(seen.map((record) => [`${record.partition}/${record.offset}`, record]))
  }

  test('keeps every record that it acknowledged to kafkajs, where it said', async () => {
    const topic = `ledger-${run}`
    await createTopic(server.bootstrap, topic, 3)
    const ledger: Seen[] = []
    let sent = 0
    for (let round = 0; round < kills; round++) {
      const before = ledger.length
      const client = kafkajs(server.bootstrap)
      const producer = client.producer({ retry: { retries: 0 }, allowAutoTopicCreation: false })
      await producer.connect()
      let alive = true
      const write = async (partition: number): Promise<void> => {
        while (alive) {
          const messages = Array.from({ length: 10 }, () => ({
            partition,
            key: `${partition}`,
            value: `record ${sent++}`,
          }))
          try {
            const [answer] = await producer.send({ topic, acks: -1, messages, timeout: 5000 })
            messages.forEach(({ key, value }, i) => {
              ledger.push({ partition, offset: Number(answer!.baseOffset) + i, key, value })
            })
          } catch {
            return // Not acknowledged: it may be there or not.
          }
        }
      }
      const writers = [0, 1, 2].map(write)
      await until('some acknowledged records', () => ledger.length > before + 300)
      await server.kill()
      alive = false
      await Promise.all(writers)
      await producer.disconnect()
      await server.restart()

      const stored = await until('the server to answer', () => readBack(topic))
      for (const record of ledger) expect(stored.get(`${record.partition}/${record.offset}`)).toEqual(record)
    }
    expect(new Set(ledger.map(({ partition, offset }) => `${partition}/${offset}`)).size).toBe(ledger.length)
  })

  test('lets an idempotent franz-go producer go on: every record once, in order per key, through every kill', async () => {
    const topic = `retried-${run}`
    const records = flights().slice(0, 150_000)
    await createTopic(server.bootstrap, topic, 3)
    const started = kgoCat(
      'produce',
      server.bootstrap,
      ['-t', topic, '-linger', '0s', '-rate', '15000', '-timeout', '110s'],
      {
        input: keyedLines(records),
        timeoutMs: 115_000,
      },
    )
    for (let round = 0; round < 2; round++) {
      await until('the server to have stored enough for the next kill', async () => {
        const ends = await withAdmin(server.bootstrap, (admin) => admin.fetchTopicOffsets(topic))
        return ends.reduce((sum, { high }) => sum + Number(high), 0) >= (round + 1) * 35_000
      })
      await server.kill()
      await server.restart()
    }
    const { stdout } = await started
    const acknowledged = stdout.split('\n').filter((line) => line !== '')
    expect(acknowledged.length).toBe(records.length)

    const stored = await readBack(topic)
    expect(stored.size).toBe(records.length)
    for (const line of acknowledged) {
      const [partition, offset, index] = line.split('\t')
      const record = stored.get(`${partition}/${offset}`)
      const { key, value } = records[Number(index)]!
      if (record?.key !== key || record.value !== value) expect(record, line).toEqual({ key, value })
    }
  })

  test("leaves segments in which Kafka's DumpLogSegments finds no fault", async () => {
    for (const topic of [`ledger-${run}`, `retried-${run}`]) {
      const dump = await dumpTopic(server.logDirectory, topic, 3)
      expect(dump.complaints).toEqual([])
      expect(new Set(dump.batches.map(({ partition }) => partition))).toEqual(new Set([0, 1, 2]))
    }
  })
})
