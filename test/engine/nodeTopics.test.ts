import { describe, expect, test } from 'vitest'
import type { Node } from '../../src/engine/node.ts'
import type { PartitionSettings } from '../../src/index.ts'
import { Machines } from './nodeSupport.ts'

async function valuesOf(
  node: Node,
  topic: string,
  settings: PartitionSettings = {},
): Promise<(string | null)[]> {
  const found: (string | null)[] = []
  for await (const record of node.partition(topic, 0, settings).read()) found.push(record.text())
  return found
}

/** Names of the directories of logs that a machine has. */
function logsOn(lab: Machines, machine: number): string[] {
  return lab.world
    .node(machine)
    .fs.list('/data')
    .filter(({ kind, name }) => kind === 'directory' && /-\d+$/.test(name))
    .map(({ name }) => name)
}

describe('a topic that is removed', () => {
  test('goes on every node with its records; what is asked for under its name later is a new one', async () => {
    const lab = await Machines.start(3)
    const nodes = await lab.cluster(3)
    const partition = nodes[0]!.partition('orders', 0, { flush: 'none' })
    await partition.append({ value: 'a' })
    const others = nodes.map((node) => node.partition('orders', 0, { flush: 'none' }))
    const followed: (string | null)[] = []
    const following = (async () => {
      for await (const record of others[2]!.read({ follow: true })) followed.push(record.text())
    })()
    await lab.until(() => followed.length === 1, 'the record to be read')
    await nodes[1]!.removeTopic('orders')
    await following
    await lab.until(
      () => [1, 2, 3].every((machine) => !logsOn(lab, machine).includes('orders-0')),
      'logs to go',
    )
    for (const other of others) {
      await expect(other.append({ value: 'b' })).rejects.toMatchObject({ code: 'unknownTopicOrPartition' })
      expect(() => other.read()).toThrow(expect.objectContaining({ code: 'unknownTopicOrPartition' }))
    }
    expect(nodes.map((node) => node.leaderOf('orders'))).toEqual([-1, -1, -1])
    // With other settings, too.
    const ack = await nodes[2]!.partition('orders').append({ value: 'c' })
    expect(ack.baseOffset).toBe(0)
    for (const node of nodes) expect(await valuesOf(node, 'orders')).toEqual(['c'])
  })

  test('may be removed twice, or without ever having been there; the metadata log may not', async () => {
    const lab = await Machines.start(1)
    const node = await lab.node(1, { bootstrap: true })
    await node.partition('orders').append({ value: 'a' })
    await node.removeTopic('orders')
    await node.removeTopic('orders')
    await node.removeTopic('never')
    await expect(node.removeTopic('__cluster_metadata')).rejects.toMatchObject({
      code: 'invalidTopicException',
    })
    expect(node.status.partitions).toEqual([])
  })

  test('is removed by a node that was away, once it is back', async () => {
    const lab = await Machines.start(3)
    const nodes = await lab.cluster(3)
    await nodes[0]!.partition('orders').append({ value: 'a' })
    await lab.until(() => logsOn(lab, 3).includes('orders-0'), 'a replica on the third node')
    await nodes[2]!.close()
    await nodes[0]!.removeTopic('orders')
    await nodes[0]!.partition('orders').append([{ value: 'b' }, { value: 'c' }])
    const voters = [1, 2, 3].map((machine) => lab.place(machine))
    const back = await lab.node(3, { voters })
    await lab.until(() => back.status.partitions[0]?.highWatermark === 2, 'the new topic to be there')
    expect(await valuesOf(back, 'orders')).toEqual(['b', 'c'])
    expect(back.status.partitions).toHaveLength(1)
    expect(logsOn(lab, 3).filter((name) => name.startsWith('orders'))).toEqual(['orders-0'])
  })
})

describe('a partition with replicas on some nodes', () => {
  test('is on those alone, and is appended to from any', async () => {
    const lab = await Machines.start(4)
    const nodes = await lab.cluster(4)
    const settings = { replicas: [2, 4] }
    const partitions = nodes.map((node) => node.partition('orders', 0, settings))
    for (const [index, partition] of partitions.entries()) await partition.append({ value: `${index}` })
    expect([1, 2, 3, 4].map((machine) => logsOn(lab, machine).includes('orders-0'))).toEqual([
      false,
      true,
      false,
      true,
    ])
    for (const node of [nodes[1]!, nodes[3]!]) {
      expect(await valuesOf(node, 'orders', settings)).toEqual(['0', '1', '2', '3'])
      expect(node.status.partitions[0]!.voters.toSorted()).toEqual([2, 4])
    }
    expect(await partitions[0]!.readIndex()).toBe(4)
    await expect(valuesOf(nodes[0]!, 'orders', settings)).rejects.toMatchObject({
      code: 'replicaNotAvailable',
    })
    const leader = nodes[1]!.leaderOf('orders')
    await partitions[2]!.transferLeadership(leader === 2 ? 4 : 2)
    await partitions[2]!.append({ value: '4' })
    // Others have another place, and a partition that names none is everywhere.
    await nodes[0]!.partition('orders', 1, { replicas: [1] }).append({ value: 'x' })
    await nodes[0]!.partition('orders', 2).append({ value: 'y' })
    expect(nodes[0]!.status.partitions.map(({ voters }) => voters.length).toSorted()).toEqual([1, 4])
  })

  test('is found again after a restart of all, and goes on when one of its nodes is lost', async () => {
    const lab = await Machines.start(4)
    let nodes = await lab.cluster(4)
    const settings = { replicas: [1, 2, 3] }
    await nodes[3]!.partition('orders', 0, settings).append({ value: 'a' })
    await Promise.all(nodes.map((node) => node.close()))
    nodes = await lab.cluster(4)
    await nodes[3]!.partition('orders', 0, settings).append({ value: 'b' })
    const leader = nodes[0]!.leaderOf('orders')
    await nodes.find(({ nodeId }) => nodeId === leader)!.close()
    const ack = await nodes[3]!.partition('orders', 0, settings).append({ value: 'c' })
    expect(ack.baseOffset).toBe(2)
    expect(logsOn(lab, 4)).not.toContain('orders-0')
  })

  test('is refused with nodes that cannot be, and other ones than it has', async () => {
    const lab = await Machines.start(2)
    const nodes = await lab.cluster(2)
    for (const replicas of [[], [1, 1], [-1], ['1'], 1]) {
      expect(() => nodes[0]!.partition('orders', 0, { replicas } as never)).toThrow(
        expect.objectContaining({ code: 'invalidConfig' }),
      )
    }
    const strange = nodes[0]!.partition('orders', 0, { replicas: [1, 7] })
    await expect(strange.ready()).rejects.toMatchObject({ code: 'invalidReplicaAssignment' })
    await nodes[0]!.partition('other', 0, { replicas: [2] }).ready()
    await expect(nodes[1]!.partition('other', 0, { replicas: [1] }).ready()).rejects.toMatchObject({
      code: 'invalidConfig',
    })
    const machine = nodes[0]!.stateMachine('other', { apply: () => 0, snapshot: () => '', restore: () => {} })
    await expect(machine.ready()).rejects.toMatchObject({ code: 'replicaNotAvailable' })
  })
})

describe('a compacted partition', () => {
  test('keeps the last record of each key on every replica, and is read with gaps', {
    timeout: 120_000,
  }, async () => {
    const lab = await Machines.start(3)
    const nodes = await lab.cluster(3)
    const settings = {
      cleanupPolicy: 'compact',
      segmentBytes: 8192,
      maxAppendBytes: 4096,
      minCleanableDirtyRatio: 0,
    } as const
    const partition = nodes[0]!.partition('orders', 0, settings)
    for (let index = 0; index < 60; index++) {
      await partition.append({ key: `${index % 5}`, value: `${index}`.padEnd(1000, '.') })
    }
    await expect(partition.append({ value: 'no key' })).rejects.toMatchObject({ code: 'invalidRecord' })
    const count = async (node: Node) => (await valuesOf(node, 'orders', settings)).length
    for (const node of nodes) {
      const endMs = lab.world.nowMs + 60_000
      while ((await count(node)) > 30 && lab.world.nowMs < endMs) {
        const wakeMs = lab.world.nowMs + 5000
        await lab.until(() => lab.world.nowMs > wakeMs, 'some seconds to go by')
      }
      const last = new Map<string | null, string | null>()
      for await (const record of node.partition('orders', 0, settings).read()) {
        last.set(record.keyText(), record.text())
      }
      expect(await count(node)).toBeLessThanOrEqual(30)
      expect([...last].map(([key, value]) => [key, Number.parseInt(value!, 10)]).toSorted()).toEqual(
        [0, 1, 2, 3, 4].map((key) => [`${key}`, 55 + key]),
      )
    }
    // A follower that comes late gets what is left.
    const late = await lab.until(
      () => nodes.find((node) => node.leaderOf('orders') !== node.nodeId),
      'a follower',
    )
    await late.close()
    await partition.append({ key: '0', value: 'x' }).catch(() => nodes[1]!.partition('orders', 0, settings))
    const voters = [1, 2, 3].map((machine) => lab.place(machine))
    const back = await lab.node(late.nodeId, { voters })
    expect((await valuesOf(back, 'orders', settings)).length).toBeGreaterThanOrEqual(5)
  })
})

test('records have the time at which their leader took them, on every replica, where the settings say so', async () => {
  const lab = await Machines.start(3)
  const nodes = await lab.cluster(3)
  const settings = { timestamps: 'logAppendTime' } as const
  const beforeMs = lab.runtime(1).clock.wallMs()
  for (const node of nodes) {
    await node.partition('orders', 0, settings).append({ value: 'a', timestampMs: 5 })
  }
  const times: number[][] = []
  for (const node of nodes) {
    const seen: number[] = []
    for await (const { timestampMs } of node.partition('orders', 0, settings).read()) seen.push(timestampMs)
    times.push(seen)
  }
  expect(times[0]).toHaveLength(3)
  expect(Math.min(...times[0]!)).toBeGreaterThan(beforeMs - 60_000)
  expect(times[1]).toEqual(times[0])
  expect(times[2]).toEqual(times[0])
})
