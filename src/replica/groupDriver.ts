import { InvariantError } from '../model/assert.ts'
import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { Effect, RaftEvent, VotersEntry } from '../raft.ts'
import { RaftNode } from '../raft.ts'
import { Answers } from './answers.ts'
import { bytesOf } from './controlBytes.ts'
import type { Stander } from './electionPace.ts'
import { leasesOf, recordBytesOf } from './fetchedRecords.ts'
import { followersOf } from './followerProgress.ts'
import { GroupAppends } from './groupAppends.ts'
import type { GroupConfig } from './groupConfigs.ts'
import type { GroupListeners } from './groupListeners.ts'
import { GroupLog } from './groupLog.ts'
import { GroupSnapshots } from './groupSnapshots.ts'
import { entryOf } from './groupStates.ts'
import type { FollowerProgress } from './groupTypes.ts'
import type { GroupWorld } from './groupWorld.ts'
import { replicaMemory } from './leasedMemory.ts'
import { LifeSigns } from './lifeSigns.ts'
import type { GroupStart } from './openGroupLog.ts'
import { Outbox } from './outbox.ts'
import { nextLookMs, type Sleeper } from './sleepers.ts'
import { type AppendWaiter, type PlacedAppend, refusal, type Waiter } from './tokens.ts'
import type { GroupRef } from './transport.ts'

/** Bytes that a follower may have appended and not flushed; more waits before it is appended. */
const maxUnflushedBytes = 16 << 20

/**
 * Steps the core of one replica with whatever happens and carries its effects out in their order. Nothing leaves the node
 * before the quorum state that was written ahead of it is durable; writes are handed on at once.
 */
export class GroupDriver implements Sleeper, Stander {
  readonly node: RaftNode
  readonly log: GroupLog
  readonly appends: GroupAppends
  dueMs = Number.POSITIVE_INFINITY
  slotMs = Number.POSITIVE_INFINITY
  readonly #world: GroupWorld
  readonly #ref: GroupRef
  readonly #outbox = new Outbox()
  readonly #received: GroupSnapshots
  readonly #answers: Answers
  readonly #life: LifeSigns
  readonly #listeners: GroupListeners
  #events: RaftEvent[] = []
  #isStepping = false
  #isDraining = false
  /** An answer with records that waits until fewer are unflushed. */
  #held: RaftEvent | null = null
  /** One that waits for its turn among those that catch up. */
  #paced: RaftEvent | null = null
  /** Leases of the memory of `#held`. */
  #heldLeases: readonly Uint8Array[] = []
  #failed: EngineError | null = null
  #isClosed = false
  #isAsleep = false

  constructor(
    world: GroupWorld,
    ref: GroupRef,
    config: GroupConfig,
    start: GroupStart,
    mayHaveForgotten: boolean,
    listeners: GroupListeners,
  ) {
    this.#listeners = listeners
    this.#world = world
    this.#ref = ref
    this.log = new GroupLog(world.runtime, world.turn, start, {
      flushed: (sequence) => this.#flushed(sequence),
      persisted: (ticket) => this.#outbox.persisted(ticket),
      installed: (id) => this.#listeners.tell((each) => each.snapshotInstalled?.(id)),
      failed: (error) => this.#logFailed(error),
    })
    const raftStart = {
      quorum: start.stored.quorum,
      log: start.logStart,
      voters: start.voters,
      highWatermark: planted('logEndTakenForCommitted')
        ? start.logStart.logEndOffset
        : start.stored.highWatermark,
      mayHaveForgotten,
    }
    this.node = new RaftNode(config, world.runtime.random, raftStart)
    this.appends = new GroupAppends(world.runtime, world.budget, this)
    this.#received = new GroupSnapshots(start.snapshots, this.node, (event) => this.step(event), world.logger)
    this.#answers = new Answers(world, ref, this, this.#received, this.#outbox)
    this.#life = new LifeSigns(this.node, ref, world.transport, world.nodeId)
    world.observer?.started(ref, { ...config, relaxed: config.isRelaxed }, raftStart)
  }

  /** Why the replica is out of use until the next start; null while it is not. */
  get failure(): EngineError | null {
    return this.#failed
  }

  /** What is known of those that follow; empty unless this replica leads. */
  get followers(): readonly FollowerProgress[] {
    return followersOf(this.node, this.#world.transport, this.#ref)
  }

  /** Whether the core is in a step: what is asked of it waits until that is over. */
  get isStepping(): boolean {
    return this.#isStepping
  }

  /** Begins to take part. To be called once. */
  start(): void {
    const nowMs = this.#world.runtime.clock.monotonicMs()
    this.#run(null, () => this.node.start(nowMs))
    const { offline } = this.log.log
    if (offline !== null) this.#logFailed(offline)
  }

  /** Calls `run` once all that was written of the quorum state so far is durable; never when that fails. */
  whenPersisted(run: () => void): void {
    this.#outbox.leave(run)
  }

  /** Steps the core; an event that comes while it steps waits its turn. */
  step(event: RaftEvent): void {
    if (this.#failed !== null) return
    this.#events.push(event)
    this.#drain()
  }

  /** Steps it with an answer to a Fetch, once there is room for what that brings. Who only catches up takes no more than it may. */
  stepWithRecords(event: Extract<RaftEvent, { type: 'fetchResponse' }>): void {
    if (this.node.state !== 'observer') {
      this.#takeRecords(event)
      return
    }
    const bytes = recordBytesOf(event)
    this.#paced = event
    const take = (): void => {
      // It has left that leader meanwhile, and asks another one.
      if (this.#paced !== event) return
      this.#paced = null
      this.#takeRecords(event)
    }
    if (this.#world.catchUp.beforeTaking(this.#ref, bytes, take)) leasesOf(event)
  }

  #takeRecords(event: Extract<RaftEvent, { type: 'fetchResponse' }>): void {
    if (this.log.unflushedBytes <= maxUnflushedBytes) {
      // What is looked at later has a lease that nobody gives back.
      if (this.#isStepping || this.#isDraining) leasesOf(event)
      this.step(event)
      return
    }
    this.#held = event
    this.#heldLeases = leasesOf(event)
  }

  /** The wheel says that something is due. */
  fire(nowMs: number, mayStand = false): void {
    if (this.#failed !== null || this.#isClosed) {
      this.dueMs = Number.POSITIVE_INFINITY
      return
    }
    if (this.#isAsleep && this.#life.areNewer(nowMs - this.#world.sleepers.silenceMs)) {
      this.dueMs = nextLookMs(nowMs, this.#ref)
      return
    }
    this.#life.tell(nowMs, this.#heldFor(), (event, atMs) => this.#stepAt(event, atMs))
    if (this.node.deadlineMs <= nowMs) {
      if (!mayStand && this.node.standsAt(nowMs) && !this.#world.pace.admits(this, nowMs)) {
        this.dueMs = Number.POSITIVE_INFINITY
        return
      }
      this.#stepAt({ type: 'timerFired' }, nowMs)
    }
    this.dueMs = this.node.deadlineMs
    const nodes = this.node.restsOn
    if (nodes === null || nodes.length === 0) return
    this.#isAsleep = this.#world.sleepers.sleep(
      this,
      nodes,
      this.node.state === 'leader' ? 'follower' : 'leader',
    )
    // Looked after now and then all the same: the session does not tell that a group has left it.
    if (this.#isAsleep) this.dueMs = nextLookMs(nowMs, this.#ref)
  }

  get isVoting(): boolean {
    return this.node.state === 'prospective' || this.node.state === 'candidate'
  }

  /** Its turn to stand, unless somebody has led or asked for its vote meanwhile. */
  stand(nowMs: number): void {
    this.fire(nowMs, true)
    this.#world.wheel.arm(this)
  }

  /** Somebody that the group rests on is silent. */
  wake(): void {
    this.#isAsleep = false
    this.#world.sleepers.awake(this)
    if (this.#failed !== null) return
    this.dueMs = this.node.deadlineMs
    this.#world.wheel.arm(this)
  }

  /** Leaves the group in order and resolves once everything is durable that was written. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const closed = new EngineError('closed', 'the replica is closed')
    if (this.#failed === null) {
      this.step({ type: 'shutdown' })
      // The next start reads what is committed at once.
      await this.log.persisted(this.node.quorumState, this.node.highWatermark)
      await this.log.settled()
    }
    this.#end(closed)
    this.log.close()
  }

  #drain(): void {
    if (this.#isStepping || this.#isDraining) return
    this.#isDraining = true
    try {
      while (this.#events.length > 0 && this.#failed === null) {
        this.#stepAt(this.#events.shift()!, this.#world.runtime.clock.monotonicMs())
      }
    } finally {
      this.#isDraining = false
    }
  }

  #stepAt(event: RaftEvent, nowMs: number): void {
    if (this.#isAsleep) {
      this.wake()
      // What the sessions have shown meanwhile comes before what happens now.
      this.#life.tell(nowMs, null, (sign, atMs) => this.#run(sign, () => this.node.step(sign, atMs)))
    }
    this.#run(event, () => this.node.step(event, nowMs))
  }

  #run(event: RaftEvent | null, step: () => readonly Effect[]): void {
    this.#isStepping = true
    try {
      const effects = step()
      this.#world.observer?.stepped(this.#ref, event, effects)
      for (const effect of effects) {
        if (this.#failed !== null) break
        this.#carryOut(effect)
      }
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error
      const message = `the replica stops: ${error.message}`
      this.#end(new EngineError('unknownServerError', message, { cause: error }))
    } finally {
      this.#isStepping = false
    }
    // An append makes nothing due earlier, and there are many.
    if (event?.type !== 'append' || this.slotMs === Number.POSITIVE_INFINITY) {
      this.dueMs = this.#failed === null ? this.node.deadlineMs : Number.POSITIVE_INFINITY
      this.#world.wheel.arm(this)
    }
    this.#drain()
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'persist':
        this.#outbox.persistAsked(this.log.persist(effect.state, this.node.highWatermark))
        break
      case 'confirmVote':
        this.#outbox.leave(() => this.step({ type: 'voteDurable', epoch: effect.epoch }))
        break
      case 'append':
        this.log.append(effect.sequence, effect.batch.leaderEpoch, bytesOf(effect.batch, this.#world.runtime))
        break
      case 'markEpoch':
        this.log.markEpoch(effect.sequence, effect.start)
        break
      case 'storeVoters':
        this.log.storeVoters(effect.sequence, entryOf(effect.mark))
        break
      case 'truncate':
        this.log.truncate(effect.sequence, effect.to)
        break
      case 'installSnapshot':
        this.log.install(effect.sequence, effect.snapshotId, this.#received.headOf(effect.snapshotId))
        break
      case 'writeSnapshot':
        this.#received.write(effect)
        break
      case 'discardSnapshot':
        this.#received.discard(effect.snapshotId)
        break
      case 'send':
        this.#send(effect)
        break
      case 'respond':
        this.#answers.give(effect)
        break
      case 'highWatermark':
        this.appends.committed(effect.offset)
        this.#listeners.tell((each) => each.highWatermark?.(effect.offset))
        break
      case 'stateChanged':
        this.#outbox.dropFetches()
        this.#world.transport.forget(this.#ref)
        this.#held = null
        this.#paced = null
        if (effect.state !== 'leader') this.appends.leadershipLost()
        this.#listeners.tell((each) => each.leadership?.(effect.state, effect.leaderEpoch, effect.leaderId))
        break
      case 'votersChanged':
        this.#learnVoters(effect.entry)
        break
      case 'accepted': {
        const { baseOffset, lastOffset, leaderEpoch } = effect
        const ack = { baseOffset, lastOffset, leaderEpoch, duplicate: false }
        this.#outbox.leave(() => this.appends.accepted(effect.token as AppendWaiter | PlacedAppend, ack))
        break
      }
      case 'refused':
        ;(effect.token as Waiter<never> | PlacedAppend).reject(refusal(effect.error, effect.leaderId))
        break
      case 'done':
        this.#outbox.leave(() => (effect.token as Waiter<void>).resolve())
        break
      case 'readReady':
        this.#outbox.leave(() => (effect.token as Waiter<number>).resolve(effect.offset))
        break
      case 'alarm': {
        const { code, id, offset, detail } = effect
        this.#world.alarms.raise(this.#ref, { code, id, offset, detail })
        this.#listeners.tell((each) => each.alarm?.({ code, id, offset, detail }))
        break
      }
    }
  }

  #heldFor(): 'disk' | 'rate' | null {
    return this.#paced !== null ? 'rate' : this.#held !== null ? 'disk' : null
  }

  /** In the metadata log voter sets are records; they are noted beside it, so that a start need not look for them. */
  #learnVoters(entry: VotersEntry): void {
    const { transport, nodeId } = this.#world
    for (const { id, endpoints } of entry.voters.voters) {
      if (id !== nodeId && endpoints.length > 0) transport.know(id, endpoints)
    }
    this.log.noteVoters(entry)
    this.#listeners.tell((each) => each.voters?.(entry))
  }

  #send({ to, requestId, request }: Extract<Effect, { type: 'send' }>): void {
    const { transport, observer } = this.#world
    const isFetch = request.type === 'fetch' || request.type === 'fetchSnapshot'
    this.#outbox.leave(() => {
      observer?.left(this.#ref, to, request, null)
      transport.send(to, this.#ref, requestId, request)
    }, isFetch)
  }

  #flushed(sequence: number): void {
    const { flushedOffset } = this.log.log
    this.appends.flushed(flushedOffset)
    this.#listeners.tell((each) => each.flushed?.(flushedOffset))
    this.step({ type: 'flushed', sequence })
    if (this.#held === null || this.log.unflushedBytes > maxUnflushedBytes) return
    const held = this.#held
    this.#held = null
    const leases = this.#heldLeases
    this.#heldLeases = []
    const isAtOnce = !this.#isStepping && !this.#isDraining
    this.step(held)
    if (isAtOnce) for (const lease of leases) replicaMemory.giveBack(lease)
  }

  /** The log neither reads nor writes any more: the replica steps down, and says nothing that rests on what it wrote. */
  #logFailed(error: EngineError): void {
    if (this.#failed !== null) return
    this.#outbox.clear()
    this.step({ type: 'logFailed' })
    this.#end(error)
  }

  #end(error: EngineError): void {
    if (this.#failed !== null) return
    this.#failed = error
    this.#events = []
    this.#held = null
    this.#paced = null
    this.#outbox.clear()
    this.#world.transport.forget(this.#ref)
    this.appends.close(error)
    if (this.#isClosed) return
    const { topic, partition } = this.#ref
    this.#world.logger.error('a replica is out of use', { topic, partition, error: error.message })
    this.#listeners.tell((each) => each.failed?.(error))
  }
}
