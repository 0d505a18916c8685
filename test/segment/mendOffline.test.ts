import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { MisfitError } from '../../src/segment/mendChecks.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, crashCopy, filesIn, readAll, runtime, testConfig } from './support.ts'

const config: LogConfig = { ...testConfig, segmentBytes: 300, flush: 'batch' }
const open = (directory: string) =>
  LogDirectory.open(runtime, { directory, logger: silentLogger, nodeId: 1, configFor: () => config })

/** A data directory with a log of eight records in four segments, and the paths of these. */
async function build(): Promise<{ directory: string; paths: string[] }> {
  const directory = temporaryDirectory()
  const logs = await open(directory)
  const log = await logs.createLog('a', 0, randomUuid(runtime.random), config)
  for (let offset = 0; offset < 8; offset++) await append(log, batchOf([`${offset}`.padEnd(60)]), 1)
  await logs.close()
  const names = filesIn(`${directory}/a-0`, '.log')
  return { directory, paths: names.map((name) => `${directory}/a-0/${name}`) }
}

/** Opens the directory, in which segment `path` is missing, and writes it again. */
async function mend(directory: string, path: string, content: Uint8Array): Promise<void> {
  const logs = await open(directory)
  const damaged = logs.logs.get('a-0')!
  expect(damaged.offline?.code).toBe('corruptLog')
  const mendings = await damaged.mendOffline([{ epoch: 1, startOffset: 0 }], new Set())
  expect(mendings.map(({ file }) => file)).toEqual([path])
  await mendings[0]!.take(content)
  expect(mendings[0]!.isOver).toBe(true)
  const whole = await logs.reopening(damaged)!(null)
  expect([whole.offline, (await readAll(whole)).length]).toEqual([null, 8])
  await logs.close()
}

test.each([0, 1, 2])('segment %i of a log, gone, is written again as a whole', async (index) => {
  const { directory, paths } = await build()
  const content = readFileSync(paths[index]!)
  rmSync(paths[index]!)
  await mend(directory, paths[index]!, content)
})

test('a segment whose records were deleted may be gone, whatever else is left of them', async () => {
  const { directory, paths } = await build()
  const logs = await open(directory)
  const log = logs.logs.get('a-0')!
  log.updateConfig({ ...config, fileDeleteDelayMs: 60_000 })
  await log.deleteRecordsBefore(4)
  // As a crash leaves it before the next checkpoint, when the removal of one file has failed.
  const copy = crashCopy(directory)
  await logs.close()
  rmSync(paths[1]!.replace(directory, copy))
  const after = await open(copy)
  const left = after.logs.get('a-0')!
  expect([left.offline, left.logStartOffset, (await readAll(left)).length]).toEqual([null, 4, 4])
  await after.close()
})

describe('a compacted segment that a crash left, damaged', () => {
  const damage = (path: string): void => {
    const content = readFileSync(path)
    content[16] = 9
    writeFileSync(path, content)
  }

  /** Opens the directory as after a crash: without the marker of a clean end. */
  async function comesUpWhole(directory: string): Promise<void> {
    rmSync(`${directory}/.kafka_cleanshutdown`)
    const logs = await open(directory)
    const log = logs.logs.get('a-0')!
    expect([log.offline, (await readAll(log)).length]).toEqual([null, 8])
    await logs.close()
    expect(filesIn(`${directory}/a-0`, '.swap')).toEqual([])
  }

  test('is written again where what it was made from has gone', async () => {
    const { directory, paths } = await build()
    const content = readFileSync(paths[1]!)
    renameSync(paths[1]!, `${paths[1]}.swap`)
    damage(`${paths[1]}.swap`)
    await mend(directory, paths[1]!, content)
    await comesUpWhole(directory)
  })

  test('is left out where that is there still', async () => {
    const { directory, paths } = await build()
    cpSync(paths[1]!, `${paths[1]}.swap`)
    damage(`${paths[1]}.swap`)
    await comesUpWhole(directory)
  })
})

describe("another log's batches, good by themselves, behind a file that is damaged", () => {
  /** Batches of a log of eight records in four segments, two records each, as others have them; the directory and its files. */
  async function pairs(): Promise<{ directory: string; paths: string[]; batches: Buffer[] }> {
    const directory = temporaryDirectory()
    const logs = await open(directory)
    const log = await logs.createLog('a', 0, randomUuid(runtime.random), { ...config, segmentBytes: 450 })
    for (let offset = 0; offset < 16; offset += 2) {
      await append(log, batchOf([`${offset}`.padEnd(60), `${offset + 1}`.padEnd(60)]), 1)
    }
    await logs.close()
    const paths = filesIn(`${directory}/a-0`, '.log').map((name) => `${directory}/a-0/${name}`)
    const batches: Buffer[] = []
    for (const path of paths) {
      const content = readFileSync(path)
      for (let at = 0; at < content.length; at += content.readInt32BE(at + 8) + 12)
        batches.push(content.subarray(at, at + content.readInt32BE(at + 8) + 12))
    }
    return { directory, paths, batches }
  }

  async function mendOnce(damaged: Log, batches: readonly Buffer[]): Promise<void> {
    const misfits = new Set<string>()
    const epochs = [{ epoch: 1, startOffset: 0 }]
    let mendings = await damaged.mendOffline(epochs, misfits)
    for (let index = 0; index < mendings.length; index++) {
      const mending = mendings[index]!
      try {
        while (!mending.isOver) {
          const at = mending.fromOffset
          await mending.take(batches.findLast((batch) => Number(batch.readBigInt64BE(0)) <= at)!)
        }
      } catch (error) {
        if (!(error instanceof MisfitError) || misfits.has(error.file)) throw error
        misfits.add(error.file)
        mendings = await damaged.mendOffline(epochs, misfits)
        index = -1
      }
    }
  }

  /** Has everything written again that is damaged, from `batches`, and what the log serves then. */
  async function mendAll(directory: string, batches: readonly Buffer[]): Promise<string[]> {
    const logs = await open(directory)
    let log = logs.logs.get('a-0')!
    expect(log.offline?.code).toBe('corruptLog')
    // Each start tells of the first damage alone.
    for (let round = 0; log.offline !== null && round < 3; round++) {
      await mendOnce(log, batches)
      log = await logs.reopening(log)!(null)
    }
    expect(log.offline).toBe(null)
    const found = (await readAll(log)).map(({ value }) => Buffer.from(value!).toString().trim())
    await logs.close()
    return found
  }

  const all = Array.from({ length: 16 }, (_, offset) => `${offset}`)

  test('do not stay where they begin earlier and fit from the first offset of the file on', async () => {
    const { directory, paths, batches } = await pairs()
    rmSync(paths[0]!)
    const others = Array.from({ length: 3 }, (_, index) => {
      const baseOffset = 2 + 2 * index
      return batchOf(['other', 'other'], { baseOffset, leaderEpoch: 1 })
    })
    writeFileSync(paths[1]!, Buffer.concat(others))
    expect(await mendAll(directory, batches)).toEqual(all)
  })

  test.each([0, 1])(
    'do not stay where they begin behind all that must be there (%i of its own before them)',
    async (own) => {
      const { directory, paths, batches } = await pairs()
      rmSync(paths[0]!)
      const last = paths.at(-1)!
      const others = [40, 42].map((baseOffset) => batchOf(['other', 'other'], { baseOffset, leaderEpoch: 1 }))
      const kept = batches.filter((batch) => Number(batch.readBigInt64BE(0)) >= Number(last.slice(-24, -4)))
      writeFileSync(last, Buffer.concat([...kept.slice(0, own), ...others]))
      expect(await mendAll(directory, batches)).toEqual(all)
    },
  )

  test('are no reason for a segment that never was: what a file lacks at its end is written there', async () => {
    const { directory, paths, batches } = await pairs()
    const contents = paths.map((path) => readFileSync(path))
    writeFileSync(paths.at(-2)!, contents.at(-2)!.subarray(0, batches[0]!.length))
    writeFileSync(paths.at(-1)!, contents.at(-1)!.subarray(0, 10))
    expect(await mendAll(directory, batches)).toEqual(all)
    expect(filesIn(`${directory}/a-0`, '.log').map((name) => `${directory}/a-0/${name}`)).toEqual(paths)
    expect(paths.map((path) => readFileSync(path))).toEqual(contents)
  })

  test('do not stay where they end within a batch of this log', async () => {
    const { directory, paths, batches } = await pairs()
    rmSync(paths[0]!)
    const baseOffset = Number(paths[1]!.slice(-24, -4))
    writeFileSync(paths[1]!, batchOf(['other'], { baseOffset, leaderEpoch: 1 }))
    expect(await mendAll(directory, batches)).toEqual(all)
  })
})
