import { expect, test } from 'vitest'
import { CorruptionError } from '../../src/model/errors.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { LogConfig } from '../../src/segment/log.ts'
import { LogDirectory } from '../../src/segment/logDirectory.ts'
import { Sealer } from '../../src/segment/sealer.ts'
import type { Segment } from '../../src/segment/segment.ts'
import { IndexCache } from '../../src/segment/segmentIndexes.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, crashCopy, runtime, testConfig } from './support.ts'
import { flip } from './verify/support.ts'

const damage = new CorruptionError({ file: '/a', position: 0, expected: 'a batch', found: 'nothing' })

/** A sealer with one segment, which is damaged. */
function world(isFound: boolean) {
  const state = { isKnown: false, looked: 0 }
  const indexes = async (): Promise<never> => {
    state.looked++
    throw damage
  }
  const sealer = new Sealer(runtime, '/nowhere', new IndexCache(), indexes, {
    isKnown: () => state.isKnown,
    note: async () => {
      state.isKnown = isFound
      return isFound
    },
  })
  sealer.add({ baseOffset: 0 } as Segment, 5, [])
  return { sealer, state }
}

test('a segment that is found damaged when it is sealed stays unfinished, and is not read again before it is mended', async () => {
  const { sealer, state } = world(true)
  expect(await sealer.seal(5)).toBe(-1)
  expect(await sealer.seal(7)).toBe(-1)
  expect(state.looked).toBe(1)
  expect(sealer.oldestOffset).toBe(0)
  state.isKnown = false
  expect(await sealer.seal(7)).toBe(-1)
  expect(state.looked).toBe(2)
})

test('damage that a segment is said to have and that cannot be found is an error', async () => {
  const { sealer } = world(false)
  await expect(sealer.seal(5)).rejects.toBe(damage)
  expect(sealer.nextEndOffset).toBe(5)
})

// The highest bits of the base offset and of the greatest time of the second batch.
test.each([0, 35])(
  'a header that no batch can have is damage when a segment is sealed, and takes no log offline (byte %i)',
  async (at) => {
    const config: LogConfig = { ...testConfig, segmentBytes: 1700, indexIntervalBytes: 100, flush: 'journal' }
    const options = { logger: silentLogger, nodeId: 1, configFor: () => config }
    const directory = temporaryDirectory()
    const logs = await LogDirectory.open(runtime, { directory, ...options })
    const log = await logs.createLog('a', 0, randomUuid(runtime.random), config)
    const batch = batchOf(['a'.repeat(100)])
    for (let count = 0; count < 5; count++) await append(log, batch.slice(), 1)
    for (let times = 0; times < 2; times++) await logs.checkpoint()
    await append(log, batch.slice(), 1)
    // As a crash leaves it: only the headers tell what the index has to be.
    const copy = crashCopy(directory)
    await logs.close()
    flip(`${copy}/a-0/00000000000000000000.log`, batch.length + at, 0x10)
    const after = await LogDirectory.open(runtime, { directory: copy, ...options })
    const damaged = after.logs.get('a-0')!
    for (let count = 0; count < 12; count++) await append(damaged, batch.slice(), 1)
    await damaged.flush()
    await expect.poll(() => damaged.damage).toMatchObject([{ position: batch.length, end: 2 * batch.length }])
    expect(damaged.offline).toBe(null)
    await after.close()
  },
)
