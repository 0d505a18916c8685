import type { Effect } from '../../../src/raft/effects.ts'
import type { Batch, FetchRequest, RaftRequest, RaftResponse } from '../../../src/raft/messages.ts'
import { type ReplicaKey, replicaText } from '../../../src/raft/replicaKey.ts'
import type { VotersEntry } from '../../../src/raft/voterHistory.ts'
import type { VoterSet } from '../../../src/raft/voterSet.ts'
import type { LogState } from './simDisk.ts'
import type { SimNode } from './simNode.ts'

/** A promise that was broken, with the number of fault-model.md. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

function check(condition: boolean, text: () => string): void {
  if (!condition) throw new Violation(text())
}

interface Origin {
  readonly batch: Batch
  readonly previous: Batch | null
}

/** Sees everything that happens in a world, and knows nothing of how it comes about. */
export class Checker {
  /** Committed batches, one after the other. */
  committed: Batch[] = []
  /** The epoch in which each of them was committed. */
  #committedIn: number[] = []
  #leaders = new Map<number, string>()
  #origins = new Map<number, Origin>()
  #votes = new Map<string, string>()
  #grants = new Map<string, boolean>()
  #sentEpochs = new Map<string, number>()
  /** Epochs of which something is committed, and so their start. */
  #committedEpochs = new Set<number>()
  #claims = new Map<string, number>()
  #lost = new Map<string, LogState[]>()
  readonly #nodes: ReadonlyMap<number, SimNode>
  readonly #relaxed: boolean
  checks = 0

  constructor(nodes: ReadonlyMap<number, SimNode>, relaxed: boolean) {
    this.#nodes = nodes
    this.#relaxed = relaxed
  }

  /** Exclusive end of what is committed anywhere. */
  get committedEnd(): number {
    return (this.committed.at(-1)?.lastOffset ?? -1) + 1
  }

  /** Before the effect is carried out. */
  before(node: SimNode, effect: Effect): void {
    this.checks++
    switch (effect.type) {
      case 'append':
        this.#appending(node, effect.batch)
        break
      case 'truncate':
        this.#dropping(node, effect.to.endOffset, effect.to.epoch)
        // What goes below it was lost by those who vote: what is committed may not be dropped.
        node.highWatermark = Math.min(node.highWatermark, effect.to.endOffset)
        break
      case 'installSnapshot':
        this.#dropping(node, effect.snapshotId.endOffset, effect.snapshotId.epoch)
        break
      case 'highWatermark':
        this.#committing(node, effect.offset)
        break
      case 'stateChanged':
        if (effect.state === 'leader') this.#leading(node, effect.leaderEpoch)
        break
      case 'votersChanged':
        if (node.core?.state === 'leader') this.#changing(node, effect.entry)
        break
      case 'alarm':
        if (effect.code === 'possibleLoss') this.#losing(node)
        check(
          (effect.code !== 'rolledBack' && effect.code !== 'mustBeginAnew') || node.world.isRollbackAllowed,
          () => `a disk is said to have gone back: ${effect.detail}`,
        )
        check(effect.code !== 'twoLeaders', () => `I1: two leaders, ${effect.detail}`)
        check(effect.code !== 'malformed', () => `a replica took a message for malformed: ${effect.detail}`)
        break
    }
  }

  #appending(node: SimNode, batch: Batch): void {
    const key = batch.leaderEpoch * 2 ** 30 + batch.baseOffset
    const { batches } = node.disk.cache
    const previous = batches.at(-1) ?? null
    const known = this.#origins.get(key)
    if (known === undefined) this.#origins.set(key, { batch, previous })
    else {
      const isAlike =
        known.batch === batch && (previous === null || known.previous === null || known.previous === previous)
      check(
        isAlike,
        () => `I2: node ${node.id} has another log at ${batch.baseOffset} in epoch ${batch.leaderEpoch}`,
      )
    }
  }

  #dropping(node: SimNode, endOffset: number, epoch: number): void {
    const { batches, epochStarts } = node.disk.cache
    for (const start of epochStarts) {
      const isGone = start.epoch > epoch && this.#committedEpochs.has(start.epoch)
      check(!isGone, () => `I5: node ${node.id} drops the start of epoch ${start.epoch}, which is committed`)
    }
    for (let i = batches.length - 1; i >= 0 && batches[i]!.lastOffset >= endOffset; i--) {
      check(
        !this.#isCommitted(batches[i]!),
        () => `I5: node ${node.id} drops committed ${batches[i]!.baseOffset}`,
      )
    }
  }

  #isCommitted(batch: Batch): boolean {
    return this.#at(batch.baseOffset) === batch
  }

  #at(offset: number): Batch | null {
    const { committed } = this
    let low = 0
    let high = committed.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const batch = committed[middle]!
      if (batch.lastOffset < offset) low = middle + 1
      else if (batch.baseOffset > offset) high = middle - 1
      else return batch
    }
    return null
  }

  #committing(node: SimNode, offset: number): void {
    check(offset >= node.highWatermark, () => `I7: node ${node.id} goes back to ${offset}`)
    const { cache } = node.disk
    check(
      offset <= cache.endOffset,
      () => `I7: node ${node.id} is committed to ${offset} of ${cache.endOffset}`,
    )
    for (let at = Math.max(node.highWatermark, cache.startOffset); at < offset; ) {
      const batch = cache.batchAt(at)
      check(batch !== null, () => `node ${node.id} lacks ${at}`)
      if (at < this.committedEnd) {
        check(this.#at(at) === batch, () => `I4: node ${node.id} applies another record at ${at}`)
      } else {
        this.committed.push(batch!)
        this.#committedIn.push(node.core!.leaderEpoch)
      }
      at = batch!.lastOffset + 1
    }
    node.highWatermark = offset
    if (node.core?.state === 'leader') {
      this.#committedEpochs.add(node.core.leaderEpoch)
      this.#majority(node, offset)
    }
  }

  /** I8 and I16: who holds it, and who has said so. */
  #majority(leader: SimNode, offset: number): void {
    const { voters } = leader.core!.voters
    const last = leader.disk.cache.batchAt(offset - 1)
    if (last === null) return
    let durable = 0
    let claimed = 0
    for (const voter of voters.voters) {
      const node = this.#nodes.get(voter.id)!
      const { cache, durable: disk } = node.disk
      const isMember = voters.has(node.key)
      if (this.#disksOf(voter, voters).some((state) => holds(state, offset, last))) durable++
      const own = this.#relaxed ? cache.endOffset : disk.endOffset
      const claim = node === leader && isMember ? own : this.#claimOf(leader, voter)
      if (claim >= offset) claimed++
    }
    check(
      this.#relaxed || durable >= voters.majority,
      () => `I8: ${offset} is committed by node ${leader.id}, durable on ${durable} of ${voters.size}`,
    )
    check(
      claimed >= voters.majority,
      () => `I16: ${offset} is committed by ${claimed} claims of ${voters.size}`,
    )
  }

  /** What is durable of a voter, or was when its disk was lost. */
  #disksOf(voter: ReplicaKey, voters: VoterSet): readonly LogState[] {
    const node = this.#nodes.get(voter.id)!
    const lost = this.#lost.get(replicaText(voter)) ?? []
    return voters.has(node.key) ? [node.disk.durable, ...lost] : lost
  }

  #claimOf(leader: SimNode, voter: ReplicaKey): number {
    return this.#claims.get(`${leader.core!.leaderEpoch} ${replicaText(voter)}`) ?? -1
  }

  /** A disk is gone, or back at an earlier state; what was on it counted until then. */
  lost(node: SimNode): void {
    const key = replicaText(node.key)
    this.#lost.set(key, [...(this.#lost.get(key) ?? []), node.disk.durable.clone()])
  }

  /** A leader died before its lead was written: nobody has heard of it, and it may lead that epoch once more. */
  neverLed(fromEpoch: number, leader: string): void {
    for (const [epoch, known] of this.#leaders) {
      if (epoch < fromEpoch || known !== leader) continue
      this.#leaders.delete(epoch)
      for (const key of this.#origins.keys()) {
        if (Math.floor(key / 2 ** 30) === epoch) this.#origins.delete(key)
      }
    }
  }

  /** A Fetch reaches the leader of its epoch. */
  fetched(request: FetchRequest): void {
    if (request.quarantined || request.lastFetchedEpoch !== request.currentLeaderEpoch) return
    const key = `${request.currentLeaderEpoch} ${replicaText(request.replica)}`
    const claim = Math.min(request.flushedOffset, request.fetchOffset)
    if (claim > (this.#claims.get(key) ?? -1)) this.#claims.set(key, claim)
  }

  #leading(node: SimNode, epoch: number): void {
    const me = `${replicaText(node.key)} ${node.session}`
    const other = this.#leaders.get(epoch)
    check(other === undefined, () => `I1: ${me} and ${other} lead epoch ${epoch}`)
    this.#leaders.set(epoch, me)
    const { cache, durable } = node.disk
    check(
      durable.quorum.leaderEpoch === epoch && durable.quorum.voted?.id === node.id,
      () => `I1: ${me} leads epoch ${epoch}, and a crash would forget its own vote`,
    )
    for (const [index, batch] of this.committed.entries()) {
      // A leader that was elected late, after a later epoch has begun, leads nobody.
      if (batch.lastOffset < cache.startOffset || this.#committedIn[index]! >= epoch) continue
      check(
        cache.batchAt(batch.baseOffset) === batch,
        () => `I3: leader ${node.id} of epoch ${epoch} lacks committed ${batch.baseOffset}`,
      )
    }
    const { voters } = node.core!.voters
    let granted = 0
    let agreed = 0
    for (const voter of voters.voters) {
      const isSelf = voter.id === node.id && voters.has(node.key)
      const grant = isSelf ? node.wasQuarantined : this.#grants.get(`${epoch} ${replicaText(voter)}`)
      if (grant === false) granted++
      else if (grant === true) agreed++
    }
    const { isLossAccepted } = node.world
    const needed = isLossAccepted ? voters.majority : voters.size
    const isElected = granted >= voters.majority || granted + agreed >= needed
    check(
      isElected,
      () => `I16: node ${node.id} leads epoch ${epoch} with ${granted} votes and ${agreed} doubtful ones`,
    )
  }

  /** I17: the set before is committed, and the new one differs by one voter. */
  #changing(node: SimNode, entry: VotersEntry): void {
    const previous = node.disk.cache.voters.findLast(
      ({ offset, version }) => offset < entry.offset || version < entry.version,
    )
    if (previous === undefined) return
    check(
      previous.voters.overlaps(entry.voters),
      () => `I17: sets at ${previous.offset} and ${entry.offset} may miss each other`,
    )
    const isOn = (state: LogState): boolean =>
      state.votersVersion >= previous.version &&
      (state.kind === 'partition' || state.endOffset > previous.offset)
    const holders = previous.voters.voters.filter((voter) =>
      this.#disksOf(voter, previous.voters).some(isOn),
    ).length
    check(
      previous.offset < 0 || holders >= previous.voters.majority,
      () => `I17: a second change begins while the one at ${previous.offset} is on ${holders} disks`,
    )
  }

  /** Everybody who may have forgotten something agreed: what their longest log lacks is lost, and said to be. */
  #losing(node: SimNode): void {
    if (!this.#relaxed) return
    const { cache } = node.disk
    const first = this.committed.findIndex(
      (batch) => batch.lastOffset >= cache.startOffset && cache.batchAt(batch.baseOffset) !== batch,
    )
    if (first >= 0) {
      this.committed.splice(first)
      this.#committedIn.splice(first)
    }
    const { epochStarts } = cache
    for (const epoch of this.#committedEpochs) {
      if (!epochStarts.some((start) => start.epoch === epoch)) this.#committedEpochs.delete(epoch)
    }
  }

  /** Something leaves a node. */
  sent(node: SimNode, message: RaftRequest | RaftResponse, asked: RaftRequest | null): void {
    const directory = replicaText(node.key)
    const epoch = epochOf(message)
    if (epoch !== null) {
      const highest = this.#sentEpochs.get(directory) ?? 0
      check(epoch >= highest, () => `I9: ${directory} goes back from epoch ${highest} to ${epoch}`)
      this.#sentEpochs.set(directory, epoch)
    }
    const isRequest = asked === null
    if (message.type !== 'vote') return
    if (isRequest && 'candidate' in message && !message.preVote)
      this.#voted(directory, message.replicaEpoch, directory)
    if (
      !isRequest &&
      asked.type === 'vote' &&
      'voteGranted' in message &&
      message.voteGranted &&
      !asked.preVote
    ) {
      this.#voted(directory, asked.replicaEpoch, replicaText(asked.candidate))
      check(
        !node.isRolledBack,
        () => `I16: node ${node.id} votes in epoch ${asked.replicaEpoch} after its disk went back`,
      )
      const isQuarantined = node.core?.quorumState.quarantine !== 'none'
      // A vote that was given before it was in doubt stays good: the log was compared then.
      const key = `${asked.replicaEpoch} ${directory}`
      if (this.#grants.get(key) !== false) this.#grants.set(key, isQuarantined)
    }
  }

  /** A disk went back: its epochs may, its votes may not. */
  wentBack(node: SimNode): void {
    this.#sentEpochs.delete(replicaText(node.key))
  }

  #voted(directory: string, epoch: number, candidate: string): void {
    const key = `${epoch} ${directory}`
    const before = this.#votes.get(key)
    check(
      before === undefined || before === candidate,
      () => `I9: ${directory} votes for ${before} and ${candidate} in ${epoch}`,
    )
    this.#votes.set(key, candidate)
  }
}

function holds(state: LogState, offset: number, last: Batch): boolean {
  return state.endOffset >= offset && (offset <= state.startOffset || state.batchAt(offset - 1) === last)
}

function epochOf(message: RaftRequest | RaftResponse): number | null {
  if ('replicaEpoch' in message) return message.replicaEpoch
  if ('currentLeaderEpoch' in message) return message.currentLeaderEpoch
  return 'leaderEpoch' in message ? message.leaderEpoch : null
}
