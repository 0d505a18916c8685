import { describe, expect, test } from 'vitest'
import type { ClusterNode } from '../../src/controller/clusterNode.ts'
import type { NewTopic } from '../../src/controller/commands.ts'
import { EngineError } from '../../src/model/errors.ts'
import { zeroUuid } from '../../src/model/uuid.ts'
import { ClusterWorld, type NodeWishes } from './clusterSupport.ts'
import { plain } from './support.ts'

const topics = (prefix: string, count: number, numPartitions = 1): NewTopic[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `${prefix}-${index}`,
    numPartitions,
    replicationFactor: 3,
  }))

/** What the image of a node holds, whatever offset it has reached. */
const content = ({ metadata }: ClusterNode): string =>
  JSON.stringify({ ...(plain(metadata.image) as object), nextOffset: 0 })

async function brokers(
  cluster: ClusterWorld,
  count: number,
  wishes: NodeWishes = {},
): Promise<ClusterNode[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => cluster.broker(index + 1, wishes)))
}

/** A node's own replica of the metadata log. */
const logOf = (node: ClusterNode) => node.base.metadata.log

describe('snapshots of the metadata', () => {
  const small: NodeWishes = { snapshotBytes: 2000, keptRecords: 5 }

  test('cut the log behind them; a new node begins with one, and who comes back starts from its own', async () => {
    const cluster = await ClusterWorld.start(4, 3)
    const nodes = await brokers(cluster, 3, small)
    for (let round = 0; round < 6; round++) {
      await nodes[round % 3]!.metadata.createTopics(topics(`round-${round}`, 5, 2))
    }
    await nodes[0]!.metadata.deleteTopics([{ name: 'round-2-1', topicId: zeroUuid }])
    const resource = { resourceType: 2, resourceName: 'round-0-0' }
    const configs = [{ name: 'retention.ms', value: '7', configOperation: 0 }]
    await nodes[0]!.metadata.incrementalAlterConfigs([{ ...resource, configs }])
    await nodes[0]!.metadata.allocateProducerIds()
    await cluster.until(() => nodes.every((node) => logOf(node).logStartOffset > 0), 'the logs to be cut')
    const late = await cluster.broker(4, { ...small, config: { isController: false } })
    expect(logOf(late).logStartOffset).toBeGreaterThan(0)
    await cluster.until(() => nodes.every((node) => content(node) === content(late)), 'the same content')
    await cluster.kill(4)
    const again = await cluster.broker(4, { ...small, config: { isController: false } })
    await cluster.until(() => content(again) === content(nodes[0]!), 'the same content again')
    // Registrations go on to be told apart.
    const epochs = [...again.metadata.image.brokers.values()].map(({ epoch }) => epoch)
    expect(new Set(epochs).size).toBe(4)
    expect(again.brokerEpoch).toBe(Math.max(...epochs))
  })

  test('that replace the state of a node that was cut off tell it what is different now', async () => {
    const cluster = await ClusterWorld.start(4, 3)
    const nodes = await brokers(cluster, 3, small)
    const away = await cluster.broker(4, { ...small, config: { isController: false } })
    await nodes[0]!.metadata.createTopics([...topics('stays', 2), ...topics('goes', 1)])
    await cluster.until(() => away.metadata.image.topics.size === 3, 'the topics')
    const told = { created: new Set<string>(), deleted: new Set<string>(), grown: new Set<string>() }
    away.metadata.onChange(({ topicsCreated, topicsDeleted, partitionsAdded }) => {
      for (const { name } of topicsCreated) told.created.add(name)
      for (const { name } of topicsDeleted) told.deleted.add(name)
      for (const { topic } of partitionsAdded) told.grown.add(topic.name)
    })
    const stays = away.metadata.image.topics.get('stays-0')!
    cluster.isolate(4)
    await nodes[0]!.metadata.deleteTopics([{ name: 'goes-0', topicId: zeroUuid }])
    await nodes[0]!.metadata.createPartitions([{ name: 'stays-0', count: 3 }])
    for (let round = 0; round < 8; round++)
      await nodes[0]!.metadata.createTopics(topics(`new-${round}`, 3, 2))
    const end = logOf(away).logEndOffset
    await cluster.until(() => nodes.every((node) => logOf(node).logStartOffset > end), 'the logs to be cut')
    cluster.reconnect(4)
    await cluster.until(() => content(away) === content(nodes[0]!), 'the same content')
    await away.metadata.settled()
    expect([...told.deleted]).toEqual(['goes-0'])
    expect([...told.grown]).toEqual(['stays-0'])
    expect(told.created.size).toBe(24)
    // Whoever holds a topic of the image goes on to see it as it is.
    expect(stays.partitions).toHaveLength(3)
    expect(away.metadata.image.topics.get('stays-0')).toBe(stays)
  })
})

describe('a change of more than one batch', () => {
  const cut: NodeWishes = { batchLimits: { batchBytes: 300 }, maxFetchBytes: 300 }

  test('is there as a whole or not at all, whenever the active controller is lost', async () => {
    const cluster = await ClusterWorld.start(3)
    let nodes = await brokers(cluster, 3, cut)
    const results = { made: 0, absent: 0, unknown: 0 }
    for (let round = 0; round < 12; round++) {
      const active = await cluster.active(nodes)
      const other = nodes.find((node) => node !== active)!
      const fault = { kind: 'killAtCall', node: active.nodeId, calls: 1 + 12 * round, downMs: 100 } as const
      const outcome = other.metadata.createTopics(topics(`round-${round}`, 12)).then(
        (outcomes) => outcomes,
        (error: EngineError) => error,
      )
      cluster.world.inject({ ...fault, number: round, atMs: cluster.world.nowMs })
      const known = await outcome
      await cluster.kill(active.nodeId)
      nodes = [...nodes.filter((node) => node !== active), await cluster.broker(active.nodeId, cut)]
      await cluster.until(() => new Set(nodes.map(content)).size === 1, 'one content')
      const found = [...nodes[0]!.metadata.image.topics.keys()].filter((name) =>
        name.startsWith(`round-${round}-`),
      )
      expect([0, 12]).toContain(found.length)
      if (!(known instanceof EngineError)) expect(found).toHaveLength(12)
      if (known instanceof EngineError) results.unknown++
      else results.made++
      if (found.length === 0) results.absent++
    }
    // Some were lost with their controller, some were not: otherwise this has tried nothing.
    expect(results.unknown).toBeGreaterThan(0)
    expect(results.made).toBeGreaterThan(0)
  })

  test('makes a thousand topics at once, on every node', async () => {
    const cluster = await ClusterWorld.start(3)
    const nodes = await brokers(cluster, 3, { batchLimits: { batchBytes: 20_000 } })
    const outcomes = await nodes[1]!.metadata.createTopics(topics('many', 1000, 3))
    expect(outcomes.filter((outcome) => outcome instanceof EngineError)).toEqual([])
    await cluster.until(
      () => nodes.every(({ metadata }) => metadata.image.topics.size === 1000),
      'all topics',
    )
    const leaders = new Map<number, number>()
    for (const { partitions } of nodes[2]!.metadata.image.topics.values()) {
      for (const { replicas } of partitions) leaders.set(replicas[0]!, (leaders.get(replicas[0]!) ?? 0) + 1)
    }
    expect([...leaders.values()].sort()).toEqual([1000, 1000, 1000])
  })
})
