import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import type { EngineError } from '../../../src/model/errors.ts'
import { silentLogger } from '../../../src/model/logger.ts'
import type { Group } from '../../../src/replica/group.ts'
import { type BatchMachine, MachineRunner } from '../../../src/replica/machineRunner.ts'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'
import { readRecords } from '../../../src/segment/records.ts'
import { batchOf, Cluster } from '../support/cluster.ts'

const runtime = createNodeRuntime()
let cluster: Cluster
const runners = new Set<MachineRunner>()
afterEach(async () => {
  for (const runner of runners) await runner.close()
  runners.clear()
  await cluster.stop()
})

/** Runs a list of all values on a replica, without records before its snapshots. */
function runnerOn(group: Group): { readonly values: string[]; readonly runner: MachineRunner } {
  const values: string[] = []
  const machine: BatchMachine = {
    apply: (_, bytes) =>
      [...readRecords(bytes)].map(({ value }) => values.push(Buffer.from(value!).toString())),
    // Longer than one part of an answer.
    snapshot: () => [Buffer.from(JSON.stringify(values)), Buffer.alloc(1_500_000, 32)],
    restore: async (chunks) => {
      const parts: Uint8Array[] = []
      for await (const chunk of chunks) parts.push(Uint8Array.from(chunk))
      values.splice(0, values.length, ...(JSON.parse(Buffer.concat(parts).toString()) as string[]))
    },
  }
  const runner = new MachineRunner(group, machine, {
    checksum: runtime.checksum,
    logger: silentLogger,
    name: 'list',
    kind: 'partition',
    snapshotBytes: Number.POSITIVE_INFINITY,
    keptRecords: 0,
    failed: () => {},
  })
  runners.add(runner)
  return { values, runner }
}

/** Flips a bit of the latest snapshot of a replica. */
function damage({ snapshots }: Group): string {
  const path = snapshots.path(snapshots.latest!)
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1]! ^= 1
  writeFileSync(path, bytes)
  return path
}

async function threeWith(count: number): Promise<{ readonly expected: string[]; readonly id: number }> {
  cluster = await Cluster.start(3, () => runtime)
  const leader = await cluster.leader()
  const expected = Array.from({ length: count }, (_, index) => `${index}`)
  for (const value of expected) await leader.append(batchOf(runtime, value), { acks: 'all' })
  await cluster.whenCommitted(count)
  return { expected, id: [...cluster.nodes.keys()].find((node) => node !== leader.leaderId)! }
}

test('a replica whose own snapshot is damaged takes up that of another one, even one that is taken only then', async () => {
  const { expected, id } = await threeWith(5)
  const others = [...cluster.nodes.keys()].filter((node) => node !== id)
  for (const node of others) await runnerOn(cluster.group(node)).runner.start()
  const first = runnerOn(cluster.group(id))
  await first.runner.start()
  // Nobody else has one, and the records before it are gone here.
  await first.runner.takeSnapshot()
  const path = damage(cluster.group(id))
  await first.runner.close()
  await cluster.kill(id)
  const group = await cluster.run(id)
  expect(group.log.logStartOffset).toBe(5)
  const { runner, values } = runnerOn(group)
  await runner.start()
  expect(values).toEqual(expected)
  const leader = await cluster.leader()
  await leader.append(batchOf(runtime, 'later'), { acks: 'all' })
  await runner.whenApplied(6)
  expect(values).toEqual([...expected, 'later'])
  // The next start finds one that is whole.
  await group.snapshots.head(group.snapshots.latest!)
  expect(group.snapshots.path(group.snapshots.latest!)).toBe(path)
})

test('a replica whose own snapshot is gone takes up that of another one, with an older one left behind or without', async () => {
  const { expected, id } = await threeWith(5)
  const leader = await cluster.leader()
  const others = [...cluster.nodes.keys()].filter((node) => node !== id)
  for (const node of others) await runnerOn(cluster.group(node)).runner.start()
  let first = runnerOn(cluster.group(id))
  await first.runner.start()
  for (const isOlderLeft of [false, true]) {
    const { snapshots } = cluster.group(id)
    await first.runner.takeSnapshot()
    const older = snapshots.path(snapshots.latest!)
    const bytes = readFileSync(older)
    const { logEndOffset } = leader.log
    await leader.append(batchOf(runtime, `${logEndOffset}`), { acks: 'all' })
    expected.push(`${logEndOffset}`)
    await first.runner.whenApplied(logEndOffset + 1)
    await first.runner.takeSnapshot()
    rmSync(snapshots.path(snapshots.latest!))
    if (isOlderLeft) writeFileSync(older, bytes)
    await first.runner.close()
    await cluster.kill(id)
    const group = await cluster.run(id)
    expect(group.log.logStartOffset).toBe(logEndOffset + 1)
    first = runnerOn(group)
    let replaced = 0
    group.watch({ snapshotReplaced: () => void replaced++ })
    await first.runner.start()
    expect([first.values, replaced]).toEqual([expected, 1])
    await group.snapshots.head(group.snapshots.latest!)
  }
})

test('a replica that has all records does without a damaged snapshot, and takes another one', async () => {
  const { expected, id } = await threeWith(5)
  const group = cluster.group(id)
  const head = {
    lastTimestampMs: -1,
    kraftVersion: 1 as const,
    voters: [],
    votersVersion: 0,
    partition: null,
  }
  await group.snapshots.write({ endOffset: 3, epoch: group.epochBefore(3) }, head, [
    Buffer.from('["0","1","2"]'),
  ])
  damage(group)
  const { runner, values } = runnerOn(group)
  await runner.start()
  expect(values).toEqual(expected)
  await expect.poll(() => group.snapshots.latest?.endOffset).toBe(5)
  await group.snapshots.head(group.snapshots.latest!)
})

test('a replica that waits for the snapshot of another one ends when it is closed', async () => {
  const { id } = await threeWith(3)
  const first = runnerOn(cluster.group(id))
  await first.runner.start()
  await first.runner.takeSnapshot()
  damage(cluster.group(id))
  await first.runner.close()
  for (const node of [...cluster.nodes.keys()].filter((each) => each !== id)) await cluster.kill(node)
  const { runner } = runnerOn(cluster.group(id))
  const started = runner.start()
  started.catch(() => {})
  await runner.close()
  await expect(started).rejects.toMatchObject({ code: 'closed' } satisfies Partial<EngineError>)
})
