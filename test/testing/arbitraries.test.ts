import fc from 'fast-check'
import { expect, test } from 'vitest'
import { clusters, type Running, World, worldCommands } from '../../src/testing.ts'
import { storeAndTell, type Tally } from './support/storeAndTell.ts'

test('plans of clusters keep what was acknowledged, whatever they hold', async () => {
  await fc.assert(
    fc.asyncProperty(clusters({ nodes: 2, durationMs: 1000 }), async (plan) => {
      const tallies = new Map<number, Tally>()
      const world = plan.start(storeAndTell(tallies))
      await world.advance(plan.durationMs)
      world.heal()
      await world.advance(1000)
      for (const { acked, missing } of tallies.values()) {
        expect(missing).toBe(0)
        expect(acked).toBeGreaterThan(0)
      }
    }),
    { numRuns: 15 },
  )
})

test('plans shrink to the faults that a failure takes', async () => {
  const details = await fc.check(
    fc.asyncProperty(clusters({ nodes: 3, maxFaults: 10 }), async (plan) => {
      const world = plan.start(storeAndTell(new Map()))
      await world.advance(plan.durationMs)
      // Said to be broken by any kill that hits a process.
      expect([...world.nodes.values()].every(({ session }) => session === 1)).toBe(true)
    }),
    { numRuns: 50 },
  )
  expect(details.failed).toBe(true)
  expect(details.counterexample![0].faults).toHaveLength(1)
})

test('faults and the passing of time are commands beside those of a test', async () => {
  /** The test's own command: a machine's wall clock never runs backwards by itself. */
  class Look implements fc.AsyncCommand<{ looks: number }, World> {
    check(): boolean {
      return true
    }

    async run(model: { looks: number }, world: World): Promise<void> {
      model.looks++
      expect(world.nodes.size).toBe(3)
    }

    toString(): string {
      return 'look'
    }
  }
  let looks = 0
  let faults = 0
  const commands = fc.commands([...worldCommands<{ looks: number }, Running>(), fc.constant(new Look())], {
    maxCommands: 15,
  })
  await fc.assert(
    fc.asyncProperty(fc.nat(), commands, async (seed, run) => {
      const tallies = new Map<number, Tally>()
      const world: World = new World({ seed, nodes: 3, program: storeAndTell(tallies) })
      world.startAll()
      const model = { looks: 0 }
      await fc.asyncModelRun(() => ({ model, real: world }), run)
      looks += model.looks
      faults += world.faultCounts.size
      for (const { missing } of tallies.values()) expect(missing).toBe(0)
    }),
    { numRuns: 15 },
  )
  expect(looks).toBeGreaterThan(0)
  expect(faults).toBeGreaterThan(0)
})
