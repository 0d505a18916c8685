import type { Uuid } from '../../model/uuid.ts'

/** What all clients have in common. */
export interface BrokerCounts {
  acked: number
  refused: number
  /** May or may not have happened. */
  unknown: number
  read: number
  administered: number
  /** How often somebody has asked to delete a topic. */
  deletions: number
  /** Of every topic that was made. */
  readonly topicIds: Set<Uuid>
  /** Every one that was handed out. */
  readonly producerIds: Set<number>
}
