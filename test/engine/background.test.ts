import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, onTestFinished, test } from 'vitest'
import { encodeRecords, openEngine } from '../../src/index.ts'
import { ManualClock } from '../segment/support.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { expectCode, machine, open, texts } from './support.ts'

describe('work in the background', () => {
  test.each(['none', 'journal'] as const)(
    'has timers after an append under %s, and none when idle',
    async (flush) => {
      const clock = new ManualClock()
      const engine = await open({ runtime: { ...machine(), clock }, flush, scrubBytesPerSecond: 0 })
      const log = await engine.log('orders')
      await log.append({ value: 'a' })
      expect(clock.pending).toBeGreaterThan(0)
      // Each round of work may set the timer of the next one, but they come to an end.
      while (clock.pending > 0) {
        clock.advance(60_000)
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
      }
      await log.append({ value: 'b' })
      expect(clock.pending).toBeGreaterThan(0)
    },
  )

  test('removes what has expired from logs that somebody has opened, and from no others', async () => {
    const clock = new ManualClock()
    const directory = temporaryDirectory()
    const runtime = { ...machine(), clock }
    const settings = { runtime, directory, flush: 'batch', segmentBytes: 1024, maxAppendBytes: 1024 } as const
    const before = await openEngine(settings)
    for (const name of ['kept', 'bounded']) {
      const log = await before.log(name)
      for (let index = 0; index < 10; index++) await log.append({ value: 'x'.repeat(300) })
    }
    await before.close()
    const removed: unknown[] = []
    const listen = (event: unknown): void => void removed.push(event)
    subscribe('cordwood:retention', listen)
    onTestFinished(() => void unsubscribe('cordwood:retention', listen))
    const engine = await open({ ...settings, retentionMs: 1000 })
    const bounded = await engine.log('bounded')
    clock.advance(30_000)
    while (removed.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(removed).toMatchObject([{ log: 'bounded', logStartOffset: bounded.logStartOffset }])
    expect(bounded.logStartOffset).toBe(10)
    const kept = await engine.log('kept', { retentionMs: -1 })
    expect(await texts(kept)).toHaveLength(10)
  })
})

test('keeps the last record of each key where it is told to, while somebody reads', async () => {
  const clock = new ManualClock()
  const settings = { cleanupPolicy: 'compact', segmentBytes: 4096, maxAppendBytes: 1024 } as const
  const engine = await open({ runtime: { ...machine(), clock }, flush: 'batch' })
  const log = await engine.log('states', { ...settings, minCleanableDirtyRatio: 0 })
  for (let index = 0; index < 60; index++) {
    await log.append({ key: `${index % 3}`, value: `${index}`.padEnd(200), timestampMs: clock.wallMs() })
  }
  const reader = log.read({ maxBytes: 1 })
  expect((await reader.next()).value.text().trim()).toBe('0')
  const before = log.sizeBytes
  while (log.sizeBytes > before / 2) {
    clock.advance(15_000)
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  const offsets: number[] = []
  const last = new Map<string | null, string>()
  for await (const record of log.read()) {
    offsets.push(record.offset)
    last.set(record.keyText(), record.text()!.trim())
  }
  expect(Object.fromEntries(last)).toEqual({ 0: '57', 1: '58', 2: '59' })
  expect(offsets.length).toBeLessThan(30)
  expect(offsets).toEqual(offsets.toSorted((left, right) => left - right))
  // Who was in the middle goes on, over what is left.
  const rest: number[] = []
  for await (const { offset } of reader) rest.push(offset)
  expect(rest.at(-1)).toBe(59)
  expect(offsets).toEqual(expect.arrayContaining(rest.filter((offset) => offset > 50)))
  await expectCode(log.append({ value: 'no key' }), 'invalidRecord')
  await expectCode(log.append([{ key: 'a' }, {}]), 'invalidRecord')
  await expectCode(log.append(encodeRecords([{ value: 'no key' }], { compression: 'gzip' })), 'invalidRecord')
})
