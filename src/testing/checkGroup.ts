import type { Effect } from '../raft/effects.ts'
import type { RaftEvent } from '../raft/events.ts'
import type { RaftRequest, RaftResponse } from '../raft/messages.ts'
import type { RaftConfig } from '../raft/raftConfig.ts'
import type { RaftStart } from '../raft/raftReplica.ts'
import { replicaText } from '../raft/replicaKey.ts'
import { VoterSet } from '../raft/voterSet.ts'
import { CommitChecks } from './checkCommits.ts'
import { ElectionChecks } from './checkElections.ts'
import { type CheckOptions, check, type Ending, factsOfBatch, isQuarantined } from './checkFacts.ts'
import { Entries } from './checkLog.ts'
import { markEffect, markEvent, markLeft, markStart } from './checkMarks.ts'
import { CheckedReplica } from './checkReplica.ts'
import { checkStart } from './checkStart.ts'

/**
 * Sees everything that happens in one group and knows nothing of how it comes about. Every call throws a `Violation` once
 * an invariant is broken. Calls come in the order in which things happen.
 */
export class GroupChecks {
  readonly name: string
  readonly elections: ElectionChecks = new ElectionChecks()
  readonly commits: CommitChecks
  readonly #entries = new Entries()
  readonly #replicas = new Map<string, CheckedReplica>()
  readonly #nodes = new Map<number, CheckedReplica>()
  readonly #options: CheckOptions
  /** Hears that committed records from an offset on are lost, as a relaxed policy allows. */
  onLoss: ((fromOffset: number) => void) | null = null
  /** How many effects were looked at. */
  checks = 0

  constructor(name: string, options: CheckOptions) {
    this.name = name
    this.#options = options
    this.commits = new CommitChecks(this.#replicas, this.#nodes)
  }

  /** The replica that runs on a node, or ran there last. */
  replica(node: number): CheckedReplica | null {
    return this.#nodes.get(node) ?? null
  }

  /** The running node that leads in the latest epoch; null for nobody. */
  get leader(): number | null {
    let leader: CheckedReplica | null = null
    for (const replica of this.#nodes.values()) {
      if (replica.state !== 'leader' || !replica.isRunning) continue
      if (leader === null || replica.quorum.leaderEpoch > leader.quorum.leaderEpoch) leader = replica
    }
    return leader?.node ?? null
  }

  /** The replicas in a few words. */
  describe(): string {
    const replicas = [...this.#nodes.values()].map(
      ({ node, state, isRunning, quorum, highWatermark, endOffset }) =>
        `${node} ${isRunning ? state : 'down'}/${quorum.leaderEpoch} ${highWatermark}/${endOffset}`,
    )
    return `${this.name}: ${replicas.join(', ')}`
  }

  /** A replica begins with what its disk holds. */
  started(node: number, config: RaftConfig, start: RaftStart): void {
    const text = replicaText(config.self)
    let replica = this.#replicas.get(text)
    // Who is no voter any more is deleted, and may come back as a new replica.
    const isEmpty = start.log.logEndOffset === 0 && start.log.epochStarts.length === 0
    if (isEmpty && replica !== undefined && this.#mayBeGone(replica)) replica = undefined
    const isNew = replica === undefined
    if (replica === undefined) {
      replica = new CheckedReplica(node, config.self, config.kind, config.relaxed)
      this.#replicas.set(text, replica)
    }
    this.#nodes.set(node, replica)
    // A replica that knows that it forgot may have forgotten votes as well: it must not give any more.
    if (start.quorum.quarantine === 'rolledBack' && !replica.isRolledBack) this.wentBack(node)
    // What is damaged may read as anything.
    const facts = replica.hasRotted ? null : (this.#options.readLog?.(node, this.name) ?? null)
    if (start.log.logStartOffset > 0 && !replica.isDamaged) this.#checkSnapshots(node, start)
    replica.session++
    replica.isRunning = true
    markStart(replica, start)
    checkStart(replica, start, facts, this.#entries, this.commits, isNew)
    // Who may have forgotten an epoch or a vote knows it, however much was taken from it. Where all of the end of a journal is damaged nothing
    // tells it from a torn one, which is cut, votes and all, by a replica that then keeps out of elections. Source: fault model, section 3.
    const isOver = replica.hasRotted && this.#options.isOverBudget === true
    const isCut = replica.hasRottedSinceStart && start.mayHaveForgotten
    const isLost = isCut || (isOver && (isQuarantined(start.quorum) || start.mayHaveForgotten))
    replica.hasRottedSinceStart = false
    if (isLost) replica.forgetElections()
    else if (!isNew) this.elections.started(replica)
  }

  #mayBeGone({ key, mayBeGone }: CheckedReplica): boolean {
    const { leader } = this
    return mayBeGone || (leader !== null && !this.#nodes.get(leader)!.voters.has(key))
  }

  /** What is not in the log any more is in a snapshot, all of it. */
  #checkSnapshots(node: number, { log }: RaftStart): void {
    const ends = this.#options.readSnapshots?.(node, this.name) ?? null
    check(
      ends === null || ends.some((end) => end >= log.logStartOffset),
      'I18',
      () => `node ${node} begins at ${log.logStartOffset}, its snapshots that are whole end at ${ends}`,
    )
  }

  /** A replica has taken a step; none of its effects is carried out yet. `event` is null for its start. */
  stepped(node: number, event: RaftEvent | null, effects: readonly Effect[]): void {
    const replica = this.#nodes.get(node)
    if (replica === undefined) return
    replica.wasQuarantined = isQuarantined(replica.quorum)
    if (event !== null) {
      markEvent(replica, event, effects)
      this.#happened(replica, event)
    }
    for (let at = 0; at < effects.length; at++) {
      const effect = effects[at]!
      markEffect(replica, event, effect)
      this.#effect(replica, effect, effects)
    }
  }

  #happened(replica: CheckedReplica, event: RaftEvent): void {
    switch (event.type) {
      case 'flushed':
        replica.flushed(event.sequence)
        break
      case 'voteDurable':
        replica.durableVote = event.epoch
        break
      case 'fetchRequest': {
        const { request } = event
        const epoch = request.currentLeaderEpoch
        if (replica.state !== 'leader' || epoch !== replica.quorum.leaderEpoch) break
        if (request.quarantined || request.lastFetchedEpoch !== epoch) break
        const claim = Math.min(request.flushedOffset, request.fetchOffset)
        const text = replicaText(request.replica)
        if (claim > (replica.claims.get(text) ?? -1)) replica.claims.set(text, claim)
        break
      }
      case 'readIndex':
        replica.reads.set(event.token, this.commits.end)
        break
      case 'snapshotTaken':
        this.commits.snapshotTaken(replica, event.snapshotId, event.logStartOffset)
        replica.cutBefore(event.logStartOffset)
        break
      case 'snapshotReceived':
        replica.received({
          offset: event.snapshotId.endOffset - 1,
          version: event.votersVersion,
          voters: new VoterSet(event.voters),
        })
        break
      case 'transferLeadership':
        replica.transfers.add(event.token)
        break
      case 'uncleanElection':
        this.elections.isLossAccepted = true
        break
    }
  }

  #effect(replica: CheckedReplica, effect: Effect, effects: readonly Effect[]): void {
    this.checks++
    switch (effect.type) {
      case 'append':
        this.#append(replica, effect)
        break
      case 'markEpoch':
        replica.markEpoch(effect)
        break
      case 'storeVoters':
        replica.storeVoters(effect)
        break
      case 'truncate':
        this.commits.dropping(replica, effect.to.endOffset, effect.to.epoch)
        replica.truncate(effect)
        break
      case 'installSnapshot':
        this.commits.installing(replica, effect.snapshotId)
        replica.install(effect)
        break
      case 'highWatermark':
        this.commits.committing(replica, effect.offset)
        break
      case 'stateChanged':
        replica.state = effect.state
        if (effect.state === 'leader') this.#leading(replica, effect.leaderEpoch)
        break
      case 'votersChanged':
        if (replica.state === 'leader') {
          this.commits.changing(replica, effect.entry)
          for (const other of this.#nodes.values()) {
            if (!effect.entry.voters.has(other.key)) other.mayBeGone = true
          }
        }
        replica.voters = effect.entry.voters
        break
      case 'persist':
        this.#persist(replica, effect, effects)
        break
      case 'readReady': {
        const end = replica.reads.get(effect.token)
        replica.reads.delete(effect.token)
        check(
          end === undefined || effect.offset >= end,
          'I23',
          () => `${replica.name} reads up to ${effect.offset}, and ${end} was committed before it was asked`,
        )
        break
      }
      case 'alarm':
        this.#alarm(replica, effect)
        break
    }
  }

  #append(replica: CheckedReplica, { batch, sequence }: Extract<Effect, { type: 'append' }>): void {
    const facts = (this.#options.factsOf ?? factsOfBatch)(batch)
    for (const fact of facts) replica.append(this.#entries.intern(fact, replica.last, replica.name), sequence)
    check(
      replica.endOffset === batch.lastOffset + 1,
      'I12',
      () => `${replica.name} appends ${batch.lastOffset} and has ${replica.endOffset}`,
    )
    for (let index = 0; index < batch.control.length; index++) {
      const record = batch.control[index]!
      if (record.type === 'voters') {
        replica.appendVoters(batch.baseOffset + index, new VoterSet(record.voters))
      }
    }
  }

  #leading(replica: CheckedReplica, epoch: number): void {
    replica.claims.clear()
    this.elections.leading(replica, epoch, this.#entries)
    this.commits.leading(replica, epoch)
  }

  #persist(
    replica: CheckedReplica,
    { state }: Extract<Effect, { type: 'persist' }>,
    effects: readonly Effect[],
  ): void {
    const { quorum } = replica
    check(
      state.leaderEpoch >= quorum.leaderEpoch,
      'I9',
      () => `${replica.name} goes back from epoch ${quorum.leaderEpoch} to ${state.leaderEpoch}`,
    )
    if (isQuarantined(quorum) && !isQuarantined(state)) this.#cleared(replica, effects)
    replica.quorum = state
  }

  /** Quarantine ends with a log that holds what was committed when the replica came back, or with a loss that is told. */
  #cleared(replica: CheckedReplica, effects: readonly Effect[]): void {
    if (effects.some((effect) => effect.type === 'alarm' && effect.code === 'possibleLoss')) return
    const held = replica.isRelaxed ? replica.endOffset : replica.durableEnd
    const end = Math.min(replica.committedAtStart, this.commits.end)
    check(
      held >= end,
      'I16',
      () => `${replica.name} ends its quarantine at ${held}; ${end} was committed when it came back`,
    )
  }

  #alarm(replica: CheckedReplica, { code, id, detail }: Extract<Effect, { type: 'alarm' }>): void {
    if (code === 'possibleLoss' && (replica.isRelaxed || this.elections.isLossAccepted)) {
      const from = this.commits.losing(replica)
      if (from !== null) this.onLoss?.(from)
    }
    if (this.#options.isAlarmExpected?.(code, id) === true) return
    check(
      code !== 'rolledBack' && code !== 'mustBeginAnew',
      'L2',
      () => `${replica.name} says that a disk went back: ${detail}`,
    )
    check(code !== 'twoLeaders', 'I1', () => `${replica.name} sees two leaders: ${detail}`)
    check(code !== 'malformed', 'L2', () => `${replica.name} takes a message for malformed: ${detail}`)
  }

  /** A message of a replica goes on its way; `asked` is the request that it answers. */
  left(node: number, message: RaftRequest | RaftResponse, asked: RaftRequest | null): void {
    const replica = this.#nodes.get(node)
    if (replica === undefined) return
    markLeft(message, asked)
    if ('recorded' in message && message.recorded !== null) replica.told(message.recorded)
    this.elections.left(replica, message, asked)
  }

  /** The process of a node has ended. */
  stopped(node: number, _how: Ending): void {
    const replica = this.#nodes.get(node)
    if (replica === undefined || !replica.isRunning) return
    replica.isRunning = false
    replica.state = 'stopped'
    replica.reads.clear()
    this.elections.stopped(replica)
  }

  /**
   * Whether nobody has to lead: the voters that run and have forgotten nothing are no majority, and not all voters can answer.
   * Who doubts itself without reason under a durable policy is no excuse. Source: fault model, section 2.
   */
  get mayWait(): boolean {
    const running = [...this.#nodes.values()].filter(
      ({ isRunning, state }) => isRunning && state !== 'stopped',
    )
    // Who is no voter as far as it knows never leads, and may know a voter set that has long been another.
    const standing = running.filter(({ voters, key }) => voters.has(key))
    return standing.every((replica) => {
      const { voters } = replica
      const answering = running.filter(({ key, quorum, isRolledBack }) => {
        return voters.has(key) && quorum.quarantine !== 'rolledBack' && !isRolledBack
      })
      const sound = answering.filter(
        ({ quorum, isRelaxed, mayDoubt }) => quorum.quarantine === 'none' || (!isRelaxed && !mayDoubt),
      )
      // Where nobody is sure, who has less than another does not lead; that one may know of voters who cannot answer.
      const isBehind = standing.some((other) => voters.has(other.key) && hasMore(other, replica))
      return sound.length * 2 <= voters.size && (answering.length < voters.size || isBehind)
    })
  }

  /** Whether the replica of a node says that it may not take part: it is quarantined, or new in the place of another. */
  isOut(node: number): boolean {
    const replica = this.#nodes.get(node)
    return replica !== undefined && (isQuarantined(replica.quorum) || !replica.voters.has(replica.key))
  }

  /** What a node had not synced may be gone. */
  mayForget(node: number): void {
    const replica = this.#nodes.get(node)
    if (replica !== undefined) replica.mayDoubt = true
  }

  /** The disk of a node that does not run is gone: what was on it counted until now. */
  lostDisk(node: number): void {
    this.#nodes.get(node)?.loseDisk()
  }

  /** The disk of a node that does not run is an earlier state of itself, or of one that it had before. */
  wentBack(node: number): void {
    for (const replica of this.#replicas.values()) {
      if (replica.node !== node) continue
      replica.loseDisk()
      replica.mayDoubt = true
      replica.isRolledBack = true
      replica.forgetElections()
    }
  }

  /** Whether all other voters that anybody knows of have recorded, durably, the last start of a node's replica. */
  mayGoBack(node: number): boolean {
    const replica = this.#nodes.get(node)
    if (replica === undefined || replica.isRolledBack || !replica.isRunning) return false
    const { incarnation } = replica.quorum
    for (const other of this.#nodes.values()) {
      if (other === replica) continue
      const isVoter = [...this.#nodes.values()].some(({ voters }) => voters.get(other.node) !== null)
      const hasRecorded = other.recorded.some(
        (seen) =>
          seen.id === node &&
          seen.directoryId === replica.key.directoryId &&
          seen.incarnation === incarnation,
      )
      if (isVoter && !hasRecorded) return false
    }
    return true
  }

  /** Faults that the budget allows may have taken what was durable on a node. */
  damaged(node: number): void {
    const replica = this.#nodes.get(node)
    if (replica === undefined) return
    replica.loseDisk()
    replica.mayDoubt = true
    replica.isDamaged = true
    replica.hasRotted = true
    replica.hasRottedSinceStart = true
  }
}

/** Whether a replica may refuse another its vote for what that one lacks. */
function hasMore(one: CheckedReplica, other: CheckedReplica): boolean {
  if (one.lastEpoch !== other.lastEpoch) return one.lastEpoch > other.lastEpoch
  return one.endOffset > other.endOffset
}
