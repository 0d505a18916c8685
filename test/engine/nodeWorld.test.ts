import { describe, expect, test } from 'vitest'
import type { Node } from '../../src/engine/node.ts'
import type { NodeMachine } from '../../src/engine/nodeMachine.ts'
import { usualFaults } from '../../src/testing/arbitraries.ts'
import { watchWorld } from '../../src/testing/checkWatcher.ts'
import { planFaults } from '../../src/testing/swarm.ts'
import { World } from '../../src/testing/world.ts'
import type { Running } from '../../src/testing/worldTypes.ts'
import { startInWorld } from './nodeSupport.ts'

/** Faults that take nothing that is durable, and no node for good. */
const classes = usualFaults.filter((kind) => kind !== 'crashAfterVote' && kind !== 'hungDisk')
/** A node whose machine is a list of what it was given. */
interface ListNode extends Running {
  readonly node: Node
  readonly list: string[]
  readonly machine: NodeMachine<number>
  readonly restored: number
}

async function run(seed: number, nodes = 3) {
  let restores = 0
  const problems: string[] = []
  const world = new World<ListNode>({
    seed,
    nodes,
    faults: planFaults({ seed, nodes, voters: nodes, durationMs: 5000, classes }),
    program: async (place) => {
      const observer = watched.observer(place.nodeId)
      const node = await startInWorld(place, nodes, { callTimeoutMs: 3000, observer })
      const list: string[] = []
      const machine = node.stateMachine<number>(
        'list',
        {
          apply: (command) => list.push(command.text()!),
          snapshot: () => [...list],
          restore: async (chunks) => {
            restores++
            list.length = 0
            for await (const chunk of chunks) list.push(Buffer.from(chunk).toString())
          },
        },
        { snapshotBytes: 1500, keptRecords: 5 },
      )
      return { node, list, machine, restored: 0, close: () => node.close() }
    },
  })
  const watched = watchWorld(world, { dataDirectory: '/data' })
  world.leaderOf = () => {
    for (const { running } of world.nodes.values()) {
      const id = running?.node.leaderOf('list') ?? -1
      if (id > 0) return id
    }
    return null
  }
  /** By place in the list, from 1. */
  const acked = new Map<number, string>()
  let unknown = 0
  let reads = 0
  const propose = (number: number): void => {
    const target = [...world.nodes.values()].filter(({ running }) => running !== null)[number % nodes]
    const running = target?.running
    if (!running) return
    const text = `command ${number}`
    running.machine.propose(text).then(
      (place) => {
        if (acked.has(place)) problems.push(`${acked.get(place)} and ${text} both have place ${place}`)
        acked.set(place, text)
      },
      () => {
        unknown++
      },
    )
    const before = Math.max(0, ...acked.keys())
    running.machine
      .read(() => running.list.length)
      .then(
        (length) => {
          reads++
          if (length < before)
            problems.push(`a read saw ${length} commands after ${before} were acknowledged`)
        },
        () => {},
      )
  }
  try {
    world.startAll()
    for (let number = 0; number < 150; number++) world.after(300 + number * 40, () => propose(number))
    await world.advance(6500)
    world.heal()
    await world.advance(4000)
    const alive = [...world.nodes.values()].map(({ running }) => running)
    expect(alive.every((running) => running !== null)).toBe(true)
    await world.settle(Promise.all(alive.map((running) => running!.machine.read(() => {}))))
    await world.settle(alive[0]!.machine.propose('the last one'))
    await world.settle(Promise.all(alive.map((running) => running!.machine.read(() => {}))))
    watched.checks.checkHistories()
    expect(watched.checks.violation).toBe(null)
    const lists = alive.map((running) => running!.list)
    for (const list of lists) expect(list).toEqual(lists[0])
    for (const [place, text] of acked) expect(lists[0]![place - 1]).toBe(text)
    expect(problems).toEqual([])
    return { acked: acked.size, unknown, reads, restores, hash: world.traceHash, events: world.events }
  } finally {
    world[Symbol.dispose]()
  }
}

describe('nodes in a simulated world', () => {
  test('keep every acknowledged command, in one order, whatever happens; reads see what was acknowledged', async () => {
    let acked = 0
    let restores = 0
    for (const [seed, nodes] of [
      [1, 3],
      // A power cut takes the directory of a log together with its first snapshot.
      [10, 3],
      // Machines read while what they read is being cut.
      [24, 5],
    ] as const) {
      const result = await run(seed, nodes)
      acked += result.acked
      restores += result.restores
      expect(result.reads).toBeGreaterThan(0)
    }
    expect(acked).toBeGreaterThan(100)
    expect(restores).toBeGreaterThan(0)
  }, 120_000)

  test('do the same under the same seed', async () => {
    const first = await run(5)
    expect(await run(5)).toEqual(first)
  }, 120_000)
})
