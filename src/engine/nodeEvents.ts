import type { EngineError } from '../model/errors.ts'
import type { EventChannel } from './events.ts'

/** What every event of a node says: whose it is, and of which replica. */
interface ReplicaEvent {
  readonly nodeId: number
  readonly topic: string
  readonly partition: number
}

/** A replica leads, follows, or has lost its leader. */
export interface LeadershipEvent extends ReplicaEvent {
  readonly state: string
  readonly leaderEpoch: number
  /** -1 while nobody is known to lead. */
  readonly leaderId: number
}

/** Another voter set applies. */
export interface VotersEvent extends ReplicaEvent {
  readonly voters: readonly number[]
}

/** A snapshot was taken or came from the leader, or taking one has failed. */
export interface SnapshotEvent extends ReplicaEvent {
  readonly origin: 'taken' | 'fetched'
  /** Exclusive end of what it holds. */
  readonly endOffset: number
  readonly error: EngineError | null
}

/** Something that whoever runs the node should look at. */
export interface AlarmEvent extends ReplicaEvent {
  readonly code: string
  readonly detail: string
}

/** Stored records of this node are not what was written (`found`), or are again (`mended`: taken from another node). */
export interface RepairEvent extends ReplicaEvent {
  readonly what: 'found' | 'mended'
  readonly file: string
  /** Bytes from the start of the file. */
  readonly position: number
  readonly baseOffset: number
  /** Exclusive. */
  readonly nextOffset: number
}

/** What a node tells, by channel. On `node:diagnostics_channel` the names begin with `cordwood:`. */
export interface NodeChannels {
  readonly leadership: EventChannel<LeadershipEvent>
  readonly voters: EventChannel<VotersEvent>
  readonly snapshot: EventChannel<SnapshotEvent>
  readonly alarm: EventChannel<AlarmEvent>
  readonly repair: EventChannel<RepairEvent>
}
