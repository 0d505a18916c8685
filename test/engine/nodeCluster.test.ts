import { describe, expect, test } from 'vitest'
import type { Node } from '../../src/engine/node.ts'
import { encodeRecords, type StateMachine } from '../../src/index.ts'
import { Machines } from './nodeSupport.ts'

/** A map of counts, as text. */
class Counts implements StateMachine<number> {
  counts = new Map<string, number>()
  restores = 0

  apply(command: { text(): string | null }): number {
    const name = command.text()!
    const count = (this.counts.get(name) ?? 0) + 1
    this.counts.set(name, count)
    return count
  }

  snapshot(): string {
    return JSON.stringify([...this.counts])
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.restores++
    let text = ''
    for await (const chunk of chunks) text += Buffer.from(chunk).toString()
    this.counts = new Map(JSON.parse(text))
  }
}

async function valuesOf(node: Node, topic: string, stale = false): Promise<(string | null)[]> {
  const found: (string | null)[] = []
  for await (const record of node.partition(topic).read({ stale })) found.push(record.text())
  return found
}

describe('a partition', () => {
  test('is made, appended to and read on any node', async () => {
    const lab = await Machines.start(3)
    const nodes = await lab.cluster(3)
    const partitions = nodes.map((node) => node.partition('orders', 0))
    for (const [index, partition] of partitions.entries()) {
      const ack = await partition.append([{ value: `${index}` }, { value: `${index}'` }])
      expect(ack).toMatchObject({
        baseOffset: index * 2,
        lastOffset: index * 2 + 1,
        acks: 'all',
        duplicate: false,
      })
      // Whatever was acknowledged anywhere is in the next read everywhere.
      for (const node of nodes) expect(await valuesOf(node, 'orders')).toHaveLength(index * 2 + 2)
    }
    for (const node of nodes) {
      expect(await valuesOf(node, 'orders')).toEqual(['0', "0'", '1', "1'", '2', "2'"])
      expect(node.partition('orders', 0).status).toMatchObject({ highWatermark: 6, voters: [1, 2, 3] })
    }
    expect(new Set(nodes.map(({ clusterId }) => clusterId)).size).toBe(1)
  })

  test('takes a batch of a producer once, wherever it is sent', async () => {
    const lab = await Machines.start(3)
    const nodes = await lab.cluster(3)
    const batch = encodeRecords([{ value: 'a' }], { producer: { id: 7, sequence: 0 } })
    const first = await nodes[0]!.partition('orders').append(batch)
    for (const node of nodes) {
      const again = await node.partition('orders').append(batch)
      expect(again).toMatchObject({ baseOffset: first.baseOffset, duplicate: true })
    }
    expect(await valuesOf(nodes[2]!, 'orders')).toEqual(['a'])
  })

  test('is followed until the node is closed', async () => {
    const lab = await Machines.start(1)
    const node = await lab.node(1, { bootstrap: true })
    const partition = node.partition('orders')
    const seen: (string | null)[] = []
    const following = (async () => {
      for await (const record of partition.read({ follow: true })) seen.push(record.text())
    })()
    await partition.append([{ value: 'a' }, { value: 'b' }])
    await lab.until(() => seen.length === 2, 'two records')
    await partition.append({ value: 'c' })
    await lab.until(() => seen.length === 3, 'a third one')
    await node.close()
    await following
    expect(seen).toEqual(['a', 'b', 'c'])
    await expect(partition.append({ value: 'd' })).rejects.toMatchObject({ code: 'closed' })
    expect(() => partition.read()).toThrow(expect.objectContaining({ code: 'closed' }))
  })

  test('keeps what was acknowledged when its leader goes, and when all restart', async () => {
    const lab = await Machines.start(3)
    let nodes = await lab.cluster(3)
    await nodes[0]!.partition('orders').append({ value: 'a' })
    const leader = await lab.leaderAmong(nodes, 'orders')
    await leader.close()
    const rest = nodes.filter((node) => node !== leader)
    await rest[0]!.partition('orders').append({ value: 'b' })
    for (const node of rest) expect(await valuesOf(node, 'orders')).toEqual(['a', 'b'])
    await Promise.all(rest.map((node) => node.close()))
    nodes = await lab.cluster(3)
    await nodes[0]!.partition('orders').append({ value: 'c' })
    for (const node of nodes) expect(await valuesOf(node, 'orders')).toEqual(['a', 'b', 'c'])
  })

  test('moves to another leader when it is told to, from any node', async () => {
    const lab = await Machines.start(3)
    const nodes = await lab.cluster(3)
    const partition = await nodes[0]!.partition('orders').ready()
    const leader = await lab.leaderAmong(nodes, 'orders')
    const to = nodes.find((node) => node !== leader)!
    await partition.transferLeadership(to.nodeId)
    await lab.until(() => nodes.every((node) => node.leaderOf('orders') === to.nodeId), 'the new leader')
    await partition.append({ value: 'a' })
    const metadata = await lab.leaderAmong(nodes)
    const next = nodes.find((node) => node !== metadata)!
    await next.transferLeadership(next.nodeId)
    await lab.until(() => nodes.every((node) => node.leaderOf() === next.nodeId), 'the new metadata leader')
  })

  test('has the settings that it was made with, and refuses others', async () => {
    const lab = await Machines.start(1)
    const node = await lab.node(1, { bootstrap: true })
    await node.partition('orders', 0, { flush: 'none', maxAppendBytes: 5000 }).ready()
    const again = node.partition('orders', 1, { flush: 'none' })
    await expect(again.ready()).rejects.toMatchObject({ code: 'invalidConfig' })
    const refused = (topic: string, settings: object) => {
      expect(() => node.partition(topic, 0, settings)).toThrow(
        expect.objectContaining({ code: 'invalidConfig' }),
      )
    }
    refused('orders', { flush: 'journal' })
    refused('other', { unheard: 1 })
    for (const name of ['', '..', 'a/b', '__cluster_metadata']) {
      expect(() => node.partition(name)).toThrow(expect.objectContaining({ code: 'invalidTopicException' }))
    }
    await expect(
      node
        .partition('orders', 0, { flush: 'none', maxAppendBytes: 5000 })
        .append({ value: 'x'.repeat(6000) }),
    ).rejects.toMatchObject({ code: 'messageTooLarge' })
  })
})

describe('a state machine', () => {
  test('applies the same commands on every node; a read sees what was acknowledged anywhere', async () => {
    const lab = await Machines.start(3)
    const nodes = await lab.cluster(3)
    const states = nodes.map(() => new Counts())
    const machines = nodes.map((node, index) => node.stateMachine('counts', states[index]!))
    for (let round = 1; round <= 3; round++) {
      for (const [index, machine] of machines.entries()) {
        expect(await machine.propose('a')).toBe((round - 1) * 3 + index + 1)
        for (const [other, reader] of machines.entries()) {
          const seen = await reader.read(() => states[other]!.counts.get('a'))
          expect(seen).toBe((round - 1) * 3 + index + 1)
        }
      }
    }
    expect(await machines[0]!.read(() => states[0]!.counts.get('a'), { stale: true })).toBe(9)
  })

  test('gives every command of many at once its own result', async () => {
    const lab = await Machines.start(3)
    const nodes = await lab.cluster(3)
    const machines = nodes.map((node) => node.stateMachine('counts', new Counts()))
    const results = await Promise.all(
      Array.from({ length: 300 }, (_, index) => machines[index % 3]!.propose('a')),
    )
    expect(results.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, index) => index + 1))
  })

  test('goes on from its snapshot after a restart, with the log cut behind it', async () => {
    const lab = await Machines.start(1)
    const state = new Counts()
    const node = await lab.node(1, { bootstrap: true })
    const machine = node.stateMachine('counts', state, { keptRecords: 0 })
    for (let index = 0; index < 10; index++) await machine.propose('a')
    expect(await machine.takeSnapshot()).toEqual({ endOffset: 10, epoch: 1 })
    await machine.propose('b')
    await node.close()
    const again = new Counts()
    const second = (await lab.node(1, { bootstrap: true })).stateMachine('counts', again)
    await second.ready()
    expect(await second.read(() => [...again.counts])).toEqual([
      ['a', 10],
      ['b', 1],
    ])
    expect(again.restores).toBe(1)
  })

  test('comes to a node that was away for too long as a snapshot', async () => {
    const lab = await Machines.start(4)
    const voters = [1, 2, 3].map((machine) => lab.place(machine))
    const nodes = await lab.cluster(3)
    const machine = nodes[0]!.stateMachine('counts', new Counts(), { keptRecords: 0 })
    const others = nodes.slice(1).map((node) => node.stateMachine('counts', new Counts(), { keptRecords: 0 }))
    await machine.propose('a')
    await nodes[2]!.close()
    for (let index = 0; index < 20; index++) await machine.propose('a')
    // Whoever leads then has nothing but the snapshot.
    await others[0]!.read(() => {})
    await Promise.all([machine.takeSnapshot(), others[0]!.takeSnapshot()])
    await machine.propose('b')
    const state = new Counts()
    const late = (await lab.node(3, { voters })).stateMachine('counts', state)
    expect(await late.read(() => [...state.counts])).toEqual([
      ['a', 21],
      ['b', 1],
    ])
    expect(state.restores).toBe(1)
    expect(await late.propose('b')).toBe(2)
  })

  test('that throws stops on its node, and the others go on', async () => {
    const lab = await Machines.start(3)
    const nodes = await lab.cluster(3)
    const state = new Counts()
    const failing: StateMachine<number> = {
      apply: (command) => {
        if (command.text() === 'poison') throw new Error('not on this node')
        return state.apply(command)
      },
      snapshot: () => state.snapshot(),
      restore: (chunks) => state.restore(chunks),
    }
    const bad = nodes[0]!.stateMachine('counts', failing)
    const good = nodes.slice(1).map((node) => node.stateMachine('counts', new Counts()))
    await bad.propose('a')
    expect(await good[0]!.propose('poison')).toBe(1)
    await lab.until(() => bad.failed, 'the machine to fail')
    expect(bad.failed).toMatchObject({ code: 'machineFailed', cause: { message: 'not on this node' } })
    await expect(bad.propose('a')).rejects.toBe(bad.failed)
    await expect(bad.read(() => 1)).rejects.toMatchObject({ code: 'machineFailed' })
    expect(await good[1]!.propose('a')).toBe(2)
    expect(await good[0]!.propose('a')).toBe(3)
    // What else there is on that node goes on, too.
    await nodes[0]!.partition('orders').append({ value: 'x' })
  })

  test('that cannot be one is refused', async () => {
    const lab = await Machines.start(1)
    const node = await lab.node(1, { bootstrap: true })
    expect(() => node.stateMachine('counts', {} as never)).toThrow('function apply')
    expect(() => node.stateMachine('counts', new Counts(), { snapshotBytes: 0 })).toThrow('snapshotBytes')
    expect(() => node.stateMachine('counts', new Counts(), { keptRecords: -1 })).toThrow('keptRecords')
    expect(() => node.stateMachine('a/b', new Counts())).toThrow('cannot name')
    node.stateMachine('counts', new Counts())
    expect(() => node.stateMachine('counts', new Counts())).toThrow('runs on this node already')
    const late: StateMachine = {
      apply: async () => 1,
      snapshot: () => '',
      restore: () => {},
    }
    const machine = node.stateMachine('late', late)
    await expect(machine.propose('a')).rejects.toMatchObject({ code: 'machineFailed' })
  })
})

describe('the nodes of a cluster', () => {
  test('may come one after the other, and go again', async () => {
    const lab = await Machines.start(3)
    const places = [1, 2, 3].map((machine) => lab.place(machine))
    const first = await lab.node(1, { bootstrap: true })
    await first.partition('orders').append({ value: 'a' })
    const { clusterId } = first
    const second = await lab.node(2, { join: [places[0]!], clusterId })
    const third = await lab.node(3, { join: [places[0]!, places[1]!], clusterId, autoJoin: false })
    const nodes = [first, second, third]
    await lab.until(() => first.status.voters.length === 2, 'the second node to vote')
    await third.addVoter(places[2]!)
    await lab.until(() => nodes.every((node) => node.status.voters.length === 3), 'three voters')
    await lab.until(
      () => first.partition('orders').status!.voters.length === 3,
      'three voters of the partition',
    )
    for (const node of nodes) expect(await valuesOf(node, 'orders')).toEqual(['a'])
    await third.removeVoter(1)
    const rest = [second, third]
    await lab.until(() => rest.every((node) => node.status.voters.join() === '2,3'), 'the first one to go')
    await lab.until(
      () => rest.every((node) => node.partition('orders').status?.voters.join() === '2,3'),
      'the first one to leave the partition',
    )
    await first.close()
    await second.partition('orders').append({ value: 'b' })
    for (const node of rest) expect(await valuesOf(node, 'orders')).toEqual(['a', 'b'])
    await expect(second.removeVoter(9)).rejects.toMatchObject({ code: 'voterNotFound' })
  })

  test('are not joined without the id of their cluster', async () => {
    const lab = await Machines.start(2)
    await expect(lab.node(2, { join: [lab.place(1)] })).rejects.toMatchObject({
      code: 'invalidConfig',
    })
  })

  test('refuse a node of another cluster, and say so', async () => {
    const lab = await Machines.start(3)
    const place = lab.place(1)
    const node = await lab.node(1, { bootstrap: true })
    await node.partition('orders').append({ value: 'a' })
    const stranger = await lab.node(2, {
      join: [place],
      clusterId: 'AAAAAAAAAAAAAAAAAAAAAw',
      callTimeoutMs: 1500,
    })
    await expect(stranger.partition('orders').append({ value: 'b' })).rejects.toMatchObject({
      code: 'inconsistentClusterId',
    })
    expect(node.status.voters).toEqual([1])
    const misled = await lab.node(3, {
      join: [{ ...place, id: 5 }],
      clusterId: node.clusterId,
      callTimeoutMs: 1500,
    })
    await expect(misled.partition('orders').append({ value: 'b' })).rejects.toMatchObject({
      code: 'rebootstrapRequired',
    })
    expect(await valuesOf(node, 'orders')).toEqual(['a'])
  })

  test('refuse another one with the id of one of them, which keeps its place', async () => {
    const lab = await Machines.start(4)
    const voters = [1, 2, 3].map((machine) => lab.place(machine))
    const nodes = await lab.cluster(3)
    await nodes[0]!.partition('orders').append({ value: 'a' })
    const leader = await lab.leaderAmong(nodes)
    const twinOf = nodes.find((node) => node !== leader)!
    const twin = await lab.node(4, {
      nodeId: twinOf.nodeId,
      join: voters,
      clusterId: leader.clusterId,
      callTimeoutMs: 2500,
    })
    const told = await lab.until(() => {
      try {
        twin.partition('orders')
        return null
      } catch (error) {
        return error
      }
    }, 'the twin to be told')
    expect(told).toMatchObject({ code: 'duplicateBrokerRegistration' })
    expect(leader.status.voters).toEqual([1, 2, 3])
    await twin.close()
    await nodes[0]!.partition('orders').append({ value: 'c' })
    for (const node of nodes) expect(await valuesOf(node, 'orders')).toEqual(['a', 'c'])
  })

  test('take one of them back that has lost its disk, as another replica', async () => {
    const lab = await Machines.start(4)
    const voters = [1, 2, 3].map((machine) => lab.place(machine))
    const nodes = await lab.cluster(3)
    await nodes[0]!.partition('orders').append({ value: 'a' })
    const lost = nodes[2]!
    const before = lost.status.directoryId
    await lost.close()
    await nodes[0]!.partition('orders').append({ value: 'b' })
    const again = await lab.node(3, {
      directory: '/other',
      join: voters,
      clusterId: nodes[0]!.clusterId,
    })
    expect(again.status.directoryId).not.toBe(before)
    expect(await valuesOf(again, 'orders')).toEqual(['a', 'b'])
    await lab.until(() => again.partition('orders').status!.state === 'follower', 'the node to vote again')
    const leader = await lab.leaderAmong([nodes[0]!, nodes[1]!, again], 'orders')
    await leader.partition('orders').transferLeadership(3)
    await again.partition('orders').append({ value: 'c' })
    expect(await valuesOf(nodes[0]!, 'orders')).toEqual(['a', 'b', 'c'])
  })

  test('wait for a majority, and say that nobody leads', async () => {
    const lab = await Machines.start(3)
    const voters = [1, 2, 3].map((machine) => lab.place(machine))
    const node = await lab.node(1, { voters, callTimeoutMs: 700 })
    const partition = node.partition('orders')
    await expect(partition.append({ value: 'a' })).rejects.toMatchObject({ code: 'leaderNotAvailable' })
    expect(node.leaderOf()).toBe(-1)
    const stop = new AbortController()
    const given = expect(partition.append({ value: 'a' }, { signal: stop.signal })).rejects.toThrow('enough')
    stop.abort(new Error('enough'))
    await given
    const ended = expect(node.stateMachine('counts', new Counts()).ready()).rejects.toMatchObject({
      code: 'closed',
    })
    await node.close()
    await ended
  })
})
