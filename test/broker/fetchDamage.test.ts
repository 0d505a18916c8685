import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { BatchHeader } from '../../src/segment/recordBatch.ts'
import { implementations } from '../contract/implementations.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'

async function fetch(client: RawClient, fetchOffset: number, partitionMaxBytes = 1 << 20) {
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes }]
  const body = { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 24, topics: [{ topic: 'orders', partitions }] }
  const { responses } = await client.request(apiKeys.fetch, 12, body)
  const { errorCode, records } = responses[0]!.partitions[0]!
  const offsets: number[] = []
  for (let at = 0; at < (records?.length ?? 0); ) {
    const header = new BatchHeader(records!, at)
    offsets.push(header.baseOffset)
    at += header.sizeBytes
  }
  return { errorCode, offsets }
}

describe.each(implementations)('a fetch from the $name disk', ({ create }) => {
  /** A broker that finds five batches, whose bytes `spoil` has changed while it was down; where each begins. */
  async function restarted(spoil: (bytes: Buffer, positions: number[]) => void, settings = {}) {
    const first = await runBroker({ runtime: create() })
    const client = await RawClient.connect(first.broker)
    await createTopic(client, 'orders')
    const path = join(first.directory, 'orders-0', `${'0'.repeat(20)}.log`)
    for (let index = 0; index < 5; index++)
      await produce(client, 'orders', batchOf([`value ${index}`.repeat(20)]))
    await first.close()
    const bytes = readFileSync(path)
    const positions: number[] = []
    for (let at = 0; at < bytes.length; at += new BatchHeader(bytes, at).sizeBytes) positions.push(at)
    spoil(bytes, positions)
    writeFileSync(path, bytes)
    const again = await runBroker({ runtime: create(), directory: first.directory, settings })
    return { ...again, client: await RawClient.connect(again.broker), path, positions, bytes }
  }

  test.each(['cold', 'always'])(
    'sends what is good and refuses what is not, verifying %s',
    async (verify) => {
      const flip = (bytes: Buffer, positions: number[]): void => {
        bytes[positions[3]! + 100]! ^= 4
      }
      const { client, logger, path, positions } = await restarted(flip, { 'fetch.verify': verify })
      // Up to the damage, then not at all, and behind it again.
      expect(await fetch(client, 0)).toEqual({ errorCode: 0, offsets: [0, 1, 2] })
      expect(await fetch(client, 1)).toEqual({ errorCode: 0, offsets: [1, 2] })
      const refused = { errorCode: KafkaError.kafkaStorageError.kafka, offsets: [] }
      expect(await fetch(client, 3)).toEqual(refused)
      expect(await fetch(client, 4)).toEqual({ errorCode: 0, offsets: [4] })
      const reports = logger.lines.filter((line) => line.includes('damaged'))
      expect(reports).toHaveLength(1)
      for (const part of [path, String(positions[3]), '"baseOffset":3', '"nextOffset":4'])
        expect(reports[0]).toContain(part)
    },
  )

  test.each([
    ['offset', 'cold', 6],
    ['offset', 'always', 6],
    ['leader epoch', 'cold', 14],
    ['leader epoch', 'always', 14],
  ])('sends no batch whose %s has changed, verifying %s', async (_, verify, at) => {
    const flip = (bytes: Buffer, positions: number[]): void => {
      bytes[positions[3]! + at]! ^= 0x40
    }
    const { client, logger, path } = await restarted(flip, { 'fetch.verify': verify })
    expect(await fetch(client, 0)).toEqual({ errorCode: 0, offsets: [0, 1, 2] })
    expect((await fetch(client, 3)).errorCode).toBe(KafkaError.kafkaStorageError.kafka)
    expect(logger.lines.filter((line) => line.includes('damaged') && line.includes(path))).toHaveLength(1)
  })

  test('damage in the first batch leaves nothing to send', async () => {
    const { client } = await restarted((bytes, positions) => {
      bytes[positions[1]! - 1]! ^= 1
    })
    expect((await fetch(client, 0)).errorCode).toBe(KafkaError.kafkaStorageError.kafka)
    expect(await fetch(client, 1)).toEqual({ errorCode: 0, offsets: [1, 2, 3, 4] })
  })

  test('an index that ends a range inside a batch costs no more than that batch', async () => {
    const settings = { 'log.segment.bytes': '1200', 'log.index.interval.bytes': '1' }
    const first = await runBroker({ runtime: create(), settings })
    const client = await RawClient.connect(first.broker)
    await createTopic(client, 'orders')
    for (let index = 0; index < 9; index++) {
      await produce(client, 'orders', batchOf([`value ${index}`.repeat(20)]))
    }
    await first.close()
    const path = join(first.directory, 'orders-0', `${'0'.repeat(20)}.index`)
    const index = readFileSync(path)
    // The positions of all entries, a byte too far.
    for (let at = 4; at < index.length; at += 8) index.writeInt32BE(index.readInt32BE(at) + 1, at)
    writeFileSync(path, index)
    const again = await runBroker({ runtime: create(), settings, directory: first.directory })
    const reader = await RawClient.connect(again.broker)
    const size = readFileSync(path.replace(/index$/, 'log')).length / 5
    expect(await fetch(reader, 0, size * 2 + 50)).toEqual({ errorCode: 0, offsets: [0, 1] })
    expect(await fetch(reader, 2, size * 2 + 50)).toEqual({ errorCode: 0, offsets: [2, 3] })
    expect(again.logger.lines.filter((line) => line.includes('damaged;'))).toEqual([])
  })

  test('what is not damaged is sent whole, also as copies', async () => {
    const { client } = await restarted(() => {}, { 'fetch.verify': 'always' })
    expect(await fetch(client, 0)).toEqual({ errorCode: 0, offsets: [0, 1, 2, 3, 4] })
    expect(await fetch(client, 2, 1)).toEqual({ errorCode: 0, offsets: [2] })
    const answer = await produce(client, 'orders', batchOf(['more']))
    expect(answer.baseOffset).toBe(5)
    expect(await fetch(client, 4)).toEqual({ errorCode: 0, offsets: [4, 5] })
  })
})
