import { cpSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Log } from '../../src/segment/log.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, create, journaled, killed, open, segmentName, values } from './journalingSupport.ts'
import { batchOf, readAll, testConfig, valuesOf } from './support.ts'

describe('an append under the policy journal', () => {
  test('is there after a power cut that has taken everything but the journal', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    expect((await append(log, batchOf(['a', 'b']))).survives).toBe('powerLoss')
    await append(log, batchOf(['c']))
    expect([log.flushedOffset, log.durableOffset, log.recoveryPoint]).toEqual([3, 3, 0])
    const copy = killed(directory)
    for (const loss of ['nothing', 'bytes', 'file', 'directory'] as const) {
      const left = killed(copy)
      if (loss === 'bytes') truncateSync(`${left}/orders-0/${segmentName}`, 10)
      if (loss === 'file') rmSync(`${left}/orders-0/${segmentName}`)
      if (loss === 'directory') rmSync(`${left}/orders-0`, { recursive: true })
      const again = await open(left)
      expect([loss, valuesOf(await readAll(again.log('orders-0')))]).toEqual([loss, ['a', 'b', 'c']])
      // Once more, before and after the journal has let go of it.
      expect(await values(killed(left))).toEqual(['a', 'b', 'c'])
      await again.logs.checkpoint()
      const stored = killed(left)
      expect(await values(stored)).toEqual(['a', 'b', 'c'])
      await again.logs.close()
    }
    await logs.close()
  })

  test('is written again even where the segment holds other bytes of the same length', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    await append(await create(logs, 'orders'), batchOf(['right']))
    const copy = killed(directory)
    const path = `${copy}/orders-0/${segmentName}`
    writeFileSync(path, batchOf(['wrong']))
    expect(await values(copy)).toEqual(['right'])
    await logs.close()
  })

  test('is synced behind; then a start replays nothing and scans nothing before the checkpoint', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    for (let at = 0; at < 50; at++) await append(log, batchOf([`v${at}`]))
    await logs.checkpoint()
    expect(log.recoveryPoint).toBe(50)
    await append(log, batchOf(['last']))
    const copy = killed(directory)
    // What lies before the checkpoint is not read: damage there shows when it is.
    const path = `${copy}/orders-0/${segmentName}`
    const bytes = readFileSync(path)
    bytes[30]! ^= 1
    writeFileSync(path, bytes)
    const again = await open(copy)
    expect(again.log('orders-0').offline).toBe(null)
    expect(again.log('orders-0').logEndOffset).toBe(51)
    expect(again.logger.has('"batches":1,')).toBe(true)
    expect(again.logger.has('"from":51')).toBe(true)
    await again.logs.close()
    await logs.close()
  })

  test('that had been synced and is not there any more takes the log offline, and nothing is made up', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    await append(log, batchOf(['a']))
    await append(log, batchOf(['b']))
    await logs.checkpoint()
    await append(log, batchOf(['c']))
    const copy = killed(directory)
    truncateSync(`${copy}/orders-0/${segmentName}`, 40)
    const before = readFileSync(`${copy}/orders-0/${segmentName}`)
    for (const start of [1, 2]) {
      const again = await open(copy)
      expect([start, again.log('orders-0').offline?.code]).toEqual([start, 'corruptLog'])
      await again.logs.close()
    }
    expect(readFileSync(`${copy}/orders-0/${segmentName}`)).toEqual(before)
    await logs.close()
  })

  test.each<[string, (log: Log) => Promise<void>]>([
    [
      'was too large for the journal',
      async (log) => {
        await append(log, batchOf(['x'.repeat(600_000)]))
      },
    ],
    [
      'came under the policy batch',
      async (log) => {
        log.updateConfig({ ...log.config, flush: 'batch' })
        await append(log, batchOf(['x'.repeat(600_000)]))
        log.updateConfig({ ...log.config, flush: 'journal' })
      },
    ],
  ])('vouches for what came before it and %s', async (_, appendBeside) => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory, { journalFileBytes: 1 << 20, journalBytes: 4 << 20 })
    const log = await create(logs, 'orders')
    await append(log, batchOf(['a']))
    await appendBeside(log)
    await append(log, batchOf(['c']))
    const copy = killed(directory)
    const path = `${copy}/orders-0/${segmentName}`
    const bytes = readFileSync(path)
    bytes[1000]! ^= 1
    writeFileSync(path, bytes)
    const again = await open(copy)
    expect(again.log('orders-0').offline?.code).toBe('corruptLog')
    await again.logs.close()
    expect((await values(killed(directory))).map((value) => value.length)).toEqual([1, 600_000, 1])
    await logs.close()
  })

  test('whose log has lost its directory since the last checkpoint is reported, not made up', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    await append(log, batchOf(['a']))
    await logs.checkpoint()
    await append(log, batchOf(['b']))
    await append(await create(logs, 'others'), batchOf(['x']))
    const copy = killed(directory)
    rmSync(`${copy}/orders-0`, { recursive: true })
    const again = await open(copy)
    expect(again.log('orders-0').offline?.message).toContain('records from offset 0 to 2, found no directory')
    expect(valuesOf(await readAll(again.log('others-0')))).toEqual(['x'])
    // An operator gives it up.
    await again.logs.deleteLog('orders', 0)
    expect((await create(again.logs, 'orders')).logEndOffset).toBe(0)
    await again.logs.close()
    await logs.close()
  })

  test('is replayed for idempotent producers, who are still known', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    const batch = (baseSequence: number) => batchOf(['x'], { producerId: 5, producerEpoch: 0, baseSequence })
    await append(log, batch(0))
    await logs.checkpoint()
    await append(log, batch(1))
    const again = await open(killed(directory))
    expect(await append(again.log('orders-0'), batch(1))).toMatchObject({ duplicate: true, baseOffset: 1 })
    expect(await append(again.log('orders-0'), batch(2))).toMatchObject({ duplicate: false, baseOffset: 2 })
    await again.logs.close()
    await logs.close()
  })
})

describe('in the journal', () => {
  test('a truncation is carried out again when the power took it, and what it cut does not come back', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    for (const value of ['a', 'b', 'c', 'd']) await append(log, batchOf([value]))
    const uncut = readFileSync(`${directory}/orders-0/${segmentName}`)
    await log.truncate(1)
    // Of the same length as what was cut, so that the rest of it would fit behind.
    await append(log, batchOf(['B']))
    const copy = killed(directory)
    writeFileSync(`${copy}/orders-0/${segmentName}`, uncut.subarray(0, uncut.length / 2))
    expect(await values(copy)).toEqual(['a', 'B'])
    await logs.close()
  })

  test('a start offset is there after a kill, without any other file', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    for (const value of ['a', 'b', 'c']) await append(log, batchOf([value]))
    await log.deleteRecordsBefore(2)
    const again = await open(killed(directory))
    expect(again.log('orders-0').logStartOffset).toBe(2)
    await again.logs.close()
    await logs.close()
  })

  test('a creation makes the directory again; a deletion removes one that came back', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    await append(await create(logs, 'gone'), batchOf(['old']))
    const kept = killed(`${directory}/gone-0`)
    await logs.deleteLog('gone', 0)
    const log = await create(logs, 'made')
    const copy = killed(directory)
    cpSync(kept, `${copy}/gone-0`, { recursive: true })
    rmSync(`${copy}/made-0`, { recursive: true })
    const again = await open(copy)
    expect([...again.logs.logs.keys()]).toEqual(['made-0'])
    expect(again.log('made-0').topicId).toBe(log.topicId)
    expect(readFileSync(`${copy}/made-0/partition.metadata`, 'utf8')).toContain(log.topicId)
    await again.logs.close()
    expect(existsSync(`${copy}/gone-0`)).toBe(false)
    await logs.close()
  })

  test('a name that is used again is the new log, whatever the old one held', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    await append(await create(logs, 'orders'), batchOf(['old', 'older']))
    await logs.deleteLog('orders', 0)
    await append(await create(logs, 'orders'), batchOf(['new']))
    expect(await values(killed(directory))).toEqual(['new'])
    await logs.close()
  })

  test('a relaxed log has no records, and loses only its end', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'relaxed', testConfig)
    for (const value of ['a', 'b', 'c']) await append(log, batchOf([value]))
    const copy = killed(directory)
    expect(await values(killed(copy), 'relaxed-0')).toEqual(['a', 'b', 'c'])
    const path = `${copy}/relaxed-0/${segmentName}`
    truncateSync(path, readFileSync(path).length - 1)
    expect(await values(copy, 'relaxed-0')).toEqual(['a', 'b'])
    await logs.close()
  })

  test('a change from relaxed to journal, and what came before it, is there after a kill', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders', testConfig)
    await append(log, batchOf(['a']))
    log.updateConfig(journaled)
    await append(log, batchOf(['b']))
    await log.whenFlushed(2)
    log.updateConfig(testConfig)
    await append(log, batchOf(['c']))
    log.updateConfig({ ...journaled, flush: 'batch' })
    await append(log, batchOf(['d']))
    await log.whenFlushed(4)
    expect(await values(killed(directory))).toEqual(['a', 'b', 'c', 'd'])
    await logs.close()
  })
})
