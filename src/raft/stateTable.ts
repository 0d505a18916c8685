import { applyFetch, fetcherFlushed, fetcherRequestFailed } from './applyFetch.ts'
import { candidateTimer, candidateUnclean, candidateVote, candidateVoteDurable } from './candidate.ts'
import {
  answerAsStopped,
  contactAtLeader,
  ignore,
  incarnationRecorded,
  lateVote,
  learnOnly,
  logFailed,
  refuseAppend,
  refuseFetch,
  refuseFetchSnapshot,
  refuseOperator,
  refuseRead,
  refuseVoterChange,
  shutdown,
  snapshotTaken,
} from './common.ts'
import type { EventOf, RaftEventType } from './events.ts'
import { damageChanged } from './fetchLoop.ts'
import { followerConnectionLost, followerContact, followerEndQuorum, followerTimer } from './follower.ts'
import { leaderAppend, leaderFlushed, leaderTimer } from './leader.ts'
import { answerFetch } from './leaderFetches.ts'
import { observerConnectionLost, observerContact, observerEndQuorum, observerTimer } from './observer.ts'
import { prospectiveTimer, prospectiveUnclean, prospectiveVote } from './prospective.ts'
import { answerBeginQuorum, answerEndQuorum } from './quorumRequests.ts'
import type { RaftReplica } from './raftReplica.ts'
import { leaderRead } from './reads.ts'
import { resignedTimer } from './resigned.ts'
import {
  answerFetchSnapshot,
  applyFetchSnapshot,
  discardReceived,
  snapshotFailed,
  snapshotReceived,
} from './snapshots.ts'
import type { RaftState } from './states.ts'
import { leaderTransfer } from './transfer.ts'
import { unattachedTimer, uncleanElection } from './unattached.ts'
import { votedTimer } from './voted.ts'
import { leaderAddVoter, leaderRemoveVoter, leaderUpdateVoter, leaderUpgrade } from './voterChanges.ts'
import { answerVote } from './voting.ts'

/** What a state does about an event. */
export type Handler<T extends RaftEventType> = (r: RaftReplica, event: EventOf<T>, nowMs: number) => void

/** One state: every event. */
export type StateRow = { readonly [T in RaftEventType]: Handler<T> }

/** What all states but `stopped` do alike. */
const alike = {
  voteDurable: ignore,
  voteRequest: answerVote,
  beginQuorumEpochRequest: answerBeginQuorum,
  beginQuorumEpochResponse: learnOnly,
  endQuorumEpochResponse: learnOnly,
  addVoterResponse: learnOnly,
  removeVoterResponse: learnOnly,
  updateVoterResponse: learnOnly,
  logFailed,
  shutdown,
  snapshotTaken,
  incarnationRecorded,
  damaged: damageChanged,
} as const

/** What all states but `leader` do alike. */
const notLeading = {
  ...alike,
  fetchRequest: refuseFetch,
  fetchSnapshotRequest: refuseFetchSnapshot,
  addVoterRequest: refuseVoterChange('addVoter'),
  removeVoterRequest: refuseVoterChange('removeVoter'),
  updateVoterRequest: refuseVoterChange('updateVoter'),
  append: refuseAppend,
  readIndex: refuseRead,
  transferLeadership: refuseOperator,
  upgradeVersion: refuseOperator,
} as const

/** What all states do alike that neither lead nor fetch. */
const notFetching = {
  ...notLeading,
  endQuorumEpochRequest: answerEndQuorum(null),
  voteResponse: lateVote,
  fetchResponse: learnOnly,
  fetchSnapshotResponse: learnOnly,
  flushed: ignore,
  requestFailed: ignore,
  connectionLost: ignore,
  contact: ignore,
  snapshotReceived: discardReceived,
  snapshotFailed: ignore,
} as const

/** What followers and observers do alike. */
const fetching = {
  ...notLeading,
  voteResponse: lateVote,
  fetchResponse: applyFetch,
  fetchSnapshotResponse: applyFetchSnapshot,
  flushed: fetcherFlushed,
  requestFailed: fetcherRequestFailed,
  snapshotReceived,
  snapshotFailed,
} as const

/** What every state does about every event: complete by type, read it like a table. */
export const stateTable: Readonly<Record<RaftState, StateRow>> = {
  unattached: { ...notFetching, timerFired: unattachedTimer, uncleanElection },
  voted: { ...notFetching, timerFired: votedTimer, uncleanElection },
  prospective: {
    ...notFetching,
    timerFired: prospectiveTimer,
    voteResponse: prospectiveVote,
    uncleanElection: prospectiveUnclean,
  },
  candidate: {
    ...notFetching,
    timerFired: candidateTimer,
    voteResponse: candidateVote,
    voteDurable: candidateVoteDurable,
    uncleanElection: candidateUnclean,
  },
  leader: {
    ...alike,
    timerFired: leaderTimer,
    endQuorumEpochRequest: answerEndQuorum(null),
    voteResponse: lateVote,
    fetchRequest: answerFetch,
    fetchResponse: learnOnly,
    fetchSnapshotRequest: answerFetchSnapshot,
    fetchSnapshotResponse: learnOnly,
    addVoterRequest: leaderAddVoter,
    removeVoterRequest: leaderRemoveVoter,
    updateVoterRequest: leaderUpdateVoter,
    flushed: leaderFlushed,
    requestFailed: ignore,
    connectionLost: ignore,
    contact: contactAtLeader,
    append: leaderAppend,
    readIndex: leaderRead,
    transferLeadership: leaderTransfer,
    upgradeVersion: leaderUpgrade,
    uncleanElection: refuseOperator,
    snapshotReceived: discardReceived,
    snapshotFailed: ignore,
  },
  follower: {
    ...fetching,
    timerFired: followerTimer,
    endQuorumEpochRequest: answerEndQuorum(followerEndQuorum),
    connectionLost: followerConnectionLost,
    contact: followerContact,
    uncleanElection: refuseOperator,
  },
  resigned: { ...notFetching, timerFired: resignedTimer, uncleanElection: refuseOperator },
  observer: {
    ...fetching,
    timerFired: observerTimer,
    endQuorumEpochRequest: answerEndQuorum(observerEndQuorum),
    connectionLost: observerConnectionLost,
    contact: observerContact,
    uncleanElection: refuseOperator,
  },
  stopped: {
    timerFired: ignore,
    voteRequest: answerAsStopped('vote'),
    voteResponse: ignore,
    beginQuorumEpochRequest: answerAsStopped('beginQuorumEpoch'),
    beginQuorumEpochResponse: ignore,
    endQuorumEpochRequest: answerAsStopped('endQuorumEpoch'),
    endQuorumEpochResponse: ignore,
    fetchRequest: answerAsStopped('fetch'),
    fetchResponse: ignore,
    fetchSnapshotRequest: answerAsStopped('fetchSnapshot'),
    fetchSnapshotResponse: ignore,
    addVoterRequest: answerAsStopped('addVoter'),
    addVoterResponse: ignore,
    removeVoterRequest: answerAsStopped('removeVoter'),
    removeVoterResponse: ignore,
    updateVoterRequest: answerAsStopped('updateVoter'),
    updateVoterResponse: ignore,
    flushed: ignore,
    voteDurable: ignore,
    logFailed: ignore,
    damaged: ignore,
    requestFailed: ignore,
    connectionLost: ignore,
    contact: ignore,
    append: refuseAppend,
    readIndex: refuseRead,
    transferLeadership: refuseOperator,
    upgradeVersion: refuseOperator,
    uncleanElection: refuseOperator,
    snapshotTaken: ignore,
    snapshotReceived: discardReceived,
    snapshotFailed: ignore,
    incarnationRecorded: ignore,
    shutdown: ignore,
  },
}
