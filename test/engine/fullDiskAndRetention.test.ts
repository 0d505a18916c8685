import { expect, onTestFinished, test } from 'vitest'
import { type EngineLog, type EngineOptions, openEngine } from '../../src/index.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'

test('a disk that fills up is freed by retention and by deletion, however often appends were refused before', async () => {
  const fs = new SimFileSystem()
  const on = createSimRuntime(fs, { seed: 1 })
  const options = { directory: '/data', journalBytes: 2 << 20, scrubBytesPerSecond: 0, runtime: on }
  const engine = await openEngine(options as EngineOptions)
  onTestFinished(() => engine.close())
  const small = { segmentBytes: 256 << 10, maxAppendBytes: 200_000 }
  const bulk = await engine.log('bulk', { ...small, flush: 'none', retentionMs: 200_000 })
  const orders = await engine.log('orders', { ...small, flush: 'journal' })
  const append = (log: EngineLog<never>, bytes: number) =>
    outcome(on, log.append({ value: new Uint8Array(bytes) }), 10)
  expect(await append(orders as EngineLog<never>, 10)).toBe('done')
  fs.capacityBytes = fs.usedBytes + (2 << 20)
  // What may be lost fills the disk, and producers of the other log come again and again.
  while ((await append(bulk as EngineLog<never>, 60_000)) === 'done');
  while ((await append(bulk as EngineLog<never>, 3_000)) === 'done');
  for (let round = 0; round < 400; round++) await append(orders as EngineLog<never>, 6_000)
  await pass(on, 1300)
  expect(bulk.logStartOffset).toBeGreaterThan(0)
  expect(await outcome(on, orders.append({ value: 'after' }), 30)).toBe('done')
  expect(await outcome(on, bulk.delete(), 600)).toBe('done')
})

test('a start after a kill needs no room on the disk', async () => {
  const fs = new SimFileSystem()
  const on = createSimRuntime(fs, { seed: 1 })
  const options = { directory: '/data', journalBytes: 2 << 20, scrubBytesPerSecond: 0 }
  const engine = await openEngine({ ...options, runtime: on } as EngineOptions)
  onTestFinished(() => engine.close())
  const log = await engine.log('orders')
  for (let round = 0; round < 2; round++) {
    await outcome(on, log.append(Array(20).fill({ value: new Uint8Array(10_000) })), 10)
    await pass(on, 70)
  }
  const left = new SimFileSystem({ image: fs.medium.crashed(() => true) })
  left.capacityBytes = left.usedBytes
  const again = createSimRuntime(left, { seed: 2 })
  const opened = await openEngine({ ...options, runtime: again } as EngineOptions)
  onTestFinished(() => opened.close())
  expect((await opened.log('orders')).logEndOffset).toBe(40)
})

/** Lets simulated seconds go by. */
async function pass(on: Runtime & { clock: { advance(ms: number): void } }, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    for (let turn = 0; turn < 300; turn++) await null
    on.clock.advance(1000)
  }
}

/** What came of `work` within simulated seconds: `'done'`, the code of an error, or `'pending'`. */
async function outcome(
  on: Parameters<typeof pass>[0],
  work: Promise<unknown>,
  seconds: number,
): Promise<string> {
  let state = 'pending'
  work.then(
    () => (state = 'done'),
    (error) => (state = error.code),
  )
  for (let second = 0; second < seconds && state === 'pending'; second++) await pass(on, 1)
  return state
}
