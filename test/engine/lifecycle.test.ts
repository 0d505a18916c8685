import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdirSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type EngineOptions, encodeRecords, openEngine, startBroker } from '../../src/index.ts'
import { EngineError, WriteError } from '../../src/model/errors.ts'
import type { FlushPolicy } from '../../src/model/flushPolicy.ts'
import type { Disk, DiskFile, DiskWrite } from '../../src/runtime/disk.ts'
import { HoldingDisk } from '../segment/faultyDisk.ts'
import { ManualClock } from '../segment/support.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { expectCode, machine, open, settle, texts } from './support.ts'

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

describe('the disk', () => {
  test('gets what one turn appends, to whatever logs, in one group', async () => {
    const holding = new HoldingDisk()
    const engine = await open({ runtime: holding.runtime })
    const logs = await Promise.all(['a', 'b', 'c'].map((name) => engine.log(name)))
    const appends = logs.flatMap((log) => [log.append({ value: '1' }), log.append({ value: '2' })])
    // Somebody who comes by a few functions of their own still takes part.
    const indirect = (async () => {
      await Promise.resolve()
      return (async () => logs[0]!.append({ value: '3' }))()
    })()
    await settle()
    expect(holding.held).toHaveLength(1)
    expect(new Set(holding.held[0]!.group.map(({ file }) => file.path)).size).toBe(3)
    await holding.held[0]!.release()
    await Promise.all([...appends, indirect])
    expect(logs.map(({ flushedOffset }) => flushedOffset)).toEqual([3, 2, 2])
  })

  test('acknowledges nothing before it has answered, and gives nothing to readers', async () => {
    const holding = new HoldingDisk()
    const log = await (await open({ runtime: holding.runtime })).log('orders')
    let isSettled = false
    const append = log.append({ value: 'a' }).finally(() => {
      isSettled = true
    })
    await settle()
    expect([isSettled, log.logEndOffset, log.flushedOffset]).toEqual([false, 1, 0])
    expect(await texts(log)).toEqual([])
    await holding.held[0]!.release()
    await append
    expect(await texts(log)).toEqual(['a'])
  })

  test('has what was faster before a conflict is told, so that who tries again sees it', async () => {
    const holding = new HoldingDisk()
    const log = await (await open({ runtime: holding.runtime })).log('orders')
    let said = ''
    const faster = log.append({ value: 'a' }, { expectedOffset: 0 })
    const late = log.append({ value: 'b' }, { expectedOffset: 0 }).catch(({ code }) => {
      said = code
    })
    await settle()
    expect(said).toBe('')
    await holding.held[0]!.release()
    await Promise.all([faster, late])
    expect([said, log.flushedOffset]).toEqual(['conflict', 1])
  })

  test('that is full makes appends reject, and later ones succeed', async () => {
    const holding = new HoldingDisk()
    const log = await (await open({ runtime: holding.runtime })).log('orders')
    const refused = [log.append({ value: 'a' }), log.append({ value: 'b' })]
    await settle()
    await holding.held.shift()!.fail('diskFull', 5)
    for (const append of refused) await expectCode(append, 'diskFull')
    let taken: Promise<unknown>
    do {
      // Refused until the torn end has been cut.
      taken = log.append({ value: 'c' })
      taken.catch(() => {})
      await new Promise((resolve) => setImmediate(resolve))
    } while (holding.held.length === 0)
    await holding.held.shift()!.release()
    expect(await taken).toMatchObject({ baseOffset: 0 })
    expect(await texts(log)).toEqual(['c'])
  })

  test('that fails takes the log offline, and says so', async () => {
    const events: unknown[] = []
    const listen = (event: unknown): void => void events.push(event)
    subscribe('cordwood:log-offline', listen)
    onTestFinished(() => void unsubscribe('cordwood:log-offline', listen))
    const holding = new HoldingDisk()
    const log = await (await open({ runtime: holding.runtime })).log('orders')
    const appends = [log.append({ value: 'a' })]
    await settle()
    appends.push(log.append({ value: 'b' }))
    await settle()
    const answers = Promise.allSettled(appends)
    await holding.held[0]!.fail('diskFailed')
    await holding.held[1]!.release()
    const refused = { status: 'rejected', reason: { code: 'diskFailed' } }
    expect(await answers).toMatchObject([refused, refused])
    expect(log.offline).toMatchObject({ code: 'diskFailed' })
    await expectCode(log.append({ value: 'c' }), 'diskFailed')
    await expectCode(log.flush(), 'diskFailed')
    expect(events).toMatchObject([{ log: 'orders', error: { code: 'diskFailed' } }])
  })
})

test('a file that fails is nothing to appends of the same group to other logs', async () => {
  const real = machine()
  const submit: Disk['submit'] = async (group, urgency) => {
    await real.disk.submit(group, urgency)
    const failures = group.flatMap(({ file: { path } }) => {
      return /bad-0\/.*log$/.test(path)
        ? [{ path, error: new EngineError('diskFailed', `cannot write ${path}`) }]
        : []
    })
    if (failures.length > 0) throw new WriteError(failures)
  }
  const disk = new Proxy(real.disk, {
    get: (target, name) => {
      const value: unknown = name === 'submit' ? submit : Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  for (const flush of ['journal', 'batch', 'none'] as const) {
    const engine = await open({ runtime: { ...real, disk }, flush })
    const [good, bad] = [await engine.log('good'), await engine.log('bad')]
    const appends = await Promise.allSettled([bad.append({ value: 'x' }), good.append({ value: 'y' })])
    expect(appends).toMatchObject([
      { status: 'rejected', reason: { code: 'diskFailed' } },
      { status: 'fulfilled', value: { baseOffset: 0 } },
    ])
    expect([good.offline, bad.offline?.code]).toEqual([null, 'diskFailed'])
    expect(await texts(good)).toEqual(['y'])
  }
})

test('a sync behind covers what was appended before it, also what its turn has not handed over', async () => {
  const clock = new ManualClock()
  const real = machine()
  const calls: string[] = []
  const file = (path: string): DiskFile => {
    const found = real.disk.file(path)
    const sync = found.sync.bind(found)
    found.sync = () => {
      if (path.endsWith('.log')) calls.push('sync')
      return sync()
    }
    return found
  }
  const submit = (group: readonly DiskWrite[]): Promise<void> => {
    for (const write of group) if (write.file.path.endsWith('.log')) calls.push('write')
    return real.disk.submit(group)
  }
  const disk = new Proxy(real.disk, {
    get: (target, name) => {
      if (name === 'file') return file
      if (name === 'submit') return submit
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const engine = await open({ runtime: { ...real, disk, clock }, flush: { intervalMs: 10 } })
  const log = await engine.log('orders')
  await log.append({ value: 'a' })
  const appended = log.append({ value: 'b' })
  clock.advance(10)
  await appended
  await log.flush()
  expect(calls.slice(0, 3)).toEqual(['write', 'write', 'sync'])
})

describe('appends beyond what may be under way', () => {
  test('wait for room in their order', async () => {
    const holding = new HoldingDisk()
    const engine = await open({ runtime: holding.runtime, maxPendingBytes: 1 })
    const [a, b] = [await engine.log('a'), await engine.log('b')]
    const answered: string[] = []
    const append = (log: typeof a, value: string) => log.append({ value }).then(() => answered.push(value))
    const all = [append(a, '1'), append(b, '2'), append(a, '3')]
    await settle()
    expect([engine.load.waitingAppends, holding.held.length]).toEqual([2, 1])
    for (let group = 0; group < 3; group++) {
      await holding.held[group]!.release()
      await settle()
    }
    await Promise.all(all)
    expect(answered).toEqual(['1', '2', '3'])
    expect(engine.load).toEqual({ waitingAppends: 0, pendingBytes: 0 })
  })

  test('give up when their signal says so, and leave no trace', async () => {
    const holding = new HoldingDisk()
    const engine = await open({ runtime: holding.runtime, maxPendingBytes: 1 })
    const log = await engine.log('orders')
    const first = log.append({ value: 'first' }, { signal: AbortSignal.abort(new Error('before')) })
    await expect(first).rejects.toThrow('before')
    const stop = new AbortController()
    const under = log.append({ value: 'under way' }, { signal: stop.signal })
    const waiting = log.append({ value: 'waiting' }, { signal: stop.signal })
    const after = log.append({ value: 'after' })
    stop.abort(new Error('stop'))
    await expect(waiting).rejects.toThrow('stop')
    await settle()
    await holding.held[0]!.release()
    expect(await under).toMatchObject({ baseOffset: 0 })
    await settle()
    await holding.held[1]!.release()
    expect(await after).toMatchObject({ baseOffset: 1 })
    expect(await texts(log)).toEqual(['under way', 'after'])
  })

  test('are refused when the engine or their log goes away', async () => {
    const holding = new HoldingDisk()
    const engine = await open({ runtime: holding.runtime, maxPendingBytes: 1 })
    const [a, b] = [await engine.log('a'), await engine.log('b')]
    const under = a.append({ value: '1' })
    const [deleted, closed] = [b.append({ value: '2' }), a.append({ value: '3' })]
    const gone = b.delete()
    await expectCode(deleted, 'closed')
    await gone
    const closing = engine.close()
    await expectCode(closed, 'closed')
    await settle()
    await holding.held[0]!.release()
    expect(await under).toMatchObject({ baseOffset: 0 })
    await closing
  })
})

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
    clock.advance(300_000)
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
