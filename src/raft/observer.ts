import type { EventOf } from './events.ts'
import { tickFetching } from './fetchLoop.ts'
import { becomeObserver, standDeadline } from './leadership.ts'
import { askForMembership } from './membership.ts'
import { becomeProspective } from './prospective.ts'
import type { RaftReplica } from './raftReplica.ts'
import type { ObserverData } from './states.ts'

/*
 * Observer: fetches without being a voter. It stands for election only while its own removal may be uncommitted, but votes when a candidate names it: the candidate
 * may know a voter set that has not reached this replica. Source: KIP-853.
 */

/** Fetches what is due, asks around while nobody leads, and stands where nobody else can. */
export function observerTimer(r: RaftReplica, _: EventOf<'timerFired'>, nowMs: number): void {
  const data = r.state as ObserverData
  if (nowMs >= data.standAtMs && !data.snapshot?.isReceived) {
    if (r.mayStand && r.standsBack(nowMs)) data.standAtMs = standDeadline(r, nowMs)
    else if (r.mayStand) {
      becomeProspective(r, data.leaderId, false, nowMs)
      return
    } else data.standAtMs = Number.POSITIVE_INFINITY
  }
  tickFetching(r, nowMs)
  askForMembership(r, nowMs)
}

/** The connection to the leader broke: look for whoever leads by now. */
export function observerConnectionLost(
  r: RaftReplica,
  event: EventOf<'connectionLost'>,
  nowMs: number,
): void {
  const { leaderId } = r.state as ObserverData
  if (event.id === leaderId) becomeObserver(r, -1, nowMs)
}

/** The leader ends its epoch. */
export function observerEndQuorum(
  r: RaftReplica,
  { request }: EventOf<'endQuorumEpochRequest'>,
  nowMs: number,
): void {
  const { leaderId } = r.state as ObserverData
  if (request.leaderId === leaderId) becomeObserver(r, -1, nowMs)
}

/** The leader's node lives and has nothing new. */
export function observerContact(r: RaftReplica, event: EventOf<'contact'>, nowMs: number): void {
  const data = r.state as ObserverData
  if (event.id === data.leaderId && data.fetch !== null) data.fetch = { ...data.fetch, sentMs: nowMs }
}
