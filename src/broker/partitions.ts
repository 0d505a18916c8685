import type { MetadataDelta, TopicImage } from '../controller/image.ts'
import type { Log } from '../segment/log.ts'
import type { Leadership, Partition } from './partition.ts'

/** What clients are told of one partition. */
export interface PartitionView extends Leadership {
  /** Replicas that have caught up. */
  readonly isr: readonly number[]
  /** Replicas that cannot be reached or have failed. */
  readonly offlineReplicas: readonly number[]
}

/** The partitions that this broker serves, which follow the metadata image. */
export interface Partitions {
  /** Follows one change of the image. */
  apply(delta: MetadataDelta): Promise<void>
  /** Tries again to create what could not be created. */
  retryMissing(): Promise<void>
  /** Removes what is older or more than topics keep. */
  applyRetention(): Promise<unknown>
  /** Exclusive end of what may be compacted of the log of that name (`TOPIC-PARTITION`). */
  compactableEnd(name: string, log: Log): number
  /** Whether the topic has this partition, here or not. */
  has(topic: string, index: number): boolean
  /** The partition if it is here, or null. */
  find(topic: string, index: number): Partition | null
  /**
   * The partition. Throws `unknownTopicOrPartition`, `notLeaderOrFollower` when it is not here (yet), or `kafkaStorageError` when
   * its log could not be made.
   */
  require(topic: string, index: number): Partition
  /** All that are here, topic by topic. */
  all(): IterableIterator<Partition>
  /** Who leads a partition, as far as is known. */
  leadershipOf(topic: string, index: number): Leadership
  /** What is known of partition `index` of a topic of the image. */
  view(topic: TopicImage, index: number): PartitionView
}
