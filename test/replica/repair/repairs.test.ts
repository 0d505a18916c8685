import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Group } from '../../../src/replica/group.ts'
import { readBytes } from '../../../src/replica/groupReader.ts'
import type { RepairedRange } from '../../../src/replica/groupTypes.ts'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'
import { batchOf, Cluster, committed } from '../support/cluster.ts'

const runtime = createNodeRuntime()

interface Filled {
  readonly cluster: Cluster
  readonly values: readonly string[]
  readonly leader: Group
  readonly followers: readonly Group[]
}

/** Three replicas that have the same values, in several segments. */
async function filled(): Promise<Filled> {
  const cluster = await Cluster.start(3, () => runtime)
  const leader = await cluster.leader()
  const values = Array.from({ length: 60 }, (_, index) => `${index}`.padEnd(4000, '.'))
  for (const value of values) await leader.append(batchOf(runtime, value), { acks: 'all' })
  await cluster.whenCommitted(values.length)
  const followers = cluster.groups().filter((group) => group !== leader)
  for (const group of cluster.groups()) while (group.log.sealedSegments.length < 3) await turn()
  return { cluster, values, leader, followers }
}

function changeAt(path: string, position: number, length = 1): void {
  const bytes = readFileSync(path)
  for (let at = position; at < position + length; at++) bytes[at]! ^= 0x5a
  writeFileSync(path, bytes)
}

function sealed(group: Group, index: number): { path: string; content: Buffer } {
  const { path } = group.log.sealedSegments[index]!.file
  return { path, content: readFileSync(path) }
}

function nextRepair(group: Group): Promise<RepairedRange> {
  return new Promise((resolve) => {
    const unwatch = group.watch({
      repaired: (range) => {
        unwatch()
        resolve(range)
      },
    })
  })
}

describe('a replica whose stored records are damaged', () => {
  test.each<[string, (path: string) => void]>([
    ['a bit of a batch', (path) => changeAt(path, 5000)],
    ['the header of a batch', (path) => changeAt(path, 0, 61)],
    ['the offset of a batch, which no checksum covers', (path) => changeAt(path, 7)],
    ['the end of a segment', (path) => changeAt(path, statSync(path).size - 5000, 5000)],
    ['several batches that follow each other', (path) => changeAt(path, 3000, 20_000)],
    ['a whole segment', (path) => writeFileSync(path, Buffer.alloc(statSync(path).size))],
    ['what a shorter file has lost', (path) => truncateSync(path, 9000)],
  ])('takes %s from another one, and the file is as it was', async (_, damage) => {
    const { cluster, values, followers } = await filled()
    const [group] = followers
    const { path, content } = sealed(group!, 1)
    damage(path)
    expect(await committed(group!)).toEqual(values)
    while (group!.log.damage.length > 0) await nextRepair(group!)
    expect(readFileSync(path)).toEqual(content)
    expect(group!.log.damage).toEqual([])
    await cluster.stop()
  })

  test.each([
    ['one of which ends in the middle of', [3]],
    ['one of which begins in the middle of', [4]],
    ['several of which end behind a whole one, in the middle of', [0, 1, 2, 3]],
  ])(
    'takes a whole segment from another one where there is another log’s with damaged batches, %s one of its own',
    async (_, bad) => {
      const cluster = await Cluster.start(3, () => runtime)
      const leader = await cluster.leader()
      const values = Array.from({ length: 60 }, (_, index) => `${index}`.padEnd(4000, '.'))
      for (let at = 0; at < values.length; at += 3) {
        await leader.append(batchOf(runtime, ...values.slice(at, at + 3)), { acks: 'all' })
      }
      await cluster.whenCommitted(values.length)
      const group = cluster.groups().find((each) => each !== leader)!
      while (group.log.sealedSegments.length < 3) await turn()
      const { path, content } = sealed(group, 1)
      const first = Number(content.readBigInt64BE(0))
      const foreign = Array.from({ length: 12 }, (_, index) => {
        const batch = Buffer.from(batchOf(runtime, 'of another'.padEnd(4000, '!')))
        batch.writeBigInt64BE(BigInt(first + index), 0)
        content.copy(batch, 12, 12, 16)
        if (bad.includes(index)) batch[200]! ^= 1
        return batch
      })
      writeFileSync(path, Buffer.concat(foreign))
      const mended = nextRepair(group)
      await group.look(first + bad[0]!)
      expect(group.log.damage.length).toBeGreaterThan(0)
      await mended
      while (group.log.damage.length > 0) await nextRepair(group)
      expect(readFileSync(path)).toEqual(content)
      expect(await committed(group)).toEqual(values)
      await cluster.stop()
    },
  )

  test('tells what was damaged and what was mended', async () => {
    const { cluster, followers } = await filled()
    const [group] = followers
    const { baseOffset, file } = group!.log.sealedSegments[1]!
    const told: string[] = []
    group!.watch({
      damaged: (range) => told.push(`damaged ${range.baseOffset} ${range.position}`),
      repaired: (range) => told.push(`repaired ${range.baseOffset} ${range.nextOffset}`),
    })
    changeAt(file.path, 100)
    await committed(group!)
    expect(told).toEqual([`damaged ${baseOffset} 0`, `repaired ${baseOffset} ${baseOffset + 1}`])
    const host = [...cluster.nodes.values()].find(({ host }) => host?.groups.get(group!.key) === group)!.host!
    expect(host.repairs).toMatchObject({ found: 1, mended: 1, failed: 0 })
    await cluster.stop()
  })

  test('hands leadership over before it is mended', async () => {
    const { cluster, values, leader, followers } = await filled()
    const id = leader.leaderId
    changeAt(sealed(leader, 0).path, 100)
    await leader.look(0)
    while (followers.some(({ leaderId }) => leaderId === id || leaderId < 0)) await turn()
    expect(await committed(leader)).toEqual(values)
    const next = await cluster.leader()
    await next.append(batchOf(runtime, 'and on'), { acks: 'all' })
    await cluster.stop()
  })

  test('takes what another one has damaged, too, from the third', async () => {
    const { cluster, values, leader, followers } = await filled()
    const [first, second] = followers
    changeAt(sealed(first!, 1).path, 100)
    changeAt(sealed(leader, 1).path, 200)
    const { baseOffset } = first!.log.sealedSegments[1]!
    expect(await readBytes(first!, baseOffset, 1)).not.toBe(null)
    expect(await committed(first!)).toEqual(values)
    // Whoever was asked in vain has found its own damage that way.
    expect(await committed(leader)).toEqual(values)
    expect(await committed(second!)).toEqual(values)
    await cluster.stop()
  })

  test('serves everything else while nobody can help, and is mended when somebody can', async () => {
    const { cluster, values, followers } = await filled()
    const [group] = followers
    const nodes = [...cluster.nodes.keys()].filter((id) => cluster.group(id) !== group)
    const { path } = sealed(group!, 0)
    changeAt(path, 100)
    for (const id of nodes) await cluster.kill(id)
    await group!.look(0)
    await expect(async () => group!.read(0, 1)).rejects.toMatchObject({ code: 'corruptLog' })
    expect(await group!.read(1, 1)).not.toBe(null)
    expect(group!.log.damage).toHaveLength(1)
    const repaired = nextRepair(group!)
    for (const id of nodes) await cluster.run(id)
    expect(await repaired).toMatchObject({ baseOffset: 0, nextOffset: 1 })
    expect(await committed(group!)).toEqual(values)
    await cluster.stop()
  })

  test('is mended in the segment that is still being appended to', async () => {
    const { cluster, values, leader, followers } = await filled()
    const [group] = followers
    const { path } = group!.log.sealedSegments[0]!.file
    const { endOffset } = group!.log.sealedSegments.at(-1)!
    const active = path.replace(/\d{20}\.log$/, `${String(endOffset).padStart(20, '0')}.log`)
    changeAt(active, 100)
    expect(await committed(group!)).toEqual(values)
    await leader.append(batchOf(runtime, 'and on'), { acks: 'all' })
    await cluster.whenCommitted(values.length + 1)
    expect(await committed(group!)).toEqual([...values, 'and on'])
    await cluster.stop()
  })
})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
