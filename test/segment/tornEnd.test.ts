import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, crashCopy, openLog, readAll, runtime, testConfig, valuesOf } from './support.ts'

type Flush = LogConfig['flush']

/** Batches of more than three sectors, without zeros; a crash left them. */
async function build(
  flush: Flush,
): Promise<{ path: string; directory: string; content: Buffer; ends: number[] }> {
  const directory = temporaryDirectory()
  const log = await openLog(directory, { config: { ...testConfig, flush } })
  const ends: number[] = []
  for (const letter of ['a', 'b', 'c']) {
    await append(log, batchOf([letter.repeat(1700)]))
    ends.push(log.sizeBytes)
  }
  await log.close({ clean: false })
  const path = `${directory}/${'0'.repeat(20)}.log`
  return { path, directory, content: readFileSync(path), ends }
}

/** Opens the log as after a crash: where it ends, whether it may lack what was acknowledged, and what was called an error. */
async function reopen(directory: string, flush: Flush): Promise<[end: number, told: number, errors: number]> {
  let [told, errors] = [0, 0]
  const log = await openLog(directory, {
    config: { ...testConfig, flush },
    logger: { ...silentLogger, error: () => errors++ },
    mayLackEnd: async () => void told++,
  })
  expect(log.offline).toBe(null)
  expect(await readAll(log)).toHaveLength(log.logEndOffset)
  await log.close({ clean: false })
  return [log.logEndOffset, told, errors]
}

function flipped(content: Buffer, at: number, by = 1): Buffer {
  const copy = Buffer.from(content)
  copy[at] = copy[at]! ^ by
  return copy
}

describe.each<Flush>(['batch', 'append', 'journal'])('under %s a bad end', (flush) => {
  // A sector that became zeros looks as if it had never been written; what `journal` has acknowledged the journal has.
  const asTorn = flush === 'journal' ? 0 : 1

  test.each([
    ['a record', 900],
    ['the checksum', 18],
    ['a length that reaches behind the file', 10],
    ['a length that is none', 8],
    ['a length that is less', 11],
    ['the magic', 16],
    ['the offset', 7],
  ])('of which all was written may have been acknowledged, and that is told: %s', async (_, at) => {
    const { path, directory, content, ends } = await build(flush)
    writeFileSync(path, flipped(content, ends[1]! + at, at === 8 ? 0x80 : 4))
    expect(await reopen(directory, flush)).toEqual([2, 1, 1])
    // What is told once stands; the log goes on.
    expect(await reopen(directory, flush)).toEqual([2, 0, 0])
  })

  test('that the file ends in looks torn, wherever that is; that it was never durable is only proven by the journal', async () => {
    const { path, directory, content, ends } = await build(flush)
    for (let size = ends[1]! + 1; size < content.length; size += 97) {
      writeFileSync(path, content.subarray(0, size))
      expect(await reopen(directory, flush)).toEqual([2, asTorn, 0])
    }
  })

  test('of which a sector was not written looks torn, whichever it is', async () => {
    const { path, directory, content, ends } = await build(flush)
    for (let from = ends[1]!; from < content.length; from = from - (from % 512) + 512) {
      const torn = Buffer.from(content)
      torn.fill(0, from, Math.min(from - (from % 512) + 512, torn.length))
      writeFileSync(path, torn)
      expect(await reopen(directory, flush)).toEqual([2, asTorn, 0])
    }
  })
})

test.each<Flush>(['batch', 'append'])('under %s a log may lack what its first batch was', async (flush) => {
  const { path, directory, content } = await build(flush)
  writeFileSync(path, flipped(content, 900, 4))
  expect(await reopen(directory, flush)).toEqual([0, 1, 1])
})

test('under append what another batch follows was synced, whatever is missing of it', async () => {
  for (const [flush, errors] of [
    ['append', 1],
    ['batch', 0],
  ] as const) {
    const { path, directory, content, ends } = await build(flush)
    content.fill(0, ends[0]! + 500, ends[0]! + 1600)
    writeFileSync(path, content)
    expect(await reopen(directory, flush)).toEqual([1, 1, errors])
  }
})

test.each<Flush>(['none', { intervalMs: 10 }])(
  'under %j nobody counts on what stands there',
  async (flush) => {
    const { path, directory, content, ends } = await build('batch')
    writeFileSync(path, flipped(content, ends[1]! + 900))
    expect(await reopen(directory, flush)).toEqual([2, 0, 0])
  },
)

test.each<[Flush, string, number]>([
  ['batch', '', 600],
  ['journal', ', of a batch that the journal does not take,', 9 << 20],
])(
  'under %s%s whoever votes with a log is asked for by every start until it knows',
  async (flush, _, bytes) => {
    const directory = temporaryDirectory()
    const config: LogConfig = { ...testConfig, flush, segmentBytes: 64 << 20, maxMessageBytes: 16 << 20 }
    const open = (path: string) =>
      LogDirectory.open(runtime, {
        directory: path,
        logger: silentLogger,
        nodeId: 1,
        configFor: () => config,
      })
    const logs = await open(directory)
    const log = await logs.createLog('a', 0, randomUuid(runtime.random), config)
    for (const value of ['a', 'b']) await append(log, batchOf([value.repeat(bytes)]))
    const copy = crashCopy(directory)
    await logs.close()
    const path = `${copy}/a-0/${'0'.repeat(20)}.log`
    const content = readFileSync(path)
    writeFileSync(path, flipped(content, content.length - 100))
    for (const start of [1, 2]) {
      const after = await open(copy)
      const cut = after.logs.get('a-0')!
      expect(valuesOf(await readAll(cut))).toEqual(['a'.repeat(bytes)])
      expect([start, after.doubtsAbout(cut).isEndUnproven]).toEqual([start, true])
      await after.close()
    }
  },
)
