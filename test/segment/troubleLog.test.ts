import { expect, test } from 'vitest'
import { silentLogger } from '../../src/model/logger.ts'
import { TroubleLog } from '../../src/segment/troubleLog.ts'
import { ManualClock } from './support.ts'

test('that a disk is full is told once while it lasts, and again when it is full a second time', () => {
  const clock = new ManualClock()
  const told: string[] = []
  const log = new TroubleLog(clock, {
    ...silentLogger,
    warn: (message, { log } = {}) => told.push(`${message}: ${log}`),
  })
  for (let second = 0; second < 300; second++) {
    log.warn('undone', { log: 'a' }, 'full')
    log.warn('undone', { log: 'b' }, 'full')
    if (second === 10) log.warn('undone', { log: 'b' }, 'slow')
    clock.advance(1000)
  }
  expect(told).toEqual(['undone: a', 'undone: b'])
  clock.advance(60_000)
  log.warn('undone', { log: 'c' }, 'full')
  expect(told.slice(2)).toEqual(['undone: c'])
})
