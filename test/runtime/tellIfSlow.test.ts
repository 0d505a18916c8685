import { expect, test } from 'vitest'
import type { Logger } from '../../src/model/logger.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { tellIfSlow } from '../../src/runtime/tellIfSlow.ts'
import { ManualClock } from '../segment/support.ts'

test('a step of a shutdown that takes long is told once, by its name; one that does not is not', async () => {
  const told: unknown[] = []
  const logger: Logger = { ...silentLogger, warn: (_, fields) => told.push(fields) }
  const clock = new ManualClock()
  const due: { readonly delayMs: number; readonly fire: () => void; isCancelled: boolean }[] = []
  clock.setTimer = (delayMs, fire) => {
    const timer = { delayMs, fire, isCancelled: false }
    due.push(timer)
    return { cancel: () => void (timer.isCancelled = true) }
  }
  const named = tellIfSlow(clock, logger)
  expect(await named('the quick one', async () => 1)).toBe(1)
  let end = (): void => {}
  const slow = named('the slow one', () => new Promise<void>((resolve) => void (end = resolve)))
  expect(due.map(({ isCancelled }) => isCancelled)).toEqual([true, false])
  due[1]!.fire()
  end()
  await slow
  expect(told).toEqual([{ waitingFor: 'the slow one' }])
  await expect(named('the broken one', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(due[2]!.isCancelled).toBe(true)
})
