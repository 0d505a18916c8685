import { expect, test, vi } from 'vitest'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { RawClient } from './support/runningBroker.ts'
import { RunningCluster } from './support/runningCluster.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka
const groups = ['a', 'b', 'c', 'd', 'e', 'f']

/** What `look` gives once that is neither null nor false. */
async function until<T>(look: () => Promise<T | null | false>): Promise<T> {
  return (await vi.waitUntil(look, { timeout: 20_000, interval: 20 })) as T
}

class Clients {
  readonly cluster: RunningCluster
  readonly #clients = new Map<number, RawClient>()

  constructor(cluster: RunningCluster) {
    this.cluster = cluster
  }

  async of(nodeId: number): Promise<RawClient> {
    const known = this.#clients.get(nodeId)
    if (known !== undefined) return known
    const client = await RawClient.connect(this.cluster.brokers.get(nodeId)!.broker)
    this.#clients.set(nodeId, client)
    return client
  }

  forget(nodeId: number): void {
    this.#clients.delete(nodeId)
  }

  async #askOf(nodeId: number, coordinatorKeys: readonly string[]): Promise<Map<string, number>> {
    const client = await this.of(nodeId)
    const { coordinators } = await client.request(apiKeys.findCoordinator, 4, { coordinatorKeys })
    return new Map(coordinators.map(({ key, errorCode, nodeId: id }) => [key, errorCode === 0 ? id : -1]))
  }

  /** Who coordinates each group, once `nodeId` can say it and it is none of `gone`. */
  coordinators(nodeId: number, gone: readonly number[] = []): Promise<Map<string, number>> {
    return until(async () => {
      const found = await this.#askOf(nodeId, groups)
      return [...found.values()].every((id) => id >= 0 && !gone.includes(id)) ? found : null
    })
  }

  async commit(nodeId: number, groupId: string, committedOffset: number): Promise<number> {
    const client = await this.of(nodeId)
    const partitions = [{ partitionIndex: 0, committedOffset }]
    const { topics } = await client.request(apiKeys.offsetCommit, 8, {
      groupId,
      topics: [{ name: 'orders', partitions }],
    })
    return topics[0]!.partitions[0]!.errorCode
  }

  /** The offset that the group has committed; below 0 for an error, minus its number. */
  async fetch(nodeId: number, groupId: string): Promise<number> {
    const client = await this.of(nodeId)
    const request = { groups: [{ groupId, topics: null }], requireStable: true }
    const group = (await client.request(apiKeys.offsetFetch, 8, request)).groups[0]!
    return group.errorCode !== 0
      ? -group.errorCode
      : (group.topics[0]?.partitions[0]?.committedOffset ?? Number.NaN)
  }
}

async function clusterWithTopic(): Promise<Clients> {
  const clients = new Clients(await RunningCluster.start(3))
  const client = await clients.of(1)
  const topic = { name: 'orders', numPartitions: 1, replicationFactor: 3, assignments: [], configs: [] }
  const { topics } = await client.request(apiKeys.createTopics, 7, { topics: [topic], timeoutMs: 10_000 })
  expect(topics[0]!.errorCode).toBe(0)
  return clients
}

test('committed offsets move with the leadership of their partition; whoever does not lead says so (16)', async () => {
  const clients = await clusterWithTopic()
  const before = await clients.coordinators(1)
  expect(await clients.coordinators(2)).toEqual(before)
  const replicas = await (await clients.of(3)).request(apiKeys.metadata, 9, {
    topics: [{ name: '__consumer_offsets' }],
  })
  for (const { replicaNodes } of replicas.topics[0]!.partitions) expect(replicaNodes).toHaveLength(3)
  for (const [index, group] of groups.entries()) {
    const coordinator = before.get(group)!
    await until(async () => (await clients.commit(coordinator, group, 100 + index)) === 0)
    const other = (coordinator % 3) + 1
    expect(await clients.commit(other, group, 1)).toBe(error('notCoordinator'))
    expect(await clients.fetch(other, group)).toBe(-error('notCoordinator'))
    expect(await clients.fetch(coordinator, group)).toBe(100 + index)
  }

  const gone = before.get('a')!
  const left = [1, 2, 3].filter((id) => id !== gone)
  await clients.cluster.brokers.get(gone)!.close()
  clients.forget(gone)
  const after = await clients.coordinators(left[0]!, [gone])
  for (const [index, group] of groups.entries()) {
    const coordinator = after.get(group)!
    const found = await until(async () => {
      const offset = await clients.fetch(coordinator, group)
      return offset === -error('coordinatorLoadInProgress') ? null : offset
    })
    expect(found, group).toBe(100 + index)
    expect(await clients.commit(coordinator, group, 200 + index)).toBe(0)
  }

  await clients.cluster.startOne(gone)
  const last = left.find((id) => id !== after.get('a'))!
  await clients.cluster.brokers.get(after.get('a')!)!.close()
  clients.forget(after.get('a')!)
  const final = await clients.coordinators(last, [after.get('a')!])
  for (const [index, group] of groups.entries()) {
    const found = await until(async () => {
      const offset = await clients.fetch(final.get(group)!, group)
      return offset === -error('coordinatorLoadInProgress') ? null : offset
    })
    expect(found, group).toBe(200 + index)
  }
}, 60_000)

test('producer ids come from any broker, no two alike', async () => {
  const clients = await clusterWithTopic()
  const ids: number[] = []
  for (const nodeId of [1, 2, 3, 1, 2, 3]) {
    const client = await clients.of(nodeId)
    const answer = await client.request(apiKeys.initProducerId, 4, { transactionalId: null })
    expect(answer.errorCode).toBe(0)
    ids.push(answer.producerId)
  }
  expect(new Set(ids).size).toBe(6)
}, 60_000)
