import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import type { Disk, DiskFile, MappedFile } from '../../src/runtime/disk.ts'
import { MappedIndexes, UnmappedError } from '../../src/segment/mappedIndex.ts'
import { OffsetIndex } from '../../src/segment/offsetIndex.ts'
import { Segment } from '../../src/segment/segment.ts'
import { TimeIndex } from '../../src/segment/timeIndex.ts'

/** A disk that maps these two files, and how often their bytes have been asked for. */
class MappingDisk {
  mode: 'well' | 'cold' | 'faulty' = 'well'
  readonly open = new Set<string>()
  readonly #files: ReadonlyMap<string, Uint8Array>

  constructor(offsets: Uint8Array, times: Uint8Array) {
    this.#files = new Map([
      ['0.index', offsets],
      ['0.timeindex', times],
    ])
  }

  get disk(): Disk {
    return { map: async (path: string) => this.#map(path) } as unknown as Disk
  }

  #map(path: string): MappedFile {
    const bytes = this.#files.get(path)
    if (bytes === undefined) throw new EngineError('notFound', path)
    this.open.add(path)
    return {
      sizeBytes: bytes.length,
      isOpen: true,
      read: (target, position) => {
        if (this.mode === 'cold') return null
        if (this.mode === 'faulty') throw new EngineError('diskFailed', path)
        const part = bytes.subarray(position, position + target.length)
        target.set(part)
        return part.length
      },
      close: () => void this.open.delete(path),
    }
  }
}

function segmentOf(sizeBytes: number): Segment {
  const segment = new Segment(0, { path: '0.log' } as DiskFile, 0, sizeBytes, false)
  segment.sizeBytes = sizeBytes
  return segment
}

/** Steps from entry to entry: both columns grow. */
const steps = fc.array(
  fc.record({ first: fc.integer({ min: 1, max: 9 }), second: fc.integer({ min: 1, max: 9 }) }),
  {
    maxLength: 900,
    size: 'max',
  },
)

function indexesOf(list: readonly { first: number; second: number }[]) {
  const [offsets, times] = [new OffsetIndex(), new TimeIndex()]
  let [first, second] = [0, 0]
  for (const step of list) {
    first += step.first
    second += step.second
    offsets.append(first, second)
    times.maybeAppend(second, first)
  }
  return { offsets, times, end: Math.max(first, second) + 1 }
}

test('mapped indexes answer what decoded ones answer', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.array(fc.nat(9000), { maxLength: 20 }), async (list, questions) => {
      const { offsets, times, end } = indexesOf(list)
      const world = new MappingDisk(offsets.encode(), times.encode())
      const mapped = await MappedIndexes.open(world.disk, segmentOf(list.length === 0 ? 0 : end))
      expect(mapped).not.toBeNull()
      const { offsetIndex, timeIndex } = mapped!
      expect(timeIndex.lastTimestampMs).toBe(times.lastTimestampMs)
      for (const question of [...questions, 0, end]) {
        expect(offsetIndex.positionFor(question)).toBe(offsets.positionFor(question))
        expect(offsetIndex.boundaryFor(question)).toBe(offsets.boundaryFor(question))
        expect(timeIndex.relativeOffsetFor(question)).toBe(times.relativeOffsetFor(question))
      }
      mapped!.close()
      expect(world.open.size).toBe(0)
    }),
    { numRuns: 40 },
  )
})

test('what is no index of the segment is not mapped, and nothing stays open', async () => {
  const { offsets, times, end } = indexesOf(Array.from({ length: 5 }, () => ({ first: 2, second: 3 })))
  const [good, goodTimes] = [offsets.encode(), times.encode()]
  const opened = async (index: Uint8Array, timeIndex: Uint8Array, logBytes: number) => {
    const world = new MappingDisk(index, timeIndex)
    const mapped = await MappedIndexes.open(world.disk, segmentOf(logBytes))
    expect(world.open.size).toBe(mapped === null ? 0 : 2)
    return mapped !== null
  }
  expect(await opened(good, goodTimes, end)).toBe(true)
  expect(await opened(good.subarray(1), goodTimes, end)).toBe(false)
  expect(await opened(good, goodTimes.subarray(1), end)).toBe(false)
  expect(await opened(good, new Uint8Array(0), end)).toBe(false)
  expect(await opened(new Uint8Array(40), goodTimes, end)).toBe(false)
  expect(await opened(good, goodTimes, 15)).toBe(false)
  expect(await MappedIndexes.open({} as Disk, segmentOf(end))).toBeNull()
})

test('an index that has left memory, or cannot be read, says that it has to be read as a file', async () => {
  const { offsets, times, end } = indexesOf([{ first: 2, second: 3 }])
  const world = new MappingDisk(offsets.encode(), times.encode())
  const mapped = await MappedIndexes.open(world.disk, segmentOf(end))
  for (const mode of ['cold', 'faulty'] as const) {
    world.mode = mode
    expect(() => mapped!.offsetIndex.positionFor(5)).toThrow(UnmappedError)
    expect(() => mapped!.timeIndex.lastTimestampMs).toThrow(UnmappedError)
    expect(await MappedIndexes.open(world.disk, segmentOf(end))).toBeNull()
  }
})
