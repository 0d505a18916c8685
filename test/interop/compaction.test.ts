import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { javaConsume, kcat, kcatRead, kgoCat, parseSeen, type Seen } from './support/clients.ts'
import { birdstrikes, type KeyedRecord, keyedLines } from './support/data.ts'
import { dumpTopic } from './support/dumpLog.ts'
import { expectIdentical, inOffsetOrder } from './support/expectations.ts'
import { createTopic, kafkajsConsume } from './support/kafkajs.ts'
import { until } from './support/run.ts'
import { isCordwood, type Server, startServer } from './support/server.ts'

const run = `${process.pid}`
const configs = {
  'cleanup.policy': 'compact',
  'segment.bytes': '65536',
  'min.cleanable.dirty.ratio': '0.01',
  'file.delete.delay.ms': '100',
  'max.message.bytes': '100000',
}

/** The latest value of each key. */
function fold(records: readonly { readonly key: string; readonly value: string }[]): Record<string, string> {
  return Object.fromEntries(records.map(({ key, value }) => [key, value]))
}

describe.runIf(isCordwood)('10,000 bird strikes in a compacted topic', () => {
  let server: Server
  beforeAll(async () => {
    server = await startServer(['--set', 'log.cleaner.backoff.ms=200'])
  })
  afterAll(() => server?.stop())

  const directoryOf = (topic: string): string => join(server.logDirectory, `${topic}-0`)
  const segmentsOf = (topic: string): string[] => {
    return readdirSync(directoryOf(topic))
      .filter((name) => name.endsWith('.log'))
      .sort()
  }

  /** Resolves when all but the active segment has been compacted. */
  async function compacted(topic: string): Promise<void> {
    await until(`compaction of ${topic}`, () => {
      const text = readFileSync(join(server.logDirectory, 'cleaner-offset-checkpoint'), 'utf8')
      const active = Number(segmentsOf(topic).at(-1)!.slice(0, 20))
      return text.includes(`${topic} 0 ${active}\n`)
    })
  }

  test.each(['none', 'gzip', 'zstd', 'lz4', 'snappy'])(
    'with %s: every client reads the same records, the latest value of each key among them, and so does DumpLogSegments',
    async (codec) => {
      const topic = `compacted-${codec}-${run}`
      await createTopic(server.bootstrap, topic, 1, configs)
      const records: KeyedRecord[] = birdstrikes()
      const idempotent = ['-X', 'enable.idempotence=true', '-X', 'batch.size=8000', '-X', 'linger.ms=1']
      const compress = codec === 'none' ? [] : ['-z', codec]
      const produce = ['-P', '-t', topic, '-K', '\t', ...idempotent, ...compress]
      await kcat(server.bootstrap, produce, { input: keyedLines(records) })
      await compacted(topic)

      const byKcat = await kcatRead(server.bootstrap, topic)
      expect(byKcat.length).toBeLessThan(records.length)
      expect(fold(byKcat)).toEqual(fold(records))
      const count = byKcat.length
      const byJava = await javaConsume(server.bootstrap, topic, count)
      expectIdentical(inOffsetOrder(byJava), inOffsetOrder(byKcat))
      const byFranz = await kgoCat('consume', server.bootstrap, ['-t', topic, '-n', `${count}`])
      expectIdentical(inOffsetOrder(parseSeen(byFranz.stdout)), inOffsetOrder(byKcat))
      if (codec === 'none' || codec === 'gzip') {
        const byKafkajs = await kafkajsConsume(server.bootstrap, topic, `compacted-${codec}-${run}`, count)
        expectIdentical(inOffsetOrder(byKafkajs), inOffsetOrder(byKcat))
      }

      const dump = await dumpTopic(server.logDirectory, topic, 1)
      // Offsets that compaction took away it calls non-consecutive.
      expect(dump.complaints.filter((line) => !/is followed by/.test(line))).toEqual([])
      expect(dump.batches.every(({ isValid }) => isValid)).toBe(true)
      expectIdentical(inOffsetOrder(dump.records as Seen[]), inOffsetOrder(byKcat))
    },
  )

  test('a tombstone takes its key away, and a kill brings nothing back', async () => {
    const topic = `tombstones-${run}`
    await createTopic(server.bootstrap, topic, 1, { ...configs, 'delete.retention.ms': '0' })
    const produce = ['-P', '-t', topic, '-K', '\t', '-Z', '-X', 'batch.size=4000']
    const rounds = ['first', 'second', 'third', 'fourth']
    for (const round of rounds) {
      // With -Z an empty value is null.
      const lines = Array.from({ length: 4000 }, (_, index) => {
        const value = index % 2 === 0 && round !== 'first' ? '' : `${round} ${'x'.repeat(20)}`
        return `key ${index % 100}\t${value}`
      })
      await kcat(server.bootstrap, produce, { input: `${lines.join('\n')}\n` })
      await compacted(topic)
    }
    const before = await kcatRead(server.bootstrap, topic)
    expect(before.length).toBeLessThan(4000)
    await server.kill()
    await server.restart()
    const after = await kcatRead(server.bootstrap, topic)
    const clean = Number(segmentsOf(topic).at(-1)!.slice(0, 20))
    const below = (seen: readonly Seen[]): Seen[] => seen.filter(({ offset }) => offset < clean)
    expect(below(after).length).toBeLessThanOrEqual(below(before).length)
    const odd = (records: readonly Seen[]): Record<string, string> => {
      return fold(records.filter(({ key }) => Number(key.slice(4)) % 2 === 1))
    }
    expect(odd(after)).toEqual(odd(before))
    expect(Object.keys(odd(after))).toHaveLength(50)
    expect(Object.values(fold(after.filter(({ value }) => value.startsWith('first'))))).toEqual([])
    expect(statSync(directoryOf(topic)).isDirectory()).toBe(true)
  })
})
