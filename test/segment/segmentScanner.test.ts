import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { inlineCompute, type Task } from '../../src/runtime/compute.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { LeaderEpochs } from '../../src/segment/leaderEpochs.ts'
import { ProducerState } from '../../src/segment/producerState.ts'
import { encodeBatch } from '../../src/segment/records.ts'
import { Segment } from '../../src/segment/segment.ts'
import { type ScanLimits, SegmentScanner } from '../../src/segment/segmentScanner.ts'
import { tasks } from '../../src/segment/tasks.ts'
import { batchCodecs } from '../../src/zerocopy/codecs.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { runtime } from './support.ts'

const everythingAside: ScanLimits = { aloneBytes: -1, leastBytes: 0 }
const everythingHere: ScanLimits = { aloneBytes: Number.POSITIVE_INFINITY, leastBytes: 0 }

/** A runtime that counts the scans that its compute takes. */
function counting(): { readonly on: Runtime; readonly taken: () => number } {
  let taken = 0
  const inline = inlineCompute(tasks, { disk: runtime.disk, checksum: runtime.checksum, codecs: batchCodecs })
  const compute = {
    ...inline,
    run: <Input, Output>(task: Task<Input, Output>, input: Input): Promise<Output> => {
      taken++
      return inline.run(task, input)
    },
  }
  return { on: { ...runtime, compute }, taken: () => taken }
}

const batch = fc.record({
  bytes: fc.integer({ min: 1, max: 300 }),
  timestampMs: fc.integer({ min: 0, max: 20 }),
  producerId: fc.integer({ min: -1, max: 2 }),
  isNewEpoch: fc.boolean(),
})

test('what a thread finds is what would have been found here', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(batch, { maxLength: 30, size: 'max' }),
      fc.nat(),
      fc.option(fc.nat(), { nil: null }),
      fc.constantFrom(0, 150),
      async (batches, from, damagedAt, indexIntervalBytes) => {
        const path = join(temporaryDirectory(), '00000000000000000000.log')
        let leaderEpoch = 0
        const sequences = new Map<number, number>()
        const encoded = batches.map(({ bytes, timestampMs, producerId, isNewEpoch }, offset) => {
          if (isNewEpoch) leaderEpoch++
          const baseSequence = producerId < 0 ? -1 : (sequences.get(producerId) ?? 0)
          sequences.set(producerId, baseSequence + 1)
          const record = { key: null, value: Buffer.alloc(bytes), timestampMs }
          const producer = producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence }
          return encodeBatch(
            { records: [record], baseOffset: offset, leaderEpoch, ...producer },
            runtime.checksum,
          )
        })
        const content = Buffer.concat(encoded)
        const first = encoded.length === 0 ? 0 : from % encoded.length
        const scanned = async (limits: ScanLimits, on: Runtime) => {
          writeFileSync(path, content)
          const segment = new Segment(0, runtime.disk.file(path), 0, 0, false)
          const epochs = new LeaderEpochs()
          const producers = new ProducerState()
          const target = { segment, epochs, producers, producersFrom: 0, indexIntervalBytes, wallMs: 5 }
          const position = Buffer.concat(encoded.slice(0, first)).length
          // What lies before is known from a checkpoint; its entries are not in memory.
          await new SegmentScanner(on, everythingHere).scan(target, position, 0)
          segment.resume(segment.closedState())
          if (damagedAt !== null && content.length > position) {
            const damaged = Buffer.from(content)
            const at = position + (damagedAt % (content.length - position))
            damaged[at] = damaged[at]! ^ 1
            writeFileSync(path, damaged)
          }
          const end = await new SegmentScanner(on, limits).scan(target, content.length, first)
          const { offsetIndex, timeIndex } = segment
          return {
            end,
            state: segment.closedState(),
            offsets: offsetIndex!.inMemory,
            times: timeIndex!.inMemory,
            epochs: epochs.entries,
            producers: producers.entries(),
          }
        }
        const { on, taken } = counting()
        expect(await scanned(everythingAside, on)).toEqual(await scanned(everythingHere, runtime))
        expect(taken()).toBe(1)
      },
    ),
    { numRuns: 60 },
  )
})

function segmentOf(count: number): Segment {
  const path = join(temporaryDirectory(), '00000000000000000000.log')
  const record = { key: null, value: Buffer.alloc(1000), timestampMs: 1 }
  const bytes = Buffer.concat(
    Array.from({ length: count }, (_, offset) =>
      encodeBatch({ records: [record], baseOffset: offset, leaderEpoch: 0 }, runtime.checksum),
    ),
  )
  writeFileSync(path, bytes)
  return new Segment(0, runtime.disk.file(path), 0, 0, false)
}

function targetOf(segment: Segment) {
  const state = { epochs: new LeaderEpochs(), producers: new ProducerState() }
  return { segment, ...state, producersFrom: 0, indexIntervalBytes: 4096, wallMs: 5 }
}

test('threads take part once there is much to scan, and not for little stretches', async () => {
  const { on, taken } = counting()
  const scanner = new SegmentScanner(on, { aloneBytes: 60_000, leastBytes: 5000 })
  const scan = async (count: number): Promise<void> => {
    const segment = segmentOf(count)
    const end = await scanner.scan(targetOf(segment), await segment.file.size(), 0)
    expect(end).toMatchObject({ nextOffset: count, damage: null })
  }
  await scan(50)
  expect(taken()).toBe(0)
  await Promise.all([scan(20), scan(20), scan(20), scan(20), scan(2)])
  expect(taken()).toBeGreaterThan(0)
  expect(taken()).toBeLessThan(4)
})

test('without threads everything is scanned here', async () => {
  const compute = {
    ...runtime.compute,
    run: () => Promise.reject(new EngineError('unknownServerError', 'a worker thread failed')),
  }
  const scanner = new SegmentScanner({ ...runtime, compute }, everythingAside)
  const segment = segmentOf(10)
  onTestFinished(() => segment.file.close())
  const end = await scanner.scan(targetOf(segment), await segment.file.size(), 0)
  expect(end.nextOffset).toBe(10)
  expect(segment.sizeBytes).toBe(end.validBytes)
})

test.each([
  ['here', everythingHere],
  ['aside', everythingAside],
])(
  'a segment whose epochs are older than those of the one before is not its continuation (%s)',
  async (_, limits) => {
    const segment = segmentOf(3)
    const target = targetOf(segment)
    target.epochs.assign(2, -1)
    const end = await new SegmentScanner(counting().on, limits).scan(target, await segment.file.size(), 0)
    expect(end).toMatchObject({ nextOffset: 0, damage: { position: 0, expected: 'a leader epoch from 2' } })
  },
)
