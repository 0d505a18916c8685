import { describe, expect, test } from 'vitest'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, filesIn, openLog, readAll, testConfig, valuesOf } from './support.ts'
import { flip } from './verify/support.ts'

describe('a log', () => {
  test('gives back what was appended, also after a clean close', async () => {
    const directory = temporaryDirectory()
    const log = await openLog(directory, { config: { ...testConfig, segmentBytes: 400 } })
    const values: string[] = []
    for (let index = 0; index < 20; index++) {
      values.push(`value-${index}-a`, `value-${index}-b`)
      const { baseOffset, lastOffset } = await append(log, batchOf(values.slice(-2)))
      expect([baseOffset, lastOffset]).toEqual([index * 2, index * 2 + 1])
    }
    expect(valuesOf(await readAll(log))).toEqual(values)
    await log.close({ clean: true })
    expect(filesIn(directory, '.log').length).toBeGreaterThan(3)
    const reopened = await openLog(directory, { recoveryPoint: log.recoveryPoint, cleanShutdown: true })
    expect(reopened.logEndOffset).toBe(40)
    expect(valuesOf(await readAll(reopened))).toEqual(values)
    await append(reopened, batchOf(['more']))
    expect(valuesOf(await readAll(reopened, 39))).toEqual([values.at(-1), 'more'])
    await reopened.close({ clean: false })
    const crashed = await openLog(directory, { recoveryPoint: 40 })
    expect(valuesOf(await readAll(crashed))).toEqual([...values, 'more'])
    await crashed.close({ clean: false })
  })

  test('passes over no batch of which a flipped bit says that it has no records', async () => {
    const directory = temporaryDirectory()
    const log = await openLog(directory, { config: { ...testConfig, segmentBytes: 100 } })
    for (const value of ['a', 'b', 'c']) await append(log, batchOf([value]))
    await log.close({ clean: true })
    // The last byte of how many records there are.
    flip(`${directory}/00000000000000000001.log`, 60, 1)
    const again = await openLog(directory, { recoveryPoint: 3, cleanShutdown: true })
    expect(valuesOf(await readAll(again, 2))).toEqual(['c'])
    await expect(readAll(again, 1)).rejects.toMatchObject({
      code: 'corruptLog',
      corruption: { position: 0, found: 'no records in a batch of 69 bytes' },
    })
    await again.close({ clean: false })
  })
})
