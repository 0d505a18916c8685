import { expect, test } from 'vitest'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import { batchOf, Cluster, committed } from './support/cluster.ts'

const runtime = createNodeRuntime()

test('three replicas elect a leader, commit what is appended, and go on when it dies', {
  timeout: 60_000,
}, async () => {
  const cluster = await Cluster.start(3, () => runtime)
  const first = await cluster.leader()
  const ack = await first.append(batchOf(runtime, 'a', 'b'), { acks: 'all' })
  expect(ack).toMatchObject({ baseOffset: 0, lastOffset: 1, duplicate: false })
  expect(first.highWatermark).toBe(2)
  await cluster.whenCommitted(2)
  const { leaderId } = first
  await cluster.kill(leaderId)
  const second = await cluster.leader()
  expect(second.leaderId).not.toBe(leaderId)
  await second.append(batchOf(runtime, 'c'), { acks: 'all' })
  await cluster.run(leaderId)
  await cluster.whenCommitted(3)
  for (const group of cluster.groups()) expect(await committed(group)).toEqual(['a', 'b', 'c'])
  await cluster.stop()
})
