import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { plant } from '../../src/model/planted.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { SnapshotId } from '../../src/raft.ts'
import type { SnapshotHead } from '../../src/replica/snapshotContent.ts'
import { SnapshotFiles } from '../../src/replica/snapshotFiles.ts'
import { parseSnapshotFileName, snapshotFileName } from '../../src/replica/snapshotNames.ts'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import type { Image } from '../../src/testing/medium.ts'
import { SimClock } from '../../src/testing/simClock.ts'
import { SimDisk } from '../../src/testing/simDisk.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { SimRandom } from '../../src/testing/simRandom.ts'

afterEach(() => plant(null))

const directory = '/data/counter-0'
const id: SnapshotId = { endOffset: 1234, epoch: 7 }
const random = new SimRandom(1)

const head: SnapshotHead = {
  lastTimestampMs: 1_700_000_000_123,
  kraftVersion: 1,
  voters: [1, 2, 3].map((node) => ({
    id: node,
    directoryId: randomUuid(random),
    endpoints: [{ name: 'CONTROLLER', host: `node-${node}`, port: 9093 }],
    minVersion: 0,
    maxVersion: 1,
  })),
  votersVersion: 3,
  partition: {
    epochStarts: [
      { epoch: 2, startOffset: 0, votersVersion: 0 },
      { epoch: 7, startOffset: 0, votersVersion: 2 },
    ],
    producers: [
      {
        producerId: 42,
        epoch: 1,
        batches: [{ baseSequence: 5, lastSequence: 9, baseOffset: 100, lastOffset: 104, timestampMs: 17 }],
        timestampMs: 17,
        coordinatorEpoch: -1,
        currentTxnFirstOffset: -1,
      },
    ],
  },
}

interface World {
  readonly fs: SimFileSystem
  readonly disk: SimDisk
  open(): Promise<SnapshotFiles>
}

async function world(fs: SimFileSystem = new SimFileSystem()): Promise<World> {
  const disk = new SimDisk(fs)
  const clock = new SimClock()
  if ((await disk.stat(directory)) === null) {
    await disk.makeDirectory('/data')
    await disk.syncFileSystem('/')
    // As with logs: the journal knows of the directory, and its name need not be durable yet.
    await disk.makeDirectory(directory)
  }
  return {
    fs,
    disk,
    open: () => SnapshotFiles.open({ disk, checksum: nodeChecksum, clock }, directory, silentLogger),
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<string[]> {
  const found: string[] = []
  for await (const chunk of chunks) found.push(Buffer.from(chunk).toString('latin1'))
  return found
}

const bytesOf = (texts: readonly string[]): Uint8Array[] => texts.map((text) => Buffer.from(text, 'latin1'))

async function* slowly(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await Promise.resolve()
    yield chunk
  }
}

/** Sends a snapshot as a leader does, in pieces of `pieceBytes`. */
async function send(files: SnapshotFiles, bytes: Uint8Array, pieceBytes: number): Promise<SnapshotHead> {
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    await files.receive(id, at, bytes.subarray(at, at + pieceBytes))
  }
  return files.received(id)
}

describe('names of snapshots', () => {
  test('are the end offset in 20 digits and the epoch in 10 (KIP-630)', () => {
    expect(snapshotFileName({ endOffset: 42, epoch: 3 })).toBe('00000000000000000042-0000000003.checkpoint')
  })

  test('are taken apart again; other names are none', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 53 - 1 }), fc.nat({ max: 2 ** 31 - 1 }), (endOffset, epoch) => {
        const name = snapshotFileName({ endOffset, epoch })
        expect(parseSnapshotFileName(name)).toEqual({ id: { endOffset, epoch }, isPart: false })
        for (const other of [`${name}.tmp`, `${name}.part`, `x${name}`, name.slice(1), `${name}.deleted`])
          expect(parseSnapshotFileName(other)).toBe(null)
      }),
    )
    expect(parseSnapshotFileName(`${'9'.repeat(20)}-0000000001.checkpoint`)).toBe(null)
    expect(parseSnapshotFileName(`${'0'.repeat(20)}-9999999999.checkpoint`)).toBe(null)
  })
})

describe('a snapshot', () => {
  test('is read as it was written, chunk by chunk', async () => {
    const chunk = fc.uint8Array({ maxLength: 300 })
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 40 }), fc.boolean(), async (chunks, isAsync) => {
        const { open } = await world()
        const files = await open()
        await files.write(id, head, isAsync ? slowly(chunks) : chunks)
        const again = await open()
        expect(again.latest).toEqual(id)
        expect(await again.head(id)).toEqual(head)
        const expected = chunks.map((each) => Buffer.from(each).toString('latin1'))
        expect(await collect(again.chunks(id))).toEqual(expected)
      }),
      { numRuns: 30 },
    )
  })

  test('of the metadata log has no state of a partition, and no voters where the set is static', async () => {
    const { open } = await world()
    const files = await open()
    const metadata = { ...head, votersVersion: 0, partition: null }
    const fixed: SnapshotHead = { ...metadata, kraftVersion: 0, voters: [] }
    const later = { endOffset: 2000, epoch: 8 }
    await files.write(id, metadata, [])
    await files.write(later, fixed, bytesOf(['a']))
    expect(await files.head(id)).toEqual(metadata)
    expect(await files.head(later)).toEqual(fixed)
    expect(files.ids).toEqual([id, later])
  })

  test('takes chunks of more than a batch, and memory that is used again', async () => {
    const { open } = await world()
    const files = await open()
    const memory = new Uint8Array(300 << 10)
    const fill = function* (): Generator<Uint8Array> {
      for (let value = 0; value < 4; value++) yield memory.fill(value)
    }
    await files.write(id, head, fill())
    let value = 0
    for await (const chunk of files.chunks(id)) {
      expect(chunk.length).toBe(memory.length)
      expect(chunk.every((byte) => byte === value)).toBe(true)
      value++
    }
    expect(value).toBe(4)
  })

  test('leaves nothing when its chunks fail, and says which', async () => {
    const { disk, open } = await world()
    const files = await open()
    const failing = function* (): Generator<Uint8Array> {
      yield new Uint8Array(10)
      throw new Error('the state is gone')
    }
    await expect(files.write(id, head, failing())).rejects.toThrow('the state is gone')
    await expect(files.write(id, head, ['text'] as never)).rejects.toMatchObject({ code: 'malformed' })
    expect(await disk.list(directory)).toEqual([])
    expect(files.latest).toBe(null)
  })

  test('is not written twice at once', async () => {
    const { open } = await world()
    const files = await open()
    const first = files.write(id, head, slowly(bytesOf(['a'])))
    await expect(files.write(id, head, [])).rejects.toMatchObject({ code: 'duplicateResource' })
    await first
    expect(await collect(files.chunks(id))).toEqual(['a'])
  })

  test('is refused when any bit of it has changed, or any part of its end is gone', async () => {
    const { fs, open } = await world()
    const files = await open()
    await files.write(id, head, bytesOf(['some', 'data']))
    const path = files.path(id)
    const whole = Uint8Array.from(fs.contentOf(path))
    const refused = async (bytes: Uint8Array): Promise<void> => {
      const other = await world()
      const fetched = await other.open()
      await expect(send(fetched, bytes, 100)).rejects.toMatchObject({ code: 'corruptLog' })
      expect(await other.disk.list(directory)).toEqual([])
    }
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.length * 8 - 1 }), async (bit) => {
        const bytes = Uint8Array.from(whole)
        bytes[bit >> 3]! ^= 1 << (bit & 7)
        await refused(bytes)
      }),
      { numRuns: 200 },
    )
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: whole.length - 1 }), (sizeBytes) =>
        refused(whole.subarray(0, sizeBytes)),
      ),
      { numRuns: 50 },
    )
    await refused(Buffer.concat([whole, whole.subarray(0, 80)]))
  })

  test('of another place or epoch is refused under this name', async () => {
    const { fs, open } = await world()
    const files = await open()
    await files.write({ ...id, epoch: 6 }, { ...head, partition: null }, [])
    const bytes = Uint8Array.from(fs.contentOf(files.path({ ...id, epoch: 6 })))
    await expect(send(files, bytes, 1000)).rejects.toMatchObject({ code: 'corruptLog' })
  })
})

describe('a snapshot that is fetched', () => {
  test('is whole whatever the pieces are', async () => {
    const { fs, open } = await world()
    const files = await open()
    await files.write(id, head, bytesOf(['a', 'b']))
    const bytes = Uint8Array.from(fs.contentOf(files.path(id)))
    for (const pieceBytes of [1, 61, 4096]) {
      const other = await (await world()).open()
      expect(await send(other, bytes, pieceBytes)).toEqual(head)
      expect(other.latest).toEqual(id)
      expect(await collect(other.chunks(id))).toEqual(['a', 'b'])
      expect((await other.part(id)).sizeBytes).toBe(bytes.length)
    }
  })

  test('comes in order, begins anew at 0, and is forgotten when nobody wants it', async () => {
    const { fs, disk, open } = await world()
    const files = await open()
    await files.write(id, head, [])
    const bytes = Uint8Array.from(fs.contentOf(files.path(id)))
    await files.remove(id)
    await files.receive(id, 0, bytes.subarray(0, 50))
    await expect(files.receive(id, 60, bytes.subarray(60))).rejects.toMatchObject({
      code: 'positionOutOfRange',
    })
    await files.receive(id, 0, bytes.subarray(0, 70))
    await files.receive(id, 70, bytes.subarray(70))
    expect(await files.received(id)).toEqual(head)
    const other = { endOffset: 9, epoch: 9 }
    await files.receive(other, 0, bytes)
    await files.discard(other)
    await expect(files.received(other)).rejects.toMatchObject({ code: 'snapshotNotFound' })
    await expect(files.part(other)).rejects.toMatchObject({ code: 'snapshotNotFound' })
    await files.discard(id)
    expect((await disk.list(directory)).map(({ name }) => name)).toEqual([snapshotFileName(id)])
  })

  test('and what came before it: old ones go when they are told to', async () => {
    const { disk, open } = await world()
    const files = await open()
    const ids = [5, 10, 15].map((endOffset) => ({ endOffset, epoch: 1 }))
    for (const each of ids) await files.write(each, { ...head, partition: null }, [])
    await files.removeBefore(ids[1]!)
    expect(files.ids).toEqual(ids.slice(1))
    expect(await disk.list(directory)).toHaveLength(2)
  })
})

describe('after a crash', () => {
  /** What may be left of the disk after every event of `work`, with the number of acknowledged snapshots then. */
  async function crashStates(
    seed: number,
    work: (files: SnapshotFiles, acked: (id: SnapshotId) => void) => Promise<void>,
  ): Promise<{ readonly image: Image; readonly acked: readonly SnapshotId[] }[]> {
    const states: { image: Image; acked: readonly SnapshotId[] }[] = []
    const draw = new SimRandom(seed)
    let acked: readonly SnapshotId[] = []
    let isRecording = false
    const fs: SimFileSystem = new SimFileSystem({
      onEvent: () => {
        if (!isRecording) return
        const { medium } = fs
        states.push({ image: medium.crashed(() => true), acked })
        states.push({ image: medium.crashed(() => false), acked })
        for (let each = 0; each < 6; each++) {
          states.push({ image: medium.crashed(() => draw.below(2) === 0), acked })
        }
        const lost = draw.below(4)
        states.push({ image: medium.crashed((unit) => unit.order % 4 !== lost), acked })
      },
    })
    const { open } = await world(fs)
    const files = await open()
    isRecording = true
    await work(files, (done) => {
      acked = [...acked, done]
    })
    return states
  }

  /** Every name stands for a whole snapshot, what was acknowledged is there, and no part is left. */
  async function check(states: Awaited<ReturnType<typeof crashStates>>): Promise<void> {
    for (const { image, acked } of states) {
      const { disk, open } = await world(new SimFileSystem({ image }))
      const files = await open()
      for (const each of files.ids) expect((await files.head(each)).votersVersion).toBe(3)
      for (const each of acked) expect(files.ids).toContainEqual(each)
      for (const { name } of await disk.list(directory)) expect(name).toMatch(/checkpoint$/)
    }
  }

  const later = { endOffset: 5000, epoch: 7 }
  const chunks = Array.from({ length: 40 }, (_, index) => new Uint8Array(1000).fill(index))

  async function work(files: SnapshotFiles, acked: (id: SnapshotId) => void): Promise<void> {
    await files.write(id, head, chunks)
    acked(id)
    await files.write(later, head, chunks)
    acked(later)
  }

  test('a snapshot that has its name is whole, and one that was reported is there', async () => {
    const states = await crashStates(1, work)
    expect(states.length).toBeGreaterThan(50)
    await check(states)
  })

  test('so is one that was fetched', async () => {
    const source = await world()
    const from = await source.open()
    await from.write(id, head, chunks)
    const bytes = Uint8Array.from(source.fs.contentOf(from.path(id)))
    await check(
      await crashStates(2, async (files, acked) => {
        await send(files, bytes, 5000)
        acked(id)
      }),
    )
  })

  test('a name given before the sync is found out', async () => {
    plant('snapshotRenamedBeforeSync')
    const states = await crashStates(1, work)
    plant(null)
    await expect(check(states)).rejects.toThrow()
  })
})
