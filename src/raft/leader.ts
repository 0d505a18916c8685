import { assert } from '../model/assert.ts'
import type { EventOf } from './events.ts'
import { settleHighWatermark } from './highWatermark.ts'
import { expireParked, newProgress, wakeParked } from './leaderFetches.ts'
import { move } from './leadership.ts'
import type { Batch, ControlRecord } from './messages.ts'
import type { RaftReplica } from './raftReplica.ts'
import { type ReplicaKey, replicaText } from './replicaKey.ts'
import { resign } from './resigned.ts'
import type { LeaderData, Progress, VotingData } from './states.ts'
import { expireChange } from './voterChanges.ts'
import { wonByAll } from './votingRound.ts'

/*
 * Leader: appends, serves what it has (flushed or not), and counts what voters have flushed, itself included. It resigns
 * when it does not hear from a majority, when an operator says so, and when the voters go on without it.
 */

/** Takes the lead: the epoch starts with an entry of its own, and every voter hears of it. */
export function becomeLeader(r: RaftReplica, data: VotingData, nowMs: number): void {
  assert(r.quorum.voted?.id === r.config.self.id, 'I1: a leader has its own vote in its epoch')
  assert(r.quorum.leaderId === -1, 'I1: an epoch has one leader')
  assert(r.log.lastEpoch < r.epoch, 'I2: no log has records of an epoch before its leader')
  if (wonByAll(r, data)) {
    r.alarm(
      'possibleLoss',
      r.config.self.id,
      r.log.endOffset,
      'elected by replicas that may have forgotten records',
    )
  }
  // What the leader holds is the log from here on: there is nothing left to catch up with.
  r.persist({ leaderId: r.config.self.id, quarantine: 'none' })
  const leader = newLeader(r, nowMs)
  move(r, leader)
  startEpoch(r, [...data.granted, ...data.quarantinedGranted])
  sendBeginQuorumEpoch(r, leader, nowMs)
}

/** A leader that nobody has fetched from yet. */
export function newLeader(r: RaftReplica, nowMs: number): LeaderData {
  const progress = new Map<string, Progress>()
  for (const voter of r.voters.current.voters) {
    if (voter.id !== r.config.self.id) progress.set(replicaText(voter), newProgress(voter, nowMs))
  }
  return {
    name: 'leader',
    epochStartOffset: r.log.endOffset,
    progress,
    highWatermarkKnown: false,
    committedVersion: -1,
    round: 0,
    reads: [],
    change: null,
    transfer: null,
  }
}

/** The entry that an epoch starts with. Source: KIP-595; design, section 6. */
function startEpoch(r: RaftReplica, granting: readonly number[]): void {
  const start = { epoch: r.epoch, startOffset: r.log.endOffset, votersVersion: r.log.votersVersion }
  if (r.config.kind === 'partition') {
    r.emit({ type: 'markEpoch', sequence: r.log.markEpoch(start), start })
    return
  }
  const keys = r.voters.current.voters.map(({ id, directoryId }): ReplicaKey => ({ id, directoryId }))
  const control: ControlRecord[] = [
    {
      type: 'leaderChange',
      leaderId: r.config.self.id,
      voters: keys,
      grantingVoters: keys.filter(({ id }) => granting.includes(id)),
    },
  ]
  // A voter set that so far stands in a bootstrap snapshot only is written into the log by the first leader.
  const { voters, offset } = r.voters.last
  const isBootstrap = r.config.kraftVersion === 1 && offset < 0
  if (isBootstrap) {
    control.push({ type: 'kraftVersion', version: 1 }, { type: 'voters', voters: voters.voters })
  }
  r.log.beginEpoch(start)
  const { lastOffset } = appendBatch(r, control.length, control, null)
  if (!isBootstrap) return
  r.voters.append({ offset: lastOffset, version: 0, voters })
  r.emit({ type: 'votersChanged', entry: r.voters.last })
}

/** Appends a batch at the end of the leader's log. */
export function appendBatch(
  r: RaftReplica,
  recordCount: number,
  control: readonly ControlRecord[],
  records: unknown,
): Batch {
  const baseOffset = r.log.endOffset
  const lastOffset = baseOffset + recordCount - 1
  const batch: Batch = { baseOffset, lastOffset, leaderEpoch: r.epoch, control, records }
  r.emit({ type: 'append', sequence: r.log.append(lastOffset + 1), batch })
  return batch
}

/** Appends what a client brings. It is committed once the high watermark has passed it. */
export function leaderAppend(r: RaftReplica, event: EventOf<'append'>, nowMs: number): void {
  const leader = r.state as LeaderData
  const { token, recordCount, records } = event
  if (leader.transfer !== null) {
    r.refuse(token, 'notLeaderOrFollower')
    return
  }
  if (!Number.isSafeInteger(recordCount) || recordCount < 1) {
    r.refuse(token, 'invalidRequest')
    return
  }
  const { baseOffset, lastOffset, leaderEpoch } = appendBatch(r, recordCount, [], records)
  r.emit({ type: 'accepted', token, baseOffset, lastOffset, leaderEpoch })
  wakeParked(r, leader, nowMs)
}

/** Everything that is due. */
export function leaderTimer(r: RaftReplica, _: EventOf<'timerFired'>, nowMs: number): void {
  const leader = r.state as LeaderData
  if (nowMs >= quorumDeadline(r, leader)) {
    resign(r, nowMs)
    return
  }
  if (leader.transfer !== null && nowMs >= leader.transfer.deadlineMs) {
    r.refuse(leader.transfer.token, 'requestTimedOut')
    leader.transfer = null
  }
  expireChange(r, leader, nowMs)
  expireParked(r, leader, nowMs)
  sendBeginQuorumEpoch(r, leader, nowMs)
}

/** When `leaderTimer` has something to do. */
export function leaderDeadline(r: RaftReplica, leader: LeaderData): number {
  let deadlineMs = quorumDeadline(r, leader)
  if (leader.transfer !== null) deadlineMs = Math.min(deadlineMs, leader.transfer.deadlineMs)
  if (leader.change?.joining) deadlineMs = Math.min(deadlineMs, leader.change.joining.deadlineMs)
  for (const progress of leader.progress.values()) {
    if (progress.parked !== null) deadlineMs = Math.min(deadlineMs, progress.parked.deadlineMs)
    if (r.voters.current.has(progress.key)) deadlineMs = Math.min(deadlineMs, progress.beginAtMs)
  }
  return deadlineMs
}

/** When the leader has not heard from a majority, itself included, for 1.5 fetch timeouts. Source: KIP-595, KAFKA-15489. */
function quorumDeadline(r: RaftReplica, leader: LeaderData): number {
  const { voters, majority } = r.voters.current
  const needed = majority - (r.isVoter ? 1 : 0)
  if (needed === 0) return Number.POSITIVE_INFINITY
  const heardMs: number[] = []
  for (const voter of voters) {
    if (voter.id !== r.config.self.id) heardMs.push(progressFor(leader, voter)?.lastFetchMs ?? 0)
  }
  heardMs.sort((a, b) => b - a)
  return heardMs[needed - 1]! + 1.5 * r.config.fetchTimeoutMs
}

function progressFor(leader: LeaderData, key: ReplicaKey): Progress | undefined {
  let found: Progress | undefined
  for (const progress of leader.progress.values()) {
    if (progress.key.id !== key.id) continue
    if (progress.key.directoryId === key.directoryId) return progress
    found ??= progress
  }
  return found
}

/** Tells voters who leads, again and again until they fetch. Source: KIP-595. */
export function sendBeginQuorumEpoch(r: RaftReplica, leader: LeaderData, nowMs: number): void {
  for (const progress of leader.progress.values()) {
    if (nowMs < progress.beginAtMs || !r.voters.current.has(progress.key)) continue
    progress.beginAtMs = nowMs + r.config.fetchTimeoutMs / 2
    r.send(progress.key.id, {
      type: 'beginQuorumEpoch',
      clusterId: r.config.clusterId,
      voter: progress.key,
      leaderId: r.config.self.id,
      leaderEpoch: r.epoch,
    })
  }
}

/** Something of this replica's own log is durable. */
export function leaderFlushed(r: RaftReplica, _: EventOf<'flushed'>, nowMs: number): void {
  settleHighWatermark(r, r.state as LeaderData, nowMs)
}
