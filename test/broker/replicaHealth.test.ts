import { expect, test } from 'vitest'
import { replicaHealth } from '../../src/broker/replicaHealth.ts'
import type { Services } from '../../src/broker/services.ts'
import type { Group } from '../../src/replica/group.ts'
import { GroupNodes } from './support/groupNodes.ts'
import { batchOf } from './support/produce.ts'

/** What is told of one of the nodes. */
function healthOf(nodes: GroupNodes, id: number, beginning: object | null = null) {
  const { host } = nodes.nodes.get(id)!
  return replicaHealth({ base: { host, beginning } } as unknown as NonNullable<Services['cluster']>)
}

test('a replica that comes is being rebuilt until it votes, and counts as rebuilt from then on', async () => {
  const nodes = await GroupNodes.start(4)
  await nodes.createTopic('orders', {
    replicationFactor: -1,
    numPartitions: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }],
  })
  const leader = await nodes.leader()
  await nodes.produce(leader, batchOf(['a']))
  const { host } = nodes.nodes.get(4)!
  let rate = 0
  host.limitCatchUp({
    sendingRate: 0,
    get receivingRate() {
      return rate
    },
    limitsSending: () => false,
    limitsReceiving: () => true,
  })
  const none = { quarantined: 0, rebuilding: 0, rebuilt: 0, beganAnew: null }
  for (const id of [1, 2, 3, 4]) expect(healthOf(nodes, id)).toEqual(none)
  await nodes.reassign('orders', [4, 2, 3])
  await expect.poll(() => healthOf(nodes, 4)).toEqual({ ...none, rebuilding: 1 })
  rate = Number.POSITIVE_INFINITY
  await expect.poll(() => healthOf(nodes, 4), { timeout: 10_000 }).toEqual({ ...none, rebuilt: 1 })
  expect(healthOf(nodes, 2)).toEqual(none)
})

test('replicas in quarantine are counted, and when the disk began anew is told with the reason', () => {
  const group = (quarantine: Group['quarantine'], kind: string, state: string) => ({
    quarantine,
    state,
    spec: { kind },
  })
  const groups = new Map([
    [1, group('forgotten', 'partition', 'follower')],
    [2, group('rolledBack', 'metadata', 'observer')],
    [3, group('none', 'partition', 'observer')],
    [4, group('none', 'metadata', 'observer')],
  ])
  const base = {
    host: { groups, stats: { rebuilt: 7 } },
    beginning: { atMs: 5, reason: 'it was put back', others: [] },
  }
  expect(replicaHealth({ base } as unknown as NonNullable<Services['cluster']>)).toEqual({
    quarantined: 2,
    rebuilding: 1,
    rebuilt: 7,
    beganAnew: { atMs: 5, reason: 'it was put back' },
  })
})
