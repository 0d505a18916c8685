import {
  appendFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Group } from '../../../src/replica/group.ts'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { batchOf, Cluster, committed } from '../support/cluster.ts'

const runtime = createNodeRuntime()
const fifty = Array.from({ length: 50 }, (_, index) => `${index}`.padEnd(4000, '.'))
const values = fifty

interface Crashed {
  readonly cluster: Cluster
  /** The node that has died; all others run. */
  readonly id: number
  /** The directory of its log. */
  readonly log: string
  /** Its segment files, ascending. */
  readonly segments: readonly string[]
}

/** Three replicas of a log of several segments, one of which has died with its recovery point at the end of the log. */
async function crashed(mendingMs = 10_000, values = fifty, isStored = true): Promise<Crashed> {
  const cluster = await Cluster.start(3, () => runtime, {}, { timeouts: { mendingMs } })
  const leader = await cluster.leader()
  for (const value of values) await leader.append(batchOf(runtime, value), { acks: 'all' })
  await cluster.whenCommitted(values.length)
  const id = [...cluster.nodes.keys()].find((node) => cluster.group(node) !== leader)!
  return { cluster, id, ...(await crash(cluster, id, isStored)) }
}

/** Ends a node such that its directory is as at this moment, its recovery points stored or not. */
async function crash(
  cluster: Cluster,
  id: number,
  isStored = true,
): Promise<{ log: string; segments: readonly string[] }> {
  const node = cluster.nodes.get(id)!
  if (isStored) {
    await whenFinished(node.directory)
    // The first may be one that is under way, and knows nothing of what was finished since it began.
    for (let times = 0; times < 2; times++) await node.logs!.checkpoint()
  }
  const image = temporaryDirectory()
  cpSync(node.directory, image, { recursive: true, filter: (path) => !basename(path).startsWith('.lock') })
  await cluster.kill(id)
  cluster.moveDirectory(id, image)
  const log = join(image, 't-0')
  const segments = readdirSync(log).filter((name) => name.endsWith('.log'))
  return { log, segments: segments.sort().map((name) => join(log, name)) }
}

/** Bytes of the batch that begins there. */
function sizeOf(bytes: Buffer): number {
  return 12 + bytes.readInt32BE(8)
}

const ways: readonly (readonly [string, (crashed: Pick<Crashed, 'log' | 'segments'>) => void])[] = [
  ['the end of its last segment', ({ segments }) => truncateSync(segments.at(-1)!, 5000)],
  ['its last segment', ({ segments }) => rmSync(segments.at(-1)!)],
  [
    'the end of a segment and a batch before it',
    ({ segments }) => {
      const path = segments.at(-1)!
      const bytes = readFileSync(path)
      bytes[100]! ^= 1
      writeFileSync(path, bytes.subarray(0, 9000))
    },
  ],
  [
    'a segment in the middle',
    ({ segments }) => {
      rmSync(segments.at(-2)!)
      truncateSync(segments.at(-1)!, 5000)
    },
  ],
  [
    'all segments',
    ({ segments }) => {
      for (const path of segments) rmSync(path)
    },
  ],
  [
    'what is in its directory',
    ({ log }) => {
      for (const name of readdirSync(log)) rmSync(join(log, name))
    },
  ],
  ['its directory', ({ log }) => rmSync(log, { recursive: true })],
]

describe('a replica that finds at its start that it has lost', () => {
  test.each(ways)('%s takes it from others and goes on', async (_, damage) => {
    const { cluster, id, ...files } = await crashed()
    damage(files)
    const group = await cluster.run(id)
    expect(group.failure).toBe(null)
    await cluster.whenCommitted(values.length)
    expect(await committed(group)).toEqual(values)
    const leader = await cluster.leader()
    await leader.append(batchOf(runtime, 'and on'), { acks: 'all' })
    await cluster.whenCommitted(values.length + 1)
    expect(await committed(group)).toEqual([...values, 'and on'])
    await cluster.stop()
  })

  test.each([
    ['with other times', 0],
    ['with other times, and shorter', 3000],
  ])(
    'its segment, in whose place is one of another log %s, takes it from others and goes on',
    async (_, less) => {
      const few = values.slice(0, 5)
      const other = await Cluster.start(1, () => runtime)
      const writer = await other.leader()
      for (const value of few) await writer.append(batchOf(runtime, value.replace('.', '!')), { acks: 'all' })
      await other.whenCommitted(few.length)
      const foreign = await crash(other, 1)
      const { cluster, id, segments } = await crashed(10_000, few)
      const bytes = readFileSync(foreign.segments[0]!)
      writeFileSync(segments[0]!, bytes.subarray(0, bytes.length - less))
      const group = await cluster.run(id)
      expect(group.failure).toBe(null)
      await cluster.whenCommitted(few.length)
      expect(await committed(group)).toEqual(few)
      await other.stop()
      await cluster.stop()
    },
  )

  test('what lies before that which is only in its journal takes all of it from others', async () => {
    const cluster = await Cluster.start(3, () => runtime)
    const leader = await cluster.leader()
    const append = async (some: readonly string[], count: number): Promise<void> => {
      for (const value of some) await leader.append(batchOf(runtime, value), { acks: 'all' })
      await cluster.whenCommitted(count)
    }
    await append(values.slice(0, 5), 5)
    const id = [...cluster.nodes.keys()].find((node) => cluster.group(node) !== leader)!
    await cluster.nodes.get(id)!.logs!.checkpoint()
    await append(values.slice(5, 10), 10)
    const { segments } = await crash(cluster, id, false)
    truncateSync(segments[0]!, 5000)
    const group = await cluster.run(id)
    expect(group.failure).toBe(null)
    await cluster.whenCommitted(10)
    expect(await committed(group)).toEqual(values.slice(0, 10))
    // Also at the start after that.
    await crash(cluster, id, false)
    const again = await cluster.run(id)
    expect(again.failure).toBe(null)
    await cluster.whenCommitted(10)
    expect(await committed(again)).toEqual(values.slice(0, 10))
    await cluster.stop()
  })

  test.each([
    [
      'below where it must have all',
      ({ segments }: Crashed, stray: Buffer) => {
        const bytes = readFileSync(segments.at(-1)!)
        writeFileSync(segments.at(-1)!, Buffer.concat([bytes.subarray(0, sizeOf(bytes)), stray]))
      },
    ],
    [
      'behind its end',
      ({ segments }: Crashed, stray: Buffer) => {
        rmSync(segments.at(-2)!)
        appendFileSync(segments.at(-1)!, stray)
      },
    ],
  ])(
    'that in its segment stand good batches of another log %s takes its own from others',
    async (_, damage) => {
      const found = await crashed()
      const { cluster, id, segments } = found
      const stray = Buffer.from(batchOf(runtime, 'of another'))
      stray.writeBigInt64BE(500n, 0)
      // The epoch of its own.
      readFileSync(segments.at(-1)!).copy(stray, 12, 12, 16)
      damage(found, Buffer.concat([Buffer.alloc(10, 1), stray]))
      const group = await cluster.run(id)
      expect(group.failure).toBe(null)
      await cluster.whenCommitted(values.length)
      expect(await committed(group)).toEqual(values)
      await cluster.stop()
    },
  )

  test('nothing, but has more in a segment than belongs there, cuts that and goes on', async () => {
    const { cluster, id, segments } = await crashed(10_000, fifty, false)
    appendFileSync(segments.at(-2)!, readFileSync(segments.at(-1)!).subarray(0, 89))
    const group = await cluster.run(id)
    expect(group.failure).toBe(null)
    await cluster.whenCommitted(values.length)
    expect(await committed(group)).toEqual(values)
    await cluster.stop()
  })

  test.each([
    [
      'something behind all that belongs there',
      ([one, two]: readonly Buffer[]) => Buffer.concat([one!, two!.subarray(0, sizeOf(two!))]),
      0,
    ],
    [
      'the one before, and one batch of its own',
      ([one, two]: readonly Buffer[]) => Buffer.concat([one!, two!.subarray(0, sizeOf(two!))]),
      1,
    ],
  ])(
    'nothing that is read at a start, but has %s in a segment, takes that from others',
    async (_, stored, place) => {
      const { cluster, id, segments } = await crashed()
      const contents = segments.map((path) => readFileSync(path))
      writeFileSync(segments[place]!, stored(contents))
      const group = await cluster.run(id)
      await cluster.whenCommitted(values.length)
      await group.look(Number(basename(segments[place]!, '.log')))
      expect(group.log.damage.length).toBeGreaterThan(0)
      while (group.log.damage.length > 0) await turn()
      expect(segments.map((path) => readFileSync(path))).toEqual(contents)
      expect(await committed(group)).toEqual(values)
      await cluster.stop()
    },
  )

  test('its last segment to another log, and another one besides, takes both from others', async () => {
    const other = await Cluster.start(1, () => runtime)
    const writer = await other.leader()
    for (const value of values)
      await writer.append(batchOf(runtime, value.replace('.', '!')), { acks: 'all' })
    await other.whenCommitted(values.length)
    const foreign = await crash(other, 1)
    const { cluster, id, segments } = await crashed()
    const contents = segments.map((path) => readFileSync(path))
    for (const index of [0, segments.length - 1])
      writeFileSync(segments[index]!, readFileSync(foreign.segments[index]!))
    const group = await cluster.run(id)
    expect(group.failure).toBe(null)
    await cluster.whenCommitted(values.length)
    // All its batches are good, and have the offsets and epochs that belong there.
    await group.look(0)
    while (group.log.damage.length > 0) await turn()
    expect(await committed(group)).toEqual(values)
    expect(readFileSync(segments[0]!)).toEqual(contents[0])
    await other.stop()
    await cluster.stop()
  })

  test("its segment to batches from behind its own end, where others have gone on with another leader's, takes none of those", async () => {
    const cluster = await Cluster.start(3, () => runtime)
    const write = async (some: readonly string[]): Promise<void> => {
      const leader = await cluster.leader()
      for (const value of some) await leader.append(batchOf(runtime, value), { acks: 'all' })
    }
    await write(values.slice(0, 3))
    await cluster.whenCommitted(3)
    const leader = await cluster.leader()
    const id = [...cluster.nodes.keys()].find((node) => cluster.group(node) !== leader)!
    for (let times = 0; times < 2; times++) await cluster.nodes.get(id)!.logs!.checkpoint()
    await write(values.slice(3, 5))
    await cluster.whenCommitted(5)
    const { segments } = await crash(cluster, id, false)
    const strays = [9, 10].map((baseOffset) => {
      const stray = Buffer.from(batchOf(runtime, 'of another log'))
      stray.writeBigInt64BE(BigInt(baseOffset), 0)
      stray.writeInt32BE(1, 12)
      return stray
    })
    writeFileSync(segments[0]!, Buffer.concat(strays))
    await leader.transferLeadership()
    await write(values.slice(5, 15))
    const group = await cluster.run(id)
    await cluster.whenCommitted(15)
    expect(await committed(group)).toEqual(values.slice(0, 15))
    await cluster.stop()
  })

  test.each([
    ['', (_: Buffer) => {}],
    [
      ', of which the first batches are damaged besides,',
      (content: Buffer) => {
        for (const at of [30, sizeOf(content) + 30]) content[at] = content[at]! ^ 1
      },
    ],
  ])('all that no checkpoint knows to a longer log%s takes none of that for its own', async (_, damage) => {
    const cluster = await Cluster.start(3, () => runtime)
    const other = await Cluster.start(1, () => runtime)
    const write = async (to: Cluster, some: readonly string[]): Promise<void> => {
      const leader = await to.leader()
      for (const value of some) await leader.append(batchOf(runtime, value), { acks: 'all' })
    }
    await write(cluster, values.slice(0, 5))
    await write(
      other,
      values.slice(0, 8).map((value) => value.replace('.', '!')),
    )
    await cluster.whenCommitted(5)
    await other.whenCommitted(8)
    const leader = await cluster.leader()
    const id = [...cluster.nodes.keys()].find((node) => cluster.group(node) !== leader)!
    const { segments } = await crash(cluster, id, false)
    const foreign = await crash(other, 1, false)
    const stray = readFileSync(foreign.segments[0]!)
    damage(stray)
    writeFileSync(segments[0]!, stray)
    await write(cluster, values.slice(5, 15))
    const group = await cluster.run(id)
    await cluster.whenCommitted(15)
    expect(await committed(group)).toEqual(values.slice(0, 15))
    await other.stop()
    await cluster.stop()
  })

  test('different things on two nodes of three: both are whole again, and nothing is lost', async () => {
    const { cluster, id, ...files } = await crashed()
    const other = [...cluster.nodes.keys()].find((node) => node !== id)!
    const more = await crash(cluster, other)
    const [third] = [...cluster.nodes.keys()].filter((node) => node !== id && node !== other)
    await cluster.kill(third!)
    truncateSync(files.segments.at(-1)!, 5000)
    rmSync(more.segments.at(-2)!)
    truncateSync(more.segments.at(-1)!, 12_000)
    const groups = await Promise.all([id, other].map((node) => cluster.run(node)))
    // The third one has what neither of them has.
    await cluster.run(third!)
    for (const group of groups) await used(group)
    await cluster.whenCommitted(values.length)
    for (const group of cluster.groups()) expect(await committed(group)).toEqual(values)
    await cluster.stop()
  })

  test('the end of what only it had, which was never committed, gives that up and catches up', async () => {
    const cluster = await Cluster.start(3, () => runtime)
    const first = await cluster.leader()
    const id = first.leaderId
    for (const value of values.slice(0, 5)) await first.append(batchOf(runtime, value), { acks: 'all' })
    await cluster.whenCommitted(5)
    const others = [...cluster.nodes.keys()].filter((node) => node !== id)
    for (const other of others) cluster.transports.setCut(id, other, true)
    for (const value of values.slice(5, 10)) await first.append(batchOf(runtime, value), { acks: 'leader' })
    const { segments } = await crash(cluster, id)
    for (const other of others) cluster.transports.setCut(id, other, false)
    const next = await cluster.leader()
    await next.append(batchOf(runtime, 'kept'), { acks: 'all' })
    truncateSync(segments.at(-1)!, readFileSync(segments.at(-1)!).length - 100)
    const fetches: boolean[] = []
    cluster.transports.onMessage = ({ from, message }) => {
      if (from === id && message.type === 'fetch' && 'quarantined' in message)
        fetches.push(message.quarantined)
    }
    const group = await cluster.run(id)
    await used(group)
    await cluster.whenCommitted(6)
    expect(await committed(group)).toEqual([...values.slice(0, 5), 'kept'])
    // It may have claimed what it lacks: until it has caught up it does not count.
    expect(fetches[0]).toBe(true)
    // A later start does not miss it.
    await crash(cluster, id, false)
    const again = await cluster.run(id)
    expect(again.failure).toBe(null)
    await cluster.whenCommitted(6)
    expect(await committed(again)).toEqual([...values.slice(0, 5), 'kept'])
    await cluster.stop()
  })

  test('something that nobody has tells so, and comes back once somebody has', {
    timeout: 60_000,
  }, async () => {
    const { cluster, id, ...files } = await crashed()
    for (const node of cluster.nodes.keys()) if (node !== id) await cluster.kill(node)
    truncateSync(files.segments.at(-1)!, 5000)
    const group = await cluster.run(id)
    expect(group.failure).toMatchObject({ code: 'corruptLog' })
    for (const node of cluster.nodes.keys()) if (node !== id) await cluster.run(node)
    await used(group)
    await cluster.whenCommitted(values.length)
    expect(await committed(group)).toEqual(values)
    await cluster.stop()
  })
})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Resolves once every full segment has its indexes: of the others no checkpoint says what they hold. */
async function whenFinished(data: string): Promise<void> {
  const count = (kind: string): number =>
    readdirSync(join(data, 't-0')).filter((name) => name.endsWith(kind)).length
  while (count('.index') < count('.log') - 1) await turn()
}

async function used(group: Group): Promise<void> {
  while (group.failure !== null) await new Promise((resolve) => setTimeout(resolve, 20))
}
