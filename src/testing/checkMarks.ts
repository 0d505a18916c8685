import { reached } from '../model/reached.ts'
import type { Effect } from '../raft/effects.ts'
import type { RaftEvent } from '../raft/events.ts'
import type { RaftRequest, RaftResponse } from '../raft/messages.ts'
import type { RaftStart } from '../raft/raftReplica.ts'
import type { RaftState } from '../raft/states.ts'
import type { CheckedReplica } from './checkReplica.ts'

/* Marks what a replica comes through, from what can be seen of it. All of it is asked before the checks take it over. */

/** What a replica starts with. */
export function markStart(replica: CheckedReplica, { log }: RaftStart): void {
  if (log.logEndOffset < replica.endOffset) reached('cameBackWithLess')
}

/** What happens to a replica, and whether it does anything about it. */
export function markEvent(replica: CheckedReplica, event: RaftEvent, effects: readonly Effect[]): void {
  switch (event.type) {
    case 'fetchResponse':
      if (effects.length === 0) reached('lateFetchIgnored')
      break
    case 'readIndex':
      if (
        replica.state === 'leader' &&
        !effects.some(({ type }) => type === 'readReady' || type === 'refused')
      )
        reached('readWaitedForRound')
      break
    case 'snapshotTaken':
      reached('snapshotTaken')
      break
    case 'logFailed':
      reached('logFailed')
      break
  }
}

/** What a replica does; `event` is null for its start. */
export function markEffect(replica: CheckedReplica, event: RaftEvent | null, effect: Effect): void {
  switch (effect.type) {
    case 'truncate': {
      reached('truncation')
      if (effect.to.endOffset === replica.highWatermark) reached('truncationToHighWatermark')
      const cut = replica.epochStarts.filter(({ epoch }) => epoch > effect.to.epoch)
      if (cut.length > 1) reached('truncationOverEpochs')
      break
    }
    case 'installSnapshot':
      reached('snapshotInstalled')
      break
    case 'discardSnapshot':
      reached('snapshotGivenUp')
      break
    case 'persist': {
      const { quarantine } = effect.state
      if (quarantine === replica.quorum.quarantine) break
      reached(quarantine === 'none' ? 'quarantineEnded' : 'quarantineBegan')
      break
    }
    case 'alarm':
      if (effect.code === 'possibleLoss') reached('quarantinedElection')
      if (effect.code === 'rolledBack') reached('rollbackNoticed')
      break
    case 'stateChanged':
      markState(replica, event, effect.state)
      break
    case 'votersChanged': {
      if (replica.state !== 'leader') break
      const { voters } = effect.entry
      if (voters.size > replica.voters.size) reached('voterAdded')
      if (voters.size < replica.voters.size) reached('voterRemoved')
      if (!voters.has(replica.key) && replica.voters.has(replica.key)) reached('leaderRemovedItself')
      break
    }
    case 'highWatermark':
      if (replica.state === 'leader' && effect.offset > replica.durableEnd && !replica.isRelaxed)
        reached('committedBeforeLeaderFlush')
      break
    case 'respond':
      markResponse(replica, effect)
      break
    case 'done':
      if (event?.type !== 'uncleanElection' && replica.transfers.delete(effect.token))
        reached('leadershipTransferred')
      break
  }
}

function markState(replica: CheckedReplica, event: RaftEvent | null, state: RaftState): void {
  const { state: before } = replica
  if (event === null) {
    if (state === 'resigned') reached('leaderCameBackResigned')
    if (state === 'candidate' && before === 'stopped') reached('candidateResumed')
    return
  }
  if (before === 'candidate' && state === 'prospective') reached('candidateGaveUp')
  if (before !== 'leader') return
  if (state === 'resigned' && event.type === 'timerFired') reached('checkQuorumResigned')
  if (state === 'follower' || state === 'unattached') reached('leaderDeposed')
}

function markResponse(
  replica: CheckedReplica,
  { response, read }: Extract<Effect, { type: 'respond' }>,
): void {
  if (response.type === 'fetch') {
    if (response.divergingEpoch !== null) reached('divergingEpoch')
    if (read.type === 'records' && read.toOffset > replica.durableEnd && read.fromOffset < read.toOffset)
      reached('servedUnflushed')
  }
  if ((response.type === 'addVoter' || response.type === 'removeVoter') && response.error !== 'none')
    reached('voterChangeRefused')
}

/** What leaves a replica. */
export function markLeft(message: RaftRequest | RaftResponse, asked: RaftRequest | null): void {
  if (message.type !== 'vote' || asked?.type !== 'vote' || !('voteGranted' in message) || message.voteGranted)
    return
  reached(asked.preVote ? 'preVoteRefused' : 'voteRefused')
}
