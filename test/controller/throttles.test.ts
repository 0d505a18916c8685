import { expect, test } from 'vitest'
import { DeltaBuilder } from '../../src/controller/delta.ts'
import { MutableImage } from '../../src/controller/image.ts'
import { replay } from '../../src/controller/replay.ts'
import { ThrottledReplicas, throttledRateOf } from '../../src/controller/throttles.ts'
import { checkTopicConfig } from '../../src/controller/topicConfigs.ts'

const topicId = 'AAAAAAAAAAAAAAAAAAAAzw'

/** An image in which these configs are set; a broker's under its id. */
function imageWith(configs: readonly (readonly [number, string, string, string])[]): MutableImage {
  const image = new MutableImage('cluster')
  const delta = new DeltaBuilder()
  replay(image, { type: 'topicRecord', version: 0, name: 'orders', topicId }, delta)
  for (const [resourceType, resourceName, name, value] of configs)
    replay(image, { type: 'configRecord', version: 0, resourceType, resourceName, name, value }, delta)
  return image
}

test('a rate is the one of the broker, else the one of all', () => {
  const name = 'leader.replication.throttled.rate'
  const image = imageWith([
    [4, '', name, '1000'],
    [4, '2', name, '9223372036854775807'],
  ])
  expect(throttledRateOf(image, 1, 'leader')).toBe(1000)
  expect(throttledRateOf(image, 2, 'leader')).toBe(Number.MAX_SAFE_INTEGER)
  expect(throttledRateOf(image, 1, 'follower')).toBe(Number.POSITIVE_INFINITY)
})

test.each([
  ['', false],
  ['*', true],
  ['0:1,3:2', true],
  ['0:1, 3:2 ', true],
  ['3:22,33:2', false],
])('of the replicas %j partition 3 on broker 2 is one: %s', (list, isOne) => {
  const image = imageWith([[2, 'orders', 'follower.replication.throttled.replicas', list]])
  const receiving = new ThrottledReplicas(image, 2, 'follower')
  expect(receiving.has(topicId, 3)).toBe(isOne)
  expect(receiving.has('AAAAAAAAAAAAAAAAAAAAAg', 3)).toBe(false)
  expect(new ThrottledReplicas(image, 2, 'leader').has(topicId, 3)).toBe(false)
})

test('a list that was changed holds at once', () => {
  const name = 'leader.replication.throttled.replicas'
  const image = imageWith([[2, 'orders', name, '0:1']])
  const sending = new ThrottledReplicas(image, 1, 'leader')
  expect([sending.has(topicId, 0), sending.has(topicId, 5)]).toEqual([true, false])
  const change = (value: string | null): void =>
    replay(
      image,
      { type: 'configRecord', version: 0, resourceType: 2, resourceName: 'orders', name, value },
      new DeltaBuilder(),
    )
  change('5:1')
  expect([sending.has(topicId, 0), sending.has(topicId, 5)]).toEqual([false, true])
  change(null)
  expect(sending.has(topicId, 5)).toBe(false)
})

test.each(['0', '0:', ':1', 'a:b', '**', '0:1;1:2', '-1:2'])('a list with %j is refused', (item) => {
  const check = (): string => checkTopicConfig('leader.replication.throttled.replicas', `1:1,${item}`)
  expect(check).toThrow(/\[partitionId\]:\[brokerId\]/)
})
