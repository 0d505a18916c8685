import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Handler } from '../dispatch.ts'
import type { NodeEndpoint } from '../nodes.ts'
import type { Partition } from '../partition.ts'
import { replicaHealth } from '../replicaHealth.ts'
import { type Services, wireError } from '../services.ts'
import { controllerFor } from './metadata.ts'

type Apis = typeof apiKeys

const EndpointType = { brokers: 1, controllers: 2 } as const

/** DescribeCluster: the brokers that may be asked, under their advertised addresses; from version 2 on also those that are fenced (KIP-1073). */
export const handleDescribeCluster: Handler<Apis['describeCluster']> = (services, _context, request) => {
  const { endpointType } = request
  if (endpointType !== EndpointType.brokers) {
    const code =
      endpointType === EndpointType.controllers ? 'mismatchedEndpointType' : 'unsupportedEndpointType'
    const text = 'This listener belongs to a broker: ask it for brokers.'
    return { ...wireError(services, new EngineError(code, text)), endpointType }
  }
  const { controller, nodes } = services
  const described = (isFenced: boolean) => (node: NodeEndpoint) => {
    const { nodeId, host, port, rack } = node
    return { brokerId: nodeId, host, port, rack, ...(isFenced ? { isFenced } : {}) }
  }
  const brokers = nodes.all().map(described(false))
  if (request.includeFencedBrokers) brokers.push(...nodes.fenced().map(described(true)))
  return { clusterId: controller.image.clusterId, controllerId: controllerFor(services), brokers }
}

/** DescribeLogDirs: the size of each log, and the room of the file system. */
export const handleDescribeLogDirs: Handler<Apis['describeLogDirs']> = async (
  services,
  _context,
  request,
) => {
  const path = services.config.directory
  const byTopic = new Map<string, Partition[]>()
  for (const partition of asked(services, request.topics)) {
    const partitions = byTopic.get(partition.topic)
    if (partitions) partitions.push(partition)
    else byTopic.set(partition.topic, [partition])
  }
  const { freeBytes, totalBytes } = await services.runtime.disk.space(path)
  const topics = [...byTopic].map(([name, partitions]) => ({
    name,
    partitions: partitions.map(({ index, log }) => ({ partitionIndex: index, partitionSize: log.sizeBytes })),
  }))
  return { results: [{ logDir: path, topics, totalBytes, usableBytes: freeBytes, own: damageOf(services) }] }
}

/** What is wrong with a directory and its replicas, and what was, for cordwood's own clients. */
function damageOf({ directory, cluster }: Services) {
  const ranges = directory.badRanges.all()
  const damagedBytes = ranges.reduce((sum, { position, end }) => sum + end - position, 0)
  const damage = { damagedRanges: ranges.length, damagedBytes, repairedRanges: 0 }
  if (cluster === null) return damage
  const { quarantined, rebuilding, rebuilt, beganAnew } = replicaHealth(cluster)
  return {
    ...damage,
    repairedRanges: cluster.base.host.repairs.mended,
    quarantined,
    rebuilding,
    rebuilt,
    ...(beganAnew === null ? {} : { beganAnewMs: beganAnew.atMs, beganAnewReason: beganAnew.reason }),
  }
}

function* asked(
  services: Services,
  topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null,
): Iterable<Partition> {
  if (topics === null) {
    yield* services.partitions.all()
    return
  }
  for (const { topic, partitions } of topics) {
    for (const index of partitions) {
      const partition = services.partitions.find(topic, index)
      if (partition) yield partition
    }
  }
}
