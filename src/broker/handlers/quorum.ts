import type { QuorumState, ReplicaState } from '../../controller/quorumState.ts'
import { metadataTopicName } from '../../controller/topicNames.ts'
import { EngineError } from '../../model/errors.ts'
import { apiKeys } from '../../protocol/apiKeys.ts'
import { type Handler, type Route, route } from '../dispatch.ts'
import { type Services, wireError } from '../services.ts'

type Apis = typeof apiKeys

/** DescribeQuorum: how the controllers are doing, as the active one knows, whoever is asked. Source: KIP-595. */
const handleDescribeQuorum: Handler<Apis['describeQuorum']> = async (services, _context, request) => {
  let state: QuorumState
  try {
    state = await clusterOf(services).describeQuorum()
  } catch (error) {
    return wireError(services, error)
  }
  const topics = request.topics.map(({ topicName, partitions }) => ({
    topicName,
    partitions: partitions.map(({ partitionIndex }) => {
      if (topicName !== metadataTopicName || partitionIndex !== 0) {
        const text = `Only ${metadataTopicName}-0 has a quorum of controllers.`
        const error = wireError(services, new EngineError('unknownTopicOrPartition', text))
        return { partitionIndex, ...error, leaderId: -1, leaderEpoch: -1, highWatermark: -1 }
      }
      const { leaderId, leaderEpoch, highWatermark } = state
      const currentVoters = state.voters.map(replicaState)
      const observers = state.observers.map(replicaState)
      return { partitionIndex, leaderId, leaderEpoch, highWatermark, currentVoters, observers }
    }),
  }))
  const nodes = state.nodes.map(({ id, endpoints }) => ({
    nodeId: id,
    listeners: endpoints.map(({ name, host, port }) => ({ name, host, port })),
  }))
  return { topics, nodes }
}

/** AddRaftVoter: resolves once the controller votes, or with why it cannot. Source: KIP-853. */
const handleAddRaftVoter: Handler<Apis['addRaftVoter']> = (services, _context, request) => {
  const { clusterId, voterId: id, voterDirectoryId: directoryId, listeners: endpoints } = request
  return changed(services, clusterId, () =>
    clusterOf(services).changeVoter('add', { id, directoryId, endpoints, minVersion: 0, maxVersion: 1 }),
  )
}

/** RemoveRaftVoter. Source: KIP-853. */
const handleRemoveRaftVoter: Handler<Apis['removeRaftVoter']> = (services, _context, request) => {
  const { clusterId, voterId: id, voterDirectoryId: directoryId } = request
  return changed(services, clusterId, () =>
    clusterOf(services).changeVoter('remove', {
      id,
      directoryId,
      endpoints: [],
      minVersion: 0,
      maxVersion: 1,
    }),
  )
}

/** UpdateFeatures: all or none. Source: KIP-584. */
const handleUpdateFeatures: Handler<Apis['updateFeatures']> = async (services, _context, request) => {
  const { featureUpdates, validateOnly } = request
  const updates = featureUpdates.map(({ feature, maxVersionLevel }) => ({
    name: feature,
    level: maxVersionLevel,
  }))
  const outcomes = await clusterOf(services).metadata.updateFeatures(updates, { validateOnly })
  const results = outcomes.map((outcome, index) => {
    const { feature } = featureUpdates[index]!
    return outcome === null ? { feature } : { feature, ...wireError(services, outcome) }
  })
  const failed = outcomes.find((outcome) => outcome !== null)
  return failed === undefined ? { results } : { ...wireError(services, failed), results }
}

/** UnregisterBroker. Source: KIP-746. */
const handleUnregisterBroker: Handler<Apis['unregisterBroker']> = async (
  services,
  _context,
  { brokerId },
) => {
  try {
    await clusterOf(services).metadata.unregisterBroker(brokerId)
    return {}
  } catch (error) {
    return wireError(services, error)
  }
}

async function changed(
  services: Services,
  clusterId: string | null,
  change: () => Promise<void>,
): Promise<{ readonly errorCode?: number; readonly errorMessage?: string | null }> {
  try {
    const own = services.controller.image.clusterId
    if (clusterId !== null && clusterId !== own) {
      throw new EngineError('inconsistentClusterId', `This is cluster ${own}, not ${clusterId}.`)
    }
    await change()
    return { errorCode: 0, errorMessage: null }
  } catch (error) {
    return wireError(services, error)
  }
}

function clusterOf({ cluster }: Services): NonNullable<Services['cluster']> {
  if (cluster !== null) return cluster
  throw new EngineError('unsupportedVersion', 'a broker that stands alone has no quorum')
}

function replicaState({ id, directoryId, logEndOffset, lastFetchMs, lastCaughtUpMs }: ReplicaState) {
  return {
    replicaId: id,
    replicaDirectoryId: directoryId,
    logEndOffset,
    lastFetchTimestamp: lastFetchMs,
    lastCaughtUpTimestamp: lastCaughtUpMs,
  }
}

/** What may be asked about the quorum of controllers, of brokers and on the listener of the nodes alike. */
export const quorumRoutes: readonly Route[] = [
  route(apiKeys.describeQuorum, handleDescribeQuorum),
  route(apiKeys.addRaftVoter, handleAddRaftVoter),
  route(apiKeys.removeRaftVoter, handleRemoveRaftVoter),
  route(apiKeys.updateFeatures, handleUpdateFeatures),
  route(apiKeys.unregisterBroker, handleUnregisterBroker),
]
