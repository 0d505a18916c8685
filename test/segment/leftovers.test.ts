import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { CorruptionError, EngineError } from '../../src/model/errors.ts'
import type { Disk, DiskWrite } from '../../src/runtime/disk.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { withCalls } from '../support/withCalls.ts'
import { append as appendTo, create, journaled, killed, open } from './journalingSupport.ts'
import { build, config, reopen } from './recoverySupport.ts'
import { append, batchOf, filesIn, openLog, readAll, runtime, valuesOf } from './support.ts'

test('no older index stays when a full disk takes no new one', async () => {
  const directory = temporaryDirectory()
  let log = await openLog(directory, { config })
  await append(log, batchOf(['x'], { timestampMs: 1000 }))
  await log.close({ clean: true })
  const older = [...filesIn(directory, '.index'), ...filesIn(directory, '.timeindex')].map((name) => ({
    path: `${directory}/${name}`,
    bytes: readFileSync(`${directory}/${name}`),
  }))
  log = await openLog(directory, {
    config,
    recoveryPoint: 1,
    cleanShutdown: true,
    closedState: log.closedState,
  })
  for (let time = 1; time < 20; time++) await append(log, batchOf(['x'], { timestampMs: 1000 + time }))
  await log.close({ clean: false })
  for (const { path, bytes } of older) writeFileSync(path, bytes)
  const again = await openLog(directory, { config }, { ...runtime, disk: fullForIndexes() })
  expect(await again.offsetForTimestamp(1001)).toMatchObject({ offset: 1 })
  await again.close({ clean: false })
})

/** A disk that has room for everything but indexes. */
function fullForIndexes(): Disk {
  const submit = async (group: readonly DiskWrite[]): Promise<void> => {
    if (group.some(({ file }) => file.path.endsWith('index'))) throw new EngineError('diskFull', 'no room')
    await runtime.disk.submit(group)
  }
  return withCalls(runtime.disk, { submit })
}

test('clean shutdowns leave one snapshot, however many there were', async () => {
  const directory = temporaryDirectory()
  for (let sequence = 0; sequence < 3; sequence++) {
    const log = await openLog(directory, { recoveryPoint: sequence, cleanShutdown: true })
    await append(log, batchOf(['x'], { producerId: 7, producerEpoch: 0, baseSequence: sequence }))
    await log.close({ clean: true })
  }
  expect(filesIn(directory, '.snapshot')).toEqual(['00000000000000000003.snapshot'])
})

describe('files of interrupted work', () => {
  test('are removed, or taken up when they are the only copy', async () => {
    const { directory, values, ends } = await build(8)
    const first = ends[0]!.file
    writeFileSync(`${directory}/00000000000000000000.log.deleted`, 'x')
    writeFileSync(`${directory}/00000000000000000000.index.cleaned`, 'x')
    cpSync(`${directory}/${ends.at(-1)!.file}`, `${directory}/${ends.at(-1)!.file}.swap`)
    renameSync(`${directory}/${first}`, `${directory}/${first}.swap`)
    const log = await reopen(directory, 8)
    expect(valuesOf(await readAll(log))).toEqual(values)
    expect([
      ...filesIn(directory, '.deleted'),
      ...filesIn(directory, '.cleaned'),
      ...filesIn(directory, '.swap'),
    ]).toEqual([])
    await log.close({ clean: false })
  })

  test('segments below the start offset go at the next start', async () => {
    const { directory, values, ends } = await build(8)
    const log = await openLog(directory, { config, recoveryPoint: 8, logStartOffset: 6 })
    expect(log.logStartOffset).toBe(6)
    expect(valuesOf(await readAll(log))).toEqual(values.slice(6))
    expect(existsSync(`${directory}/${ends[0]!.file}`)).toBe(false)
    await log.close({ clean: false })
  })
})

test('segments below the start offset go also where a checkpoint knows nothing of them any more', async () => {
  const directory = temporaryDirectory()
  const small = { ...journaled, segmentBytes: 500, fileDeleteDelayMs: 60_000 }
  const first = await open(directory, { configFor: () => small })
  const log = await create(first.logs, 'orders', small)
  for (let offset = 0; offset < 20; offset++) await appendTo(log, batchOf([`value ${offset}`]))
  // Sealed: then recovery may begin in the last segment.
  await expect.poll(() => filesIn(`${directory}/orders-0`, '.snapshot').length).toBe(3)
  await log.deleteRecordsBefore(12)
  await first.logs.checkpoint()
  // The files go when nobody reads them any more, which may be after the process has ended.
  const left = killed(directory)
  const names = filesIn(`${left}/orders-0`, '.log')
  const again = await open(left, { configFor: () => small })
  expect(valuesOf(await readAll(again.log('orders-0')))).toEqual(
    Array.from({ length: 8 }, (_, index) => `value ${12 + index}`),
  )
  expect(filesIn(`${left}/orders-0`, '.log')).toEqual(
    names.filter((_, at) => (startOf(names[at + 1]) ?? 99) > 12),
  )
  await again.logs.close()
  await first.logs.close()
})

/** The base offset of a segment file; null for none. */
function startOf(name: string | undefined): number | null {
  return name === undefined ? null : Number.parseInt(name, 10)
}

test('a clean shutdown is believed only when the segments are as it noted them', async () => {
  const { directory, values } = await build(5)
  const log = await reopen(directory, 5)
  await log.close({ clean: true })
  const { closedState } = log
  const last = `${directory}/${filesIn(directory, '.log').at(-1)}`
  const whole = readFileSync(last)
  writeFileSync(last, whole.subarray(0, whole.length - 5))
  const damaged = await openLog(directory, { config, recoveryPoint: 5, cleanShutdown: true, closedState })
  expect(damaged.offline).toBeInstanceOf(CorruptionError)
  await damaged.close({ clean: false })
  writeFileSync(last, whole)
  const healed = await openLog(directory, { config, recoveryPoint: 5, cleanShutdown: true, closedState })
  expect(valuesOf(await readAll(healed))).toEqual(values)
  await healed.close({ clean: false })
})

test('producers are taken from the batches when the snapshot of a clean shutdown is gone', async () => {
  const directory = temporaryDirectory()
  const log = await openLog(directory)
  const batch = (): Uint8Array => batchOf(['once'], { producerId: 7, producerEpoch: 0, baseSequence: 0 })
  await append(log, batch())
  await log.close({ clean: true })
  rmSync(`${directory}/${filesIn(directory, '.snapshot')[0]}`)
  const { closedState } = log
  const again = await openLog(directory, { recoveryPoint: 1, cleanShutdown: true, closedState })
  expect(await append(again, batch())).toMatchObject({ baseOffset: 0, duplicate: true })
  await again.close({ clean: false })
})
