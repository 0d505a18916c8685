import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type EngineOptions, openEngine, startBroker } from '../../src/index.ts'
import type { FlushPolicy } from '../../src/model/flushPolicy.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { expectCode, open, texts } from './support.ts'

describe('opening', () => {
  test('finds the logs and records of an earlier time', async () => {
    const directory = temporaryDirectory()
    const first = await open({ directory })
    await (await first.log('b')).append({ value: '1' })
    await (await first.log('a')).append({ value: '2' })
    await first.close()
    const second = await open({ directory })
    expect(second.logs).toEqual(['a', 'b'])
    expect(await texts(await second.log('b'))).toEqual(['1'])
  })

  test('is refused while somebody else has the directory', async () => {
    const { directory } = await open()
    await expectCode(openEngine({ directory }), 'directoryLocked')
  })

  test('a log that is damaged can be deleted, also once its directory was removed by hand, and its name is free', async () => {
    for (const isRemoved of [false, true]) {
      const directory = temporaryDirectory()
      const settings = { segmentBytes: 1024, maxAppendBytes: 1000 }
      const first = await open({ directory, ...settings })
      const log = await first.log('orders')
      for (let index = 0; index < 6; index++) await log.append({ value: 'v'.repeat(500) })
      await first.close()
      const segments = readdirSync(`${directory}/orders-0`).filter((name) => name.endsWith('.log'))
      rmSync(`${directory}/orders-0${isRemoved ? '' : `/${segments[1]}`}`, { recursive: true })
      const second = await open({ directory, ...settings })
      const damaged = await second.log('orders')
      await expectCode(damaged.append({ value: 'more' }), 'corruptLog')
      await damaged.delete()
      expect(second.logs).toEqual([])
      await (await second.log('orders')).append({ value: 'new' })
      await second.close()
      expect(await texts(await (await open({ directory })).log('orders'))).toEqual(['new'])
    }
  })

  test("is refused for a broker's directory", async () => {
    const directory = temporaryDirectory()
    const settings = { 'log.dirs': directory, listeners: 'PLAINTEXT://127.0.0.1:0' }
    await (await startBroker({ settings })).close()
    await expectCode(openEngine({ directory }), 'directoryForeign')
  })

  test.each([
    [{ directory: '' }],
    [{ flush: 'sometimes' }],
    [{ flush: {} }],
    [{ flush: { bytes: 0 } }],
    [{ flush: { seconds: 1 } }],
    [{ compression: 'rar' }],
    [{ segmentBytes: 12 }],
    [{ retentionMs: -2 }],
    [{ retentionBytes: 1.5 }],
    [{ timestamps: 'later' }],
    [{ maxPendingBytes: 0 }],
    [{ cleanupPolicy: 'burn' }],
    [{ cleanupPolicy: 'compact', retentionMs: 5 }],
    [{ minCompactionLagMs: 5, maxCompactionLagMs: 4 }],
    [{ minCleanableDirtyRatio: 2 }],
    [{ journalBytes: 1000 }],
    [{ journalDirectory: '' }],
    [{ maxAppendBytes: 2_000_000, segmentBytes: 1_000_000 }],
    [{ retentionMS: 5 }],
    [{ fsync: true }],
    [{ logger: {} }],
  ])('is refused for %j', async (options) => {
    const all = { directory: temporaryDirectory(), ...options } as EngineOptions<FlushPolicy>
    await expectCode(openEngine(all), 'invalidConfig')
  })

  test('is refused without options, and for a file', async () => {
    await expectCode(openEngine(undefined as never), 'invalidConfig')
    const directory = `${temporaryDirectory()}/file`
    writeFileSync(directory, '')
    await expect(openEngine({ directory })).rejects.toMatchObject({
      code: 'notFound',
      message: `cannot make the directory ${directory}: there is a file of that name, which is no directory (EEXIST)`,
    })
  })

  test('takes settings that are not set for not given', async () => {
    const engine = await open({ maxPendingBytes: undefined, logger: undefined })
    expect(engine.logs).toEqual([])
  })
})

describe('the log of a name', () => {
  test.each(['', '.', '..', 'a/b', 'a b', 'ü', 'x'.repeat(250), '../up'])(
    'cannot have "%s" for one',
    async (name) => {
      const engine = await open()
      await expectCode(engine.log(name), 'invalidTopicException')
      expect(engine.logs).toEqual([])
    },
  )

  test('is one, however many ask for it at once', async () => {
    const engine = await open()
    const [first, second] = await Promise.all([engine.log('orders'), engine.log('orders')])
    expect(first).toBe(second)
    expect(engine.logs).toEqual(['orders'])
  })

  test('is not taken for another: a number at the end is part of it', async () => {
    const engine = await open()
    await (await engine.log('orders')).append({ value: 'a' })
    await (await engine.log('orders-0')).append({ value: 'b' })
    expect(engine.logs).toEqual(['orders', 'orders-0'])
    expect(await texts(await engine.log('orders'))).toEqual(['a'])
  })

  test('is refused to who believes in other settings than are in force', async () => {
    const engine = await open({ flush: 'batch' })
    await engine.log('orders', { flush: 'none', retentionMs: 1000 })
    await expectCode(engine.log('orders'), 'invalidConfig')
    await expectCode(engine.log('orders', { flush: 'none', retentionMs: 5 }), 'invalidConfig')
    expect((await engine.log('orders', { flush: 'none' })).flushPolicy).toBe('none')
    expect((await engine.log('orders', { retentionMs: 1000, flush: 'none' })).name).toBe('orders')
  })
})

describe('closing', () => {
  test('makes every call reject with "closed", and may be asked for again', async () => {
    const engine = await open()
    const log = await engine.log('orders')
    await engine.close()
    await engine.close()
    await engine[Symbol.asyncDispose]()
    await expectCode(log.append({ value: 'a' }), 'closed')
    await expectCode(log.flush(), 'closed')
    await expectCode(log.truncate(0), 'closed')
    await expectCode(log.deleteRecordsBefore(0), 'closed')
    await expectCode(log.offsetForTimestamp(0), 'closed')
    await expectCode(log.delete(), 'closed')
    await expectCode(engine.log('orders'), 'closed')
    expect(() => log.configure({ flush: 'none' })).toThrow(expect.objectContaining({ code: 'closed' }))
  })

  test('at any moment settles every append, and what was acknowledged is there', async () => {
    const moment = fc.record({
      turns: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 12 }),
      before: fc.integer({ min: 0, max: 30 }),
      flush: fc.constantFrom('none' as const, 'batch' as const),
      maxPendingBytes: fc.constantFrom(1, 1000, 1 << 20),
    })
    await fc.assert(
      fc.asyncProperty(moment, async ({ turns, before, flush, maxPendingBytes }) => {
        const directory = temporaryDirectory()
        const engine = await openEngine({ directory, flush, maxPendingBytes, journalBytes: 2 << 20 })
        const logs = [await engine.log('a'), await engine.log('b')]
        const acknowledged: [string, string][] = []
        const refused: unknown[] = []
        const appends: Promise<unknown>[] = []
        let count = 0
        for (const more of turns) {
          for (let index = 0; index < more; index++) {
            const log = logs[count % 2]!
            const value = `${count++}`
            const isThere = (): unknown => acknowledged.push([log.name, value])
            appends.push(log.append({ value }).then(isThere, (error) => refused.push(error)))
          }
          await Promise.resolve()
        }
        for (let index = 0; index < before; index++) await Promise.resolve()
        await engine.close()
        await Promise.all(appends)
        for (const error of refused) expect(error).toMatchObject({ code: 'closed' })
        const again = await openEngine({ directory, flush, journalBytes: 2 << 20 })
        try {
          for (const name of ['a', 'b']) {
            const found = await texts(await again.log(name))
            const said = acknowledged.filter(([log]) => log === name).map(([, value]) => value)
            expect(found.slice(0, said.length)).toEqual(said)
          }
        } finally {
          await again.close()
        }
      }),
      { numRuns: 20 },
    )
  })
})

test('tells who listens of recovery, groups and appends', async () => {
  const events: [string, unknown][] = []
  for (const name of ['recovery', 'flush', 'append']) {
    const listen = (event: unknown): void => void events.push([name, event])
    subscribe(`cordwood:${name}`, listen)
    onTestFinished(() => void unsubscribe(`cordwood:${name}`, listen))
  }
  const engine = await open({ flush: 'none' })
  const { directory } = engine
  const log = await engine.log('orders')
  await Promise.all([log.append([{ value: 'a' }, { value: 'b' }]), log.append({ value: 'c' })])
  expect(events).toMatchObject([
    ['recovery', { directory, logs: 0, offline: [] }],
    ['append', { directory, log: 'orders', baseOffset: 0, lastOffset: 1, survives: 'processKill' }],
    ['append', { directory, log: 'orders', baseOffset: 2, lastOffset: 2 }],
    ['flush', { directory, appends: 2, error: null }],
  ])
})

test('keeps directories that it does not know', async () => {
  const directory = temporaryDirectory()
  mkdirSync(`${directory}/mine`)
  mkdirSync(`${directory}/topic-3`)
  const engine = await open({ directory })
  expect(engine.logs).toEqual([])
})
