import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, onTestFinished, test } from 'vitest'
import { EngineError, WriteError } from '../../src/model/errors.ts'
import type { Disk, DiskFile, DiskWrite } from '../../src/runtime/disk.ts'
import { HoldingDisk } from '../segment/faultyDisk.ts'
import { ManualClock } from '../segment/support.ts'
import { withCalls } from '../support/withCalls.ts'
import { expectCode, machine, open, settle, texts } from './support.ts'

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
  const disk = withCalls(real.disk, { submit })
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
  const disk = withCalls(real.disk, { file, submit })
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
