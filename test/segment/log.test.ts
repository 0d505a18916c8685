import { describe, expect, test } from 'vitest'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, filesIn, openLog, readAll, testConfig, valuesOf } from './support.ts'

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
})
