import { expect, test, vi } from 'vitest'
import type { Group } from '../../src/replica/group.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import { Cluster } from '../replica/support/cluster.ts'
import { CoordinatorNode } from './support/replicatedWorld.ts'

const runtime = createNodeRuntime()

/** A coordinator over a replica of a real group. */
function coordinatorOf(group: Group): CoordinatorNode {
  const node = new CoordinatorNode(runtime, group, (offset) => group.beginAt(offset))
  group.watch({ leadership: () => node.coordinator.leadershipChanged(0) })
  return node
}

async function world() {
  const cluster = await Cluster.start(3, () => runtime)
  const nodes = new Map([1, 2, 3].map((id) => [id, coordinatorOf(cluster.group(id))]))
  /** The coordinator of whoever leads, once it serves. */
  const leading = async (): Promise<CoordinatorNode> => {
    const { leaderId } = await cluster.leader()
    const node = nodes.get(leaderId)!
    await vi.waitUntil(async () => (await node.fetch('none')).errorCode === 0, { timeout: 10_000 })
    return node
  }
  const stop = async (): Promise<void> => {
    await Promise.all([...nodes.values()].map(({ coordinator }) => coordinator.close()))
    await cluster.stop()
  }
  return { cluster, nodes, leading, stop }
}

const codeOf = (response: Awaited<ReturnType<CoordinatorNode['commit']>>) =>
  response.topics[0]!.partitions[0]!.errorCode

const offsetOf = async (node: CoordinatorNode, groupId: string): Promise<number | undefined> =>
  (await node.fetch(groupId)).topics[0]?.partitions[0]?.committedOffset

test('what is committed is there at every next leader, also when the log was rewritten and shortened meanwhile', {
  timeout: 60_000,
}, async () => {
  const { cluster, leading, nodes, stop } = await world()
  let offset = 0
  for (let round = 0; round < 4; round++) {
    const node = await leading()
    if (round > 0) expect(await offsetOf(node, 'busy')).toBe(offset)
    expect(await offsetOf(node, 'quiet')).toBe(round === 0 ? undefined : 7)
    if (round === 0) expect(codeOf(await node.commit(7, 'quiet'))).toBe(0)
    for (let count = 0; count < 60; count++) expect(codeOf(await node.commit(++offset, 'busy'))).toBe(0)
    const leader = await cluster.leader()
    await leader.transferLeadership()
    expect(codeOf(await nodes.get(idOf(cluster, leader))!.commit(1, 'busy'))).toBe(16)
  }
  const start = (await cluster.leader()).log.logStartOffset
  expect(start).toBeGreaterThan(0)
  await stop()
})

test('a leader that is cut off tells nobody what was committed, and sends everybody away once it knows', {
  timeout: 60_000,
}, async () => {
  const { cluster, leading, nodes, stop } = await world()
  const old = await leading()
  expect(codeOf(await old.commit(1, 'g'))).toBe(0)
  const oldId = idOf(cluster, await cluster.leader())
  const others = [1, 2, 3].filter((id) => id !== oldId)
  for (const id of others) cluster.transports.setCut(oldId, id, true)
  const stale = old.fetch('g')
  const lost = old.commit(2, 'g')
  const next = await vi.waitUntil(() => others.find((id) => cluster.group(id).state === 'leader'), {
    timeout: 10_000,
  })
  await vi.waitUntil(async () => codeOf(await nodes.get(next)!.commit(3, 'g')) === 0, { timeout: 10_000 })
  expect((await stale).errorCode).toBe(16)
  expect(codeOf(await lost)).toBe(16)
  for (const id of others) cluster.transports.setCut(oldId, id, false)
  // It has to catch up before it can be made the leader again.
  await vi.waitUntil(
    () =>
      cluster
        .group(next)
        .transferLeadership(oldId)
        .then(
          () => true,
          () => false,
        ),
    { timeout: 10_000 },
  )
  const again = await leading()
  expect(await offsetOf(again, 'g')).toBe(3)
  await stop()
})

function idOf(cluster: Cluster, group: Group): number {
  return [...cluster.nodes.keys()].find((id) => cluster.group(id) === group)!
}
