import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import type { LogFields, Logger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { Disk, DiskFile } from '../../src/runtime/disk.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import type { AppendResult, Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import type { LogDirectoryOptions } from '../../src/segment/logDirectoryOptions.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { batchOf, readAll, runtime, testConfig, valuesOf } from './support.ts'

const journaled: LogConfig = { ...testConfig, flush: 'journal', indexIntervalBytes: 4096 }
const segmentName = '00000000000000000000.log'

class Lines implements Logger {
  readonly lines: string[] = []
  debug(): void {}
  info = (message: string, fields?: LogFields): void => this.#add('info', message, fields)
  warn = (message: string, fields?: LogFields): void => this.#add('warn', message, fields)
  error = (message: string, fields?: LogFields): void => this.#add('error', message, fields)

  has(text: string): boolean {
    return this.lines.some((line) => line.includes(text))
  }

  #add(level: string, message: string, fields?: LogFields): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`)
  }
}

async function open(directory: string, options: Partial<LogDirectoryOptions> & { on?: Runtime } = {}) {
  const { on = runtime, ...more } = options
  const logger = new Lines()
  const configFor = (topic: string): LogConfig => (topic === 'relaxed' ? testConfig : journaled)
  const logs = await LogDirectory.open(on, { directory, logger, nodeId: 1, configFor, ...more })
  return { logs, logger, log: (name: string) => logs.logs.get(name)! }
}

/** What a process that is killed now leaves, in a directory of its own. */
function killed(directory: string): string {
  const copy = temporaryDirectory()
  cpSync(directory, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') })
  return copy
}

/** Appends in a group of its own, on the disk that the log was opened with. */
async function append(log: Log, bytes: Uint8Array, on: Runtime = runtime): Promise<AppendResult> {
  const group = new WriteGroup(on.disk)
  const result = log.append(checkBatch(bytes, runtime.checksum), bytes, 0, group)
  await group.submit()
  return result
}

const create = (logs: LogDirectory, topic: string, config = journaled) =>
  logs.createLog(topic, 0, randomUuid(runtime.random), config)

async function values(directory: string, name = 'orders-0'): Promise<string[]> {
  const again = await open(directory)
  const found = valuesOf(await readAll(again.log(name)))
  await again.logs.close()
  return found
}

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

test('a start that takes long says once a second how far it has come', async () => {
  const directory = temporaryDirectory()
  const { logs } = await open(directory)
  for (const topic of ['a', 'b', 'c']) await append(await create(logs, topic), batchOf(['x']))
  const copy = killed(directory)
  await logs.close()
  let nowMs = 0
  const monotonicMs = (): number => (nowMs += 1100)
  const clock = { ...runtime.clock, wallMs: () => runtime.clock.wallMs(), monotonicMs }
  const slow = await open(copy, { on: { ...runtime, clock } })
  expect(slow.logger.lines).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^info replaying the journal {"done":1,"total":\d+}$/),
      'info opening logs {"done":1,"total":3}',
      'info opening logs {"done":3,"total":3}',
      expect.stringMatching(/^info opened the data directory {"logs":3,"clean":false,"elapsedMs":\d+}$/),
    ]),
  )
  await slow.logs.close()
})

describe('the journal of a data directory', () => {
  test('is empty after a clean shutdown, and a start reads no log', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    await append(await create(logs, 'orders'), batchOf(['a']))
    await logs.close()
    const reads: string[] = []
    const again = await open(directory, { on: watching(reads) })
    expect(reads.filter((path) => path.includes('orders-0'))).toEqual([])
    expect(again.logger.has('replayed the journal')).toBe(false)
    expect(again.logger.has('"clean":true')).toBe(true)
    await again.logs.close()
  })

  test('may be elsewhere; without it nothing is opened', async () => {
    const directory = temporaryDirectory()
    const journalDirectory = `${temporaryDirectory()}/journal`
    const { logs } = await open(directory, { journalDirectory })
    await append(await create(logs, 'orders'), batchOf(['a']))
    await logs.close()
    expect(readdirSync(directory)).not.toContain('.journal')
    await expect(open(directory)).rejects.toMatchObject({ code: 'invalidConfig' })
    const other = temporaryDirectory()
    cpSync(journalDirectory, other, { recursive: true })
    rmSync(journalDirectory, { recursive: true })
    await expect(open(directory, { journalDirectory })).rejects.toMatchObject({ code: 'corruptLog' })
    await expect(open(directory)).rejects.toMatchObject({ code: 'corruptLog' })
    // Moved on purpose.
    const moved = await open(directory, { journalDirectory: other })
    expect(valuesOf(await readAll(moved.log('orders-0')))).toEqual(['a'])
    await moved.logs.close()
  })

  test('is refused when it is an older copy of itself', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    await append(await create(logs, 'orders'), batchOf(['a']))
    await logs.close()
    const old = killed(directory)
    const again = await open(directory)
    await append(again.log('orders-0'), batchOf(['b']))
    await again.logs.close()
    rmSync(`${directory}/.journal`, { recursive: true })
    cpSync(`${old}/.journal`, `${directory}/.journal`, { recursive: true })
    await expect(open(directory)).rejects.toMatchObject({
      code: 'corruptLog',
      message: expect.stringContaining('older copy'),
    })
    // An operator who says so goes on with what is there.
    rmSync(`${directory}/.cordwood_journal`)
    expect(await values(directory)).toEqual(['a', 'b'])
  })

  test('of another data directory is refused', async () => {
    const [mine, others] = [temporaryDirectory(), temporaryDirectory()]
    await (await open(mine)).logs.close()
    await (await open(others)).logs.close()
    rmSync(`${mine}/.journal`, { recursive: true })
    cpSync(`${others}/.journal`, `${mine}/.journal`, { recursive: true })
    await expect(open(mine)).rejects.toMatchObject({ code: 'directoryForeign' })
  })

  test('brings back a partition.metadata that is gone', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    await append(log, batchOf(['a']))
    const copy = killed(directory)
    const path = `${copy}/orders-0/partition.metadata`
    rmSync(path)
    const again = await open(copy)
    expect(valuesOf(await readAll(again.log('orders-0')))).toEqual(['a'])
    expect(readFileSync(path, 'utf8')).toContain(log.topicId)
    expect(again.logger.has('partition.metadata was missing')).toBe(true)
    await again.logs.close()
    await logs.close()
  })

  test('writes a partition.metadata again of which a power cut has left the length alone', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    await append(log, batchOf(['a']))
    const copy = killed(directory)
    const path = `${copy}/orders-0/partition.metadata`
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, Buffer.alloc(text.length))
    const again = await open(copy)
    expect(readFileSync(path, 'utf8')).toBe(text)
    expect(valuesOf(await readAll(again.log('orders-0')))).toEqual(['a'])
    await again.logs.close()
    await logs.close()
  })

  test('takes over logs that it does not know', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    await append(await create(logs, 'orders'), batchOf(['a']))
    await logs.close()
    for (const name of ['.journal', '.cordwood_journal']) rmSync(`${directory}/${name}`, { recursive: true })
    // A disk of its own: the other one holds descriptors of what was removed behind its back.
    const on = createNodeRuntime()
    const again = await open(directory, { on })
    await append(again.log('orders-0'), batchOf(['b']), on)
    expect(await values(killed(directory))).toEqual(['a', 'b'])
    await again.logs.close()
  })

  test('that has failed refuses every durable append, and a start finds all that was acknowledged', async () => {
    const directory = temporaryDirectory()
    let fails = false
    const on = failing((path) => fails && path.includes('.journal/journal-'))
    const { logs } = await open(directory, { on })
    const log = await create(logs, 'orders')
    const other = await create(logs, 'others')
    await append(log, batchOf(['a']), on)
    fails = true
    await expect(append(log, batchOf(['b']), on)).rejects.toMatchObject({ code: 'diskFailed' })
    await expect(append(other, batchOf(['x']), on)).rejects.toMatchObject({ code: 'diskFailed' })
    expect([log.offline?.code, other.offline?.code]).toEqual(['diskFailed', 'diskFailed'])
    const found = await values(killed(directory))
    expect(found[0]).toBe('a')
    await logs.close()
    expect(existsSync(`${directory}/.kafka_cleanshutdown`)).toBe(false)
  })
})

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
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    for (const value of ['a', 'b']) await append(log, batchOf([value]))
    const copy = killed(directory)
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
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    const log = await create(logs, 'orders')
    for (const value of ['a', 'b']) await append(log, batchOf([value]))
    const copy = killed(directory)
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

/** The disk, with some of its calls replaced. */
function disguised(calls: Partial<Disk>): Disk {
  return new Proxy(runtime.disk, {
    get: (target, name) => {
      const value: unknown = Reflect.get(calls, name) ?? Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** A runtime whose files note what of them is read or asked for. */
function watching(paths: string[]): Runtime {
  const file = (path: string): DiskFile => {
    const real = runtime.disk.file(path)
    return new Proxy(real, {
      get: (target, name) => {
        if (name === 'read') paths.push(path)
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  return { ...runtime, disk: disguised({ file }) }
}

/** A runtime in which every sync of a file fails that `fails` names. */
function failing(fails: (path: string) => boolean): Runtime {
  const real = new Map<DiskFile, DiskFile>()
  const error = (path: string): EngineError => new EngineError('diskFailed', `injected: cannot sync ${path}`)
  const file = (path: string): DiskFile => {
    const inner = runtime.disk.file(path)
    const outer = new Proxy(inner, {
      get: (target, name) => {
        if (name === 'sync') return () => (fails(path) ? Promise.reject(error(path)) : target.sync())
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    real.set(outer, inner)
    return outer
  }
  const submit: Disk['submit'] = async (group) => {
    await runtime.disk.submit(group.map((write) => ({ ...write, file: real.get(write.file) ?? write.file })))
    for (const { file: target, sync } of group) {
      if (sync !== 'none' && fails(target.path)) throw error(target.path)
    }
  }
  return { ...runtime, disk: disguised({ file, submit }) }
}
