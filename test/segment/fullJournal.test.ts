import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import type { Disk } from '../../src/runtime/disk.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, create, disguised, killed, open, segmentName, values } from './journalingSupport.ts'
import { batchOf, readAll, runtime, valuesOf } from './support.ts'

test('a full disk refuses appends under the journal policy, and they go on without a restart', async () => {
  const directory = temporaryDirectory()
  let isFull = false
  const submit: Disk['submit'] = (group) => {
    if (isFull && group.some(({ file }) => file.path.endsWith(segmentName))) {
      return Promise.reject(new EngineError('diskFull', 'no room'))
    }
    return runtime.disk.submit(group)
  }
  const on = { ...runtime, disk: disguised({ submit }) }
  const { logs } = await open(directory, { on })
  const log = await create(logs, 'orders')
  await append(log, batchOf(['a']), on)
  isFull = true
  await expect(append(log, batchOf(['lost']), on)).rejects.toMatchObject({ code: 'diskFull' })
  isFull = false
  await log.truncate(1)
  expect(valuesOf(await readAll(log))).toEqual(['a'])
  // The refused append is in the journal, but dead.
  expect(await values(killed(directory))).toEqual(['a'])
  await append(log, batchOf(['b']), on)
  expect(await values(killed(directory))).toEqual(['a', 'b'])
  await logs.close()
})

test('a journal that is full because nothing can be stored elsewhere refuses appends, and goes on later', async () => {
  let isBroken = false
  const on = createSimRuntime(new SimFileSystem(), {
    seed: 1,
    faults: ({ kind, path }) =>
      isBroken && kind === 'syncDirectory' && path === '/data' ? { code: 'EIO' } : null,
  })
  const small = { journalFileBytes: 32 << 10, journalBytes: 128 << 10 }
  const { logs } = await open('/data', { on, ...small })
  const log = await create(logs, 'orders')
  isBroken = true
  // Its name has to be synced before the journal may let go of its creation.
  await create(logs, 'others')
  const codes = new Set<string>()
  let acknowledged = 0
  for (let round = 0; round < 40 && codes.size === 0; round++) {
    const appended = append(log, batchOf(['x'.repeat(7000)]), on).then(
      () => acknowledged++,
      (error) => codes.add(error.code),
    )
    for (let second = 0; second < 4; second++) {
      for (let turn = 0; turn < 500; turn++) await null
      on.clock.advance(1_000)
    }
    await appended
  }
  expect([...codes]).toEqual(['queueFull'])
  expect([log.offline, log.flushedOffset]).toEqual([null, acknowledged])
  isBroken = false
  for (let second = 0; second < 4; second++) {
    on.clock.advance(1_000)
    for (let turn = 0; turn < 2000; turn++) await null
  }
  expect((await append(log, batchOf(['more']), on)).baseOffset).toBe(acknowledged)
  await logs.close()
})

describe('a journal whose disk has no room any more', () => {
  async function withFullJournal() {
    const fs = new SimFileSystem()
    const state = { isFull: false }
    const on = createSimRuntime(fs, {
      seed: 1,
      faults: ({ kind, path }) =>
        state.isFull && kind === 'write' && path.includes('/journal-') ? { code: 'ENOSPC' } : null,
    })
    const { logs } = await open('/data', { on })
    const log = await create(logs, 'others')
    await append(log, batchOf(['a']), on)
    state.isFull = true
    /** Time passes, and what can happen does. */
    const wait = async (): Promise<void> => {
      for (let second = 0; second < 3; second++) {
        for (let turn = 0; turn < 2000; turn++) await null
        on.clock.advance(1_000)
      }
      for (let turn = 0; turn < 2000; turn++) await null
    }
    const reopen = () => open('/data', { on: createSimRuntime(fs, { seed: 2 }) })
    return { fs, on, state, logs, log, wait, reopen }
  }

  test('refuses appends and creations, gives what is there, and goes on without a restart', async () => {
    const { on, state, logs, log, wait, reopen } = await withFullJournal()
    const appended = expect(append(log, batchOf(['lost']), on)).rejects.toMatchObject({ code: 'diskFull' })
    const made = expect(create(logs, 'orders')).rejects.toMatchObject({ code: 'diskFull' })
    await wait()
    await appended
    await made
    expect(() =>
      log.append(checkBatch(batchOf(['no']), on.checksum), batchOf(['no']), 0, new WriteGroup(on.disk)),
    ).toThrow(expect.objectContaining({ code: 'diskFull' }))
    expect(log.flushedOffset).toBe(1)
    expect(await log.read(0, 1000, 1, true)).not.toBeNull()
    expect([...logs.logs.keys()]).toEqual(['others-0'])
    state.isFull = false
    await wait()
    expect((await append(log, batchOf(['b']), on)).baseOffset).toBe(1)
    await create(logs, 'orders')
    on.disk.kill()
    // What was refused has become durable with its end.
    const again = await reopen()
    expect([...again.logs.logs.keys()].sort()).toEqual(['orders-0', 'others-0'])
    expect(again.log('others-0').logEndOffset).toBe(2)
    expect(again.logger.has('nobody knows')).toBe(false)
    await again.logs.close()
  })

  test('leaves nothing of a log that could not be made', async () => {
    const { on, state, logs, wait, reopen } = await withFullJournal()
    const made = expect(create(logs, 'orders')).rejects.toMatchObject({ code: 'diskFull' })
    await wait()
    await made
    state.isFull = false
    await wait()
    on.disk.kill()
    const again = await reopen()
    expect([...again.logs.logs.keys()]).toEqual(['others-0'])
    await create(again.logs, 'orders')
    await again.logs.close()
  })

  test('can be closed, and keeps what was acknowledged', async () => {
    const { on, logs, log, wait, reopen } = await withFullJournal()
    const appended = append(log, batchOf(['lost']), on).catch(() => {})
    await wait()
    await appended
    await logs.close()
    const again = await reopen()
    expect(again.log('others-0').flushedOffset).toBeGreaterThanOrEqual(1)
    expect(again.log('others-0').offline).toBeNull()
    await again.logs.close()
  })
})
