import type { Uuid } from '../../../src/model/uuid.ts'
import type { Effect } from '../../../src/raft/effects.ts'
import type { RaftEvent } from '../../../src/raft/events.ts'
import type { Batch, RaftRequest, RaftResponse } from '../../../src/raft/messages.ts'
import { RaftNode } from '../../../src/raft/raftNode.ts'
import type { RaftStart } from '../../../src/raft/raftReplica.ts'
import { type ReplicaKey, replicaText } from '../../../src/raft/replicaKey.ts'
import type { SimDisk, SimSnapshot, Write } from './simDisk.ts'
import type { World } from './world.ts'

const snapshotBytes = 100
const partBytes = 40

/** Who asked, so that the answer finds its way: over the same connection, or not at all. */
export interface ReplyTo {
  readonly from: number
  readonly session: number
  readonly requestId: number
  readonly request: RaftRequest
}

/** A replica, its disk, and a driver that does what the core says: in order, and nothing leaves before it may. */
export class SimNode {
  readonly world: World
  readonly id: number
  directoryId: Uuid
  disk: SimDisk
  core: RaftNode | null = null
  /** Grows with every start: what belongs to an earlier one is void. */
  session = 0
  /** Exclusive end of what this start has seen committed. */
  highWatermark = 0
  /** Whether it was quarantined before the step under way. */
  wasQuarantined = false
  mayHaveForgotten = false
  /** A high watermark that the disk remembers. */
  savedHighWatermark = 0
  /** Data directory copied some time ago. */
  earlier: SimDisk | null = null
  isRolledBack = false
  #outbox: { readonly after: number; readonly run: () => void }[] = []
  #barrier = 0
  #pausedUntilMs = 0
  #isSyncing = false
  #timerMs = Number.POSITIVE_INFINITY

  constructor(world: World, id: number, directoryId: Uuid) {
    this.world = world
    this.id = id
    this.directoryId = directoryId
    this.disk = world.newDisk()
  }

  get key(): ReplicaKey {
    return { id: this.id, directoryId: this.directoryId }
  }

  start(): void {
    const { world, disk } = this
    this.session++
    const { durable } = disk
    disk.cache = durable.clone()
    this.#outbox = []
    this.#barrier = 0
    this.#pausedUntilMs = 0
    this.#isSyncing = false
    this.#timerMs = Number.POSITIVE_INFINITY
    this.highWatermark = Math.max(durable.startOffset, Math.min(this.savedHighWatermark, durable.endOffset))
    this.wasQuarantined = durable.quorum.quarantine !== 'none'
    const config = world.configOf(this)
    const start: RaftStart = {
      quorum: durable.quorum,
      log: {
        logStartOffset: durable.startOffset,
        logEndOffset: durable.endOffset,
        epochStarts: durable.epochStarts,
        snapshotId: durable.snapshot?.id ?? null,
      },
      voters: durable.voters,
      highWatermark: this.highWatermark,
      mayHaveForgotten: this.mayHaveForgotten,
    }
    this.core = new RaftNode(config, world.random, start)
    this.mayHaveForgotten = false
    world.observer?.started(this, config, start)
    const effects = this.core.start(world.nowMs)
    world.observer?.stepped(this, null, effects)
    this.#carryOut(effects)
  }

  /** Power is cut. */
  crash(): void {
    const me = `${replicaText(this.key)} ${this.session}`
    this.world.observer?.stopped(this, 'crash')
    this.core = null
    this.session++
    this.disk.crash(this.world.random, this.world.options.relaxed)
    if (this.world.options.relaxed) this.mayHaveForgotten = true
    const { leaderEpoch, leaderId } = this.disk.durable.quorum
    this.world.checker.neverLed(leaderId === this.id ? leaderEpoch + 1 : leaderEpoch, me)
    this.world.stopped(this)
  }

  /** The process dies. */
  kill(): void {
    this.world.observer?.stopped(this, 'kill')
    this.core = null
    this.session++
    this.disk.kill()
    this.world.stopped(this)
  }

  /** The process stands still; what happens to it meanwhile waits. */
  pause(ms: number): void {
    this.#pausedUntilMs = this.world.nowMs + ms
  }

  step(event: RaftEvent): void {
    const { world, session } = this
    if (this.core === null) return
    if (world.nowMs < this.#pausedUntilMs) {
      world.after(this.#pausedUntilMs - world.nowMs, () => {
        if (this.session === session) this.step(event)
      })
      return
    }
    world.steps++
    this.wasQuarantined = this.core.quorumState.quarantine !== 'none'
    const effects = this.core.step(event, world.nowMs)
    world.observer?.stepped(this, event, effects)
    this.#carryOut(effects)
  }

  #carryOut(effects: readonly Effect[]): void {
    const { world } = this
    for (const effect of effects) {
      world.checker.before(this, effect)
      world.tracer?.(this, effect)
      this.#carry(effect)
    }
    if (!this.disk.hasPending) this.savedHighWatermark = this.highWatermark
    this.#flushSoon()
    this.#armTimer()
  }

  #carry(effect: Effect): void {
    const { world } = this
    switch (effect.type) {
      case 'persist':
        this.#write(effect)
        this.#barrier = this.disk.written
        break
      case 'append':
      case 'markEpoch':
      case 'storeVoters':
      case 'truncate':
        this.#write(effect)
        break
      case 'installSnapshot':
        this.#write(effect, world.snapshots.get(snapshotName(effect.snapshotId)))
        this.savedHighWatermark = 0
        break
      case 'writeSnapshot':
        if (effect.isLast) this.#receive(effect)
        break
      case 'send':
        this.#leave(() => {
          world.observer?.left(this, effect.to, effect.request, null)
          world.checker.sent(this, effect.request, null)
          world.send(this, effect.to, effect.requestId, effect.request)
        })
        break
      case 'respond': {
        const response = this.#fill(effect)
        const replyTo = effect.replyTo as ReplyTo | null
        if (replyTo === null) world.answers.push(response)
        else {
          this.#leave(() => {
            world.observer?.left(this, replyTo.from, response, replyTo.request)
            world.checker.sent(this, response, replyTo.request)
            world.reply(this, replyTo, response)
            const isVote = response.type === 'vote' && response.voteGranted
            if (isVote && world.isVoteDeadly && replyTo.request.type === 'vote' && !replyTo.request.preVote)
              this.#dieSoon()
          })
        }
        break
      }
      case 'confirmVote':
        this.#leave(() => this.step({ type: 'voteDurable', epoch: effect.epoch }))
        break
      case 'readReady':
        this.#leave(() => world.readReady(effect.token, effect.offset))
        break
    }
  }

  #dieSoon(): void {
    const { world, session } = this
    world.isVoteDeadly = false
    world.after(world.random.below(2), () => {
      if (this.session !== session || !world.isFaulty) return
      this.crash()
      this.start()
    })
  }

  #write(write: Write, received: SimSnapshot | null = null): void {
    this.disk.write(write, received)
  }

  /** Nothing leaves before what was persisted ahead of it is durable. */
  #leave(run: () => void): void {
    if (this.disk.synced >= this.#barrier) run()
    else this.#outbox.push({ after: this.#barrier, run })
  }

  #fill({ response, read }: Extract<Effect, { type: 'respond' }>): RaftResponse {
    if (response.type === 'fetch' && read.type === 'records') {
      const batches = this.disk.cache.read(
        read.fromOffset,
        1 + this.world.random.below(this.world.options.batchesPerFetch),
      )
      return {
        ...response,
        batches: batches.filter(({ lastOffset }): boolean => lastOffset < read.toOffset) as Batch[],
      }
    }
    if (response.type === 'fetchSnapshot' && read.type === 'snapshot') {
      const length = Math.max(0, Math.min(partBytes, snapshotBytes - read.position))
      return { ...response, size: snapshotBytes, bytes: new Uint8Array(length) }
    }
    return response
  }

  #receive({ snapshotId }: Extract<Effect, { type: 'writeSnapshot' }>): void {
    const { world, session } = this
    const snapshot = world.snapshots.get(snapshotName(snapshotId))
    const { voters, version } = snapshot.voters
    world.after(1 + world.random.below(world.random.chance(0.2) ? 2000 : 20), () => {
      if (this.session !== session) return
      this.step(
        world.random.chance(world.options.faults ? 0.1 : 0)
          ? { type: 'snapshotFailed', snapshotId }
          : { type: 'snapshotReceived', snapshotId, voters: voters.voters, votersVersion: version },
      )
    })
  }

  #flushSoon(): void {
    const { world, disk, session } = this
    if (this.#isSyncing || !disk.hasPending) return
    this.#isSyncing = true
    // A group commit may have begun before the last of these.
    const waiting = disk.written - disk.synced
    const upTo =
      world.isFaulty && world.random.chance(0.3)
        ? disk.synced + 1 + world.random.below(waiting)
        : disk.written
    world.after(world.syncMs(), () => {
      if (this.session !== session) return
      this.#isSyncing = false
      const sequence = disk.sync(upTo)
      const released = this.#outbox.findIndex(({ after }) => after > disk.synced)
      for (const { run } of this.#outbox.splice(0, released < 0 ? this.#outbox.length : released)) run()
      if (sequence > 0) this.step({ type: 'flushed', sequence })
      this.#flushSoon()
    })
  }

  #armTimer(): void {
    const { world, session } = this
    const deadlineMs = this.core!.deadlineMs
    if (deadlineMs >= this.#timerMs || deadlineMs === Number.POSITIVE_INFINITY) return
    const atMs = Math.max(world.nowMs, deadlineMs)
    this.#timerMs = deadlineMs
    world.after(atMs - world.nowMs, () => {
      if (this.session !== session || this.#timerMs !== deadlineMs) return
      this.#timerMs = Number.POSITIVE_INFINITY
      if (this.core!.deadlineMs <= world.nowMs) this.step({ type: 'timerFired' })
      else this.#armTimer()
    })
  }

  /** The state machine above has taken a snapshot of what is committed up to the batch that ends there. */
  takeSnapshot(endOffset: number): void {
    const { core, disk, world } = this
    if (core === null || world.nowMs < this.#pausedUntilMs || endOffset <= disk.cache.startOffset) return
    const id = { endOffset, epoch: core.epochBefore(endOffset) }
    const snapshot = { id, voters: core.votersAt(endOffset) }
    if (!world.snapshots.has(id)) world.snapshots.add(snapshot)
    this.#write({ type: 'snapshotTaken', snapshot, startOffset: endOffset })
    this.step({ type: 'snapshotTaken', snapshotId: id, logStartOffset: endOffset })
  }
}

function snapshotName({ endOffset, epoch }: { readonly endOffset: number; readonly epoch: number }): string {
  return `${endOffset}-${epoch}`
}

/** The snapshots of a world by name: equal names mean equal contents, since only committed records are in them. */
export class Snapshots {
  #byName = new Map<string, SimSnapshot>()

  has(id: SimSnapshot['id']): boolean {
    return this.#byName.has(snapshotName(id))
  }

  add(snapshot: SimSnapshot): void {
    this.#byName.set(snapshotName(snapshot.id), snapshot)
  }

  get(name: string): SimSnapshot {
    return this.#byName.get(name)!
  }
}
