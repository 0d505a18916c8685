import { assert } from '../model/assert.ts'
import type { EngineErrorName } from '../model/errors.ts'
import { type AlarmCode, type Effect, type Read, readNothing } from './effects.ts'
import { legalMoves } from './legalMoves.ts'
import { type LogStart, LogView } from './logView.ts'
import type { CurrentLeader, RaftRequest, RaftResponse } from './messages.ts'
import { planted } from './planted.ts'
import type { Incarnation, QuorumState } from './quorumState.ts'
import type { RaftConfig, RaftRandom } from './raftConfig.ts'
import { sameReplica } from './replicaKey.ts'
import type { StateData } from './states.ts'
import { VoterHistory, type VotersEntry } from './voterHistory.ts'

/** What a replica starts from: all that its disk holds. */
export interface RaftStart {
  readonly quorum: QuorumState
  readonly log: LogStart
  /** The set to begin with (offset -1, or from the snapshot), then those of the log. */
  readonly voters: readonly VotersEntry[]
  /** Exclusive end of what is known to be committed; 0 when nothing is. */
  readonly highWatermark: number
  /** Something that was claimed may be gone: no proof that the page cache survived, or a cut that is not proven. */
  readonly mayHaveForgotten: boolean
}

/** For so many election timeouts a damaged replica lets others stand. */
const backTimeouts = 4

/** What all states share: what is durable, the log, the voters, and the effects of the step under way. */
export class RaftReplica {
  readonly config: RaftConfig
  readonly random: RaftRandom
  readonly log: LogView
  readonly voters: VoterHistory
  /** This start, as peers get to know it. */
  readonly incarnation: Incarnation
  /** Peers that have recorded this start; the replica votes once they are enough. */
  readonly confirmedBy: Set<number> = new Set()
  isConfirmed: boolean
  /** Those who have recorded a start that is none of this disk. */
  readonly accusedBy: Set<number> = new Set()
  /** It was known at the start that this disk has forgotten votes. */
  readonly wasRolledBack: boolean
  /** Some of what it holds cannot be read: it leads only where nobody else does. */
  isDamaged = false
  /** Until when it lets others stand, since no leader was heard of; -1 while there is one. */
  backUntilMs = -1
  /** It is proven, and a majority goes on without this replica. */
  mustBeginAnew = false
  quorum: QuorumState
  state: StateData = { name: 'stopped' }
  #highWatermark: number
  #effects: Effect[] = []
  #nextRequestId: number
  /** The `persist` of this step that nothing has left the node after, -1 for none. */
  #persistAt = -1

  constructor(config: RaftConfig, random: RaftRandom, start: RaftStart) {
    assert(config.kind === 'partition' || !config.relaxed, 'the metadata log is always durable')
    this.config = config
    this.random = random
    this.voters = new VoterHistory(start.voters)
    this.log = new LogView(start.log, this.voters.last.version, config.relaxed)
    this.quorum = start.quorum
    this.wasRolledBack = start.quorum.quarantine === 'rolledBack'
    const { id, directoryId } = config.self
    // Named one by one here and elsewhere in what each group keeps: an object made by spreading has a hidden class of its own.
    this.incarnation = {
      id,
      directoryId,
      incarnation: start.quorum.incarnation + 1,
      startNonce: random.below(2 ** 32),
      earlierNonces: start.quorum.startNonces,
    }
    this.isConfirmed = config.confirmation === 'none'
    this.#highWatermark = Math.min(
      Math.max(start.highWatermark, start.log.logStartOffset),
      start.log.logEndOffset,
    )
    // A reply to an earlier start of this node must not look like one to this start.
    this.#nextRequestId = random.below(2 ** 32) * 2 ** 20
  }

  get epoch(): number {
    return this.quorum.leaderEpoch
  }

  /** Exclusive end of what is known to be committed. */
  get highWatermark(): number {
    return this.#highWatermark
  }

  /** Whether this very replica is in the voter set that applies. */
  get isVoter(): boolean {
    return this.voters.current.has(this.config.self)
  }

  /**
   * Whether this replica stands for election: a voter, or one whose removal is not known to be committed. That one may be
   * the only replica that has its removal, and thus the only one with a log that all others can follow.
   * Source: Raft dissertation, section 4.2.2.
   */
  get mayStand(): boolean {
    // I16: a disk that went back may have forgotten votes.
    if (this.quorum.quarantine === 'rolledBack') return false
    if (this.isVoter) return true
    const { entries, last } = this.voters
    return last.offset >= this.#highWatermark && entries.at(-2)?.voters.has(this.config.self) === true
  }

  /** Who leads this epoch as far as this replica knows, -1 for nobody. */
  get leaderId(): number {
    const { state } = this
    if (state.name === 'leader') return this.config.self.id
    return 'leaderId' in state ? state.leaderId : -1
  }

  /** Whether the voter set is in the log and may change. */
  get isDynamic(): boolean {
    return this.config.kind === 'partition' || this.kraftVersion === 1
  }

  /** Whether the last voter set came from the log, or the configuration says that it may. */
  get kraftVersion(): 0 | 1 {
    return this.config.kraftVersion === 1 || this.voters.last.offset >= 0 ? 1 : 0
  }

  emit(effect: Effect): void {
    if (leaving.has(effect.type)) this.#persistAt = -1
    this.#effects.push(effect)
  }

  /** The effects since the last call. */
  takeEffects(): readonly Effect[] {
    const effects = this.#effects
    this.#effects = []
    this.#persistAt = -1
    return effects
  }

  /** Writes what changes of the quorum state; nothing when nothing does. */
  persist(change: Partial<QuorumState>): void {
    const old = this.quorum
    const next = { ...old, ...change }
    assert(next.leaderEpoch >= old.leaderEpoch, 'I9: an epoch never goes back')
    if (next.leaderEpoch === old.leaderEpoch && old.voted !== null && !planted('voteTwice')) {
      assert(
        next.voted !== null && sameReplica(next.voted, old.voted),
        'I9: a vote is given once in an epoch and never taken back',
      )
    }
    if (
      next.leaderEpoch === old.leaderEpoch &&
      next.leaderId === old.leaderId &&
      next.voted === old.voted &&
      next.quarantine === old.quarantine &&
      next.incarnation === old.incarnation &&
      next.incarnations === old.incarnations
    ) {
      return
    }
    this.quorum = next
    if (planted('epochNotPersisted') && next.voted === null && next.leaderId === -1) return
    // What nobody has seen the effect of is written once, with what comes after it.
    if (this.#persistAt < 0) this.#persistAt = this.#effects.push({ type: 'persist', state: next }) - 1
    else this.#effects[this.#persistAt] = { type: 'persist', state: next }
  }

  /** Goes to another state, if the table of moves has a reason. */
  become(data: StateData): void {
    const from = this.state.name
    assert(legalMoves[from][data.name] !== null, `no way leads from ${from} to ${data.name}`)
    this.enter(data)
  }

  /** Begins in a state. */
  enter(data: StateData): void {
    this.state = data
    this.emit({
      type: 'stateChanged',
      state: data.name,
      leaderEpoch: this.epoch,
      leaderId: this.leaderId,
    })
  }

  send(to: number, request: RaftRequest): number {
    const requestId = this.#nextRequestId++
    this.emit({ type: 'send', to, requestId, request })
    return requestId
  }

  respond(replyTo: unknown, response: RaftResponse, read: Read = readNothing): void {
    this.emit({ type: 'respond', replyTo, response, read })
  }

  refuse(token: unknown, error: EngineErrorName): void {
    this.emit({ type: 'refused', token, error, leaderId: this.leaderId })
  }

  alarm(code: AlarmCode, id: number, offset: number, detail: string): void {
    this.emit({ type: 'alarm', code, id, offset, detail })
  }

  /** What every answer says. */
  currentLeader(error: EngineErrorName): CurrentLeader {
    return { error, leaderId: this.leaderId, leaderEpoch: this.epoch }
  }

  /** Learns that everything below `offset` is committed; does not go back. */
  advanceHighWatermark(offset: number): void {
    if (offset <= this.#highWatermark) return
    if (!planted('highWatermarkUncapped')) {
      assert(offset <= this.log.endOffset, 'I7: a high watermark never exceeds the log end')
    }
    this.#highWatermark = offset
    this.emit({ type: 'highWatermark', offset })
  }

  /** Committed records from `offset` on are lost. Written before the log is cut: the next start takes it for what is committed. */
  lowerHighWatermark(offset: number): void {
    this.#highWatermark = offset
    this.emit({ type: 'persist', state: this.quorum })
  }

  /** Whether to leave it to others to stand: a damaged replica does so for a while, since it could not serve what it leads. */
  standsBack(nowMs: number): boolean {
    if (!this.isDamaged || this.voters.current.isOnly(this.config.self)) return false
    if (this.backUntilMs < 0) this.backUntilMs = nowMs + backTimeouts * this.config.electionTimeoutMs
    return nowMs < this.backUntilMs
  }

  /** When to stand again, having nobody to wait for. Whoever is to lead first hardly waits while nobody ever led. */
  standDeadline(nowMs: number): number {
    const { electionTimeoutMs, retryBackoffMs, standsFirst = false } = this.config
    if (standsFirst && this.epoch === 0) return nowMs + retryBackoffMs + this.random.below(retryBackoffMs)
    return nowMs + this.random.below(electionTimeoutMs)
  }

  /** From now, one election timeout and up to as much again. */
  electionDeadline(nowMs: number): number {
    const { electionTimeoutMs } = this.config
    return nowMs + electionTimeoutMs + this.random.below(electionTimeoutMs)
  }
}

/** What waits for the quorum state ahead of it to be durable. */
const leaving: ReadonlySet<Effect['type']> = new Set([
  'send',
  'respond',
  'accepted',
  'readReady',
  'done',
  'confirmVote',
])
