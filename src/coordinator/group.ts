import type { GroupCoordinatorConfig } from './coordinatorConfig.ts'
import type { GroupEvent, StateHandlers } from './events.ts'
import { type GroupData, type Member, newGroupData } from './groupData.ts'
import { addMember } from './membership.ts'
import type { CommittedOffset, GroupMetadata } from './offsetsRecords.ts'
import { stateTable } from './stateTable.ts'
import { subscribedTopics } from './subscription.ts'
import { nextDeadlineMs } from './timeouts.ts'
import { type Effect, type Now, Turn } from './turn.ts'

/**
 * One classic consumer group as a state machine: no clock, no promise, no I/O. The driver feeds it events one at a
 * time and carries out the effects of each step in order. Source: Kafka protocol guide, "Group Membership API".
 */
export class Group {
  readonly #data: GroupData
  readonly #config: GroupCoordinatorConfig

  constructor(data: GroupData, config: GroupCoordinatorConfig) {
    this.#data = data
    this.#config = config
  }

  /** What the group is now, to be read only. */
  get data(): GroupData {
    return this.#data
  }

  /** Takes `event` in and returns what has to be done about it, in this order. */
  step(event: GroupEvent, now: Now): readonly Effect[] {
    const turn = new Turn(now, this.#config)
    dispatch(turn, this.#data, event)
    return turn.effects
  }

  /** When the group wants a `timeout` event: monotonic milliseconds, Infinity for never. It may come later. */
  get nextDeadlineMs(): number {
    return nextDeadlineMs(this.#data)
  }

  /** Whether nothing would be lost by forgetting the group: nobody is in it and the log does not know it. */
  get isTraceless(): boolean {
    const { state, pendingMembers, offsets, writes, durable } = this.#data
    const isUnused = state === 'empty' && pendingMembers.size === 0 && writes.size === 0
    return isUnused && offsets.size === 0 && durable === null
  }
}

function dispatch<E extends GroupEvent>(turn: Turn, data: GroupData, event: E): void {
  // The table is complete by type; only that the handler fits this event's type cannot be said to the compiler.
  const handler = stateTable[data.state][event.type] as StateHandlers[E['type']] &
    ((turn: Turn, data: GroupData, event: E) => void)
  handler(turn, data, event)
}

/**
 * A group as the log had it: stable with its members, or empty. Their sessions run from the `loaded` event on.
 * `stored` is null for a group that only ever committed offsets.
 */
export function restoreGroup(
  groupId: string,
  stored: GroupMetadata | null,
  offsets: Map<string, Map<number, CommittedOffset>>,
): GroupData {
  const data: GroupData = { ...newGroupData(groupId, -1), offsets }
  if (stored === null) return data
  data.durable = stored
  data.stateTimestampMs = stored.currentStateTimestampMs
  data.generationId = stored.generation
  data.protocolName = stored.protocol
  for (const member of stored.members)
    addMember(data, restoreMember(member, stored.protocol), stored.protocolType)
  data.protocolType = stored.protocolType === '' ? null : stored.protocolType
  data.leaderId = stored.members.length === 0 ? null : stored.leader
  data.state = stored.members.length === 0 ? 'empty' : 'stable'
  data.subscribedTopics = subscribedTopics(data)
  return data
}

function restoreMember(stored: GroupMetadata['members'][number], protocol: string | null): Member {
  return {
    memberId: stored.memberId,
    groupInstanceId: stored.groupInstanceId,
    clientId: stored.clientId,
    clientHost: stored.clientHost,
    rebalanceTimeoutMs: stored.rebalanceTimeoutMs,
    sessionTimeoutMs: stored.sessionTimeoutMs,
    protocols: protocol === null ? [] : [{ name: protocol, metadata: stored.subscription }],
    assignment: stored.assignment,
    isNew: false,
    joinToken: null,
    syncToken: null,
    sessionDeadlineMs: Infinity,
  }
}
