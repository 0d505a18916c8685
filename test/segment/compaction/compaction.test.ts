import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CorruptionError } from '../../../src/model/errors.ts'
import { KeyMap } from '../../../src/segment/compaction/keyMap.ts'
import { LogCleaner } from '../../../src/segment/compaction/logCleaner.ts'
import type { Log, LogConfig } from '../../../src/segment/log.ts'
import type { SimRuntime } from '../../../src/testing/simRuntime.ts'
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
  stateOf,
} from './support.ts'

async function open(config: Partial<LogConfig> = {}): Promise<{ log: Log; runtime: SimRuntime }> {
  const runtime = compactingRuntime()
  await runtime.disk.makeDirectory('/log')
  const log = await openLog('/log', { config: { ...compactConfig, segmentBytes: 300, ...config } }, runtime)
  return { log, runtime }
}

/** Appends batches of one record each, then ones with keys of their own until what came before is sealed. */
async function append(log: Log, runtime: SimRuntime, ...entries: readonly Entry[]): Promise<void> {
  for (const entry of entries) await appendBatch(log, runtime, keyedBatch([entry], runtime.clock.wallMs()))
}

async function seal(log: Log, runtime: SimRuntime): Promise<void> {
  const sealed = log.logEndOffset
  while (stateOf(log).segments.active.baseOffset < sealed) {
    await append(log, runtime, { key: `filler ${log.logEndOffset}`, value: 'x'.repeat(100) })
  }
}

const recordsOf = async (log: Log, runtime: SimRuntime) => committed(await filesOf(log, runtime))
const keysOf = async (log: Log, runtime: SimRuntime): Promise<string[]> => {
  return (await recordsOf(log, runtime)).flatMap(({ key }) =>
    key === null ? [] : [Buffer.from(key).toString()],
  )
}

test('the map of keys answers as a Map does, within its budget, also in another thread', () => {
  const key = fc.uint8Array({ maxLength: 12 })
  fc.assert(
    fc.property(fc.array(key), fc.integer({ min: 0, max: 3000 }), fc.nat(), (keys, maxBytes, seed) => {
      const map = new KeyMap(maxBytes, seed)
      const model = new Map<string, number>()
      let usedBytes = 0
      for (const [offset, bytes] of keys.entries()) {
        const text = String(bytes)
        const fits = model.has(text) || usedBytes + bytes.length + 24 <= maxBytes
        expect(map.put(bytes, 0, bytes.length, offset, false)).toBe(fits)
        if (!fits) continue
        if (!model.has(text)) usedBytes += bytes.length + 24
        model.set(text, offset)
      }
      const shared = KeyMap.from(structuredClone(map.state()))
      for (const bytes of keys) {
        expect(shared.get(bytes, 0, bytes.length)).toBe(model.get(String(bytes)) ?? -1)
      }
    }),
  )
})

describe('tombstones (KIP-534)', () => {
  test('stay for delete.retention.ms after the compaction that first met them, then go', async () => {
    const { log, runtime } = await open({ deleteRetentionMs: 1000 })
    await append(log, runtime, { key: 'a', value: 'old' }, { key: 'a', value: null })
    await seal(log, runtime)
    await compactAll(log)
    const [tombstone] = (await filesOf(log, runtime)).filter(({ records }) => records[0]?.value === null)
    expect(tombstone!.header.hasDeleteHorizon).toBe(true)
    expect(tombstone!.header.baseTimestampMs).toBe(runtime.clock.wallMs() + 1000)
    expect(tombstone!.records[0]!.timestampMs).toBe(runtime.clock.wallMs())
    runtime.clock.advance(999)
    await seal(log, runtime)
    await compactAll(log)
    expect(await keysOf(log, runtime)).toContain('a')
    runtime.clock.advance(1)
    await append(log, runtime, { key: 'b', value: 'x' })
    await seal(log, runtime)
    await compactAll(log)
    expect(await keysOf(log, runtime)).not.toContain('a')
  })

  test('stay behind a batch that cannot be read: it may hold what they hide', async () => {
    const { log, runtime } = await open({ deleteRetentionMs: 0 })
    const secret = keyedBatch([{ key: 'a', value: 'old' }], 0, {
      compression: { id: 4, compress: (body) => Uint8Array.from(body) },
    })
    await appendBatch(log, runtime, secret)
    await append(log, runtime, { key: 'a', value: null })
    await seal(log, runtime)
    for (let round = 0; round < 3; round++) {
      expect(await compactAll(log)).toMatchObject({ unreadable: 1 })
      runtime.clock.advance(10)
      await append(log, runtime, { key: `more ${round}`, value: 'x' })
      await seal(log, runtime)
    }
    const contents = await Promise.all(
      stateOf(log).segments.all.map(({ file, sizeBytes }) => {
        return sizeBytes === 0 ? Buffer.alloc(0) : runtime.disk.readFile(file.path)
      }),
    )
    const bytes = Buffer.concat(contents)
    expect(bytes.subarray(61, secret.length)).toEqual(Buffer.from(secret.subarray(61)))
    // The tombstone follows it: its key, and no value.
    expect(bytes.subarray(secret.length).includes(Buffer.from([2, 0x61, 1]))).toBe(true)
  })
})

test('the marker of an aborted transaction outlives its data by one compaction and the delete horizon', async () => {
  const { log, runtime } = await open({ deleteRetentionMs: 100 })
  const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0, isTransactional: true }
  await appendBatch(log, runtime, keyedBatch([{ key: 'a', value: 'aborted' }], 0, producer))
  await append(log, runtime, { key: 'a', value: 'kept' })
  await appendBatch(log, runtime, markerBatch(7, 'abort', 0))
  const controls = async (): Promise<number> => {
    return (await filesOf(log, runtime)).filter(({ header }) => header.isControl && header.recordsCount > 0)
      .length
  }
  const left: number[] = []
  for (let round = 0; round < 4; round++) {
    await append(log, runtime, { key: `round ${round}`, value: 'x' })
    await seal(log, runtime)
    await compactAll(log)
    left.push(await controls())
    runtime.clock.advance(200)
  }
  expect(foldOf(await recordsOf(log, runtime)).get('a')).toBe('kept')
  expect(left).toEqual([1, 1, 0, 0])
})

test('a transaction that is open keeps compaction below it', async () => {
  const { log, runtime } = await open()
  await append(log, runtime, { key: 'a', value: 'one' }, { key: 'a', value: 'two' })
  await seal(log, runtime)
  const firstOffset = log.logEndOffset
  const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0, isTransactional: true }
  await appendBatch(log, runtime, keyedBatch([{ key: 'a', value: 'open' }], 0, producer))
  await seal(log, runtime)
  await compactAll(log)
  expect(log.cleanedOffset).toBeLessThanOrEqual(firstOffset)
  expect(foldOf(await recordsOf(log, runtime)).get('a')).toBe('two')
  await appendBatch(log, runtime, markerBatch(7, 'commit', 0))
  await seal(log, runtime)
  await compactAll(log)
  expect(log.cleanedOffset).toBeGreaterThan(firstOffset)
  expect(foldOf(await recordsOf(log, runtime)).get('a')).toBe('open')
})

test('a range that was read before goes on meaning the old bytes until the old files go', async () => {
  const { log, runtime } = await open({ fileDeleteDelayMs: 50 })
  await append(log, runtime, { key: 'a', value: 'one' }, { key: 'a', value: 'two' })
  await seal(log, runtime)
  const found = await log.read(0, 1 << 20, log.flushedOffset, true)
  const { file, position, lengthBytes } = found!.ranges[0]!
  const [before, after] = [new Uint8Array(lengthBytes), new Uint8Array(lengthBytes)]
  await runtime.disk.file(file.path).read(before, position)
  await compactAll(log)
  expect(await (file as ReturnType<typeof runtime.disk.file>).read(after, position)).toBe(lengthBytes)
  expect(after).toEqual(before)
  const deleted = async (): Promise<number> => {
    return (await runtime.disk.list('/log')).filter(({ name }) => name.endsWith('.deleted')).length
  }
  expect(await deleted()).toBeGreaterThan(0)
  runtime.clock.advance(50)
  await stateOf(log).segments.removeFiles()
  while ((await deleted()) > 0) await Promise.resolve()
  expect(await deleted()).toBe(0)
})

describe('the cleaner', () => {
  const reports: string[] = []
  const logger = {
    debug: () => {},
    info: () => {},
    warn: (text: string) => void reports.push(text),
    error: (text: string) => void reports.push(text),
  }
  const cleanerOf = (log: Log, runtime: SimRuntime): LogCleaner => {
    return new LogCleaner({
      clock: runtime.clock,
      logger,
      logs: () => new Map([['keyed-0', log]]),
      storeCleanedOffsets: () => Promise.resolve(),
      maxMapBytes: 1 << 20,
    })
  }

  test('compacts what is dirty enough, old enough, or overdue, and only by policy', async () => {
    const { log, runtime } = await open({ minCleanableDirtyRatio: 0.9 })
    const cleaner = cleanerOf(log, runtime)
    const fill = async (): Promise<void> => {
      await append(
        log,
        runtime,
        ...Array.from({ length: 20 }, (_, index) => ({ key: `k${index}`, value: 'v' })),
      )
      await seal(log, runtime)
      await stateOf(log).sealer.idle()
    }
    await fill()
    log.updateConfig({ ...log.config, cleanupPolicy: { delete: true, compact: false } })
    expect(await cleaner.run()).toBe(0)
    log.updateConfig({
      ...log.config,
      cleanupPolicy: { delete: false, compact: true },
      minCompactionLagMs: 60_000,
    })
    expect(await cleaner.run()).toBe(0)
    log.updateConfig({ ...log.config, minCompactionLagMs: 0 })
    expect(await cleaner.run()).toBe(1)
    // Half of it is clean now.
    await fill()
    expect(await cleaner.run()).toBe(0)
    log.updateConfig({ ...log.config, maxCompactionLagMs: 1000 })
    expect(await cleaner.run()).toBe(0)
    runtime.clock.advance(1001)
    expect(await cleaner.run()).toBe(1)
    await cleaner.close()
  })

  test('leaves a damaged log as it is, says so once, and gives nothing a right checksum', async () => {
    const { log, runtime } = await open()
    await append(log, runtime, { key: 'a', value: 'one' }, { key: 'a', value: 'two' })
    await seal(log, runtime)
    await stateOf(log).sealer.idle()
    const { file } = stateOf(log).segments.all[0]!
    const bytes = await runtime.disk.readFile(file.path)
    await runtime.disk.submit([{ file, position: 70, parts: [Uint8Array.of(bytes[70]! ^ 1)], sync: 'data' }])
    const damaged = await runtime.disk.readFile(file.path)
    await expect(compactAll(log)).rejects.toBeInstanceOf(CorruptionError)
    const cleaner = cleanerOf(log, runtime)
    expect(await cleaner.run()).toBe(0)
    expect(await cleaner.run()).toBe(0)
    expect(reports.filter((text) => text.includes('could not be compacted'))).toHaveLength(1)
    expect(await runtime.disk.readFile(file.path)).toEqual(damaged)
    expect((await runtime.disk.list('/log')).filter(({ name }) => name.includes('.cleaned'))).toEqual([])
    await cleaner.close()
  })
  test('goes on with a log once it is mended', async () => {
    const { log, runtime } = await open()
    await append(log, runtime, { key: 'a', value: 'one' }, { key: 'a', value: 'two' })
    await seal(log, runtime)
    await stateOf(log).sealer.idle()
    const { file, baseOffset } = stateOf(log).segments.all[0]!
    const whole = await runtime.disk.readFile(file.path)
    await runtime.disk.submit([{ file, position: 70, parts: [Uint8Array.of(whole[70]! ^ 1)], sync: 'data' }])
    const cleaner = cleanerOf(log, runtime)
    expect(await cleaner.run()).toBe(0)
    const [range] = log.damage
    expect(range).toMatchObject({ file: file.path, baseOffset })
    const mending = (await log.mending(range!))!
    await mending.take(whole.subarray(range!.position, range!.end))
    expect(log.damage).toEqual([])
    expect(await cleaner.run()).toBe(1)
    expect((await keysOf(log, runtime)).filter((key) => key === 'a')).toHaveLength(1)
    await cleaner.close()
  })
})

test('a reader goes on behind what compaction took and a cut has left at the end, under another policy, too', async () => {
  const { log, runtime } = await open()
  for (const key of ['a', 'a', 'b', 'a']) await append(log, runtime, { key, value: '1' })
  await seal(log, runtime)
  await compactAll(log)
  const [first] = await filesOf(log, runtime)
  expect(first).toMatchObject({ header: { lastOffset: 1 }, records: [] })
  // Of the first segment only that is left.
  await log.truncate(2)
  log.updateConfig({ ...compactConfig, cleanupPolicy: { delete: true, compact: false } })
  const offset = await appendBatch(log, runtime, keyedBatch([{ key: 'b', value: null }], 1))
  const found = await log.read(0, 1 << 20, log.flushedOffset, true)
  expect(found?.firstOffset).toBe(offset)
})
