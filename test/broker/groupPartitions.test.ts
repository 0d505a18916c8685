import { expect, test } from 'vitest'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { GroupNodes } from './support/groupNodes.ts'
import { batchOf } from './support/produce.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka

test('records are acknowledged once committed, read from the leader, and go on after its death', async () => {
  const nodes = await GroupNodes.start(3)
  await nodes.createTopic('orders')
  const first = await nodes.leader()
  // The preferred replica stands first.
  expect(first).toBe(nodes.image.topics.get('orders')!.partitions[0]!.replicas[0])
  expect(await nodes.produce(first, batchOf(['a', 'b']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
  expect(await nodes.fetch(first, 0)).toMatchObject({ errorCode: 0, highWatermark: 2 })
  await nodes.kill(first)
  const second = await nodes.leader()
  expect(second).not.toBe(first)
  expect(await nodes.produce(second, 'c')).toMatchObject({ errorCode: 0, baseOffset: 2 })
  expect(await nodes.listOffset(second, -1)).toMatchObject({ offset: 3 })
  expect(await nodes.listOffset(second, -2)).toMatchObject({ offset: 0 })
})

test('whoever does not lead says who does, with its address (KIP-951)', async () => {
  const nodes = await GroupNodes.start(3)
  await nodes.createTopic('orders')
  const leader = await nodes.leader()
  const follower = leader === 1 ? 2 : 1
  const { leaderEpoch } = nodes.partition(leader)
  const expected = {
    errorCode: error('notLeaderOrFollower'),
    currentLeader: { leaderId: leader, leaderEpoch },
    nodeEndpoints: [{ nodeId: leader, host: `host-${leader}`, port: 9000 + leader, rack: null }],
  }
  expect(await nodes.produce(follower, 'a')).toMatchObject(expected)
  expect(await nodes.fetch(follower, 0)).toMatchObject(expected)
  expect(await nodes.listOffset(follower, -1)).toMatchObject({ errorCode: error('notLeaderOrFollower') })
  const before = await nodes.produce(follower, 'a', { version: 9 })
  expect(before.currentLeader).toEqual({ leaderId: -1, leaderEpoch: -1 })
  const fenced = await nodes.fetch(leader, 0, { currentLeaderEpoch: leaderEpoch - 1 })
  expect(fenced).toMatchObject({ ...expected, errorCode: error('fencedLeaderEpoch') })
})

test('who waits when leadership goes is told of the new leader, and the records are there once', async () => {
  const nodes = await GroupNodes.start(3)
  await nodes.createTopic('orders')
  const first = await nodes.leader()
  const others = [1, 2, 3].filter((id) => id !== first)
  const idempotent = { producerId: 7, producerEpoch: 0 }
  await nodes.produce(first, batchOf(['a'], { ...idempotent, baseSequence: 0 }))
  // What is produced now reaches nobody else.
  for (const id of others) nodes.transports.setCut(first, id, true)
  const lost = nodes.produce(first, batchOf(['b'], { ...idempotent, baseSequence: 1 }))
  const polled = nodes.fetch(first, 1, { maxWaitMs: 20_000 })
  await expect.poll(() => others.some((id) => nodes.partition(id).isLeader), { timeout: 10_000 }).toBe(true)
  for (const id of others) nodes.transports.setCut(first, id, false)
  const second = await nodes.leader()
  expect(await lost).toMatchObject({ errorCode: error('notLeaderOrFollower') })
  expect(await polled).toMatchObject({ errorCode: error('notLeaderOrFollower') })
  const again = await nodes.produce(second, batchOf(['b'], { ...idempotent, baseSequence: 1 }))
  expect(again).toMatchObject({ errorCode: 0, baseOffset: 1 })
  // A third time it is known, on whatever node leads.
  const known = await nodes.produce(second, batchOf(['b'], { ...idempotent, baseSequence: 1 }))
  expect(known).toMatchObject({ errorCode: 0, baseOffset: 1 })
  const skipped = await nodes.produce(second, batchOf(['d'], { ...idempotent, baseSequence: 3 }))
  expect(skipped).toMatchObject({ errorCode: error('outOfOrderSequenceNumber') })
  expect(await nodes.listOffset(second, -1)).toMatchObject({ offset: 2 })
})

test('a long poll is woken by the high watermark, not by what is only appended', async () => {
  const nodes = await GroupNodes.start(3)
  await nodes.createTopic('orders')
  const leader = await nodes.leader()
  const others = [1, 2, 3].filter((id) => id !== leader)
  for (const id of others) nodes.transports.setCut(leader, id, true)
  let isAnswered = false
  const polled = nodes.fetch(leader, 0, { maxWaitMs: 20_000 }).then((answer) => {
    isAnswered = true
    return answer
  })
  // acks=1 is answered by the leader alone.
  expect(await nodes.produce(leader, 'a', { acks: 1 })).toMatchObject({ errorCode: 0, baseOffset: 0 })
  expect(nodes.partition(leader).log.flushedOffset).toBe(1)
  expect(await nodes.fetch(leader, 0)).toMatchObject({ errorCode: 0, highWatermark: 0 })
  expect(isAnswered).toBe(false)
  for (const id of others) nodes.transports.setCut(leader, id, false)
  expect(await polled).toMatchObject({ errorCode: 0, highWatermark: 1 })
})

test('Metadata of every broker shows who leads, and who is in sync', async () => {
  const nodes = await GroupNodes.start(4, { racks: ['a', 'b', 'c', 'd'] })
  await nodes.createTopic('orders')
  const leader = await nodes.leader()
  for (const id of [1, 2, 3, 4]) {
    await expect
      .poll(() => nodes.describe(id).partitions[0])
      .toMatchObject({ errorCode: 0, leaderId: leader, leaderEpoch: nodes.partition(leader).leaderEpoch })
    await expect.poll(() => nodes.describe(id).partitions[0]!.isrNodes).toHaveLength(3)
  }
  expect(nodes.describe(1).brokers.map(({ nodeId, rack }) => [nodeId, rack])).toEqual([
    [1, 'a'],
    [2, 'b'],
    [3, 'c'],
    [4, 'd'],
  ])
  // A fenced leader is nobody's to be asked, whoever knows of it.
  const { epoch } = nodes.image.brokers.get(leader)!
  await nodes.decide({
    type: 'changeBrokers',
    changes: [{ brokerId: leader, brokerEpoch: epoch, fenced: true }],
  })
  expect(nodes.describe(1).partitions[0]).toMatchObject({
    errorCode: error('leaderNotAvailable'),
    leaderId: -1,
    offlineReplicas: leader === 1 ? [] : [leader],
  })
})

test('with more replicas than a majority asked for, acks=all waits for them or says that they are missing', async () => {
  const nodes = await GroupNodes.start(3)
  await nodes.createTopic('orders', { configs: [{ name: 'min.insync.replicas', value: '3' }] })
  const leader = await nodes.leader()
  expect(await nodes.produce(leader, 'a')).toMatchObject({ errorCode: 0, baseOffset: 0 })
  const dead = [1, 2, 3].find((id) => id !== leader)!
  await nodes.kill(dead)
  // A majority commits it; that is not what the topic asks for.
  expect(await nodes.produce(leader, 'b')).toMatchObject({
    errorCode: error('notEnoughReplicasAfterAppend'),
    baseOffset: -1,
  })
  expect(nodes.partition(leader).highWatermark).toBe(2)
  // By now it is known before anything is appended.
  expect(await nodes.produce(leader, 'c')).toMatchObject({ errorCode: error('notEnoughReplicas') })
  expect(nodes.partition(leader).log.logEndOffset).toBe(2)
  expect(await nodes.produce(leader, 'c', { acks: 1 })).toMatchObject({ errorCode: 0, baseOffset: 2 })
})

test.for([1, 2, 5])('%i replicas work as well', async (replicationFactor) => {
  const nodes = await GroupNodes.start(replicationFactor)
  await nodes.createTopic('orders', { replicationFactor })
  const leader = await nodes.leader()
  for (const value of ['a', 'b', 'c']) {
    expect(await nodes.produce(leader, value)).toMatchObject({ errorCode: 0 })
  }
  expect(await nodes.fetch(leader, 0)).toMatchObject({ errorCode: 0, highWatermark: 3 })
})

test('replicas that start again are voters again, also all at once', async () => {
  const nodes = await GroupNodes.start(3)
  await nodes.createTopic('orders')
  const first = await nodes.leader()
  await nodes.produce(first, 'a')
  await nodes.restart([1, 2, 3])
  const second = await nodes.leader()
  expect(await nodes.produce(second, 'b')).toMatchObject({ errorCode: 0, baseOffset: 1 })
  for (const id of [1, 2, 3]) {
    const ids = nodes.partition(id).group.voters.voters.voters.map((voter) => voter.id)
    expect(ids.sort()).toEqual([1, 2, 3])
  }
})

test('a replica that comes when somebody leads already learns who votes, and can take the lead', async () => {
  const nodes = await GroupNodes.start(3)
  const away = await nodes.leave(3)
  await nodes.createTopic('orders', {
    replicationFactor: -1,
    numPartitions: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [3, 1, 2] }],
  })
  const first = await nodes.leader()
  await nodes.produce(first, 'a')
  await expect.poll(() => nodes.image.topics.get('orders')!.partitions[0]!.leaderEpoch).toBeGreaterThan(0)
  await nodes.come(3, away)
  expect(nodes.partition(3).group.state).toBe('observer')
  await expect.poll(() => nodes.partition(3).group.state).toBe('follower')
  await expect.poll(() => nodes.partition(first).lookInSync()).toContain(3)
  await nodes.partition(first).group.transferLeadership(3)
  expect(await nodes.leader()).toBe(3)
  expect(await nodes.produce(3, 'b')).toMatchObject({ errorCode: 0, baseOffset: 1 })
})

test('leaderships go back to the preferred replicas, and all of them away from a node that shuts down', async () => {
  const nodes = await GroupNodes.start(3, { rebalances: true })
  await nodes.createTopic('orders', { numPartitions: 6 })
  const led = (): number[] => {
    const leaders = Array.from({ length: 6 }, (_, index) => nodes.describe(1).partitions[index]!.leaderId!)
    return leaders.sort()
  }
  await expect.poll(led, { timeout: 10_000 }).toEqual([1, 1, 2, 2, 3, 3])
  const { epoch } = nodes.image.brokers.get(3)!
  await nodes.decide({
    type: 'changeBrokers',
    changes: [{ brokerId: 3, brokerEpoch: epoch, inControlledShutdown: true }],
  })
  await nodes.nodes.get(3)!.partitions.handOver()
  const ledBy3 = [...nodes.nodes.get(3)!.partitions.all()].filter(({ isLeader }) => isLeader)
  expect(ledBy3.map(({ index }) => index)).toEqual([])
  await expect.poll(led).toEqual([1, 1, 1, 2, 2, 2])
  await nodes.decide({
    type: 'changeBrokers',
    changes: [{ brokerId: 3, brokerEpoch: epoch, inControlledShutdown: false }],
  })
  await expect.poll(led, { timeout: 10_000 }).toEqual([1, 1, 2, 2, 3, 3])
})
