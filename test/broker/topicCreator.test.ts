import { expect, test } from 'vitest'
import { handleFindCoordinator } from '../../src/broker/handlers/findCoordinator.ts'
import type { NodeEndpoint, Nodes } from '../../src/broker/nodes.ts'
import type { RequestContext, Services } from '../../src/broker/services.ts'
import { offsetsTopicName, TopicCreator } from '../../src/broker/topicCreator.ts'
import type { NewTopic } from '../../src/controller/commands.ts'
import { EngineError } from '../../src/model/errors.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { ManualClock } from './support/fakes.ts'

interface Wish {
  /** How many brokers are there, and how many are registered. */
  readonly alive: number
  readonly registered?: number
  /** `controller.quorum.voters`; null for a broker that stands alone. */
  readonly voters?: number | null
  readonly factor?: number
}

function world({ alive, registered = alive, voters = 3, factor = -1 }: Wish) {
  const asked: NewTopic[] = []
  const clock = new ManualClock()
  const state = { alive }
  const nodes = {
    all: () => Array.from({ length: state.alive }, (_, index) => ({ nodeId: index + 1 })),
  } as unknown as Nodes
  const controller = {
    image: { topics: new Map(), brokers: { size: registered } },
    createTopics: async (topics: readonly NewTopic[]) => {
      asked.push(...topics)
      return topics.map(() => null)
    },
  }
  const config = {
    cluster: voters === null ? null : { voters: { length: voters } },
    number: (name: string) => (name === 'offsets.topic.replication.factor' ? factor : 50),
    texts: new Map([['offsets.topic.segment.bytes', '16777216']]),
  }
  const options = { controller, config, logger: silentLogger, nodes, clock }
  const creator = new TopicCreator(options as unknown as ConstructorParameters<typeof TopicCreator>[0])
  const replicas = async (): Promise<number | string> => {
    asked.length = 0
    try {
      await creator.ensureOffsetsTopic()
      return asked[0]!.replicationFactor!
    } catch (error) {
      return (error as EngineError).code
    }
  }
  return { replicas, clock, state }
}

test('the offsets topic has three replicas, or as many as there are brokers', async () => {
  expect(await world({ alive: 5, voters: 3 }).replicas()).toBe(3)
  expect(await world({ alive: 3, voters: 3 }).replicas()).toBe(3)
  expect(await world({ alive: 1, voters: 1 }).replicas()).toBe(1)
  expect(await world({ alive: 1, voters: null }).replicas()).toBe(1)
})

test('with a factor that was set it is created with that, for the controller to refuse', async () => {
  expect(await world({ alive: 1, factor: 3 }).replicas()).toBe(3)
  expect(await world({ alive: 5, factor: 5 }).replicas()).toBe(5)
})

test('while brokers may be on their way it is not created with fewer replicas than it is to have', async () => {
  const { replicas, clock, state } = world({ alive: 1, voters: 3 })
  expect(await replicas()).toBe('invalidReplicationFactor')
  state.alive = 2
  expect(await replicas()).toBe('invalidReplicationFactor')
  state.alive = 3
  expect(await replicas()).toBe(3)
  state.alive = 2
  clock.advance(9_999)
  expect(await replicas()).toBe('invalidReplicationFactor')
  clock.advance(1)
  expect(await replicas()).toBe(2)
})

test('brokers that are registered and fenced are waited for as well', async () => {
  const { replicas, clock } = world({ alive: 2, registered: 4, voters: 1 })
  expect(await replicas()).toBe('invalidReplicationFactor')
  clock.advance(10_000)
  expect(await replicas()).toBe(2)
})

/** FindCoordinator over three brokers, of which partition 0 to 3 have the leaders 1, 2, nobody and one that is gone. */
function findCoordinator(why: EngineError | null = null) {
  const leaders = [1, 2, -1, 9]
  const endpoint = (nodeId: number): NodeEndpoint => ({
    nodeId,
    host: `host-${nodeId}`,
    port: 9092,
    rack: null,
  })
  const services = {
    topicCreator: { ensureOffsetsTopic: () => (why === null ? null : Promise.reject(why)) },
    coordinator: { partitionFor: (groupId: string) => Number(groupId) },
    partitions: {
      leadershipOf: (topic: string, index: number) => ({
        leader: topic === offsetsTopicName ? leaders[index]! : -1,
        leaderEpoch: 1,
      }),
    },
    nodes: { find: (id: number) => (id === 1 || id === 2 ? endpoint(id) : null) },
  } as unknown as Services
  return (apiVersion: number, keyType: number, keys: readonly string[]) =>
    handleFindCoordinator(services, { apiVersion } as RequestContext, {
      key: keys[0]!,
      keyType,
      coordinatorKeys: keys,
    })
}

test('FindCoordinator names whoever leads the partition of each group; 15 where nobody does', async () => {
  const find = findCoordinator()
  const nowhere = { nodeId: -1, host: '', port: -1, errorCode: 15 }
  expect((await find(4, 0, ['1', '0', '2', '3']))!.coordinators).toMatchObject([
    { key: '1', nodeId: 2, host: 'host-2', port: 9092, errorCode: 0 },
    { key: '0', nodeId: 1, errorCode: 0 },
    { key: '2', ...nowhere },
    { key: '3', ...nowhere },
  ])
  for (const version of [0, 1, 2, 3]) {
    expect(await find(version, 0, ['1'])).toMatchObject({ nodeId: 2, host: 'host-2', errorCode: 0 })
    expect(await find(version, 0, ['2'])).toMatchObject(nowhere)
  }
})

test('while the offsets topic cannot be created nobody coordinates (15)', async () => {
  const find = findCoordinator(new EngineError('invalidReplicationFactor', '1 of 3 brokers'))
  const answer = await find(4, 0, ['0', '1'])
  expect(answer!.coordinators!.map(({ errorCode }) => errorCode)).toEqual([15, 15])
  expect(await find(2, 0, ['0'])).toMatchObject({ errorCode: 15, errorMessage: '1 of 3 brokers' })
})
