import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { java, kcatRead, kgoCat, python } from './support/clients.ts'
import { type InteropCluster, startCluster } from './support/cluster.ts'
import { doublesIn } from './support/doubles.ts'
import { withAdmin } from './support/kafkajs.ts'
import { until } from './support/run.ts'
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

const pacedRecords = 2_000
const pacedRate = 100

/** Idempotent producers of other libraries that write 100 records a second for 20 seconds; they fail if one is not delivered. */
const pacedProducers: Readonly<Record<string, (cluster: InteropCluster, name: string) => Promise<unknown>>> =
  {
    java: async (cluster, name) => {
      const { stdout } = await java('producerPerformance', [
        ...['--topic', `paced-${name}`, '--payload-monotonic', '--num-records', `${pacedRecords}`],
        ...['--throughput', `${pacedRate}`, '--bootstrap-server', cluster.bootstrap],
        ...['--command-property', 'acks=all', 'enable.idempotence=true'],
      ])
      expect(stdout).toContain(`${pacedRecords} records sent`)
    },
    librdkafka: async (cluster, name) => {
      await python(pacedLibrdkafka, [cluster.bootstrap, `paced-${name}`, `${pacedRecords}`, `${pacedRate}`])
    },
    'franz-go': async (cluster, name) => {
      const input = Array.from({ length: pacedRecords }, (_, index) => `${index}\trecord ${index}\n`).join('')
      await kgoCat('produce', cluster.bootstrap, ['-t', `paced-${name}`, '-rate', `${pacedRate}`], { input })
    },
  }

const pacedLibrdkafka = `import sys, time
from confluent_kafka import Producer
boot, topic, count, rate = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
producer = Producer({'bootstrap.servers': boot, 'enable.idempotence': True, 'acks': 'all'})
failed = []
begun = time.time()
for i in range(count):
    producer.produce(topic, key=str(i), value='record %d' % i, on_delivery=lambda error, _: error and failed.append(str(error)))
    producer.poll(max(0, begun + i / rate - time.time()))
left = producer.flush(60)
if failed or left: sys.exit('%d failed, %d left: %s' % (len(failed), left, failed[:3]))`

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
    for (const name of Object.keys(pacedProducers)) await createLedBy1(cluster, `paced-${name}`)
    const workload = await Workload.start({ bootstrap: cluster.bootstrap, topic, partitions })
    const others = Promise.all(
      Object.entries(pacedProducers).map(([name, produce]) => produce(cluster, name)),
    )
    others.catch(() => {}) // Whoever awaits it still sees the rejection.
    try {
      // franz-go gives up for good when the first connection that it ever made is closed before it was answered.
      for (const name of Object.keys(pacedProducers)) {
        await until(`${name} to write`, () =>
          withAdmin(cluster.bootstrap, async (admin) => {
            const ends = await admin.fetchTopicOffsets(`paced-${name}`)
            return ends.some(({ high }) => Number(high) > 0)
          }),
        )
      }
      const nodes = [1, await coordinatorOf(cluster, workload.groupId), 1]
      for (const nodeId of nodes) {
        await cluster.node(nodeId).kill()
        await workload.progress()
        await cluster.node(nodeId).start()
        await workload.progress()
      }
      await workload.finish()
      workload.expectNothingGivenUp()
      await others
      for (const name of Object.keys(pacedProducers)) {
        const seen = await kcatRead(cluster.bootstrap, `paced-${name}`)
        expect(await doublesIn(cluster, `paced-${name}`, partitions, seen), name).toEqual([])
        expect(seen.length, name).toBe(pacedRecords)
      }
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
      workload.expectNothingGivenUp()
    } finally {
      await workload.stop()
    }
  })
})
