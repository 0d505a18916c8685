import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BrokerImage, MutableImage } from '../../src/controller/image.ts'
import { Placer } from '../../src/controller/placement.ts'
import { EngineError } from '../../src/model/errors.ts'
import { testId } from './support.ts'

function imageOf(racks: readonly (string | null)[], change: Partial<BrokerImage> = {}): MutableImage {
  const image = new MutableImage('test-cluster')
  for (const [index, rack] of racks.entries()) {
    const id = index + 1
    image.brokers.set(id, {
      id,
      epoch: id,
      incarnationId: testId(id),
      endpoints: [],
      rack,
      fenced: false,
      inControlledShutdown: false,
      directories: [testId(100 + id)],
      ...(index === 0 ? change : {}),
    })
  }
  return image
}

const counts = (all: readonly number[], brokers: number): number[] =>
  Array.from({ length: brokers }, (_, index) => all.filter((id) => id === index + 1).length)
const spread = (numbers: readonly number[]): number => Math.max(...numbers) - Math.min(...numbers)

describe('placing replicas', () => {
  test('leads evenly, holds evenly, and never twice on one broker', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer({ min: 1, max: 13 }), { minLength: 1, maxLength: 6 }),
        (brokers, factor, requests) => {
          fc.pre(factor <= brokers)
          const placer = new Placer(imageOf(new Array(brokers).fill(null)))
          const placed = requests.flatMap((count) => placer.place(count, factor))
          for (const replicas of placed) expect(new Set(replicas).size).toBe(factor)
          expect(
            spread(
              counts(
                placed.map(([leader]) => leader!),
                brokers,
              ),
            ),
          ).toBeLessThanOrEqual(1)
          expect(spread(counts(placed.flat(), brokers))).toBeLessThanOrEqual(factor > 1 ? 2 : 1)
        },
      ),
    )
  })

  test('uses as many racks as there are replicas, where there are as many', () => {
    const racks = ['a', 'a', 'b', 'b', 'c', 'c']
    for (const replicas of new Placer(imageOf(racks)).place(50, 3)) {
      expect(new Set(replicas.map((id) => racks[id - 1])).size).toBe(3)
    }
  })

  test('has others follow from lap to lap, so that the load of a lost broker is shared', () => {
    const placed = new Placer(imageOf([null, null, null, null])).place(24, 2)
    const followers = placed.filter(([leader]) => leader === 1).map(([, follower]) => follower)
    expect(new Set(followers)).toEqual(new Set([2, 3, 4]))
  })

  test.each([{ fenced: true }, { inControlledShutdown: true }])(
    'gives nothing to a broker that is %j',
    (change) => {
      const image = imageOf([null, null, null], change)
      expect(new Placer(image).place(4, 2).flat()).not.toContain(1)
      expect(() => new Placer(image).place(1, 3)).toThrow(EngineError)
    },
  )

  test('counts what is there', () => {
    const image = imageOf([null, null])
    const topic = image.addTopic('orders', testId(1))
    const entry = { leader: 1, leaderEpoch: 0, partitionEpoch: 0, isr: [1], directories: [testId(101)] }
    const ongoing = { addingReplicas: [], removingReplicas: [] }
    for (let partition = 0; partition < 4; partition++) {
      topic.partitions.push({ partition, replicas: [1], ...entry, ...ongoing })
    }
    expect(new Placer(image).place(4, 1)).toEqual([[2], [2], [2], [2]])
  })
})
