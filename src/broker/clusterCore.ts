import type { ClusterConfig } from '../controller/clusterConfig.ts'
import { ClusterNode } from '../controller/clusterNode.ts'
import { ThrottledReplicas, throttledRateOf } from '../controller/throttles.ts'
import { GroupCoordinator } from '../coordinator/groupCoordinator.ts'
import { GroupOffsets } from '../coordinator/groupReign.ts'
import { EngineError } from '../model/errors.ts'
import { CallKind } from '../replica/nodes/nodeCalls.ts'
import { tellIfSlow } from '../runtime/tellIfSlow.ts'
import type { BrokerCore, CoreOptions } from './brokerCore.ts'
import { clientEndpoint, groupConfig } from './coreSettings.ts'
import { GroupPartitions } from './groupPartitions.ts'
import { ClusterNodes } from './nodes.ts'
import { offsetsTopicName } from './topicCreator.ts'

/** How long a replica has to answer that it was told something. */
const tellTimeoutMs = 2000
/** How long a broker that shuts down waits for the controller to know it. */
const shutdownHeardMs = 1000

/** A broker of a cluster: its metadata is what the controllers agree on, its partitions are replicas of groups. */
export async function openClusterCore(
  options: CoreOptions,
  cluster: ClusterConfig,
  lost: (error: EngineError) => void,
): Promise<BrokerCore> {
  const { runtime, config, logger, logs, node, observer } = options
  const { nodeId, clusterId, statics: defaults } = config
  const own = await ClusterNode.open({
    runtime,
    logger,
    nodeId,
    clusterId,
    config: cluster,
    defaults,
    logs,
    snapshotBytes: config.number('metadata.log.max.record.bytes.between.snapshots'),
    observer,
    lost,
  })
  const { metadata, base } = own
  const { image } = metadata
  const sending = new ThrottledReplicas(image, nodeId, 'leader')
  const receiving = new ThrottledReplicas(image, nodeId, 'follower')
  base.host.limitCatchUp({
    get sendingRate() {
      return throttledRateOf(image, nodeId, 'leader')
    },
    get receivingRate() {
      return throttledRateOf(image, nodeId, 'follower')
    },
    limitsSending: ({ topicId, partition }) => sending.has(topicId, partition),
    limitsReceiving: ({ topicId, partition }) => receiving.has(topicId, partition),
  })
  const nodes = new ClusterNodes(image, cluster.clientListenerName)
  const partitions: GroupPartitions = new GroupPartitions({
    nodeId,
    host: base.host,
    directory: base.logs,
    image,
    // They change while the broker runs.
    get defaults() {
      return metadata.defaults
    },
    clock: runtime.clock,
    logger,
    nodeListener: cluster.nodeListener.name,
    rebalances: true,
    report: (states) => metadata.reportPartitions(states),
    topicsDeleted: (names) => coordinator.onTopicsDeleted(names),
    beginAt: async (to, { topicId, topic, index }, offset) => {
      const json = String(offset)
      await base.router.ask(
        to,
        { kind: CallKind.beginAt, topicId, topic, partition: index, json },
        tellTimeoutMs,
      )
    },
    leadershipChanged: ({ topic, index }) => {
      if (topic === offsetsTopicName) coordinator.leadershipChanged(index)
    },
  })
  const coordinator = new GroupCoordinator(runtime, {
    logger,
    config: groupConfig(config),
    offsets: new GroupOffsets(runtime.clock, {
      partitionCount: () =>
        image.topics.get(offsetsTopicName)?.partitions.length ??
        config.number('offsets.topic.num.partitions'),
      group: (index) => partitions.find(offsetsTopicName, index)?.group ?? null,
      deleteRecordsBefore: async (index, offset) => {
        const partition = partitions.find(offsetsTopicName, index)
        if (partition === null)
          throw new EngineError('notLeaderOrFollower', 'the partition has gone elsewhere')
        await partition.deleteRecordsBefore(offset)
      },
    }),
  })
  own.answerCalls(CallKind.beginAt, async ({ topicId, topic, partition: index, json }) => {
    partitions.beginAt({ topicId, topic, index }, Number(json))
    return {}
  })
  try {
    const loaded = partitions.load()
    // What changes from here on waits until that is over.
    metadata.onChange((delta) => partitions.apply(delta))
    await loaded
    await coordinator.start()
  } catch (error) {
    await own.close().catch(() => {})
    throw error
  }
  return {
    directory: base.logs,
    metadata,
    partitions,
    coordinator,
    nodes,
    cluster: own,
    announce: async () => {
      await own.join([clientEndpoint(node, cluster.clientListenerName)])
      // A node is only let in once it knows what the others do.
      await partitions.caughtUp()
    },
    handOver: async () => {
      await own.beginShutdown(shutdownHeardMs)
      await partitions.handOver()
    },
    close: async () => {
      await tellIfSlow(runtime.clock, logger)('changes of partitions', () => partitions.close())
      await own.close()
    },
  }
}
