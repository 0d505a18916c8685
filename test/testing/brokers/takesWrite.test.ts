import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BrokerClient } from '../../../src/testing/brokers/brokerClient.ts'
import { BrokerLink } from '../../../src/testing/brokers/brokerLink.ts'
import { churnTopic } from '../../../src/testing/brokers/brokerOperations.ts'
import { type BrokerNode, brokerProgram } from '../../../src/testing/brokers/brokerProgram.ts'
import { watchBrokers } from '../../../src/testing/brokers/brokerWatcher.ts'
import { takesWrite } from '../../../src/testing/brokers/takesWrite.ts'
import { World } from '../../../src/testing/world.ts'

const name = `t${churnTopic}`
const timeoutMs = 5000
const patienceMs = 10_000
let world: World<BrokerNode>
/** Knows the topic from before what a test does to it. */
let client: BrokerClient
let other: BrokerLink

beforeEach(async () => {
  world = new World<BrokerNode>({ seed: 1, nodes: 3, program: (place) => program(place) })
  const { checks, observer } = watchBrokers(world, null, (group) => group.startsWith(name))
  const program = brokerProgram({ nodes: 3, controllers: 3, settings: {} }, observer)
  const counts = {
    ...{ acked: 0, refused: 0, unknown: 0, read: 0, administered: 0, deletions: 0 },
    topicIds: new Set<string>(),
    producerIds: new Set<number>(),
  }
  client = new BrokerClient(new BrokerLink(world, 0, 40), 0, checks, counts)
  other = new BrokerLink(world, 1, 41)
  world.startAll()
  expect(await world.runUntil(() => [...world.nodes.values()].every((node) => node.running), 30_000)).toBe(
    true,
  )
  const topics = [{ name, numPartitions: 1, replicationFactor: 3 }]
  await world.settle(other.anybody('createTopics', { topics, timeoutMs }, timeoutMs))
  expect(await isTaken(false)).toBe(true)
}, 60_000)

afterEach(() => world[Symbol.dispose]())

describe('a partition that is to take a write in the end', () => {
  test('may be deleted late, by a node that was paused when its client gave up', async () => {
    const paused = 3
    world.node(paused).pausedUntilMs = world.nowMs + 2000
    const request = other.kafka.request(paused, 'deleteTopics', { topics: [{ name }], timeoutMs }, 500)
    await expect(world.settle(request)).rejects.toThrow('no answer within 500 ms')
    // Nothing is deleted so far.
    expect(await isTaken(true)).toBe(true)
    await world.advance(3000)
    expect(await isTaken(true)).toBe(true)
    await world.settle(client.link.refresh())
    expect(client.link.topics.has(name)).toBe(false)
  }, 60_000)

  test('is missed when nobody has asked to delete it', async () => {
    await world.settle(other.anybody('deleteTopics', { topics: [{ name }], timeoutMs }, timeoutMs))
    expect(await isTaken(false)).toBe(false)
  }, 60_000)

  test('is missed when it is there and takes none', async () => {
    for (const id of [1, 2]) world.node(id).kill()
    expect(await isTaken(true)).toBe(false)
  }, 60_000)
})

let written = 0

function isTaken(mayBeGone: boolean): Promise<boolean> {
  return takesWrite(client, { topic: churnTopic, partition: 0, mayBeGone }, () => ++written, patienceMs)
}
