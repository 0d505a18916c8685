import { expect, test } from 'vitest'
import type { Node } from '../../src/engine/node.ts'
import type { NodeMachine } from '../../src/engine/nodeMachine.ts'
import { World } from '../../src/testing/world.ts'
import type { Running } from '../../src/testing/worldTypes.ts'
import { startInWorld } from './nodeSupport.ts'

interface CountingNode extends Running {
  readonly node: Node
  readonly machine: NodeMachine<number>
}

test('a leader whose disk is full gives the lead to one that has room', async () => {
  using world = new World<CountingNode>({
    seed: 7,
    nodes: 3,
    faults: [],
    program: async (place) => {
      const node = await startInWorld(place, 3)
      let count = 0
      const machine = node.stateMachine<number>('count', {
        apply: () => {
          count++
          return count
        },
        snapshot: () => [],
        restore: async () => {},
      })
      return { node, machine, close: () => node.close() }
    },
  })
  world.startAll()
  const leader = () =>
    [...world.nodes.values()].find(({ id, running }) => running?.node.leaderOf('count') === id)
  await world.runUntil(() => leader() !== undefined, 5000)
  const full = leader()!
  await world.settle(full.running!.machine.propose('a'))
  full.trouble.isFull = true
  let taken = 0
  const propose = (): void => {
    full.running!.machine.propose('b'.repeat(200_000)).then(
      () => taken++,
      (error) => expect(error.code).toBe('diskFull'),
    )
  }
  // The journal has room for some of them yet.
  for (let number = 0; number < 40; number++) world.after(number * 100, propose)
  await world.advance(5000)
  expect(leader()?.id).not.toBe(full.id)
  expect(taken).toBeGreaterThan(20)
})
