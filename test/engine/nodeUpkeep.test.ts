import { describe, expect, test } from 'vitest'
import type { Node } from '../../src/engine/node.ts'
import type { NodePartition } from '../../src/engine/nodePartition.ts'
import { Machines } from './nodeSupport.ts'

const settings = { segmentBytes: 8192, maxAppendBytes: 4096, flush: 'none' } as const

function partitionOf(node: Node, more: object): NodePartition {
  return node.partition('orders', 0, { ...settings, ...more })
}

async function values(node: Node, more: object = {}): Promise<string[]> {
  const found: string[] = []
  for await (const record of partitionOf(node, more).read({ stale: true })) found.push(record.text() ?? '')
  return found
}

async function fill(node: Node, count: number, more: object = {}): Promise<string[]> {
  const appended = Array.from({ length: count }, (_, index) => `${index}`.padEnd(1000, '.'))
  for (const value of appended) await partitionOf(node, more).append({ value })
  return appended
}

/** Resolves once so many minutes of the world have gone by. */
async function minutes(machines: Machines, count: number): Promise<void> {
  for (let minute = 0; minute < count; minute++) {
    const endMs = machines.world.nowMs + 59_000
    await machines.until(() => machines.world.nowMs > endMs, 'a minute to go by')
  }
}

function startOf(node: Node): number {
  return node.status.partitions[0]?.logStartOffset ?? 0
}

function endOf(node: Node): number {
  return node.status.partitions[0]?.highWatermark ?? 0
}

describe('a node', () => {
  test('removes what its partitions keep no longer, on every replica; one that comes later begins there', {
    timeout: 120_000,
  }, async () => {
    const machines = await Machines.start(4)
    const nodes = await machines.cluster(3)
    const bounds = { retentionBytes: 16_384 }
    const appended = await fill(nodes[0]!, 60, bounds)
    await minutes(machines, 6)
    for (const node of nodes) expect(startOf(node)).toBeGreaterThan(20)
    for (const node of nodes) expect(await values(node, bounds)).toEqual(appended.slice(startOf(node)))
    const late = await machines.node(4, {
      join: [machines.place(1), machines.place(2)],
      clusterId: nodes[0]!.clusterId,
    })
    await machines.until(() => endOf(late) === 60, 'the fourth node to catch up')
    expect(startOf(late)).toBeGreaterThan(20)
    expect(await values(late, bounds)).toEqual(appended.slice(startOf(late)))
  })

  test('finds damage that nobody has read, and takes the records from another one', {
    timeout: 120_000,
  }, async () => {
    const machines = await Machines.start(3)
    const nodes = await machines.cluster(3)
    const appended = await fill(nodes[0]!, 60)
    for (const node of nodes) await machines.until(() => endOf(node) === 60, 'all to have it')
    const { fs } = machines.world.node(2)
    const path = fs
      .list('/data/orders-0')
      .map(({ name }) => `/data/orders-0/${name}`)
      .find((name) => name.endsWith('.log'))!
    const whole = fs.contentOf(path)
    fs.damage(path, (bytes) => bytes.map((byte, at) => (at === 3000 ? byte ^ 4 : byte)))
    await minutes(machines, 5)
    await machines.until(() => Buffer.from(fs.contentOf(path)).equals(whole), 'the file to be as it was')
    expect(await values(nodes[1]!)).toEqual(appended)
  })
})
