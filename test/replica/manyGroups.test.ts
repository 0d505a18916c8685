import { expect, test } from 'vitest'
import type { GroupObserver } from '../../src/replica/observer.ts'
import {
  type ClusterNode,
  type ClusterShape,
  clusterProgram,
  drawDirectoryIds,
  format,
} from '../../src/testing/clusterProgram.ts'
import { SimRandom } from '../../src/testing/simRandom.ts'
import { World } from '../../src/testing/world.ts'

const groups = 100

/** Three nodes whose processes are slow: every step of a replica takes its node a while, in which nothing else happens there. */
class SlowCluster {
  readonly world: World<ClusterNode>
  /** Of all replicas, since the last look. */
  steps = 0
  elections = 0
  readonly #stepMs: number
  /** By node, steps whose time has not been taken. */
  readonly #owed = new Map<number, number>()

  constructor(seed: number, stepMs: number) {
    this.#stepMs = stepMs
    const shape: ClusterShape = {
      nodes: 3,
      voters: 3,
      groups,
      kind: 'partition',
      autoJoin: false,
      fetchBytes: 1 << 20,
      confirmation: 'peers',
      flush: 'journal',
      segmentBytes: 4096,
    }
    const ids = drawDirectoryIds(3, new SimRandom(seed))
    this.world = new World({
      seed,
      nodes: 3,
      program: clusterProgram(shape, ids, (node) => this.#observer(node)),
      watchers: [{ afterEvent: () => this.#takeTime() }],
    })
    for (const node of this.world.nodes.values()) format(node, ids[node.id - 1]!)
    this.world.startAll()
  }

  /** Whether each group has one leader whom both others follow. */
  get isSettled(): boolean {
    const nodes = [...this.world.nodes.values()].map(({ running }) => running?.groups ?? [])
    return Array.from({ length: groups }, (_, at) => nodes.map((node) => node[at])).every((replicas) => {
      const leader = replicas.find((each) => each?.state === 'leader')
      return replicas.every(
        (each) =>
          each !== undefined &&
          each.leaderId === leader?.leaderId &&
          each.leaderEpoch === leader.leaderEpoch &&
          (each === leader || each.state === 'follower'),
      )
    })
  }

  #observer(node: number): GroupObserver {
    return {
      started: () => {},
      left: () => {},
      stepped: (_, _event, effects) => {
        this.steps++
        this.#owed.set(node, (this.#owed.get(node) ?? 0) + 1)
        const stands = effects.some(
          ({ type, ...rest }) => type === 'stateChanged' && 'state' in rest && rest.state === 'candidate',
        )
        if (stands) this.elections++
      },
    }
  }

  #takeTime(): void {
    for (const [id, steps] of this.#owed) {
      const node = this.world.node(id)
      node.pausedUntilMs = Math.max(node.pausedUntilMs, this.world.nowMs) + steps * this.#stepMs
    }
    this.#owed.clear()
  }
}

test('many groups on slow nodes elect leaders, lose one node for a while, and come to rest again', {
  timeout: 60_000,
}, async () => {
  const cluster = new SlowCluster(1, 2)
  const { world } = cluster
  // A step of each replica takes a node 0.2 s: all of them do not elect within the usual timeouts.
  expect(await world.runUntil(() => cluster.isSettled, 10_000)).toBe(true)
  expect(cluster.elections).toBeLessThan(4 * groups)

  cluster.elections = 0
  world.node(1).pausedUntilMs = world.nowMs + 4000
  await world.advance(4000)
  expect(await world.runUntil(() => cluster.isSettled, 10_000)).toBe(true)
  expect(cluster.elections).toBeLessThan(2 * groups)

  await world.advance(3000)
  cluster.steps = 0
  cluster.elections = 0
  await world.advance(20_000)
  expect(cluster.elections).toBe(0)
  // Groups that have nothing to do need nothing.
  expect(cluster.steps).toBeLessThan(groups / 2)
  world[Symbol.dispose]()
})
