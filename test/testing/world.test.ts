import { describe, expect, test } from 'vitest'
import { usualFaults } from '../../src/testing/arbitraries.ts'
import { faultClasses } from '../../src/testing/fault.ts'
import { planFaults } from '../../src/testing/swarm.ts'
import { type Fault, type FaultAction, type Running, World } from '../../src/testing.ts'
import { storeAndTell, type Tally } from './support/storeAndTell.ts'

/** Classes under which everything acknowledged has to be there at the next start. */
const harmless = faultClasses.filter(
  (kind) =>
    kind === 'diskFull' ||
    kind === 'noDescriptors' ||
    (usualFaults.includes(kind) && kind !== 'crashAfterVote'),
)

async function run(seed: number, skipFaults: ReadonlySet<number> = new Set()) {
  const tallies = new Map<number, Tally>()
  const failures: unknown[] = []
  const world = new World({
    seed,
    nodes: 3,
    program: storeAndTell(tallies),
    faults: planFaults({ seed, nodes: 3, voters: 3, durationMs: 2000, classes: harmless }),
    skipFaults,
    watchers: [{ stopped: (_, how, error) => how === 'failed' && failures.push(error) }],
  })
  world.startAll()
  await world.advance(2000)
  world.heal()
  await world.advance(1500)
  const { traceHash, events, faultCounts } = world
  const isEverybodyUp = [...world.nodes.values()].every(({ running }) => running !== null)
  world[Symbol.dispose]()
  return { traceHash, events, faultCounts, tallies, failures, isEverybodyUp }
}

describe('a world', () => {
  test('is a pure function of its seed', async () => {
    for (const seed of [1, 2, 3]) {
      const first = await run(seed)
      const second = await run(seed)
      expect(second.traceHash).toBe(first.traceHash)
      expect(second.events).toBe(first.events)
      expect((await run(seed + 100)).traceHash).not.toBe(first.traceHash)
    }
  })

  test('keeps what was acknowledged under every fault that takes nothing that is durable', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const { tallies, isEverybodyUp, events } = await run(seed)
      for (const { missing, acked } of tallies.values()) {
        expect({ seed, missing }).toEqual({ seed, missing: 0 })
        expect(acked).toBeGreaterThan(0)
      }
      expect({ seed, isEverybodyUp }).toEqual({ seed, isEverybodyUp: true })
      expect(events).toBeGreaterThan(1000)
    }
  })

  test('leaves faults out by their numbers, and the others as they were', async () => {
    const all = await run(4)
    const none = await run(4, new Set(Array.from({ length: 50 }, (_, index) => index)))
    expect(all.faultCounts.size).toBeGreaterThan(0)
    expect(none.faultCounts.size).toBe(0)
    const some = await run(4, new Set([1, 2]))
    const count = (counts: ReadonlyMap<string, number>) => [...counts.values()].reduce((a, b) => a + b, 0)
    expect(count(some.faultCounts)).toBe(count(all.faultCounts) - 2)
  })

  test('ends with what a program throws where nobody catches it', async () => {
    const program = async ({
      runtime,
    }: {
      runtime: { clock: { setTimer(ms: number, run: () => void): unknown } }
    }) => {
      runtime.clock.setTimer(5, () => {
        throw new Error('a bug')
      })
      return { close: async () => {} }
    }
    const world = new World({ seed: 1, nodes: 1, program })
    world.startAll()
    await expect(world.advance(10)).rejects.toThrow('a bug')
  })

  test('tells of events that go round in a circle without time going on', async () => {
    const program = async ({
      runtime,
    }: {
      runtime: { clock: { setTimer(ms: number, run: () => void): unknown } }
    }) => {
      const again = (): void => void runtime.clock.setTimer(0, again)
      again()
      return { close: async () => {} }
    }
    const world = new World({ seed: 1, nodes: 1, program })
    world.startAll()
    await expect(world.advance(10)).rejects.toThrow('time stands still')
  })
})

describe('a machine', () => {
  /** One node that notes when its timer of 10 ms fires, by the world's clock. */
  function ticking() {
    const ticks: number[] = []
    const walls: number[] = []
    const world: World = new World({
      seed: 1,
      nodes: 1,
      program: async ({ runtime }): Promise<Running> => {
        const tick = (): void => {
          ticks.push(Math.round(world.nowMs * 100) / 100)
          walls.push(runtime.clock.wallMs())
          runtime.clock.setTimer(10, tick)
        }
        tick()
        return { close: async () => {} }
      },
    })
    world.startAll()
    const inject = (action: FaultAction): void => world.inject({ number: 1, atMs: 0, ...action } as Fault)
    return { world, ticks, walls, inject }
  }

  test('stands still while it is paused, and catches up afterwards', async () => {
    const { world, ticks, inject } = ticking()
    await world.advance(25)
    inject({ kind: 'pause', node: 1, forMs: 100 })
    await world.advance(150)
    expect(ticks).toEqual([0, 10, 20, 125, 135, 145, 155, 165, 175])
  })

  test('goes on at once when all is healed, and fires no timer that was cancelled meanwhile', async () => {
    const fired: string[] = []
    const world: World = new World({
      seed: 1,
      nodes: 1,
      program: async ({ runtime: { clock } }): Promise<Running> => {
        const second = clock.setTimer(20, () => fired.push('second'))
        clock.setTimer(10, () => {
          fired.push('first')
          second.cancel()
        })
        clock.setTimer(30, () => fired.push('third'))
        return { close: async () => {} }
      },
    })
    world.startAll()
    world.inject({ kind: 'pause', node: 1, forMs: 60_000, number: 1, atMs: 0 })
    await world.advance(100)
    expect(fired).toEqual([])
    world.heal()
    await world.advance(1)
    expect(fired).toEqual(['first', 'third'])
  })

  test('has clocks that drift and jump', async () => {
    const { world, ticks, walls, inject } = ticking()
    inject({ kind: 'drift', node: 1, factor: 2, forMs: 20 })
    await world.advance(40)
    // The timer that was set before keeps its time.
    expect(ticks).toEqual([0, 10, 15, 20, 30, 40])
    const before = walls.at(-1)!
    inject({ kind: 'wallJump', node: 1, byMs: -1_000_000 })
    await world.advance(10)
    expect(walls.at(-1)! - before).toBe(-1_000_000 + 10)
  })

  test('does nothing any more once its process is dead', async () => {
    const { world, ticks, inject } = ticking()
    await world.advance(5)
    inject({ kind: 'kill', node: 1, downMs: 50 })
    await world.advance(70)
    expect(ticks).toEqual([0, 55, 65, 75])
    expect(world.node(1).session).toBe(2)
  })
})
