import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Disk, DiskUrgency } from '../../src/runtime/disk.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import type { CreateDisk } from './implementations.ts'

const kib = 1024
const blockBytes = 4096

/** What every `Disk` has to do with the memory that it lends, or with any if it lends none. */
export function lendContract(create: CreateDisk): void {
  const world = () => {
    const directory = temporaryDirectory()
    const { disk } = create({}, directory)
    return { disk, file: (name: string) => disk.file(join(directory, name)) }
  }

  test('lent memory has the size that was asked for, and can be filled', () => {
    const { disk } = world()
    for (const sizeBytes of [0, 1, 100, 16 * kib - 1, 16 * kib, 100_001, 1024 * kib]) {
      const memory = lend(disk, sizeBytes)
      expect(memory.fill(7).length).toBe(sizeBytes)
      expect(memory.every((byte) => byte === 7)).toBe(true)
    }
  })

  test('parts in lent memory and elsewhere land one after the other, in any mixture', async () => {
    const part = fc.record({
      /** Two lent memories, one that is not. */
      memory: fc.constantFrom(0, 1, 2),
      from: fc.integer({ min: 0, max: 20_000 }),
      length: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 20_000 })),
    })
    const write = fc.record({ file: fc.constantFrom('a', 'b'), parts: fc.array(part, { maxLength: 5 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(write, { maxLength: 4 }), { maxLength: 5 }), async (groups) => {
        const { disk, file } = world()
        const memories = [lend(disk, 40_000), lend(disk, 40_000), new Uint8Array(40_000)]
        for (const [index, memory] of memories.entries()) {
          for (let at = 0; at < memory.length; at++) memory[at] = (at * 31 + (at >> 8) + index) % 251
        }
        const files = { a: file('a'), b: file('b') }
        const expected = { a: [] as Uint8Array[], b: [] as Uint8Array[] }
        const ends = { a: 0, b: 0 }
        const written: Promise<void>[] = []
        for (const group of groups) {
          const writes = group.map(({ file: name, parts }) => {
            const bytes = parts.map(({ memory, from, length }) =>
              memories[memory]!.subarray(from, from + length),
            )
            const position = ends[name]
            expected[name].push(...bytes.map((each) => Uint8Array.from(each)))
            for (const { length } of bytes) ends[name] += length
            return { file: files[name], position, parts: bytes, sync: 'none' as const }
          })
          written.push(disk.submit(writes))
        }
        await Promise.all(written)
        for (const name of ['a', 'b'] as const) {
          if (ends[name] === 0) continue
          const found = Buffer.alloc(ends[name] + 1)
          expect(await files[name].read(found, 0)).toBe(ends[name])
          expect(found.subarray(0, -1).equals(Buffer.concat(expected[name]))).toBe(true)
        }
        await disk.close()
      }),
      { numRuns: 25 },
    )
  })

  test.each<DiskUrgency | undefined>([undefined, 'urgent', 'beside'])(
    'whole blocks and less lie in the file as in memory that is lent (%s)',
    async (urgency) => {
      const { disk, file } = world()
      const log = file('log')
      await disk.submit([{ file: log, position: 0, parts: [new Uint8Array(64 * kib)], sync: 'data' }])
      const expected = Buffer.alloc(64 * kib)
      const memory = lend(disk, 48 * kib)
      const ranges = [
        [0, 48 * kib, 0],
        [blockBytes, 3 * blockBytes, 12 * blockBytes],
        [17, 2 * blockBytes, blockBytes],
        [2 * blockBytes, 5000, 3 * blockBytes],
        [0, blockBytes, 9 * blockBytes + 1],
      ] as const
      for (const [round, [from, length, position]] of ranges.entries()) {
        memory.fill(round + 1)
        memory[from] = 99
        const part = memory.subarray(from, from + length)
        expected.set(part, position)
        await disk.submit([{ file: log, position, parts: [part], sync: 'data' }], urgency)
        const found = Buffer.alloc(expected.length)
        await log.read(found, 0)
        expect(found.equals(expected)).toBe(true)
      }
    },
  )

  test('memory whose write has ended can be filled and written again', async () => {
    const { disk, file } = world()
    const log = file('log')
    const memory = lend(disk, 32 * kib)
    for (let round = 0; round < 50; round++) {
      memory.fill(round)
      await disk.submit([{ file: log, position: round * memory.length, parts: [memory], sync: 'none' }])
    }
    const found = Buffer.alloc(memory.length)
    for (let round = 0; round < 50; round++) {
      await log.read(found, round * memory.length)
      expect(found.equals(Buffer.alloc(memory.length, round))).toBe(true)
    }
  })

  test('a write that fails lets its memory be used again', async () => {
    const { disk, file } = world()
    const memory = lend(disk, 32 * kib).fill(1)
    const none = file('none/log')
    await expect(
      disk.submit([{ file: none, position: 0, parts: [memory], sync: 'none' }]),
    ).rejects.toMatchObject({ code: 'notFound' })
    expect(disk.queuedBytes).toBe(0)
    const log = file('log')
    memory.fill(2)
    await disk.submit([{ file: log, position: 0, parts: [memory], sync: 'data' }])
    const found = Buffer.alloc(memory.length)
    await log.read(found, 0)
    expect(found.equals(Buffer.alloc(memory.length, 2))).toBe(true)
  })

  test('a write that is under way keeps its memory when nobody else does', async () => {
    const { disk, file } = world()
    const log = file('log')
    const pieceBytes = 256 * kib
    const collect = collector()
    const written: Promise<void>[] = []
    for (let round = 0; round < 40; round++) {
      const piece = lend(disk, pieceBytes).fill(round + 1)
      written.push(disk.submit([{ file: log, position: round * pieceBytes, parts: [piece], sync: 'none' }]))
      collect()
      // Finalizers have their turn.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await Promise.all(written)
    const found = Buffer.alloc(pieceBytes)
    for (let round = 0; round < 40; round++) {
      await log.read(found, round * pieceBytes)
      expect(found.equals(Buffer.alloc(pieceBytes, round + 1))).toBe(true)
    }
  })
}

function lend(disk: Disk, sizeBytes: number): Uint8Array {
  return disk.lend?.(sizeBytes) ?? new Uint8Array(sizeBytes)
}

/** Has the collector run. */
function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
