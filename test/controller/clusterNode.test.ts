import { expect, test } from 'vitest'
import { ClusterWorld } from './clusterSupport.ts'

test('three controllers agree on one image, whoever is asked for a change', async () => {
  const cluster = await ClusterWorld.start(3)
  const nodes = await Promise.all([1, 2, 3].map((machine) => cluster.broker(machine)))
  for (const node of nodes) {
    const topic = `by-${node.nodeId}`
    const [outcome] = await node.metadata.createTopics([
      { name: topic, numPartitions: 4, replicationFactor: 3 },
    ])
    expect(outcome).toMatchObject({ name: topic, numPartitions: 4 })
    expect(node.metadata.image.topics.get(topic)?.partitions).toHaveLength(4)
  }
  await cluster.until(
    () => nodes.every(({ metadata }) => metadata.image.topics.size === 3),
    'three topics everywhere',
  )
  expect(nodes.filter(({ isActive }) => isActive)).toHaveLength(1)
  const brokers = nodes.map(({ metadata }) =>
    [...metadata.image.brokers.values()].map(({ id, fenced }) => [id, fenced]),
  )
  for (const known of brokers)
    expect(known.sort()).toEqual([
      [1, false],
      [2, false],
      [3, false],
    ])
})
