import { expect, test } from 'vitest'
import type { Node } from '../../src/engine/node.ts'
import { watchWorld } from '../../src/testing/checkWatcher.ts'
import { World } from '../../src/testing/world.ts'
import type { Running } from '../../src/testing/worldTypes.ts'
import { startInWorld } from './nodeSupport.ts'

interface PlainNode extends Running {
  readonly node: Node
}

function newWorld(seed: number) {
  const world = new World<PlainNode>({
    seed,
    nodes: 3,
    faults: [],
    program: async (place) => {
      const observer = watched.observer(place.nodeId)
      const node = await startInWorld(place, 3, { callTimeoutMs: 5000, observer })
      return { node, close: () => node.close() }
    },
  })
  const watched = watchWorld(world, { dataDirectory: '/data' })
  const nodeOf = (id: number): Node => world.node(id).running!.node
  const append = (id: number, text: string): Promise<{ readonly baseOffset: number }> =>
    world.settle(
      nodeOf(id)
        .partition('t')
        .append([{ value: text }]),
    ) as never
  const restart = async (id: number, change: () => void = () => {}): Promise<void> => {
    world.node(id).kill()
    change()
    world.node(id).start()
    await world.runUntil(() => world.node(id).running !== null, 20_000)
  }
  return { world, nodeOf, append, restart }
}

test.each([1, 2, 3])(
  'a disk that was put back is set aside, and its node comes back as a new voter (node %i)',
  async (victim) => {
    const { world, nodeOf, append, restart } = newWorld(victim)
    world.startAll()
    await world.runUntil(() => [1, 2, 3].every((id) => world.node(id).running !== null), 20_000)
    await append(1, 'a')
    await world.advance(500)
    const before = nodeOf(victim).status
    const copy = world.node(victim).fs.image
    await restart(victim)
    await append(1 + (victim % 3), 'b')
    await world.advance(500)
    await restart(victim, () => world.node(victim).replaceDisk(copy))
    const other = 1 + (victim % 3)
    const isBack = (): boolean => {
      const { directoryId, voters, partitions } = nodeOf(victim).status
      const group = partitions.find(({ topic }) => topic === 't')
      return (
        directoryId !== before.directoryId &&
        voters.includes(victim) &&
        nodeOf(other).status.voters.length === 3 &&
        group?.voters.includes(victim) === true
      )
    }
    expect(await world.runUntil(isBack, 30_000)).toBe(true)
    expect(await append(victim, 'c')).toMatchObject({ baseOffset: 2 })
    const names = [...world.node(victim).fs.list('/data')].map(({ name }) => name)
    expect(names.filter((name) => name.startsWith('.set-aside.'))).toHaveLength(1)
    // Nobody begins anew without need.
    const { directoryId } = nodeOf(victim).status
    await restart(victim)
    expect(nodeOf(victim).status.directoryId).toBe(directoryId)
  },
)

test('a node whose journal is lost comes back as a new voter while most others are there, and says what to do while they are not', async () => {
  const { world, nodeOf, append } = newWorld(4)
  world.startAll()
  await world.runUntil(() => [1, 2, 3].every((id) => world.node(id).running !== null), 20_000)
  await append(1, 'a')
  await world.advance(500)
  const before = nodeOf(3).status.directoryId
  const { fs } = world.node(3)
  const lose = (): void => {
    for (const { name } of fs.list('/data/.journal')) {
      if (name.startsWith('checkpoint-')) fs.unlink(`/data/.journal/${name}`)
    }
  }
  world.node(2).kill()
  world.node(3).kill()
  lose()
  world.node(3).start()
  expect(await world.runUntil(() => world.node(3).failure !== null, 20_000)).toBe(true)
  expect(world.node(3).failure).toMatchObject({
    code: 'corruptLog',
    message: expect.stringMatching(/start most of/),
  })
  world.node(2).start()
  await world.runUntil(() => world.node(3).running !== null, 30_000)
  const isBack = (): boolean =>
    nodeOf(3).status.directoryId !== before &&
    nodeOf(1).status.partitions.some(({ topic, voters }) => topic === 't' && voters.includes(3)) &&
    nodeOf(3).status.voters.includes(3)
  expect(await world.runUntil(isBack, 30_000)).toBe(true)
  expect(await append(3, 'b')).toMatchObject({ baseOffset: 1 })
})
