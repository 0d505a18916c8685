import { readdirSync, statSync, truncateSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import {
  append,
  create,
  disguised,
  failing,
  killed,
  killedWith,
  open,
  segmentName,
  values,
} from './journalingSupport.ts'
import { batchOf, readAll, runtime, valuesOf } from './support.ts'

describe('a segment whose sync fails behind the acknowledgement', () => {
  test('is written into a new file, which is synced, and the log goes on', async () => {
    const directory = temporaryDirectory()
    let failures = 0
    const on = failing((path) => path.endsWith(`orders-0/${segmentName}`) && failures++ === 0)
    const { logs, logger } = await open(directory, { on })
    const log = await create(logs, 'orders')
    for (const value of ['a', 'b']) await append(log, batchOf([value]), on)
    await logs.checkpoint()
    expect(logger.has('a sync failed: the segment is written into a new file')).toBe(true)
    expect([log.offline, log.recoveryPoint]).toEqual([null, 2])
    await append(log, batchOf(['c']), on)
    expect(valuesOf(await readAll(log))).toEqual(['a', 'b', 'c'])
    expect(readdirSync(`${directory}/orders-0`).filter((name) => name.endsWith('.cleaned'))).toEqual([])
    expect(await values(killed(directory))).toEqual(['a', 'b', 'c'])
    await logs.close()
  })

  test('takes the log offline when that fails, too; the journal keeps what it has until a file has it', async () => {
    const directory = temporaryDirectory()
    let isBroken = true
    const on = failing((path) => isBroken && path.includes('orders-0/') && path.includes('.log'))
    const { logs, logger } = await open(directory, { on })
    const log = await create(logs, 'orders')
    const other = await create(logs, 'others')
    for (const value of ['a', 'b']) await append(log, batchOf([value]), on)
    await append(other, batchOf(['x']), on)
    for (let round = 0; round < 2; round++) {
      await expect(logs.checkpoint()).rejects.toMatchObject({ code: 'diskFailed' })
      expect(log.offline?.code).toBe('diskFailed')
      expect([other.offline, other.recoveryPoint]).toEqual([null, 1])
      // The disk has lost half of it, and the journal has not let go of it.
      const copy = killed(directory)
      truncateSync(`${copy}/orders-0/${segmentName}`, 75)
      expect(await values(copy)).toEqual(['a', 'b'])
    }
    isBroken = false
    const before = statSync(`${directory}/orders-0/${segmentName}`).ino
    await logs.checkpoint()
    expect(logger.has('stored what the journal had of logs that are offline')).toBe(true)
    expect(statSync(`${directory}/orders-0/${segmentName}`).ino).not.toBe(before)
    const copy = killed(directory)
    expect(await values(copy)).toEqual(['a', 'b'])
    // Now the file alone has it.
    const left = killed(directory)
    truncateSync(`${left}/orders-0/${segmentName}`, 75)
    const again = await open(left)
    expect(again.log('orders-0').offline?.code).toBe('corruptLog')
    expect(valuesOf(await readAll(again.log('others-0')))).toEqual(['x'])
    await again.logs.close()
    await logs.close()
  })

  test('and whose bytes are no longer in memory, is written from the journal', async () => {
    const directory = temporaryDirectory()
    let isBroken = false
    const on = failing((path) => isBroken && path.endsWith(`orders-0/${segmentName}`))
    const { logs } = await open(directory, { on })
    const log = await create(logs, 'orders')
    await append(log, batchOf(['a']), on)
    await logs.checkpoint()
    for (const value of ['b', 'c']) await append(log, batchOf([value]), on)
    // What a failed sync has lost may not be readable any more.
    isBroken = true
    truncateSync(`${directory}/orders-0/${segmentName}`, 75)
    await expect(logs.checkpoint()).rejects.toMatchObject({ code: 'diskFailed' })
    expect(log.offline?.code).toBe('corruptLog')
    isBroken = false
    await logs.checkpoint()
    await logs.close()
    expect(await values(directory)).toEqual(['a', 'b', 'c'])
  })
})

describe('a file that a replay has written and that cannot be synced', () => {
  test('is written into a new file, and the log goes on', async () => {
    const { logs, copy } = await killedWith('a', 'b')
    let failures = 0
    const on = failing((path) => path.endsWith(`orders-0/${segmentName}`) && failures++ === 0)
    const again = await open(copy, { on })
    await append(again.log('orders-0'), batchOf(['c']), on)
    await again.logs.checkpoint()
    expect(failures).toBeGreaterThan(0)
    expect([again.log('orders-0').offline, again.log('orders-0').recoveryPoint]).toEqual([null, 3])
    await again.logs.close()
    expect(await values(copy)).toEqual(['a', 'b', 'c'])
    await logs.close()
  })

  test('keeps the journal from letting go of it, also when the log could not be opened', async () => {
    const { logs, copy } = await killedWith('a', 'b')
    let isBroken = true
    const on = failing((path) => isBroken && path.includes('orders-0/'))
    const unlisted = disguised({
      ...on.disk,
      file: on.disk.file,
      submit: on.disk.submit,
      list: (path) =>
        path.endsWith('orders-0')
          ? Promise.reject(new EngineError('diskFailed', 'injected'))
          : runtime.disk.list(path),
    })
    const again = await open(copy, { on: { ...on, disk: unlisted } })
    expect(again.log('orders-0')).toBe(undefined)
    await expect(again.logs.checkpoint()).rejects.toMatchObject({ code: 'diskFailed' })
    const lost = killed(copy)
    truncateSync(`${lost}/orders-0/${segmentName}`, 0)
    expect(await values(lost)).toEqual(['a', 'b'])
    isBroken = false
    await again.logs.checkpoint()
    await again.logs.close()
    expect(await values(copy)).toEqual(['a', 'b'])
    await logs.close()
  })
})
