import { assert } from '../model/assert.ts'
import type { Effect } from './effects.ts'
import type { LogPosition } from './epochHistory.ts'
import type { RaftEvent } from './events.ts'
import { fetchingDeadline } from './fetchLoop.ts'
import { leaderDeadline } from './leader.ts'
import type { SnapshotId } from './logView.ts'
import { membershipDeadline } from './membership.ts'
import { restsOn } from './quiet.ts'
import type { QuorumState } from './quorumState.ts'
import type { RaftConfig, RaftRandom } from './raftConfig.ts'
import { RaftReplica, type RaftStart } from './raftReplica.ts'
import { begin } from './starting.ts'
import type { Progress, RaftState } from './states.ts'
import { type Handler, stateTable } from './stateTable.ts'
import type { VotersEntry } from './voterHistory.ts'

/**
 * One replica of one group: a pure state machine in Kafka's KRaft form. `step` takes an event and the time and gives what
 * is to be done; nothing else has an effect, and time and randomness come from the caller. See `Effect` for what the caller
 * promises. Throws `InvariantError` when the replica has to stop. Source: KIP-595, KIP-630, KIP-853, KIP-996.
 */
export class RaftNode {
  readonly #r: RaftReplica
  readonly #mayHaveForgotten: boolean
  #isStarted = false

  constructor(config: RaftConfig, random: RaftRandom, start: RaftStart) {
    this.#r = new RaftReplica(config, random, start)
    this.#mayHaveForgotten = start.mayHaveForgotten
  }

  /** Takes up what the disk holds. To be called once, before `step`. */
  start(nowMs: number): readonly Effect[] {
    assert(!this.#isStarted, 'a replica starts once')
    this.#isStarted = true
    begin(this.#r, this.#mayHaveForgotten, nowMs)
    return this.#finish()
  }

  /** What happens when `event` does. `nowMs` is of a clock that need not be right, only the same for every step. */
  step(event: RaftEvent, nowMs: number): readonly Effect[] {
    assert(this.#isStarted, 'a replica starts before it steps')
    const r = this.#r
    if (event.type === 'flushed') r.log.flushed(event.sequence)
    const handler = stateTable[r.state.name][event.type] as Handler<RaftEvent['type']>
    handler(r, event, nowMs)
    return this.#finish()
  }

  /** When `timerFired` is due, infinite when nothing is. Changes with every step. */
  get deadlineMs(): number {
    const { state } = this.#r
    switch (state.name) {
      case 'leader':
        return leaderDeadline(this.#r, state)
      case 'follower':
      case 'observer': {
        const silenceMs = state.name === 'follower' ? state.fetchDeadlineMs : state.standAtMs
        const timeoutMs = state.snapshot?.isReceived ? Number.POSITIVE_INFINITY : silenceMs
        return Math.min(timeoutMs, fetchingDeadline(this.#r, state), membershipDeadline(this.#r))
      }
      case 'stopped':
        return Number.POSITIVE_INFINITY
      default:
        return state.electionDeadlineMs
    }
  }

  /** Whether `timerFired` at `nowMs` asks for votes, as far as time decides. */
  standsAt(nowMs: number): boolean {
    const { state } = this.#r
    switch (state.name) {
      case 'unattached':
      case 'voted':
      case 'candidate':
        return nowMs >= state.electionDeadlineMs
      case 'follower':
        return nowMs >= state.fetchDeadlineMs
      case 'observer':
        return nowMs >= state.standAtMs
      default:
        return false
    }
  }

  /**
   * The nodes whose life is all that this replica waits for; null while there is something else to do. As long as they live the
   * deadline need not be kept: `contact` would put it off.
   */
  get restsOn(): readonly number[] | null {
    return restsOn(this.#r)
  }

  get state(): RaftState {
    return this.#r.state.name
  }

  /** Who leads as far as this replica knows, -1 for nobody. */
  get leaderId(): number {
    return this.#r.leaderId
  }

  get leaderEpoch(): number {
    return this.#r.epoch
  }

  /** Exclusive end of what this replica knows to be committed. */
  get highWatermark(): number {
    return this.#r.highWatermark
  }

  get logStartOffset(): number {
    return this.#r.log.startOffset
  }

  /** The end of the log, durable or not. */
  get logEnd(): LogPosition {
    return this.#r.log.end
  }

  get snapshotId(): SnapshotId | null {
    return this.#r.log.snapshotId
  }

  /** The voter set that applies. */
  get voters(): VotersEntry {
    return this.#r.voters.last
  }

  /** The set that applied at `offset`, for a snapshot that ends there. */
  votersAt(offset: number): VotersEntry {
    return this.#r.voters.at(offset)
  }

  /** The epoch of the record before `offset`, for a snapshot that ends there. */
  epochBefore(offset: number): number {
    return this.#r.log.epochs.epochBefore(offset)
  }

  /** What a leader knows of those that fetch from it; empty for others. */
  get progress(): readonly Progress[] {
    const { state } = this.#r
    return state.name === 'leader' ? [...state.progress.values()] : []
  }

  /** Whether this replica is about to give the lead to another: it takes no records any more. */
  get isTransferring(): boolean {
    const { state } = this.#r
    return state.name === 'leader' && state.transfer !== null
  }

  /** Whether everything below `highWatermark` is all that was ever committed: a leader of which something is committed. */
  get knowsAllCommitted(): boolean {
    const { state } = this.#r
    return state.name === 'leader' && state.highWatermarkKnown
  }

  /** The end of the greatest epoch up to `epoch`, durable or not. */
  endOfEpoch(epoch: number): LogPosition {
    return this.#r.log.epochs.endOf(epoch, this.#r.log.end)
  }

  /**
   * What is known of this start: `unknown` before enough voters have recorded it, `sound` after that, `rolledBack` once somebody knows
   * better.
   */
  get standing(): 'unknown' | 'sound' | 'rolledBack' {
    const { quorum, isConfirmed } = this.#r
    if (quorum.quarantine === 'rolledBack') return 'rolledBack'
    return isConfirmed ? 'sound' : 'unknown'
  }

  /** Whether the disk has to begin anew: an alarm has said so. */
  get mustBeginAnew(): boolean {
    return this.#r.mustBeginAnew
  }

  /** What was written last. */
  get quorumState(): QuorumState {
    return this.#r.quorum
  }

  #finish(): readonly Effect[] {
    const r = this.#r
    assert(r.highWatermark <= r.log.endOffset, 'I7: a high watermark never exceeds the log end')
    assert(r.log.lastEpoch <= r.epoch, 'I2: no log has records of an epoch that its replica does not know')
    if (r.state.name === 'leader')
      assert(r.quorum.quarantine === 'none', 'I16: who may have forgotten does not lead')
    return r.takeEffects()
  }
}
