import { statSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { AppendResult, Log } from '../../src/segment/log.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { HoldingDisk } from './faultyDisk.ts'
import { batchOf, filesIn, openLog, readAll, runtime, testConfig, valuesOf } from './support.ts'

interface Submitted extends AppendResult {
  readonly answered: Promise<string>
}

function append(disk: HoldingDisk, log: Log, bytes: Uint8Array): Submitted {
  const group = new WriteGroup(disk.disk)
  const result = log.append(checkBatch(bytes, runtime.checksum), bytes, 0, group)
  const answered = group.submit().then(
    () => 'written',
    (error) => error.code as string,
  )
  return { ...result, answered }
}

const idempotent = (baseSequence: number) => ({ producerId: 7, producerEpoch: 0, baseSequence })

async function world(flush: 'none' | 'batch' = 'batch', segmentBytes = 1 << 20) {
  const disk = new HoldingDisk()
  const directory = temporaryDirectory()
  const log = await openLog(directory, { config: { ...testConfig, flush, segmentBytes } }, disk.runtime)
  return { disk, directory, log }
}

describe('flushedOffset', () => {
  test('moves in order even when a later group completes first', async () => {
    const { disk, log } = await world()
    append(disk, log, batchOf(['a']))
    append(disk, log, batchOf(['b']))
    await disk.held[1]!.release()
    expect([log.flushedOffset, log.logEndOffset]).toEqual([0, 2])
    expect(await log.read(0, 1000, 2, true)).toBe(null)
    await disk.held[0]!.release()
    expect(log.flushedOffset).toBe(2)
    expect(valuesOf(await readAll(log))).toEqual(['a', 'b'])
  })

  test('is announced once per step, and whoever waits for an offset is woken', async () => {
    const { disk, log } = await world()
    const seen: number[] = []
    log.onAdvance = (offset) => seen.push(offset)
    append(disk, log, batchOf(['a', 'b']))
    append(disk, log, batchOf(['c']))
    let woken = false
    const waiting = log.whenFlushed(3).then(() => (woken = true))
    await disk.held[0]!.release()
    expect([seen, woken]).toEqual([[2], false])
    await disk.held[1]!.release()
    await waiting
    expect(seen).toEqual([2, 3])
  })

  test('one group carries the batches of several partitions and is one submit', async () => {
    const { disk, log } = await world()
    const other = await openLog(temporaryDirectory(), { config: testConfig }, disk.runtime)
    const group = new WriteGroup(disk.disk)
    for (const target of [log, log, other]) {
      const bytes = batchOf(['x'])
      target.append(checkBatch(bytes, runtime.checksum), bytes, 0, group)
    }
    const submitted = group.submit()
    expect(disk.held.length).toBe(1)
    expect(disk.held[0]!.group.map(({ sync }) => sync)).toEqual(['dataAndName', 'none'])
    await disk.held[0]!.release()
    await submitted
    expect([log.flushedOffset, other.flushedOffset]).toEqual([2, 1])
  })

  test('a repeated batch that is still in flight gets the offsets of the first and is not flushed before it', async () => {
    const { disk, log } = await world()
    const first = append(disk, log, batchOf(['a', 'b'], idempotent(0)))
    const again = append(disk, log, batchOf(['a', 'b'], idempotent(0)))
    expect([again.duplicate, again.baseOffset, again.lastOffset]).toEqual([true, first.baseOffset, 1])
    expect(await again.answered).toBe('written')
    expect([disk.held.length, log.flushedOffset, log.logEndOffset]).toEqual([1, 0, 2])
    await disk.held[0]!.release()
    expect(log.flushedOffset).toBe(2)
  })
})

describe('a full disk', () => {
  test.each([0, 30])(
    'takes back what was not acknowledged after %i bytes were written, and appends go on',
    async (bytes) => {
      const { disk, directory, log } = await world()
      append(disk, log, batchOf(['kept'], idempotent(0)))
      await disk.held[0]!.release()
      const path = `${directory}/${filesIn(directory, '.log')[0]}`
      const { size } = statSync(path)
      const failures: [string, number][] = []
      log.onFailure = (error, endOffset) => failures.push([error.code, endOffset])
      const lost = append(disk, log, batchOf(['lost'], idempotent(1)))
      const later = append(disk, log, batchOf(['lost too'], idempotent(2)))
      const waiting = expect(log.whenFlushed(3)).rejects.toMatchObject({ code: 'diskFull' })
      await disk.held[1]!.fail('diskFull', bytes)
      expect(await lost.answered).toBe('diskFull')
      expect(() => append(disk, log, batchOf(['early'], idempotent(1)))).toThrow('injected diskFull')
      // The later group lies beyond the hole: whatever becomes of it, it is not in the log.
      await disk.held[2]!.release()
      expect(await later.answered).toBe('written')
      await waiting
      expect(failures).toEqual([['diskFull', 1]])
      expect([log.flushedOffset, log.logEndOffset, log.offline]).toEqual([1, 1, null])
      expect(valuesOf(await readAll(log))).toEqual(['kept'])
      await expect.poll(() => statSync(path).size).toBe(size)
      await log.truncate(1)
      const retried = append(disk, log, batchOf(['after'], idempotent(1)))
      expect([retried.baseOffset, retried.duplicate]).toEqual([1, false])
      await disk.held[3]!.release()
      expect(valuesOf(await readAll(log))).toEqual(['kept', 'after'])
      await log.close({ clean: true })
      const reopened = await openLog(directory, { recoveryPoint: 2, cleanShutdown: true })
      expect(valuesOf(await readAll(reopened))).toEqual(['kept', 'after'])
      await reopened.close({ clean: false })
    },
  )

  test('also takes back the segment that was begun meanwhile', async () => {
    const { disk, directory, log } = await world('batch', 200)
    append(disk, log, batchOf(['kept'.repeat(20)]))
    await disk.held[0]!.release()
    append(disk, log, batchOf(['a'.repeat(80)]))
    append(disk, log, batchOf(['b'.repeat(80)]))
    expect(log.segmentCount).toBe(3)
    await disk.held[1]!.fail('diskFull', 10)
    await disk.held[2]!.fail('diskFull', 100)
    await expect.poll(() => [log.logEndOffset, log.segmentCount]).toEqual([1, 1])
    await log.truncate(1)
    expect(filesIn(directory, '.log').length).toBe(1)
    append(disk, log, batchOf(['again'.repeat(16)]))
    await disk.held[3]!.release()
    expect(valuesOf(await readAll(log))).toEqual(['kept'.repeat(20), 'again'.repeat(16)])
  })

  test('that cannot make the file of an empty log refuses the append and takes the next one', async () => {
    const { disk, directory, log } = await world()
    const lost = append(disk, log, batchOf(['lost']))
    await disk.held[0]!.fail('diskFull')
    expect(await lost.answered).toBe('diskFull')
    expect(filesIn(directory, '.log')).toEqual([])
    await log.truncate(0)
    expect(log.offline).toBe(null)
    append(disk, log, batchOf(['after']))
    await disk.held[1]!.release()
    expect(valuesOf(await readAll(log))).toEqual(['after'])
  })

  test('is undone without a descriptor where the file could not be opened to write', async () => {
    const { disk, log } = await world()
    append(disk, log, batchOf(['kept']))
    await disk.held[0]!.release()
    disk.hasNoDescriptor = true
    append(disk, log, batchOf(['lost']))
    await disk.held[1]!.fail('diskFull')
    await log.truncate(1)
    expect(log.offline).toBe(null)
    append(disk, log, batchOf(['after']))
    await disk.held[2]!.release()
    expect(valuesOf(await readAll(log))).toEqual(['kept', 'after'])
  })

  test('waits for a descriptor where a part of it was written', async () => {
    const { disk, directory, log } = await world()
    append(disk, log, batchOf(['kept']))
    await disk.held[0]!.release()
    disk.hasNoDescriptor = true
    const lost = append(disk, log, batchOf(['lost']))
    await disk.held[1]!.fail('diskFull', 10)
    expect(await lost.answered).toBe('diskFull')
    while (disk.refusals < 2) await new Promise((resolve) => setImmediate(resolve))
    expect(() => append(disk, log, batchOf(['refused']))).toThrow('injected diskFull')
    disk.hasNoDescriptor = false
    await log.whenWritable()
    expect(log.offline).toBe(null)
    append(disk, log, batchOf(['after']))
    await disk.held[2]!.release()
    await log.close({ clean: false })
    const reopened = await openLog(directory)
    expect(valuesOf(await readAll(reopened))).toEqual(['kept', 'after'])
    await reopened.close({ clean: false })
  })

  test('a full queue takes back what was refused, at once', async () => {
    const { disk, log } = await world()
    append(disk, log, batchOf(['a'], idempotent(0)))
    disk.queueIsFull = true
    const refused = append(disk, log, batchOf(['b'], idempotent(1)))
    expect(await refused.answered).toBe('queueFull')
    disk.queueIsFull = false
    expect(log.logEndOffset).toBe(1)
    const retried = append(disk, log, batchOf(['b'], idempotent(1)))
    expect(retried.baseOffset).toBe(1)
    await disk.held[0]!.release()
    await disk.held[1]!.release()
    expect(valuesOf(await readAll(log))).toEqual(['a', 'b'])
  })
})

describe('a failed write or sync', () => {
  test('takes the log offline for good, and nothing later is acknowledged', async () => {
    const { disk, log } = await world()
    append(disk, log, batchOf(['a']))
    const later = append(disk, log, batchOf(['b']))
    const waiting = expect(log.whenFlushed(2)).rejects.toMatchObject({ code: 'diskFailed' })
    await disk.held[0]!.fail('diskFailed')
    await disk.held[1]!.release()
    await later.answered
    await waiting
    expect([log.flushedOffset, log.offline?.code]).toEqual([0, 'diskFailed'])
    expect(() => append(disk, log, batchOf(['c']))).toThrow('injected diskFailed')
    expect(() => log.read(0, 1000, 1, true)).toThrow('injected diskFailed')
    await log.close({ clean: true })
    expect(log.closedState).toBe(null)
  })
})

describe('changing the policy from none to batch', () => {
  test('acknowledges nothing later before everything earlier is synced', async () => {
    const { disk, directory, log } = await world('none')
    append(disk, log, batchOf(['a']))
    await disk.held[0]!.release()
    expect([log.flushedOffset, log.recoveryPoint]).toEqual([1, 0])
    let open = (): void => {}
    disk.syncGate = new Promise((resolve) => (open = resolve))
    log.updateConfig({ ...log.config, flush: 'batch' })
    append(disk, log, batchOf(['b']))
    expect(disk.held[1]!.group[0]!.sync).toBe('data')
    await disk.held[1]!.release()
    expect([log.flushedOffset, log.recoveryPoint]).toEqual([1, 0])
    open()
    await log.whenFlushed(2)
    expect([log.flushedOffset, log.recoveryPoint]).toEqual([2, 2])
    await log.close({ clean: false })
    expect(filesIn(directory, '.log').length).toBe(1)
  })
})
