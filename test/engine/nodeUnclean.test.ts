import { expect, test } from 'vitest'
import type { Node } from '../../src/engine/node.ts'
import type { NodePartition } from '../../src/engine/nodePartition.ts'
import { World } from '../../src/testing/world.ts'
import type { Running } from '../../src/testing/worldTypes.ts'
import { startInWorld } from './nodeSupport.ts'

interface RelaxedNode extends Running {
  readonly node: Node
  readonly orders: NodePartition
}

/** Three nodes with a partition that is acknowledged from the page cache, and a record in it. */
async function relaxedNodes(): Promise<World<RelaxedNode>> {
  const world = new World<RelaxedNode>({
    seed: 5,
    nodes: 3,
    program: async (place) => {
      const node = await startInWorld(place, 3, { callTimeoutMs: 5000 })
      return { node, orders: node.partition('orders', 0, { flush: 'none' }), close: () => node.close() }
    },
  })
  world.startAll()
  await world.runUntil(() => [...world.nodes.values()].every(({ running }) => running !== null), 10_000)
  await world.settle(ordersOf(world, 1).append([{ value: 'first' }]))
  return world
}

function ordersOf(world: World<RelaxedNode>, id: number): NodePartition {
  return world.node(id).running!.orders
}

test('voters that may have forgotten records elect nobody while one is missing, until an operator accepts the loss', async () => {
  const world = await relaxedNodes()
  const epoch = ordersOf(world, 2).status?.leaderEpoch
  const leader = ordersOf(world, 2).leaderId
  await world.advance(100)
  // One of those that come back has lost the record: whoever is asked, the other one is to lead.
  const lacking = leader === 2 ? 3 : 2
  for (const node of world.nodes.values()) node.crash(node.id === lacking ? 0 : 1, 'journalled')
  for (const id of [2, 3]) world.node(id).start()
  await world.runUntil(() => [2, 3].every((id) => world.node(id).running !== null), 10_000)
  await world.advance(10_000)
  expect([2, 3].map((id) => ordersOf(world, id).status?.leaderEpoch)).toEqual([epoch, epoch])
  await world.settle(ordersOf(world, lacking).electUnclean())
  expect(ordersOf(world, 2).status?.leaderEpoch).toBeGreaterThan(epoch!)
  expect(ordersOf(world, 2).leaderId).toBe(5 - lacking)
  const second = await world.settle(ordersOf(world, 2).append([{ value: 'second' }]))
  expect(second.baseOffset).toBe(1)
  world.node(1).start()
  await world.runUntil(() => world.node(1).running !== null, 10_000)
  const { baseOffset } = await world.settle(ordersOf(world, 1).append([{ value: 'third' }]))
  await world.runUntil(() => ordersOf(world, 1).status?.highWatermark === baseOffset + 1, 10_000)
  expect(ordersOf(world, 1).status?.highWatermark).toBe(baseOffset + 1)
  world[Symbol.dispose]()
})

test('nobody is elected where there is a leader, or where a majority is gone', async () => {
  const world = await relaxedNodes()
  await expect(world.settle(ordersOf(world, 2).electUnclean())).rejects.toMatchObject({
    code: 'electionNotNeeded',
  })
  for (const id of [1, 3]) world.node(id).kill()
  await world.advance(2000)
  await expect(world.settle(ordersOf(world, 2).electUnclean())).rejects.toMatchObject({
    code: 'eligibleLeadersNotAvailable',
  })
  world[Symbol.dispose]()
})
