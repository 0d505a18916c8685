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
  expect(finalizedFeatures).toMatchObject([{ name: 'metadata.version', maxVersionLevel: 21 }])
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
