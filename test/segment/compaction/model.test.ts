import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Log } from '../../../src/segment/log.ts'
import type { StoredRecord } from '../../../src/segment/records.ts'
import { openLog } from '../support.ts'
import {
  appendBatch,
  committed,
  compactAll,
  compactConfig,
  compactingRuntime,
  type Entry,
  filesOf,
  foldOf,
  keyedBatch,
  markerBatch,
  readThrough,
  stateOf,
} from './support.ts'

type Step =
  | {
      readonly do: 'append'
      readonly entries: readonly Entry[]
      readonly gzip: boolean
      readonly producer: number
    }
  | {
      readonly do: 'transaction'
      readonly producer: number
      readonly batches: readonly (readonly Entry[])[]
      readonly ends: 'abort' | 'commit'
      readonly within: readonly Entry[]
    }
  | { readonly do: 'compact'; readonly maxMapBytes: number; readonly bound: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'reopen' }

const entry: fc.Arbitrary<Entry> = fc.record({
  key: fc.option(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'a longer key'), { nil: null, freq: 20 }),
  value: fc.option(fc.string({ maxLength: 30 }), { nil: null, freq: 4 }),
})
const entries = fc.array(entry, { minLength: 1, maxLength: 5 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      entries,
      gzip: fc.boolean(),
      producer: fc.constantFrom(-1, -1, 1, 2),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('transaction' as const),
      producer: fc.constantFrom(10, 11),
      batches: fc.array(entries, { minLength: 0, maxLength: 3 }),
      ends: fc.constantFrom('abort' as const, 'commit' as const),
      within: entries,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('compact' as const),
      maxMapBytes: fc.constantFrom(1, 60, 1 << 20),
      bound: fc.constantFrom(0.5, 1, 1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(10, 2000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
)

/** What was appended, record by record, and which of it counts. */
interface Model {
  readonly all: Map<number, StoredRecord>
  readonly sequences: Map<number, number>
}

test('after any appends, transactions and compactions every key has its latest value, and what is left is as it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const runtime = compactingRuntime()
      const directory = '/log'
      await runtime.disk.makeDirectory(directory)
      const options = { config: compactConfig }
      let log = await openLog(directory, options, runtime)
      const model: Model = { all: new Map(), sequences: new Map() }
      const append = async (bytes: Uint8Array): Promise<void> => {
        const before = (await filesOf(log, runtime)).length
        await appendBatch(log, runtime, bytes)
        for (const { header, records } of (await filesOf(log, runtime)).slice(before)) {
          if (!header.isControl) for (const record of records) model.all.set(record.offset, record)
        }
      }
      const producerOf = (producerId: number, count: number) => {
        if (producerId < 0) return {}
        const baseSequence = model.sequences.get(producerId) ?? 0
        model.sequences.set(producerId, baseSequence + count)
        return { producerId, producerEpoch: 0, baseSequence }
      }
      for (const each of steps) {
        if (each.do === 'append') {
          const producer = producerOf(each.producer, each.entries.length)
          await append(keyedBatch(each.entries, runtime.clock.wallMs(), { gzip: each.gzip, ...producer }))
        } else if (each.do === 'transaction') {
          for (const batch of each.batches) {
            const producer = { ...producerOf(each.producer, batch.length), isTransactional: true }
            await append(keyedBatch(batch, runtime.clock.wallMs(), producer))
            await append(keyedBatch(each.within, runtime.clock.wallMs()))
          }
          await append(markerBatch(each.producer, each.ends, runtime.clock.wallMs()))
        } else if (each.do === 'wait') runtime.clock.advance(each.ms)
        else if (each.do === 'reopen') {
          const recoveryPoint = log.recoveryPoint
          await log.close({ clean: false })
          log = await openLog(
            directory,
            { ...options, recoveryPoint, cleanedOffset: log.cleanedOffset },
            runtime,
          )
        } else await compactAndCheck(log, runtime, each, model)
      }
      await compactAndCheck(log, runtime, { maxMapBytes: 1 << 20, bound: 1 }, model)
      const found = await filesOf(log, runtime)
      const { producerState } = log
      await log.close({ clean: false })
      // A scan of all the files finds the same log: no gaps, the same producers.
      for (const { name } of await runtime.disk.list(directory)) {
        if (name.endsWith('.snapshot')) await runtime.disk.remove(`${directory}/${name}`)
      }
      const again = await openLog(directory, options, runtime)
      expect(again.offline).toBe(null)
      expect(await filesOf(again, runtime)).toEqual(found)
      for (const { producerId, epoch, batches } of producerState.entries()) {
        const known = again.producerState.get(producerId)
        expect(known?.epoch).toBe(epoch)
        expect(known?.batches.at(-1)?.lastSequence).toBe(batches.at(-1)?.lastSequence)
      }
      await again.close({ clean: false })
    }),
    { numRuns: 40, endOnFailure: true },
  )
})

async function compactAndCheck(
  log: Log,
  runtime: ReturnType<typeof compactingRuntime>,
  { maxMapBytes, bound }: { readonly maxMapBytes: number; readonly bound: number },
  model: Model,
): Promise<void> {
  const before = await filesOf(log, runtime)
  const { active } = stateOf(log).segments
  const endOffset = Math.floor(log.flushedOffset * bound)
  const cleanedBefore = log.cleanedOffset
  const foldBefore = foldOf(committed(before))
  await compactAll(log, maxMapBytes, endOffset)
  const after = await filesOf(log, runtime)
  // Nothing in the active segment, or at or above the bound, is touched.
  const untouched = Math.min(active.baseOffset, endOffset)
  const above = (batches: typeof before) => batches.filter(({ header }) => header.lastOffset >= untouched)
  expect(above(after)).toEqual(above(before))
  expect(stateOf(log).segments.active).toBe(active)
  expect(log.cleanedOffset).toBeLessThanOrEqual(Math.max(untouched, cleanedBefore))
  // What a consumer makes of it is the same, tombstones apart.
  const foldAfter = foldOf(committed(after))
  for (const [key, value] of foldBefore) {
    if (value !== null || foldAfter.has(key)) expect([key, foldAfter.get(key)]).toEqual([key, value])
  }
  for (const key of foldAfter.keys()) expect(foldBefore.has(key)).toBe(true)
  // What is left is what was appended, at its offset; records without a key stay.
  const left = after.filter(({ header }) => !header.isControl).flatMap(({ records }) => records)
  for (const record of left) expect(record).toEqual(model.all.get(record.offset))
  for (const { offset, key } of committed(before)) {
    if (key === null) expect(left.some((record) => record.offset === offset)).toBe(true)
  }
  // Below the cleaned offset no key has two records that count.
  const clean = committed(after).filter(({ offset, key }) => offset < log.cleanedOffset && key !== null)
  expect(new Set(clean.map(({ key }) => String(key))).size).toBe(clean.length)
  // `read` gives the same records as the files hold, from any offset.
  const read = await readThrough(log, runtime, 0)
  expect(read.map(({ offset }) => offset)).toEqual(
    after.flatMap(({ records }) => records).map(({ offset }) => offset),
  )
}
