import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { MetadataDelta } from '../../src/controller/image.ts'
import { ImageMachine } from '../../src/controller/imageMachine.ts'
import {
  encodeMetadataRecord,
  type MetadataRecordInput,
} from '../../src/protocol/metadataRecords/metadataRecord.ts'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import { BatchHeader } from '../../src/segment/recordBatch.ts'
import { encodeBatch } from '../../src/segment/records.ts'
import { plain, testId, World } from './support.ts'

/** A machine that is fed batches, as its log has them. */
class Fed {
  readonly deltas: MetadataDelta[] = []
  readonly machine = new ImageMachine('test-cluster', (delta) => this.deltas.push(delta))
  #offset = 0

  take(...records: MetadataRecordInput[]): void {
    const values = records.map((record) => ({
      key: null,
      value: encodeMetadataRecord(record),
      headers: [],
      timestampMs: 0,
    }))
    const bytes = encodeBatch({ records: values, baseOffset: this.#offset }, nodeChecksum)
    this.#offset += records.length
    this.machine.apply(new BatchHeader(bytes, 0), bytes)
  }

  /** A machine that begins with this one's snapshot. */
  async next(): Promise<Fed> {
    const next = new Fed()
    const chunks = [...this.machine.snapshot()]
    await next.machine.restore(
      (async function* () {
        yield* chunks
      })(),
      this.#offset,
    )
    next.#offset = this.#offset
    return next
  }
}

const begin = { type: 'beginTransactionRecord', version: 0, name: 'change' } as const
const end = { type: 'endTransactionRecord', version: 0 } as const
const abort = { type: 'abortTransactionRecord', version: 0, reason: null } as const
const topic = (number: number) =>
  ({ type: 'topicRecord', version: 0, name: `topic-${number}`, topicId: testId(number) }) as const

test('a transaction shows in the image with its end, and an aborted one never does', () => {
  const { machine, deltas, take } = bound(new Fed())
  take(begin, topic(1))
  take(topic(2))
  expect(machine.isInTransaction).toBe(true)
  expect(machine.image.topics.size).toBe(0)
  take(topic(3), end, topic(4))
  expect([...machine.image.topics.keys()]).toEqual(['topic-1', 'topic-2', 'topic-3', 'topic-4'])
  expect(deltas).toHaveLength(1)
  take(begin, topic(5))
  take(abort)
  expect(machine.image.topics.size).toBe(4)
  expect(machine.isInTransaction).toBe(false)
})

test('a snapshot that is taken within a transaction takes it along', async () => {
  const first = new Fed()
  first.take(topic(1))
  first.take(begin, topic(2))
  const ended = await first.next()
  expect([...ended.machine.image.topics.keys()]).toEqual(['topic-1'])
  expect(ended.machine.isInTransaction).toBe(true)
  ended.take(topic(3), end)
  expect(ended.machine.image.topics.size).toBe(3)
  const aborted = await first.next()
  aborted.take(abort)
  expect(aborted.machine.image.topics.size).toBe(1)
})

test('any history of commands and its snapshot give the same image, and go on alike', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 999 }), { minLength: 1, maxLength: 25 }), async (numbers) => {
      const world = new World({ brokers: 4, elects: true })
      const fed = new Fed()
      const follow = (records: readonly MetadataRecordInput[]): void => {
        if (records.length > 0) fed.take(...records)
      }
      follow(world.history)
      for (const number of numbers) follow(step(world, number))
      const restored = await fed.next()
      expect(restored.machine.image.nextOffset).toBe(fed.machine.image.nextOffset)
      expect(withoutOffset(restored.machine.image)).toEqual(withoutOffset(world.image))
      expect(withoutOffset(fed.machine.image)).toEqual(withoutOffset(world.image))
    }),
    { numRuns: 60 },
  )
})

/** One command, drawn from `number`; the records that it gave. */
function step(world: World, number: number): readonly MetadataRecordInput[] {
  const at = number % 8
  const name = `topic-${at}`
  const known = world.image.topics.get(name)
  const change = (command: Parameters<World['change']>[0]) => world.change(command).records
  switch (number % 7) {
    case 0:
    case 1:
      return change({
        type: 'createTopics',
        topics: [{ name, numPartitions: 1 + (number % 3), replicationFactor: 1 + (number % 4) }],
        topicIds: [testId(10_000 + world.image.nextOffset)],
        requester: 'client',
      })
    case 2:
      return change({
        type: 'deleteTopics',
        topics: [{ name, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
        requester: 'client',
      })
    case 3:
      return change({
        type: 'alterPartitionReassignments',
        changes: [{ topic: name, partition: 0, replicas: number % 2 ? [1 + (number % 4)] : null }],
      })
    case 4: {
      const partition = known?.partitions[0]
      if (known === undefined || partition === undefined) return []
      const target = partition.replicas.filter((id) => !partition.removingReplicas.includes(id))
      const voters = target.map((id) => ({ id, directoryId: testId(2000 + id) }))
      const leader = target[number % target.length]!
      const state = { topicId: known.id, partition: 0, leader, leaderEpoch: number % 50, isr: target, voters }
      return change({ type: 'reportPartitions', states: [state] })
    }
    case 5: {
      const brokerId = 1 + (number % 4)
      const brokerEpoch = world.image.brokers.get(brokerId)!.epoch
      return change({ type: 'changeBrokers', changes: [{ brokerId, brokerEpoch, fenced: number % 2 === 0 }] })
    }
    default: {
      const brokerId = 1 + (number % 4)
      const directories = [testId(3000 + (number % 3))]
      const incarnationId = testId(20_000 + number)
      return change({
        type: 'enrolBroker',
        registration: { brokerId, incarnationId, endpoints: [], rack: number % 2 ? 'a' : null, directories },
      })
    }
  }
}

function withoutOffset(image: Parameters<typeof plain>[0]): unknown {
  return { ...(plain(image) as object), nextOffset: 0 }
}

function bound(fed: Fed): { machine: ImageMachine; deltas: MetadataDelta[]; take: Fed['take'] } {
  return { machine: fed.machine, deltas: fed.deltas, take: (...records) => fed.take(...records) }
}
