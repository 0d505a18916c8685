import { expect, test } from 'vitest'
import { DeltaBuilder } from '../../src/controller/delta.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { GroupNodes } from './support/groupNodes.ts'
import { batchOf } from './support/produce.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka

test('DeleteRecords moves the start of every replica, and one that comes later begins there', async () => {
  const nodes = await GroupNodes.start(4)
  await nodes.createTopic('orders', {
    replicationFactor: -1,
    numPartitions: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }],
  })
  const leader = await nodes.leader()
  const idempotent = { producerId: 7, producerEpoch: 0 }
  for (const [baseSequence, value] of ['a', 'b', 'c', 'd'].entries()) {
    await nodes.produce(leader, batchOf([value], { ...idempotent, baseSequence }))
  }
  await nodes.partition(leader).deleteRecordsBefore(4)
  for (const id of [1, 2, 3]) await expect.poll(() => nodes.partition(id).log.logStartOffset).toBe(4)
  expect(await nodes.fetch(leader, 2)).toMatchObject({ errorCode: error('offsetOutOfRange') })
  // The log goes on where it is, on the new replica as well.
  await nodes.reassign('orders', [4, 2, 3])
  await expect.poll(() => nodes.image.topics.get('orders')!.partitions[0]!.replicas).toEqual([4, 2, 3])
  expect(nodes.partition(4).log).toMatchObject({ logStartOffset: 4, logEndOffset: 4 })
  const second = await nodes.leader()
  if (second !== 4) await nodes.partition(second).group.transferLeadership(4)
  expect(await nodes.leader()).toBe(4)
  // It knows the producer although the records are gone that it sent.
  const again = await nodes.produce(4, batchOf(['d'], { ...idempotent, baseSequence: 3 }))
  expect(again).toMatchObject({ errorCode: 0, baseOffset: 3 })
  const next = await nodes.produce(4, batchOf(['e'], { ...idempotent, baseSequence: 4 }))
  expect(next).toMatchObject({ errorCode: 0, baseOffset: 4 })
})

test('retention takes what is committed only, on each replica', async () => {
  const nodes = await GroupNodes.start(3)
  await nodes.createTopic('orders', {
    configs: [
      { name: 'segment.bytes', value: '14000' },
      { name: 'retention.bytes', value: '20000' },
    ],
  })
  const leader = await nodes.leader()
  for (let count = 0; count < 10; count++) await nodes.produce(leader, batchOf(['x'.repeat(5000)]))
  for (const id of [1, 2, 3]) await expect.poll(() => nodes.partition(id).readableEnd).toBe(10)
  for (const { partitions } of nodes.nodes.values()) await partitions.applyRetention()
  const starts = [1, 2, 3].map((id) => nodes.partition(id).log.logStartOffset)
  expect(starts[0]).toBeGreaterThan(0)
  expect(new Set(starts).size).toBe(1)
  expect(await nodes.listOffset(leader, -2)).toMatchObject({ offset: starts[0], leaderEpoch: 1 })
  const others = [1, 2, 3].filter((id) => id !== leader)
  for (const id of others) nodes.transports.setCut(leader, id, true)
  // Nobody else has these: they are not to be missing should they be committed after all.
  for (let count = 0; count < 6; count++)
    await nodes.produce(leader, batchOf(['y'.repeat(5000)]), { acks: 1 })
  await nodes.nodes.get(leader)!.partitions.applyRetention()
  expect(nodes.partition(leader).log.logStartOffset).toBeLessThanOrEqual(10)
  await expect(nodes.partition(leader).deleteRecordsBefore(12)).rejects.toMatchObject({
    code: 'offsetOutOfRange',
  })
  for (const id of others) nodes.transports.setCut(leader, id, false)
  const next = await nodes.leader()
  expect(await nodes.produce(next, 'z')).toMatchObject({ errorCode: 0 })
  for (const id of [1, 2, 3]) {
    await expect.poll(() => nodes.partition(id).readableEnd).toBe(nodes.partition(next).highWatermark)
  }
})

test('a reassignment adds replicas that catch up, then removes those that go, the leader last', async () => {
  const nodes = await GroupNodes.start(5)
  await nodes.createTopic('orders', {
    replicationFactor: -1,
    numPartitions: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }],
  })
  for (const value of ['a', 'b', 'c']) await nodes.produce(await nodes.leader(), value)
  await nodes.reassign('orders', [4, 5, 2])
  const image = () => nodes.image.topics.get('orders')!.partitions[0]!
  expect(image().addingReplicas).toEqual([4, 5])
  await expect.poll(() => image().replicas, { timeout: 10_000 }).toEqual([4, 5, 2])
  expect(image()).toMatchObject({ addingReplicas: [], removingReplicas: [] })
  const leader = await nodes.leader()
  expect([2, 4, 5]).toContain(leader)
  for (const id of [4, 5]) await expect.poll(() => nodes.partition(id).readableEnd).toBe(3)
  // Who went has nothing left of it.
  for (const id of [1, 3]) {
    await expect.poll(() => nodes.nodes.get(id)!.partitions.find('orders', 0)).toBe(null)
    await expect.poll(() => nodes.nodes.get(id)!.logs.logs.has('orders-0')).toBe(false)
    expect(await nodes.produce(id, 'x')).toMatchObject({
      errorCode: error('notLeaderOrFollower'),
      currentLeader: { leaderId: leader },
    })
  }
  expect(await nodes.produce(leader, 'd')).toMatchObject({ errorCode: 0, baseOffset: 3 })
})

test('a client is sent to the in-sync replica in its rack, which serves it below its high watermark (KIP-392)', async () => {
  const nodes = await GroupNodes.start(3, { racks: ['a', 'b', 'c'] })
  await nodes.createTopic('orders')
  const leader = await nodes.leader()
  const closer = leader === 3 ? 2 : 3
  const rackId = ['a', 'b', 'c'][closer - 1]!
  for (const value of ['a', 'b']) await nodes.produce(leader, value)
  const sent = async () => (await nodes.fetch(leader, 0, { rackId })).preferredReadReplica
  nodes.partition(leader).lookInSync()
  await expect.poll(sent).toBe(closer)
  expect((await nodes.fetch(leader, 0, { rackId })).records).toMatchObject({ lengthBytes: 0 })
  await expect.poll(() => nodes.partition(closer).readableEnd).toBe(2)
  const { leaderEpoch } = nodes.partition(leader)
  const read = await nodes.fetch(closer, 0, { rackId, currentLeaderEpoch: leaderEpoch })
  expect(read).toMatchObject({ errorCode: 0, highWatermark: 2, preferredReadReplica: -1 })
  expect(read.records).not.toMatchObject({ lengthBytes: 0 })
  // In the leader's rack, in no rack, and in one without a replica the leader serves.
  for (const other of [['a', 'b', 'c'][leader - 1]!, '', 'd']) {
    expect(await nodes.fetch(leader, 0, { rackId: other })).toMatchObject({ preferredReadReplica: -1 })
  }
  // A follower that is asked beyond its own end does not know whether that is there.
  expect(await nodes.fetch(closer, 9, { rackId })).toMatchObject({ errorCode: error('offsetNotAvailable') })
  expect(await nodes.fetch(leader, 9, {})).toMatchObject({ errorCode: error('offsetOutOfRange') })
  expect(await nodes.fetch(closer, 0)).toMatchObject({ errorCode: error('notLeaderOrFollower') })
})

test('a replica that was moved away and comes back to the same directory is a voter again', async () => {
  const nodes = await GroupNodes.start(4)
  await nodes.createTopic('orders', {
    replicationFactor: -1,
    numPartitions: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }],
  })
  await nodes.produce(await nodes.leader(), 'a')
  const image = () => nodes.image.topics.get('orders')!.partitions[0]!
  for (const replicas of [
    [1, 2, 4],
    [1, 2, 3],
    [1, 4, 3],
    [2, 1, 3],
  ]) {
    await nodes.reassign('orders', replicas)
    await expect.poll(image, { timeout: 10_000 }).toMatchObject({ replicas, addingReplicas: [] })
    expect(await nodes.produce(await nodes.leader(), 'b')).toMatchObject({ errorCode: 0 })
  }
  await nodes.restart([1, 2, 3])
  expect(await nodes.produce(await nodes.leader(), 'c')).toMatchObject({ errorCode: 0, baseOffset: 5 })
  for (const id of [1, 2, 3]) {
    await expect.poll(() => nodes.partition(id).readableEnd).toBe(6)
    expect(['leader', 'follower']).toContain(nodes.partition(id).group.state)
  }
})

test('a broker that starts with an image of earlier begins no replica that it has not, and removes none', async () => {
  const nodes = await GroupNodes.start(4)
  const assign = (brokerIds: readonly number[]) => ({
    replicationFactor: -1,
    numPartitions: -1,
    assignments: [{ partitionIndex: 0, brokerIds }],
  })
  await nodes.createTopic('orders', assign([1, 2, 3]))
  await nodes.createTopic('bills', assign([1, 2, 4]))
  await nodes.produce(await nodes.leader(), 'a')
  const old = nodes.copyOfImage()
  const replicas = (topic: string) => nodes.image.topics.get(topic)!.partitions[0]!.replicas
  await nodes.reassign('orders', [1, 2, 4])
  await nodes.reassign('bills', [1, 2, 3])
  await expect
    .poll(() => [replicas('orders'), replicas('bills')])
    .toEqual([
      [1, 2, 4],
      [1, 2, 3],
    ])
  await nodes.produce(await nodes.leader('bills'), 'b', { topic: 'bills' })
  await expect.poll(() => nodes.partition(3, 'bills').readableEnd).toBe(1)
  await expect.poll(() => nodes.nodes.get(3)!.partitions.find('orders', 0)).toBeNull()
  const now = nodes.copyOfImage()
  const { directory } = await nodes.leave(3)
  await nodes.run(3, directory, old, true)
  const { partitions, logs } = nodes.nodes.get(3)!
  // Where `orders` has gone from, and `bills` has come to, only a later image says.
  expect(partitions.find('orders', 0)).toBeNull()
  expect([...logs.logs.keys()]).toEqual(['bills-0'])
  const delta = new DeltaBuilder()
  for (const name of ['orders', 'bills']) delta.partitionChanged(old.topics.get(name)!, 0)
  await partitions.apply(delta.build()!)
  expect([...logs.logs.keys()]).toEqual(['bills-0'])
  for (const name of ['orders', 'bills']) {
    old.topics.get(name)!.partitions.splice(0, 1, now.topics.get(name)!.partitions[0]!)
  }
  await partitions.caughtUp()
  expect([...logs.logs.keys()]).toEqual(['bills-0'])
  expect(nodes.partition(3, 'bills').log.logEndOffset).toBe(1)
  await nodes.produce(await nodes.leader('bills'), 'c', { topic: 'bills' })
  await expect.poll(() => nodes.partition(3, 'bills').readableEnd).toBe(2)
})

test.each(['sending', 'receiving'] as const)(
  'a new replica gets no more than the rate allows that bounds %s, and those that vote get everything',
  async (side) => {
    const nodes = await GroupNodes.start(4)
    await nodes.createTopic('orders', {
      replicationFactor: -1,
      numPartitions: -1,
      assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }],
    })
    let rate = 0
    for (const { host } of nodes.nodes.values()) {
      host.limitCatchUp({
        sendingRate: Number.POSITIVE_INFINITY,
        receivingRate: Number.POSITIVE_INFINITY,
        limitsSending: () => true,
        limitsReceiving: () => true,
        get [`${side}Rate`]() {
          return rate
        },
      })
    }
    const leader = await nodes.leader()
    for (let count = 0; count < 5; count++) await nodes.produce(leader, batchOf(['x'.repeat(5000)]))
    await nodes.reassign('orders', [4, 2, 3])
    const follows = (): boolean =>
      nodes.partition(leader).group.followers.some(({ id }) => id === 4) &&
      nodes.partition(4).group.leaderId === leader
    await expect.poll(follows).toBe(true)
    for (let count = 0; count < 5; count++) {
      expect(await nodes.produce(leader, batchOf(['x'.repeat(5000)]))).toMatchObject({ errorCode: 0 })
    }
    expect(nodes.partition(4).log.logEndOffset).toBe(0)
    expect(nodes.image.topics.get('orders')!.partitions[0]!.addingReplicas).toEqual([4])
    rate = 10_000_000
    await expect.poll(() => nodes.partition(4).log.logEndOffset, { timeout: 10_000 }).toBe(10)
    await expect
      .poll(() => nodes.image.topics.get('orders')!.partitions[0]!.replicas, { timeout: 10_000 })
      .toEqual([4, 2, 3])
  },
)
