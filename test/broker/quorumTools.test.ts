import { expect, test } from 'vitest'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { RawClient } from './support/runningBroker.ts'
import { type ClusterBroker, RunningCluster } from './support/runningCluster.ts'

const metadataQuorum = { topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }] }

/** Where the nodes reach each other. */
function nodeListener({ broker }: ClusterBroker): { address: { host: string; port: number } } {
  return { address: broker.cluster!.base.address }
}

test('the quorum is described alike by every broker, and on both of its listeners', async () => {
  const cluster = await RunningCluster.start(3)
  for (const one of cluster.brokers.values()) {
    for (const listener of [one.broker, nodeListener(one)]) {
      const client = await RawClient.connect(listener)
      const { topics, nodes, errorCode } = await client.request(apiKeys.describeQuorum, 2, metadataQuorum)
      expect(errorCode).toBe(0)
      const [partition] = topics[0]!.partitions
      expect(partition).toMatchObject({ errorCode: 0, leaderId: one.broker.cluster!.base.metadata.leaderId })
      expect(partition!.currentVoters.map(({ replicaId }) => replicaId).sort()).toEqual([1, 2, 3])
      expect(partition!.highWatermark).toBeGreaterThan(0)
      expect(nodes.map(({ nodeId, listeners }) => [nodeId, listeners[0]!.name]).sort()).toEqual([
        [1, 'CONTROLLER'],
        [2, 'CONTROLLER'],
        [3, 'CONTROLLER'],
      ])
      client.socket.destroy()
    }
  }
})

test('the listener of the nodes names what tools may ask of it, and the controllers', async () => {
  const cluster = await RunningCluster.start(3)
  const client = await RawClient.connect(nodeListener(cluster.brokers.get(1)!))
  const { apiKeys: named, finalizedFeatures } = await client.request(apiKeys.apiVersions, 4, {
    clientSoftwareName: 'test',
    clientSoftwareVersion: '1',
  })
  const keys = named.map(({ apiKey }) => apiKey)
  expect(keys).toContain(apiKeys.describeQuorum.key)
  expect(keys).toContain(apiKeys.describeCluster.key)
  expect(keys).not.toContain(apiKeys.produce.key)
  expect(finalizedFeatures[0]).toMatchObject({ name: 'metadata.version', maxVersionLevel: 21 })
  const described = await client.request(apiKeys.describeCluster, 1, { endpointType: 2 })
  expect(described).toMatchObject({ errorCode: 0, endpointType: 2 })
  expect(described.brokers.map(({ brokerId }) => brokerId).sort()).toEqual([1, 2, 3])
  expect(described.controllerId).toBe(cluster.brokers.get(1)!.broker.cluster!.base.metadata.leaderId)
  const ofBrokers = await client.request(apiKeys.describeCluster, 1, { endpointType: 1 })
  expect(ofBrokers.errorCode).toBe(114)
})

test('a feature level that this release does not know is refused, the known one changes nothing', async () => {
  const cluster = await RunningCluster.start(1)
  const client = await RawClient.connect(cluster.brokers.get(1)!.broker)
  const update = async (feature: string, maxVersionLevel: number) => {
    const { errorCode } = await client.request(apiKeys.updateFeatures, 2, {
      featureUpdates: [{ feature, maxVersionLevel }],
    })
    return errorCode
  }
  expect(await update('metadata.version', 21)).toBe(0)
  expect(await update('metadata.version', 22)).toBe(95)
  expect(await update('share.version', 1)).toBe(95)
})

test('a controller that asks the bootstrap servers becomes a voter when it is told to, and stops being one', async () => {
  const cluster = await RunningCluster.start(1, { spare: 2 })
  const [added, observer] = await Promise.all([cluster.startOne(2), cluster.startOne(3)])
  const client = await RawClient.connect(observer.broker)
  const quorum = async () => {
    const { topics } = await client.request(apiKeys.describeQuorum, 2, metadataQuorum)
    const { currentVoters, observers } = topics[0]!.partitions[0]!
    return [currentVoters, observers].map((replicas) => replicas.map(({ replicaId }) => replicaId).sort())
  }
  expect(await quorum()).toEqual([[1], [2, 3]])
  const { base, clusterId } = added.broker.cluster!
  const voter = { clusterId, voterId: 2, voterDirectoryId: base.logs.directoryId }
  const listeners = [{ name: 'CONTROLLER', ...base.address }]
  const add = { ...voter, timeoutMs: 10_000, listeners }
  expect(await client.request(apiKeys.addRaftVoter, 1, add)).toMatchObject({ errorCode: 0 })
  expect(await quorum()).toEqual([[1, 2], [3]])
  expect(await client.request(apiKeys.addRaftVoter, 1, add)).toMatchObject({ errorCode: 126 })
  const foreign = await client.request(apiKeys.removeRaftVoter, 0, { ...voter, clusterId: 'another-cluster' })
  expect(foreign).toMatchObject({ errorCode: 104 })
  expect(await client.request(apiKeys.removeRaftVoter, 0, voter)).toMatchObject({ errorCode: 0 })
  expect(await quorum()).toEqual([[1], [2, 3]])
})

test('a node without clients votes, and nodes without a vote serve clients', async () => {
  const rolesOf = (nodeId: number): string => (nodeId === 1 ? 'controller' : 'broker')
  const cluster = await RunningCluster.start(3, { rolesOf })
  const client = await RawClient.connect(cluster.brokers.get(3)!.broker)
  const { topics } = await client.request(apiKeys.createTopics, 7, {
    topics: [{ name: 'there', numPartitions: 2, replicationFactor: 2, assignments: [], configs: [] }],
    timeoutMs: 10_000,
  })
  expect(topics).toMatchObject([{ errorCode: 0 }])
  const { brokers } = await client.request(apiKeys.metadata, 12, { topics: null })
  expect(brokers.map(({ nodeId }) => nodeId)).toEqual([2, 3])
  const quorum = await client.request(apiKeys.describeQuorum, 2, metadataQuorum)
  const partition = quorum.topics[0]!.partitions[0]!
  expect(partition.leaderId).toBe(1)
  expect(partition.currentVoters.map(({ replicaId }) => replicaId)).toEqual([1])
  expect(partition.observers.map(({ replicaId }) => replicaId).sort()).toEqual([2, 3])
})
