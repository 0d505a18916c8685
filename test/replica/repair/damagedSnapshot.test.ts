import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'
import { batchOf, Cluster, committed } from '../support/cluster.ts'

const runtime = createNodeRuntime()

test('a leader whose snapshot is damaged has another one lead, from which a replica that needs it gets it', async () => {
  const cluster = await Cluster.start(3, () => runtime)
  const first = await cluster.leader()
  const ids = [...cluster.nodes.keys()]
  const id = first.leaderId
  const late = ids.find((node) => node !== id)!
  await cluster.kill(late)
  const values = Array.from({ length: 20 }, (_, index) => `${index}`)
  for (const value of values) await first.append(batchOf(runtime, value), { acks: 'all' })
  await cluster.whenCommitted(values.length)
  for (const group of cluster.groups()) await group.beginAt(10)
  const path = first.snapshots.path(first.snapshots.latest!)
  const bytes = readFileSync(path)
  bytes[bytes.length - 30]! ^= 8
  writeFileSync(path, bytes)
  const group = await cluster.run(late)
  await cluster.whenCommitted(values.length)
  expect(await committed(group)).toEqual(values.slice(10))
  const next = await cluster.leader()
  expect(next.leaderId).not.toBe(id)
  expect(next.log.logStartOffset).toBe(10)
  await cluster.stop()
})
