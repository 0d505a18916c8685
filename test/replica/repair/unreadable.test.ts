import { describe, expect, test } from 'vitest'
import type { Group } from '../../../src/replica/group.ts'
import { readBytes } from '../../../src/replica/groupReader.ts'
import { encodeBatch, readRecords } from '../../../src/segment/records.ts'
import type { SectorFate } from '../../../src/testing/badSectors.ts'
import {
  type ClusterNode,
  type ClusterShape,
  clusterProgram,
  drawDirectoryIds,
  format,
} from '../../../src/testing/clusterProgram.ts'
import { SimFileSystem } from '../../../src/testing/simFileSystem.ts'
import type { SimNode } from '../../../src/testing/simNode.ts'
import { SimRandom } from '../../../src/testing/simRandom.ts'
import { World } from '../../../src/testing/world.ts'

const values = Array.from({ length: 30 }, (_, index) => `${index}`.padEnd(3000, '.'))

/** Replicas of a log of several segments on simulated disks, and one that follows. */
class Filled {
  readonly world: World<ClusterNode>
  node!: SimNode<ClusterNode>

  constructor(nodes: number) {
    const shape: ClusterShape = {
      ...{ nodes, voters: nodes, groups: 1, kind: 'partition', autoJoin: false, fetchBytes: 1 << 20 },
      ...{ confirmation: 'peers', flush: 'journal', segmentBytes: 16 << 10 },
    }
    const ids = drawDirectoryIds(nodes, new SimRandom(1))
    const observer = { started: () => {}, left: () => {}, stepped: () => {} }
    this.world = new World({ seed: 1, nodes, program: clusterProgram(shape, ids, () => observer) })
    for (const node of this.world.nodes.values()) format(node, ids[node.id - 1]!)
  }

  static async open(nodes = 3): Promise<Filled> {
    const filled = new Filled(nodes)
    const { world } = filled
    world.startAll()
    const all = [...world.nodes.values()]
    const leader = (): SimNode<ClusterNode> | undefined =>
      all.find(({ running }) => running?.groups[0]?.state === 'leader')
    await world.runUntil(() => leader() !== undefined, 10_000)
    const { running, runtime } = leader()!
    for (const value of values) {
      const records = [{ key: null, value: Buffer.from(value), timestampMs: 1 }]
      const batch = encodeBatch({ records }, runtime!.checksum)
      await world.settle(running!.groups[0]!.append(batch, { acks: 'all' }))
    }
    filled.node = all.find((node) => node !== leader()) ?? all[0]!
    await world.runUntil(() => filled.group.highWatermark === values.length, 5000)
    await world.runUntil(() => filled.group.log.sealedSegments.length > 3, 5000)
    return filled
  }

  get group(): Group {
    return this.node.running!.groups[0]!
  }

  get repairs(): ClusterNode['host']['repairs'] {
    return this.node.running!.host.repairs
  }

  get path(): string {
    return this.group.log.sealedSegments[1]!.file.path
  }

  get content(): Uint8Array {
    return this.node.fs.contentOf(this.path)
  }

  /** A block in the middle of the second segment cannot be read. */
  spoil(fate: SectorFate): void {
    this.node.fs.failReads(this.path, 5000, 5001, fate)
  }

  /** What a read of the second segment comes to: what is there, or the code of the error. */
  async read(): Promise<string> {
    const { baseOffset } = this.group.log.sealedSegments[1]!
    try {
      return textOf(await this.world.settle(readBytes(this.group, baseOffset, 16 << 10)))
    } catch (error) {
      return (error as { code: string }).code
    }
  }

  async readAll(): Promise<string[]> {
    const found: string[] = []
    while (found.length < values.length) {
      const bytes = await this.world.settle(readBytes(this.group, found.length, 1 << 20))
      for (const record of readRecords(bytes!)) found.push(Buffer.from(record.value!).toString())
    }
    return found
  }
}

function textOf(bytes: Uint8Array | null): string {
  return bytes === null ? 'nothing' : 'records'
}

describe('a part of a segment that the disk cannot read', () => {
  test('is reported, taken from another replica and written again, after which it can be read', async () => {
    const filled = await Filled.open()
    using world = filled.world
    const { content, path } = filled
    filled.spoil('remapped')
    expect(await filled.read()).toBe('diskFailed')
    expect(filled.group.log.damage).toEqual([])
    await world.runUntil(() => filled.repairs.found > 0, 5000)
    expect(filled.group.log.damage).toMatchObject([{ file: path, isUnreadable: true }])
    await world.runUntil(() => filled.group.log.damage.length === 0, 5000)
    expect(filled.repairs).toMatchObject({ found: 1, mended: 1, failed: 0 })
    expect(filled.node.fs.badSectors.isEmpty).toBe(true)
    expect(filled.path).toBe(path)
    expect(filled.content).toEqual(content)
    expect(await filled.readAll()).toEqual(values)
  })

  test('is mended whoever has met it', async () => {
    const filled = await Filled.open()
    using world = filled.world
    filled.spoil('remapped')
    filled.group.log.noteUnreadable(
      await filled.group.log.sealedSegments[1]!.file.read(new Uint8Array(1), 5000).catch((error) => error),
      filled.path,
    )
    await world.runUntil(() => filled.repairs.mended > 0, 5000)
    expect(await filled.readAll()).toEqual(values)
  })

  test('and not once it is written either, has its segment written into a new file', async () => {
    const filled = await Filled.open()
    using world = filled.world
    const { content } = filled
    const before = filled.node.fs.fileAt(filled.path)
    filled.spoil('lost')
    await filled.read()
    await world.runUntil(() => filled.repairs.mended > 0, 60_000)
    expect(filled.group.log.damage).toEqual([])
    expect(filled.node.fs.fileAt(filled.path)).not.toBe(before)
    expect(filled.content).toEqual(content)
    expect(await filled.readAll()).toEqual(values)
    await world.advance(1000)
    expect(filled.node.fs.badSectors.isEmpty).toBe(true)
  })

  test('is mended once somebody is there who has it', async () => {
    const filled = await Filled.open()
    using world = filled.world
    const others = [...world.nodes.values()].filter((node) => node !== filled.node)
    filled.spoil('remapped')
    await filled.read()
    for (const node of others) node.kill()
    await world.advance(60_000)
    expect(filled.repairs).toMatchObject({ found: 1, mended: 0 })
    expect(filled.group.log.damage).toHaveLength(1)
    for (const node of others) node.start()
    await world.runUntil(() => filled.repairs.mended > 0, 20_000)
    expect(await filled.readAll()).toEqual(values)
  })

  test('and then can be after all, is served as it is', async () => {
    const filled = await Filled.open()
    using world = filled.world
    for (const node of world.nodes.values()) if (node !== filled.node) node.kill()
    filled.spoil('remapped')
    await filled.read()
    await world.runUntil(() => filled.group.log.damage.length > 0, 5000)
    filled.node.fs.badSectors.clear()
    await world.runUntil(() => filled.group.log.damage.length === 0, 10_000)
    expect(filled.repairs).toMatchObject({ found: 1, mended: 0 })
    expect(await filled.read()).toBe('records')
  })

  test('is known after the process was killed and the power went, and is mended then', async () => {
    const filled = await Filled.open()
    using world = filled.world
    filled.spoil('remapped')
    // A start has no need to read it then.
    for (let times = 0; times < 2; times++) await world.settle(filled.node.running!.logs.checkpoint())
    filled.node.crash(0, 'journalled')
    filled.node.start()
    await world.runUntil(() => filled.node.running !== null, 20_000)
    await world.runUntil(() => filled.group.highWatermark === values.length, 5000)
    expect(await filled.read()).toBe('diskFailed')
    await world.runUntil(() => filled.repairs.mended > 0, 5000)
    expect(await filled.readAll()).toEqual(values)
  })

  test('is reported and stays as it is where nobody else has the log', async () => {
    const filled = await Filled.open(1)
    using world = filled.world
    filled.spoil('remapped')
    expect(await filled.read()).toBe('diskFailed')
    await world.advance(300_000)
    expect(await filled.read()).toBe('diskFailed')
    expect(filled.repairs).toMatchObject({ found: 0, failed: 0 })
  })
})

test('a damaged range that was written again in vain, since the sync failed, is damaged still', async () => {
  const filled = await Filled.open()
  using world = filled.world
  const { content, group, node } = filled
  for (const other of world.nodes.values()) if (other !== node) other.kill()
  node.fs.damage(filled.path, (bytes) => bytes.map((byte, at) => (at < 3000 ? byte ^ 1 : byte)))
  const { baseOffset } = group.log.sealedSegments[1]!
  expect(await world.settle(group.log.findDamage(baseOffset))).toBe(true)
  const [range] = group.log.damage
  const mending = (await world.settle(group.log.mending(range!)))!
  // What it was to store is lost, and the page cache has it all the same.
  node.fs.failSync = (file, upTo) => SimFileSystem.prototype.failSync.call(node.fs, file, upTo, () => false)
  node.trouble.syncErrorIn = 1
  await expect(world.settle(mending.take(content.subarray(0, range!.end)))).rejects.toThrow('in its place')
  expect(group.log.damage).toHaveLength(1)
  expect(await world.settle(group.log.mending(range!))).not.toBe(null)
  expect(group.log.damage).toHaveLength(1)
})

describe('a disk that cannot read for a while', () => {
  test.each([1, 0.5, 0.1])('is not taken for a damaged one: of reads %d fail', async (share) => {
    const filled = await Filled.open()
    using world = filled.world
    const { content } = filled
    filled.node.trouble.readErrorShare = share
    for (let second = 0; second < 600; second++) {
      await filled.read()
      await world.advance(1000)
    }
    expect(filled.repairs).toMatchObject({ found: 0, mended: 0 })
    filled.node.trouble.readErrorShare = 0
    expect(filled.content).toEqual(content)
    expect(await filled.readAll()).toEqual(values)
  })
})
