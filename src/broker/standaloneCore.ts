import { Controller } from '../controller/controller.ts'
import { isOfQuorum, metadataLogConfig } from '../controller/metadataLog.ts'
import { metadataTopicName } from '../controller/topicNames.ts'
import { GroupCoordinator } from '../coordinator/groupCoordinator.ts'
import { LocalOffsets } from '../coordinator/logReign.ts'
import { EngineError } from '../model/errors.ts'
import { metadataTopicId } from '../model/uuid.ts'
import { tellIfSlow } from '../runtime/tellIfSlow.ts'
import { LogDirectory } from '../segment/logDirectory.ts'
import type { BrokerCore, CoreOptions } from './brokerCore.ts'
import { clientEndpoint, groupConfig } from './coreSettings.ts'
import { LocalPartitions } from './localPartitions.ts'
import { SingleNode } from './nodes.ts'
import { offsetsTopicName } from './topicCreator.ts'

const metadataLogName = `${metadataTopicName}-0`

/** A broker that keeps its own metadata and leads every partition. */
export async function openStandalone(options: CoreOptions): Promise<BrokerCore> {
  const { runtime, config, logger, logs, node } = options
  const directory = await LogDirectory.open(runtime, {
    ...logs,
    logger,
    nodeId: config.nodeId,
    ...(config.clusterId === null ? {} : { clusterId: config.clusterId }),
  })
  try {
    const metadataLog =
      directory.logs.get(metadataLogName) ??
      (await directory.createLog(metadataTopicName, 0, metadataTopicId, metadataLogConfig))
    if (await isOfQuorum(runtime, metadataLog)) {
      throw new EngineError(
        'directoryForeign',
        `${logs.directory} belongs to a node of a cluster: start it with its process.roles, or name another directory`,
      )
    }
    const { nodeId, statics: defaults } = config
    const { clusterId, directoryId } = directory
    const controller = await Controller.open(runtime, metadataLog, {
      nodeId,
      clusterId,
      logger,
      defaults,
      directoryId,
    })
    const partitions: LocalPartitions = new LocalPartitions({
      directory,
      image: controller.image,
      defaults,
      logger,
      topicsDeleted: (names) => coordinator.onTopicsDeleted(names),
    })
    const coordinator = new GroupCoordinator(runtime, {
      logger,
      config: groupConfig(config),
      offsets: new LocalOffsets(runtime, {
        partitionCount: () =>
          controller.image.topics.get(offsetsTopicName)?.partitions.length ??
          config.number('offsets.topic.num.partitions'),
        log: (index) => partitions.find(offsetsTopicName, index)?.log ?? null,
      }),
    })
    await partitions.load(controller.takeDeletedTopics())
    controller.onChange((delta) => partitions.apply(delta))
    await coordinator.start()
    coordinator.forgetMissingTopics((topic) => controller.image.topics.has(topic))
    return {
      directory,
      metadata: controller,
      partitions,
      coordinator,
      nodes: new SingleNode(node),
      cluster: null,
      announce: () => controller.registerBroker([clientEndpoint(node)]),
      handOver: async () => {},
      close: async () => {
        await controller.close()
        await tellIfSlow(runtime.clock, logger)('the logs', () => directory.close())
      },
    }
  } catch (error) {
    await directory.close().catch(() => {})
    throw error
  }
}
