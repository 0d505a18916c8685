import { appendFileSync, cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CorruptionError } from '../../src/model/errors.ts'
import type { DiskFile } from '../../src/runtime/disk.ts'
import type { LogConfig } from '../../src/segment/log.ts'
import type { StoredRecord } from '../../src/segment/records.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { withCalls } from '../support/withCalls.ts'
import { build, config, lines, reopen } from './recoverySupport.ts'
import { append, batchOf, filesIn, openLog, readAll, runtime, valuesOf } from './support.ts'

describe('the end of a log after a crash', () => {
  test('is cut at every byte position of a torn last batch, and only there', async () => {
    const { directory, values, ends } = await build(3)
    const last = ends.at(-1)!
    const path = `${directory}/${last.file}`
    const whole = readFileSync(path)
    for (let size = last.position; size < last.end; size++) {
      writeFileSync(path, whole.subarray(0, size))
      const log = await reopen(directory, 2)
      expect([log.offline, log.logEndOffset]).toEqual([null, 2])
      expect(statSync(path).size).toBe(last.position)
      await log.close({ clean: false })
    }
    const log = await reopen(directory, 2)
    expect(valuesOf(await readAll(log))).toEqual(values.slice(0, 2))
    await append(log, batchOf(['again']), 1)
    expect(valuesOf(await readAll(log))).toEqual([...values.slice(0, 2), 'again'])
    await log.close({ clean: false })
  })

  test('may be followed by zeros, which go', async () => {
    const { directory, values, ends } = await build(3)
    appendFileSync(`${directory}/${ends.at(-1)!.file}`, Buffer.alloc(10_000))
    const log = await reopen(directory, 3)
    expect([log.offline, log.logEndOffset]).toEqual([null, 3])
    expect(valuesOf(await readAll(log))).toEqual(values)
    await log.close({ clean: false })
  })

  test('may be an empty segment, which is written to', async () => {
    const { directory, values } = await build(3)
    writeFileSync(`${directory}/00000000000000000003.log`, '')
    const log = await reopen(directory, 3)
    await append(log, batchOf(['next']), 1)
    expect(valuesOf(await readAll(log))).toEqual([...values, 'next'])
    await log.close({ clean: false })
  })

  test('takes the segments beyond a hole with it', async () => {
    const { directory, values, ends } = await build(12)
    const middle = ends[6]!
    const bytes = readFileSync(`${directory}/${middle.file}`)
    bytes[middle.position + 70]! ^= 1
    writeFileSync(`${directory}/${middle.file}`, bytes)
    for (const name of filesIn(directory, '.snapshot')) rmSync(`${directory}/${name}`)
    const log = await reopen(directory, 6)
    expect([log.offline, log.logEndOffset]).toEqual([null, 6])
    expect(valuesOf(await readAll(log))).toEqual(values.slice(0, 6))
    expect(filesIn(directory, '.log').at(-1)).toBe(middle.file)
    await log.close({ clean: false })
  })

  test('is where the deletion of records put it when what followed was lost', async () => {
    const { directory } = await build(3)
    const log = await openLog(directory, { config, logStartOffset: 9, recoveryPoint: 0 })
    expect([log.logStartOffset, log.logEndOffset]).toEqual([9, 9])
    expect((await append(log, batchOf(['next']), 1)).baseOffset).toBe(9)
    await log.close({ clean: false })
  })
})

describe('damage below the recovery point', () => {
  test('is reported with file and position, and nothing is cut', async () => {
    const { directory, ends } = await build(12)
    const damaged = ends[3]!
    const path = `${directory}/${damaged.file}`
    const bytes = readFileSync(path)
    bytes[damaged.position + 70]! ^= 1
    writeFileSync(path, bytes)
    for (const name of filesIn(directory, '.snapshot')) rmSync(`${directory}/${name}`)
    const before = filesIn(directory, '.log').map((name) =>
      readFileSync(`${directory}/${name}`).toString('hex'),
    )
    const { logger, seen } = lines()
    const log = await reopen(directory, 12, logger)
    expect(log.offline).toBeInstanceOf(CorruptionError)
    expect((log.offline as CorruptionError).corruption).toMatchObject({
      file: path,
      position: damaged.position,
    })
    expect(seen.some((line) => line.includes('nothing was cut'))).toBe(true)
    expect(() => log.read(0, 100, 100, true)).toThrow('is damaged at byte')
    expect(log.recoveryPoint).toBe(12)
    await log.close({ clean: true })
    expect(log.closedState).toBe(null)
    const after = filesIn(directory, '.log').map((name) =>
      readFileSync(`${directory}/${name}`).toString('hex'),
    )
    expect(after).toEqual(before)
  })

  test('may be records that are not there any more', async () => {
    const { directory, ends } = await build(5)
    rmSync(`${directory}/${ends.at(-1)!.file}`)
    const log = await reopen(directory, 5)
    expect(log.offline).toBeInstanceOf(CorruptionError)
    expect(log.offline?.message).toContain('records up to offset 5')
    await log.close({ clean: false })
  })

  test('below a snapshot of producers counts as well, even when the checkpoint of recovery points is lost', async () => {
    const { directory, ends } = await build(12)
    expect(filesIn(directory, '.snapshot').length).toBeGreaterThan(0)
    const path = `${directory}/${ends[0]!.file}`
    const bytes = readFileSync(path)
    bytes[70]! ^= 1
    writeFileSync(path, bytes)
    const log = await reopen(directory, 0)
    expect(log.offline).toBeInstanceOf(CorruptionError)
    await log.close({ clean: false })
  })
})

/** Index of the first file that recovery scans when everything below `offset` is durable. */
function scannedFrom(files: readonly string[], offset: number): number {
  return Math.max(
    0,
    files.findLastIndex((file) => Number.parseInt(file, 10) <= offset),
  )
}

type Mutation = (bytes: Buffer, at: number, amount: number) => Buffer

const mutations: Record<string, Mutation> = {
  flip: (bytes, at, amount) => {
    const copy = Buffer.from(bytes)
    copy[at]! ^= 1 << (amount % 8)
    return copy
  },
  cut: (bytes, at) => bytes.subarray(0, at),
  zero: (bytes, at, amount) => Buffer.from(bytes).fill(0, at, Math.min(at + amount, bytes.length)),
  insert: (bytes, at, amount) =>
    Buffer.concat([bytes.subarray(0, at), Buffer.alloc(amount, 0xa5), bytes.subarray(at)]),
  remove: (bytes, at, amount) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + amount)]),
}

test('whatever happens to a segment file, flushed records are kept or the damage is reported', async () => {
  const built = await build(16)
  const root = temporaryDirectory()
  const files = [...new Set(built.ends.map(({ file }) => file))]
  let run = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(mutations)),
      fc.nat(files.length - 1),
      fc.double({ min: 0, max: 0.9999, noNaN: true }),
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 0, max: 16 }),
      fc.boolean(),
      async (mutation, fileIndex, fraction, amount, durable, keepSnapshots) => {
        const directory = `${root}/${run++}`
        cpSync(built.directory, directory, { recursive: true })
        const path = `${directory}/${files[fileIndex]}`
        const bytes = readFileSync(path)
        const at = Math.floor(fraction * bytes.length)
        writeFileSync(path, mutations[mutation]!(bytes, at, amount))
        const snapshots = filesIn(directory, '.snapshot')
        if (!keepSnapshots) for (const name of snapshots) rmSync(`${directory}/${name}`)
        const newest = keepSnapshots ? Number.parseInt(snapshots.at(-1) ?? '0', 10) : 0
        const log = await reopen(directory, durable)
        if (log.offline === null) {
          expect(log.logEndOffset).toBeGreaterThanOrEqual(Math.max(durable, newest))
          // A segment below the one of the recovery point is not scanned: its damage shows when it is read.
          const trusted = scannedFrom(files, Math.min(durable, newest)) > fileIndex
          const found = await readAll(log).catch((error: unknown) => error)
          if (trusted && found instanceof Error) {
            expect(found).toMatchObject({
              code: expect.stringMatching(/^(corruptLog|corruptMessage|invalidRecord)$/),
            })
          } else {
            expect(valuesOf(found as StoredRecord[])).toEqual(built.values.slice(0, log.logEndOffset))
            await append(log, batchOf(['after']), 1)
            expect(valuesOf(await readAll(log)).at(-1)).toBe('after')
          }
        } else {
          expect(log.offline).toBeInstanceOf(CorruptionError)
          expect(readFileSync(path).equals(mutations[mutation]!(bytes, at, amount))).toBe(true)
        }
        await log.close({ clean: false })
        rmSync(directory, { recursive: true })
      },
    ),
    { numRuns: 300 },
  )
}, 60_000)

test('whatever happens to derived files, every record is read, and no read fails', async () => {
  const built = await build(16)
  const root = temporaryDirectory()
  const derived = [
    ...filesIn(built.directory, 'index'),
    ...filesIn(built.directory, '.snapshot'),
    ...filesIn(built.directory, 'checkpoint'),
  ]
  let run = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(mutations), 'delete'),
      fc.constantFrom(...derived),
      fc.double({ min: 0, max: 0.9999, noNaN: true }),
      fc.integer({ min: 1, max: 40 }),
      fc.boolean(),
      async (mutation, name, fraction, amount, clean) => {
        const directory = `${root}/${run++}`
        cpSync(built.directory, directory, { recursive: true })
        if (clean) await (await reopen(directory, 16)).close({ clean: true })
        const path = `${directory}/${name}`
        if (existsSync(path)) {
          const bytes = readFileSync(path)
          if (mutation === 'delete') rmSync(path)
          else writeFileSync(path, mutations[mutation]!(bytes, Math.floor(fraction * bytes.length), amount))
        }
        const log = await openLog(directory, { config, recoveryPoint: 16, cleanShutdown: clean })
        expect(log.offline).toBe(null)
        expect(valuesOf(await readAll(log))).toEqual(built.values)
        for (let offset = 15; offset >= 0; offset--) {
          expect(valuesOf(await readAll(log, offset))).toEqual(built.values.slice(offset))
        }
        await log.close({ clean: true })
        rmSync(directory, { recursive: true })
      },
    ),
    { numRuns: 150 },
  )
}, 60_000)

test('damage among deleted records takes nothing of what follows them under batch', async () => {
  const { directory, ends } = await build(3)
  const path = `${directory}/${ends[0]!.file}`
  const whole = readFileSync(path)
  whole[ends[1]!.position + 70]! ^= 1
  writeFileSync(path, whole)
  const batch: LogConfig = { ...config, flush: 'batch' }
  // DeleteRecords stores the start offset at once, the recovery point comes later.
  const log = await openLog(directory, { config: batch, logStartOffset: 2, recoveryPoint: 0 })
  expect(log.offline).toBeInstanceOf(CorruptionError)
  await log.close({ clean: false })
  expect(readFileSync(path).equals(whole)).toBe(true)
})

test('what may not be stored is read from the disk and not from the page cache', async () => {
  const { directory, ends } = await build(12)
  for (const name of filesIn(directory, '.snapshot')) rmSync(`${directory}/${name}`)
  const events: string[] = []
  const file = (path: string): DiskFile => {
    const name = path.slice(directory.length + 1)
    const read: DiskFile['read'] = (target, position) => {
      events.push(`read ${name}`)
      return inner.read(target, position)
    }
    const inner = runtime.disk.file(path)
    const dropCached = async (): Promise<void> => void events.push(`drop ${name}`)
    return {
      path,
      read,
      dropCached,
      size: () => inner.size(),
      truncate: (size) => inner.truncate(size),
      sync: () => inner.sync(),
      close: () => inner.close(),
    }
  }
  const disk = withCalls(runtime.disk, { file })
  const log = await openLog(directory, { config, recoveryPoint: 6 }, { ...runtime, disk })
  await log.close({ clean: false })
  const names = [...new Set(ends.map((end) => end.file))]
  const suspect = names.slice(names.indexOf(ends[6]!.file))
  expect(suspect.length).toBeGreaterThan(1)
  expect(events.filter((event) => event.startsWith('drop'))).toEqual(suspect.map((name) => `drop ${name}`))
  for (const name of suspect) {
    expect(events.indexOf(`drop ${name}`)).toBeLessThan(events.indexOf(`read ${name}`))
  }
})
