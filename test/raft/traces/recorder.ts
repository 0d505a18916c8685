import type { Effect } from '../../../src/raft/effects.ts'
import type { RaftEvent } from '../../../src/raft/events.ts'
import type { FetchRequest } from '../../../src/raft/messages.ts'
import type { QuorumState } from '../../../src/raft/quorumState.ts'
import { replicaText, sameReplica } from '../../../src/raft/replicaKey.ts'
import type { SimDisk } from '../support/simDisk.ts'
import type { ReplyTo, SimNode } from '../support/simNode.ts'
import type { World, WorldObserver } from '../support/world.ts'
import { batchesBelow, type Entry, entriesOf, Values } from './entries.ts'

/** A Fetch as the model has it: where the follower's log ends, and how many entries it claims. */
export interface Claim {
  readonly from: string
  readonly epoch: number
  readonly place: readonly [number, number, number]
  readonly upto: number
  readonly quarantined: boolean
}

/** A step of a replica and how things are after it. */
export interface Line {
  readonly replica: string
  readonly node: number
  readonly session: number
  kind: 'other' | 'start' | 'crash' | 'kill' | 'flush' | 'vote' | 'fetch' | 'replace' | 'back'
  readonly quorum: QuorumState
  readonly state: string
  entries: readonly Entry[]
  /** Batches that a leader knows to be committed, -1 for whoever does not lead. */
  readonly committed: number
  /** Number of the first write of quorum state in this step; nothing leaves the replica before it is durable. */
  readonly persistAt: number
  /** Number of the first write of the log in this step. */
  readonly writeAt: number
  /** flush: how many writes of the log are durable now. */
  readonly flushed: number
  /** vote: who asks, and the place of its log. */
  readonly candidate: { readonly from: string; readonly epoch: number; readonly place: Claim['place'] } | null
  readonly claim: Claim | null
  /** replace: the replica whose node this is. */
  readonly former: string
  /** The nonces of all starts of this disk, and the same of the start that is recorded of each other replica. */
  readonly starts: readonly number[]
  readonly seen: readonly (readonly [replica: string, starts: readonly number[]])[]
}

/** Thrown when a trace cannot go on: what comes is not in the model. */
class EndOfTrace extends Error {}

/**
 * Writes a run down in the words of the model. A step whose writes a crash has undone is taken out again: by the rule that
 * nothing leaves a replica before it is durable, nobody has seen anything of it. Were the rule broken, somebody would rest
 * on a step that is not in the trace, and the trace would be refused.
 */
export class TraceRecorder implements WorldObserver {
  lines: Line[] = []
  readonly founders: string[]
  readonly replicas: Map<string, number> = new Map()
  /** Replicas that are there from the beginning. */
  readonly first: ReadonlySet<string>
  readonly #world: World
  readonly #values = new Values()
  readonly #names = new Map<number, string>()
  /** Sequences of log writes that are not known to be durable, by node. */
  readonly #pending = new Map<number, number[]>()
  /** Starts, by the replica and what is recorded of them. */
  readonly #starts = new Map<string, readonly number[]>()
  /** What was asked, by the number of the request. */
  readonly #requests = new Map<number, Claim>()
  readonly #places = new Map<number, Claim['place']>()
  /** Deaths of which it is not known yet what they left. */
  readonly #deaths = new Map<number, { readonly death: Line; readonly disk: SimDisk }>()
  #isOver = false

  constructor(world: World) {
    this.#world = world
    for (const node of world.nodes.values()) {
      this.replicas.set(replicaText(node.key), node.id)
      this.#names.set(node.id, replicaText(node.key))
    }
    this.first = new Set(this.replicas.keys())
    this.founders = [...world.nodes.values()]
      .slice(0, world.options.voters)
      .map(({ key }) => replicaText(key))
  }

  started(node: SimNode): void {
    this.#resolve(node)
    const name = replicaText(node.key)
    const former = this.#names.get(node.id)!
    if (former === name) return
    this.#names.set(node.id, name)
    this.replicas.set(name, node.id)
    this.#add({ ...this.#lineOf(node, 'replace', node.disk.durable.quorum), former, state: 'free' })
  }

  stepped(node: SimNode, event: RaftEvent | null, effects: readonly Effect[]): void {
    if (this.#isOver) return
    try {
      this.#step(node, event, effects)
    } catch (error) {
      if (!(error instanceof EndOfTrace)) throw error
      this.#isOver = true
    }
  }

  #step(node: SimNode, event: RaftEvent | null, effects: readonly Effect[]): void {
    const { incarnation, startNonces } = node.core!.quorumState
    // Of an older start than these nobody keeps the nonces.
    if (event?.type === 'snapshotTaken' || incarnation > startNonces.length) throw new EndOfTrace()
    const starts = [...startNonces].reverse()
    this.#starts.set(`${replicaText(node.key)} ${incarnation} ${startNonces[0]}`, starts)
    const { disk } = node
    const cache = disk.cache.clone()
    let written = disk.written
    let persistAt = Number.POSITIVE_INFINITY
    let writeAt = Number.POSITIVE_INFINITY
    const pending = event === null ? [] : (this.#pending.get(node.id) ?? [])
    const flushed =
      event?.type === 'flushed' ? pending.filter((sequence) => sequence <= event.sequence).length : 0
    pending.splice(0, flushed)
    this.#pending.set(node.id, pending)
    for (const effect of effects) {
      switch (effect.type) {
        case 'installSnapshot':
        case 'writeSnapshot':
          throw new EndOfTrace()
        case 'persist':
          written++
          persistAt = Math.min(persistAt, written)
          break
        case 'append':
        case 'markEpoch':
        case 'storeVoters':
        case 'truncate':
          written++
          writeAt = Math.min(writeAt, written)
          cache.apply(effect, null)
          pending.push(effect.sequence)
          break
        case 'send':
          this.#sent(effect, entriesOf(cache, this.#values))
      }
    }
    const line = {
      ...this.#lineOf(node, 'other', node.core!.quorumState),
      entries: entriesOf(cache, this.#values),
      persistAt,
      writeAt,
      flushed,
    }
    const isLeader = node.core!.state === 'leader'
    const committed = isLeader ? batchesBelow(line.entries, node.core!.highWatermark) : -1
    this.#add({ ...line, committed, ...this.#eventOf(event, isLeader, node) })
  }

  #eventOf(
    event: RaftEvent | null,
    isLeader: boolean,
    node: SimNode,
  ): Partial<Pick<Line, 'kind' | 'candidate' | 'claim'>> {
    switch (event?.type) {
      case undefined:
        return { kind: 'start' }
      case 'flushed':
        return { kind: 'flush' }
      case 'voteRequest': {
        const { request, replyTo } = event
        const place = this.#places.get((replyTo as ReplyTo).requestId)
        // Who is asked under the name of a directory that is gone refuses.
        if (place === undefined || !sameReplica(request.voter, node.key)) return {}
        const { candidate, replicaEpoch: epoch } = request
        return { kind: 'vote', candidate: { from: replicaText(candidate), epoch, place } }
      }
      case 'fetchRequest': {
        const { requestId } = event.replyTo as ReplyTo
        const claim = this.#requests.get(requestId) ?? null
        const isHere = event.request.currentLeaderEpoch === node.core!.leaderEpoch
        return isHere && claim !== null && (isLeader || this.#led(node)) ? { kind: 'fetch', claim } : {}
      }
      default:
        return {}
    }
  }

  /** Whether the node led when its last step was over. */
  #led({ id }: SimNode): boolean {
    return this.lines.findLast(({ node }) => node === id)?.state === 'leader'
  }

  #sent({ requestId, request }: Extract<Effect, { type: 'send' }>, entries: readonly Entry[]): void {
    if (request.type === 'fetch') this.#requests.set(requestId, claimOf(request, entries))
    if (request.type !== 'vote' || request.preVote) return
    const { lastOffsetEpoch, lastOffset, votersVersion } = request
    this.#places.set(requestId, [lastOffsetEpoch, batchesBelow(entries, lastOffset), votersVersion])
  }

  stopped(node: SimNode, how: 'kill' | 'crash'): void {
    const line = { ...this.#lineOf(node, how, node.core!.quorumState), state: 'down' }
    this.#deaths.set(node.id, { death: line, disk: node.disk })
    this.#add(line)
  }

  left(): void {}

  lost(node: SimNode): void {
    this.#resolve(node)
  }

  wentBack(node: SimNode): void {
    this.#resolve(node)
    const { durable } = node.disk
    const line = this.#lineOf(node, 'back', durable.quorum)
    this.#add({ ...line, entries: entriesOf(durable, this.#values) })
  }

  /** What the last death of a node has left is known now. */
  #resolve(node: SimNode): void {
    const known = this.#deaths.get(node.id)
    this.#deaths.delete(node.id)
    if (known === undefined || !this.lines.includes(known.death)) return
    const { death, disk } = known
    const { synced, durable } = disk
    death.entries = entriesOf(durable, this.#values)
    const isOf = (line: Line): boolean => line.node === node.id && line.session === death.session
    const undone = this.lines.findIndex(
      (line) => isOf(line) && line.persistAt > synced && line.persistAt < Number.POSITIVE_INFINITY,
    )
    if (undone < 0) return
    const isStart = this.lines[undone]!.kind === 'start'
    const before = this.lines.findLast((line, index) => index < undone && line.node === node.id)
    // A step that has half survived is in no model, nor is a second power cut of a replica that was not back yet.
    if (
      this.lines[undone]!.writeAt <= synced ||
      (isStart && death.entries.length !== (before?.entries.length ?? 0))
    ) {
      this.lines.length = undone
      this.#isOver = true
      return
    }
    this.lines = this.lines.filter(
      (line, index) => !(index >= undone && isOf(line) && line !== death) && !(isStart && line === death),
    )
  }

  /** To be called at the end of the run. */
  finish(): void {
    for (const node of this.#world.nodes.values()) if (node.core === null) this.#resolve(node)
  }

  #lineOf(node: SimNode, kind: Line['kind'], quorum: QuorumState): Line {
    const { core } = node
    return {
      replica: replicaText(node.key),
      node: node.id,
      session: node.session,
      kind,
      quorum,
      state: core === null ? 'down' : modelState(core.state, core.leaderId),
      entries: [],
      committed: -1,
      persistAt: Number.POSITIVE_INFINITY,
      writeAt: Number.POSITIVE_INFINITY,
      flushed: 0,
      candidate: null,
      claim: null,
      former: '',
      starts: [...quorum.startNonces].reverse(),
      seen: quorum.incarnations.map((seen) => {
        const name = replicaText(seen)
        return [name, this.#starts.get(`${name} ${seen.incarnation} ${seen.startNonce}`) ?? []] as const
      }),
    }
  }

  #add(line: Line): void {
    if (!this.#isOver) this.lines.push(line)
  }
}

function claimOf(request: FetchRequest, entries: readonly Entry[]): Claim {
  const { flushedOffset, flushedVotersVersion, fetchOffset } = request
  const isClaimed = (entry: Entry): boolean => {
    if (entry.kind === 'm') return true
    return entry.kind === 'r' ? entry.lastOffset < flushedOffset : entry.version <= flushedVotersVersion
  }
  return {
    from: replicaText(request.replica),
    epoch: request.currentLeaderEpoch,
    place: [request.lastFetchedEpoch, batchesBelow(entries, fetchOffset), request.votersVersion],
    upto: flushedOffset < 0 ? 0 : entries.filter(isClaimed).length,
    quarantined: request.quarantined,
  }
}

function modelState(state: string, leaderId: number): string {
  switch (state) {
    case 'unattached':
    case 'voted':
      return 'free'
    case 'prospective':
    case 'observer':
      return leaderId >= 0 ? 'follower' : 'free'
    default:
      return state
  }
}
