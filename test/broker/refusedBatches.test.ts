import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RefusedBatches } from '../../src/broker/refusedBatches.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { BatchHeader } from '../../src/segment/recordBatch.ts'
import { GroupNodes } from './support/groupNodes.ts'
import { batchOf } from './support/produce.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka

function header(baseSequence: number, producerEpoch = 0, producerId = 7): BatchHeader {
  return new BatchHeader(batchOf(['x'], { producerId, producerEpoch, baseSequence }), 0)
}

const known = (lastSequence: number, epoch = 0) => ({ epoch, batches: [{ lastSequence }] })

function mayCome(...asked: Parameters<RefusedBatches['check']>): (refused: RefusedBatches) => boolean {
  return (refused) => {
    try {
      refused.check(...asked)
      return true
    } catch (error) {
      expect(error).toMatchObject({ code: 'notEnoughReplicas' })
      return false
    }
  }
}

describe('what comes behind a refused batch', () => {
  test.each<[string, number, Parameters<RefusedBatches['check']>, boolean]>([
    ['the batch itself', 5, [header(5), known(4), 1], true],
    ['the next one', 5, [header(6), known(4), 1], false],
    ['the next one of a producer that the log does not know', 5, [header(6), null, 1], false],
    ['the next one once the refused one is stored', 5, [header(6), known(5), 1], true],
    ['the next one of a producer known by an older epoch', 5, [header(6), known(9, -1), 1], false],
    ['one before it', 5, [header(4), known(3), 1], true],
    ['one of a later epoch', 5, [header(0, 1), known(4), 1], true],
    ['the next one of a producer known by a later epoch', 5, [header(6), known(0, 1), 1], true],
    ['one of another producer', 5, [header(6, 0, 8), null, 1], true],
    ['one behind it after 30 s', 5, [header(6), known(4), 30_000], true],
    ['one behind it across the wrap', 2 ** 31 - 1, [header(0), known(2 ** 31 - 2), 1], false],
  ])('%s', (_, refusedSequence, asked, expected) => {
    const refused = new RefusedBatches()
    refused.add(header(refusedSequence), 0)
    expect(mayCome(...asked)(refused)).toBe(expected)
  })

  test('in whatever order batches are refused, none is taken before those before it', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([10, 11, 12, 13, 14], { minLength: 1 }),
        fc.integer({ min: 0, max: 5 }),
        (order, from) => {
          const refused = new RefusedBatches()
          for (const sequence of order) refused.add(header(sequence), 0)
          const first = Math.min(...order)
          for (let sequence = 10 + from; sequence < 15; sequence++) {
            expect(mayCome(header(sequence), known(9), 1)(refused)).toBe(sequence <= first)
          }
        },
      ),
    )
  })

  test('one that is refused as well is no longer waited for than the first', () => {
    const refused = new RefusedBatches()
    refused.add(header(5), 0)
    refused.add(header(6), 29_000)
    expect(mayCome(header(6), known(4), 30_000)(refused)).toBe(true)
  })
})

describe('a leader that was none a moment ago', () => {
  async function world() {
    const nodes = await GroupNodes.start(3)
    await nodes.createTopic('orders')
    const former = await nodes.leader()
    const batch = (baseSequence: number): Uint8Array =>
      batchOf([`record ${baseSequence}`], { producerId: 7, producerEpoch: 0, baseSequence })
    const next = former === 1 ? 2 : 1
    const takeLead = async (): Promise<void> => {
      await nodes.partition(former).group.transferLeadership(next)
      expect(await nodes.leader()).toBe(next)
    }
    return { nodes, former, next, batch, takeLead }
  }

  test('asks for what it has refused before it takes what comes behind that, and tells of no gap', async () => {
    const { nodes, former, next, batch, takeLead } = await world()
    expect(await nodes.produce(former, batch(0))).toMatchObject({ errorCode: 0 })
    expect(await nodes.produce(next, batch(1))).toMatchObject({ errorCode: error('notLeaderOrFollower') })
    await takeLead()
    expect(await nodes.produce(next, batch(2))).toMatchObject({ errorCode: error('notEnoughReplicas') })
    expect(await nodes.produce(next, batch(1))).toMatchObject({ errorCode: 0, baseOffset: 1 })
    expect(await nodes.produce(next, batch(2))).toMatchObject({ errorCode: 0, baseOffset: 2 })
    expect(await nodes.produce(next, batch(4))).toMatchObject({
      errorCode: error('outOfOrderSequenceNumber'),
    })
  })

  test('takes nothing of a producer that it does not know in the place of what it has refused', async () => {
    const { nodes, next, batch, takeLead } = await world()
    expect(await nodes.produce(next, batch(0))).toMatchObject({ errorCode: error('notLeaderOrFollower') })
    await takeLead()
    expect(await nodes.produce(next, batch(1))).toMatchObject({ errorCode: error('notEnoughReplicas') })
    expect(await nodes.produce(next, batch(0))).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(await nodes.produce(next, batch(1))).toMatchObject({ errorCode: 0, baseOffset: 1 })
  })
})
