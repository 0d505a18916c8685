import type { MetadataImage, PartitionImage, TopicImage } from '../controller/image.ts'
import { type Configs, toLogConfig } from '../controller/topicConfigs.ts'
import type { GroupSpec } from '../replica/groupTypes.ts'
import { votersOf } from './groupVoters.ts'
import type { Peers } from './peers.ts'

/** What the replica of a partition on node `nodeId` is opened with. */
export function replicaSpec(
  topic: TopicImage,
  { partition, replicas, directories, addingReplicas, leaderEpoch }: PartitionImage,
  nodeId: number,
  image: MetadataImage,
  defaults: Configs,
  peers: Peers,
): GroupSpec {
  // Once somebody has led, the group knows better than the image who votes: those that come later ask.
  const begin = leaderEpoch > 0 ? [] : replicas.filter((id) => !addingReplicas.includes(id))
  const voters = begin.includes(nodeId) ? votersOf({ replicas, directories }, begin, peers) : []
  return {
    topic: topic.name,
    partition,
    topicId: topic.id,
    kind: 'partition',
    config: toLogConfig(topic.configs, defaults),
    voters: voters.length < begin.length || begin.length === 0 ? null : voters,
    bootstrapIds: replicas.filter((id) => id !== nodeId),
    storesVoters: true,
    // Every start of a node and every change of replicas is at least one record of the metadata log.
    startsAfter: addingReplicas.includes(nodeId) ? image.nextOffset : 0,
    standsFirst: replicas[0] === nodeId,
  }
}
