import { compareLogs } from '../../../src/raft/epochHistory.ts'
import type { RaftEvent } from '../../../src/raft/events.ts'
import { replicaText } from '../../../src/raft/replicaKey.ts'
import { Violation } from './checker.ts'
import { Prng } from './prng.ts'
import type { SimNode } from './simNode.ts'
import { calm, World, type WorldOptions } from './world.ts'

/** What a run did. */
export interface RunReport {
  readonly options: WorldOptions
  readonly steps: number
  readonly simulatedMs: number
  readonly committed: number
  readonly elections: number
  readonly reads: number
  readonly actions: Readonly<Record<string, number>>
  readonly hash: number
}

/** Draws the world of a seed: its shape and which faults it knows at all. */
export function optionsOf(seed: number): WorldOptions & { readonly classes: ReadonlySet<string> } {
  const random = new Prng(seed ^ 0x5eed)
  const kind = random.chance(0.5) ? 'metadata' : 'partition'
  const relaxed = kind === 'partition' && random.chance(0.4)
  const voters = random.pick([1, 2, 3, 3, 3, 3, 3, 4, 5])
  const isDynamic = !relaxed && random.chance(0.5)
  const classes = new Set(
    [
      'crash',
      'kill',
      'partition',
      'transfer',
      'snapshot',
      'crashAll',
      'shutdown',
      'logFailed',
      'pause',
      'storm',
      'crashAfterVote',
      'handover',
    ].filter(() => random.chance(0.6)),
  )
  if (isDynamic) classes.add('voters')
  const losing = isDynamic && random.chance(0.6) ? random.pick(['replaceDisk', 'rollBack']) : ''
  if (losing !== '' && voters >= 3) classes.add(losing)
  return {
    ...calm,
    seed,
    kind,
    relaxed,
    kraftVersion: isDynamic ? 1 : 0,
    voters,
    observers: isDynamic ? random.below(3) : 0,
    autoJoin: isDynamic && random.chance(0.5),
    confirmation: classes.has('rollBack') || random.chance(0.3) ? 'peers' : 'none',
    faults: true,
    loss: random.pick([0, 0.02, 0.1, 0.25]),
    duplication: random.pick([0, 0.05, 0.3]),
    longestDelayMs: random.pick([3, 10, 40]),
    batchesPerFetch: random.pick([1, 2, 6]),
    classes,
  }
}

/**
 * Runs one seed: so many events under faults, then a calm in which the group has to go on. `drawn` takes the place of
 * what the seed says about the world.
 */
export function simulate(
  seed: number,
  events: number,
  watch: ((world: World) => void) | null = null,
  drawn: ReturnType<typeof optionsOf> = optionsOf(seed),
): RunReport {
  const { classes, ...options } = drawn
  const run = new Run(new World(options), classes)
  watch?.(run.world)
  try {
    run.run(events)
  } catch (error) {
    throw new Error(
      `seed ${seed}, ${run.world.steps} steps, ${run.world.nowMs} ms: ${(error as Error).message}`,
      {
        cause: error,
      },
    )
  }
  return run.report()
}

class Run {
  readonly world: World
  readonly #actions: Record<string, number> = {}
  readonly #choices: readonly string[]
  #elections = 0
  #hash = 0
  #budget: number
  #value = 0

  constructor(world: World, classes: ReadonlySet<string>) {
    this.world = world
    this.#budget = (world.options.voters - 1) >> 1
    const rare = [...classes].flatMap((name) =>
      name === 'crashAll' || name === 'logFailed' ? [name] : [name, name],
    )
    this.#choices = [
      ...rare,
      'restart',
      'restart',
      'restart',
      'heal',
      'heal',
      'read',
      'read',
      ...new Array(12).fill('append'),
    ]
    world.tracer = (node, effect) => {
      if (effect.type === 'stateChanged' && effect.state === 'leader') this.#elections++
      this.#mix(node.id * 31 + effect.type.length)
      if ('sequence' in effect) this.#mix(effect.sequence)
    }
  }

  #mix(value: number): void {
    this.#hash = (Math.imul(this.#hash ^ value, 0x01000193) + (this.world.nowMs | 0)) | 0
  }

  run(events: number): void {
    const { world } = this
    world.startAll()
    for (let i = 0; i < events; i++) {
      if (world.random.chance(0.04)) this.#act(world.random.pick(this.#choices))
      if (!world.next()) this.#act('restart')
    }
    this.#calmDown()
  }

  report(): RunReport {
    const { world } = this
    return {
      options: world.options,
      steps: world.steps,
      simulatedMs: world.nowMs,
      committed: world.checker.committedEnd,
      elections: this.#elections,
      reads: world.readsDone,
      actions: this.#actions,
      hash: this.#hash,
    }
  }

  #act(name: string): void {
    this.#actions[name] = (this.#actions[name] ?? 0) + 1
    const { world } = this
    const nodes = [...world.nodes.values()]
    const node = world.random.pick(nodes)
    const leaders = nodes.filter(({ core }) => core?.state === 'leader')
    const leader = leaders.length > 0 ? world.random.pick(leaders) : node
    switch (name) {
      case 'append':
        leader.step({
          type: 'append',
          token: null,
          recordCount: 1 + world.random.below(3),
          records: this.#value++,
        })
        break
      case 'read':
        world.read(leader)
        break
      case 'crash':
        if (node.core !== null) (world.random.chance(0.5) ? leader : node).crash()
        break
      case 'crashAll':
        for (const each of nodes) if (each.core !== null) each.crash()
        break
      case 'kill':
        if (node.core !== null) node.kill()
        break
      case 'shutdown':
      case 'logFailed': {
        if (node.core === null) break
        node.step({ type: name })
        const { session } = node
        world.after(5, () => {
          if (node.session === session) node.kill()
        })
        break
      }
      case 'restart':
        for (const each of nodes) {
          const isDown = each.core === null || each.core.state === 'stopped'
          if (!isDown || !world.random.chance(0.7)) continue
          if (each.core !== null) each.kill()
          each.start()
        }
        break
      case 'partition':
        this.#partition(nodes)
        break
      case 'heal':
        world.cut.clear()
        break
      case 'pause': {
        const paused = world.random.chance(0.7) ? leader : node
        const ms = 200 + world.random.below(2000)
        paused.pause(ms)
        // A client may be the first to reach whoever wakes.
        if (world.random.chance(0.5)) world.after(ms, () => world.read(paused))
        break
      }
      case 'storm':
        for (const each of nodes) each.step({ type: 'connectionLost', id: each.core?.leaderId ?? -1 })
        break
      case 'crashAfterVote':
        world.isVoteDeadly = true
        for (const each of nodes) each.step({ type: 'connectionLost', id: each.core?.leaderId ?? -1 })
        break
      case 'handover':
        this.#handOver(leader, nodes)
        break
      case 'transfer':
        leader.step({ type: 'transferLeadership', token: null, to: world.random.chance(0.5) ? -1 : node.id })
        break
      case 'snapshot':
        this.#snapshot(node)
        break
      case 'voters':
        this.#changeVoters(leader, node)
        break
      case 'replaceDisk':
        this.#replaceDisk(node)
        break
      case 'rollBack':
        this.#rollBack(nodes)
        break
    }
  }

  #partition(nodes: readonly SimNode[]): void {
    const { world } = this
    const oneWay = world.random.chance(0.3)
    const side = new Set(nodes.filter(() => world.random.chance(0.4)))
    for (const a of nodes) {
      for (const b of nodes) {
        if (side.has(a) && !side.has(b)) {
          world.cut.add(`${a.id}>${b.id}`)
          if (!oneWay) world.cut.add(`${b.id}>${a.id}`)
        }
      }
    }
  }

  /**
   * One replica is left behind; another one dies and is back at once; then the leader goes, and those two are alone. Few
   * mistakes about what a replica holds survive this.
   */
  #handOver(leader: SimNode, nodes: readonly SimNode[]): void {
    const { world } = this
    const others = nodes.filter((node) => node !== leader)
    if (others.length < 2) return
    const behind = world.random.pick(others)
    const back = world.random.pick(others.filter((node) => node !== behind))
    const isolate = (node: SimNode): void => {
      for (const { id } of world.nodes.values()) world.cut.add(`${id}>${node.id}`).add(`${node.id}>${id}`)
    }
    world.cut.clear()
    isolate(behind)
    const restMs = 100 + world.random.below(1500)
    for (let at = 0; at < restMs; at += 100) {
      world.after(at, () =>
        leader.step({ type: 'append', token: null, recordCount: 1, records: this.#value++ }),
      )
    }
    world.after(restMs, () => {
      if (!world.isFaulty) return
      if (back.core !== null) back.crash()
      if (back.core === null) back.start()
      if (world.random.chance(0.3)) this.#snapshot(leader)
      const healsFirst = world.random.chance(0.3)
      if (healsFirst) world.cut.clear()
      world.after(world.random.below(healsFirst ? 400 : 100), () => {
        if (!world.isFaulty) return
        world.cut.clear()
        isolate(leader)
      })
    })
  }

  #snapshot(node: SimNode): void {
    const { core, disk } = node
    if (core === null || core.state === 'stopped') return
    const ends = disk.cache.batches
      .map(({ lastOffset }) => lastOffset + 1)
      .filter((end) => end <= core.highWatermark)
    if (ends.length > 0) node.takeSnapshot(this.world.random.pick(ends))
  }

  #changeVoters(leader: SimNode, node: SimNode): void {
    const { core } = leader
    if (core === null) return
    const { voters } = core.voters
    const known = voters.get(node.id)
    const request: RaftEvent =
      known === null
        ? {
            type: 'addVoterRequest',
            replyTo: null,
            request: {
              clusterId: 'cluster',
              voter: { ...node.key, endpoints: [], minVersion: 0, maxVersion: 1 },
              timeoutMs: 1000,
              ackWhenCommitted: true,
            },
          }
        : {
            type: 'removeVoterRequest',
            replyTo: null,
            request: { clusterId: 'cluster', voter: { id: known.id, directoryId: known.directoryId } },
          }
    if (known === null || voters.size > 2) leader.step(request)
  }

  /** An empty disk under a new name. Within the budget a majority keeps its disks. */
  #replaceDisk(node: SimNode): void {
    const { world } = this
    if (this.#budget === 0 || node.core === null) return
    this.#budget--
    node.crash()
    world.checker.lost(node)
    world.observer?.lost(node)
    node.directoryId = world.newDirectoryId()
    node.disk = world.newDisk()
    node.savedHighWatermark = 0
  }

  #mayRollBack({ id, key, disk, earlier, isRolledBack }: SimNode): boolean {
    const { incarnation } = disk.durable.quorum
    if (earlier === null || isRolledBack || earlier.durable.quorum.incarnation >= incarnation) return false
    const { voters } = disk.durable.voters.at(-1)!
    const knows = (other: SimNode): boolean =>
      other.disk.durable.quorum.incarnations.some(
        (seen) => seen.id === id && seen.incarnation === incarnation,
      )
    return (
      voters.has(key) &&
      voters.voters.every((voter) => voter.id === id || knows(this.world.nodes.get(voter.id)!))
    )
  }

  /** The disk as it was some starts ago, while all other voters remember this start. */
  #rollBack(nodes: readonly SimNode[]): void {
    const { world } = this
    const node = nodes.find((each) => this.#mayRollBack(each))
    if (node === undefined || this.#budget === 0) {
      const another = world.random.pick(nodes)
      if (another.core === null || another.earlier !== null) return
      another.crash()
      another.earlier = another.disk.copy()
      another.start()
      return
    }
    this.#budget--
    world.isRollbackAllowed = true
    this.#actions.rolledBack = (this.#actions.rolledBack ?? 0) + 1
    if (node.core !== null) node.crash()
    world.checker.lost(node)
    node.disk = node.earlier!.copy()
    node.isRolledBack = true
    world.checker.wentBack(node)
    world.observer?.wentBack(node)
    node.savedHighWatermark = 0
  }

  /** L1: without faults, with a majority of good disks, the group takes another record and everybody gets it. */
  #calmDown(): void {
    const { world } = this
    world.isFaulty = false
    world.isVoteDeadly = false
    world.cut.clear()
    for (const node of world.nodes.values()) if (node.core?.state === 'stopped') node.kill()
    world.startAll()
    if (!this.#canGoOn()) return
    const limitMs = 20 * 600
    const found = world.runUntil(() => {
      const leader = [...world.nodes.values()].find(({ core }) => core?.state === 'leader')
      if (leader === undefined) return false
      const end = leader.core!.logEnd.endOffset
      if (
        leader.core!.highWatermark === end &&
        end > 0 &&
        leader.highWatermark > 0 &&
        this.#hasCommitted(leader)
      )
        return true
      if (leader.core!.highWatermark >= end - 1 && !this.#hasCommitted(leader)) {
        leader.step({ type: 'append', token: null, recordCount: 1, records: 'last' })
      }
      return false
    }, limitMs)
    if (!found)
      throw new Violation(`L1: nothing is committed ${limitMs} ms after all faults: ${this.#describe()}`)
  }

  #hasCommitted(leader: SimNode): boolean {
    const { core, disk } = leader
    const last = disk.cache.batchAt(core!.highWatermark - 1)
    return last !== null && last.leaderEpoch === core!.leaderEpoch && last.records === 'last'
  }

  #describe(): string {
    return [...this.world.nodes.values()]
      .map(({ id, core, highWatermark }) =>
        core === null
          ? `${id} down`
          : `${id} ${core.state} epoch ${core.leaderEpoch} leader ${core.leaderId} end ${core.logEnd.epoch}/${core.logEnd.endOffset} hw ${highWatermark} ${core.quorumState.quarantine} voters ${core.voters.voters.voters.map(replicaText)}`,
      )
      .join('; ')
  }

  /**
   * Whether every voter set that anybody believes in has its disks: a majority, or all of them if some may have forgotten.
   * Where disks are gone, also whether it has the longest log: an observer that holds more than every voter that is left
   * does not vote for them, and a voter whose unfinished set counts on that observer cannot win.
   */
  #canGoOn(): boolean {
    const { world } = this
    const nodes = [...world.nodes.values()]
    const sets = nodes.flatMap(({ disk }) => disk.cache.voters.map(({ voters }) => voters))
    return sets.every((set) => {
      const present = set.voters.filter((voter) => {
        const node = world.nodes.get(voter.id)!
        return set.has(node.key) && node.core!.quorumState.quarantine !== 'rolledBack' && !node.isRolledBack
      })
      const sound = present.filter(({ id }) => world.nodes.get(id)!.core!.quorumState.quarantine === 'none')
      if (sound.length < set.majority && present.length < set.size) return false
      const isMember = ({ id }: SimNode): boolean => present.some((voter) => voter.id === id)
      const holds = nodes.filter(isMember).map(({ core }) => core!.logEnd)
      const isLongest = nodes.every(({ core }) => holds.some((end) => compareLogs(end, core!.logEnd) >= 0))
      return present.length === set.size || isLongest
    })
  }
}
