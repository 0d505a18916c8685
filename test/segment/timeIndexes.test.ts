import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { config } from './recoverySupport.ts'
import { append, batchOf, filesIn, openLog } from './support.ts'

test('a time index of no bytes is made again', async () => {
  const directory = temporaryDirectory()
  const log = await openLog(directory, { config })
  for (let time = 0; time < 20; time++) await append(log, batchOf(['x'], { timestampMs: 1000 + time }))
  await log.close({ clean: true })
  for (const file of filesIn(directory, '.timeindex')) writeFileSync(`${directory}/${file}`, '')
  const { closedState } = log
  const again = await openLog(directory, { config, recoveryPoint: 20, cleanShutdown: true, closedState })
  expect(await again.offsetForTimestamp(1001)).toMatchObject({ offset: 1 })
  await again.close({ clean: false })
})

test('a time index that was cut between two entries is made again', async () => {
  const directory = temporaryDirectory()
  const times = { ...config, segmentBytes: 4000, indexIntervalBytes: 200 }
  const log = await openLog(directory, { config: times })
  for (let offset = 0; offset < 60; offset++) {
    await append(log, batchOf(['x'.repeat(100)], { timestampMs: 1000 + offset }))
  }
  await log.close({ clean: true })
  const { closedState } = log
  const files = filesIn(directory, '.timeindex')
  expect(files.length).toBeGreaterThan(2)
  for (const name of files) {
    const path = `${directory}/${name}`
    const whole = readFileSync(path)
    for (let count = 0; count < whole.length / 12; count++) {
      for (const state of [closedState, null]) {
        writeFileSync(path, whole.subarray(0, count * 12))
        const clean = { config: times, recoveryPoint: 60, cleanShutdown: true, closedState: state }
        const again = await openLog(directory, clean)
        for (let offset = 0; offset < 60; offset++) {
          expect((await again.offsetForTimestamp(1000 + offset))?.offset).toBe(offset)
        }
        expect(await again.maxTimestamp()).toMatchObject({ offset: 59 })
        await again.close({ clean: false })
      }
    }
    writeFileSync(path, whole)
  }
}, 60_000)

test('a time index in which a time is another one is made again, however it came to that', async () => {
  const directory = temporaryDirectory()
  const times = { ...config, segmentBytes: 4000, indexIntervalBytes: 200 }
  const log = await openLog(directory, { config: times })
  const timeOf = (offset: number): number => 1_600_000_000_000 + offset * 1000
  for (let offset = 0; offset < 60; offset++) {
    await append(log, batchOf(['x'.repeat(100)], { timestampMs: timeOf(offset) }))
  }
  await log.close({ clean: true })
  const sealed = filesIn(directory, '.timeindex').slice(0, -1)
  expect(sealed.length).toBeGreaterThan(1)
  for (const name of sealed) {
    const path = `${directory}/${name}`
    const whole = readFileSync(path)
    for (let at = 0; at < whole.length; at += 12) {
      const entry = whole.readBigInt64BE(at)
      const before = at === 0 ? 0n : whole.readBigInt64BE(at - 12)
      const after = at + 12 < whole.length ? whole.readBigInt64BE(at + 12) : entry + 10_000n
      for (const wrong of [before + 1n, entry - 1n, entry + 1n, after - 1n]) {
        const damaged = Buffer.from(whole)
        damaged.writeBigInt64BE(wrong, at)
        writeFileSync(path, damaged)
        const again = await openLog(directory, { config: times, recoveryPoint: 60, cleanShutdown: true })
        for (let offset = 0; offset < 60; offset++) {
          expect((await again.offsetForTimestamp(timeOf(offset)))?.offset).toBe(offset)
        }
        await again.close({ clean: false })
      }
      writeFileSync(path, whole)
    }
  }
}, 60_000)
