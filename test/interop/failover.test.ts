import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type InteropCluster, startCluster } from './support/cluster.ts'
import { withAdmin } from './support/kafkajs.ts'
import { isCordwood } from './support/server.ts'
import { Workload } from './support/workload.ts'

const partitions = 3

/** A topic whose partitions are all to be led by node 1. */
async function createLedBy1({ bootstrap }: InteropCluster, topic: string): Promise<void> {
  const replicaAssignment = [0, 1, 2].map((partition) => ({ partition, replicas: [1, 2, 3] }))
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({ topics: [{ topic, replicaAssignment }], waitForLeaders: true }),
  )
}

async function coordinatorOf({ bootstrap }: InteropCluster, groupId: string): Promise<number> {
  return await withAdmin(bootstrap, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: ['__consumer_offsets'] })
    const count = topics[0]!.partitions.length
    let hash = 0
    for (const char of groupId) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0
    const index = Math.abs(hash) % count
    return topics[0]!.partitions.find(({ partitionId }) => partitionId === index)!.leader
  })
}

describe.runIf(isCordwood)('three nodes of which any may go', () => {
  let cluster: InteropCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster?.close())
  beforeEach(({ onTestFailed }) => onTestFailed(() => console.error(cluster.outputs())))

  test('the node that leads everything is killed and comes back: nothing acknowledged is lost, doubled or out of order', async () => {
    const topic = 'killed'
    await createLedBy1(cluster, topic)
    const workload = await Workload.start({ bootstrap: cluster.bootstrap, topic, partitions })
    try {
      const nodes = [1, await coordinatorOf(cluster, workload.groupId), 1]
      for (const nodeId of nodes) {
        await cluster.node(nodeId).kill()
        await workload.progress()
        await cluster.node(nodeId).start()
        await workload.progress()
      }
      await workload.finish()
      expect(workload.failures).toEqual([])
    } finally {
      await workload.stop()
    }
  })

  test('a rolling restart: no request of a client fails', async () => {
    const topic = 'rolled'
    await createLedBy1(cluster, topic)
    const workload = await Workload.start({ bootstrap: cluster.bootstrap, topic, partitions })
    try {
      for (const node of cluster.nodes) {
        expect(await node.stop()).toBe(0)
        await workload.progress()
        await node.start()
        await workload.progress()
      }
      await workload.finish()
      expect(workload.failures).toEqual([])
    } finally {
      await workload.stop()
    }
  })
})
