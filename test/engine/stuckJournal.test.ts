import { expect, test } from 'vitest'
import { type EngineOptions, openEngine } from '../../src/index.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime, type SimRuntime } from '../../src/testing/simRuntime.ts'

test.each([
  ['a log is being deleted', 'delete'],
  ['retention is under way', 'retention'],
])('an engine whose journal is full and takes nothing closes while %s', async (_, what) => {
  let isBroken = false
  const on = createSimRuntime(new SimFileSystem(), {
    seed: 1,
    // The names in the data directory cannot be synced, so the journal lets go of nothing.
    faults: ({ kind, path }) =>
      isBroken && kind === 'syncDirectory' && path === '/data' ? { code: 'EIO' } : null,
  })
  const options = { directory: '/data', journalBytes: 2 << 20, scrubBytesPerSecond: 0, runtime: on }
  const engine = await openEngine(options as EngineOptions)
  const settings = { segmentBytes: 1 << 20, maxAppendBytes: 200_000, retentionMs: 1000 }
  const log = await engine.log('orders', settings)
  const idle = await engine.log('idle', settings)
  await idle.append({ value: 'old' })
  isBroken = true
  await engine.log('others')
  let outcome = 'done'
  while (outcome === 'done') outcome = await within(on, 60, log.append({ value: new Uint8Array(60_000) }))
  if (what === 'retention') await pass(on, 610)
  else expect(await within(on, 5, log.delete())).toBe('pending')
  expect(await within(on, 600, engine.close())).not.toBe('pending')
})

/** Lets simulated seconds go by. */
async function pass(on: SimRuntime, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    for (let turn = 0; turn < 600; turn++) await null
    on.clock.advance(1000)
  }
}

/** What came of `work` within simulated seconds: `'done'`, the code of an error, or `'pending'`. */
async function within(on: SimRuntime, seconds: number, work: Promise<unknown>): Promise<string> {
  let state = 'pending'
  work.then(
    () => (state = 'done'),
    (error) => (state = String(error.code)),
  )
  for (let second = 0; second < seconds && state === 'pending'; second++) await pass(on, 1)
  return state
}
