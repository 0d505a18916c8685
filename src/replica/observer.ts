import type { EngineError } from '../model/errors.ts'
import type { Effect, RaftConfig, RaftEvent, RaftRequest, RaftResponse, RaftStart } from '../raft.ts'
import type { GroupRef } from './transport.ts'

/** Sees what the replicas of a node do, for simulators that check it. Changes nothing. */
export interface GroupObserver {
  /** A replica is about to start from what its disk holds. */
  started(group: GroupRef, config: RaftConfig, start: RaftStart): void
  /** A step is done, and none of its effects is carried out yet; `event` is null for the start. */
  stepped(group: GroupRef, event: RaftEvent | null, effects: readonly Effect[]): void
  /** Something was handed to the transport: what it had to wait for is durable. `asked` is what it answers. */
  left(group: GroupRef, to: number, message: RaftRequest | RaftResponse, asked: RaftRequest | null): void
  /** Records that another node sent are no sound batches. */
  received?(group: GroupRef, damage: EngineError): void
}
