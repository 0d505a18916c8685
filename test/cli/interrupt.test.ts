import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { unlessAborted } from '../../src/cli/interrupt.ts'

test('a result comes through, and nothing of it stays with the signal', async () => {
  const { signal } = new AbortController()
  expect(await unlessAborted(signal, Promise.resolve(1))).toBe(1)
  await expect(unlessAborted(signal, Promise.reject(new Error('no')))).rejects.toThrow('no')
  await new Promise(setImmediate)
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})

test('an abort, before or during the wait, gives null', async () => {
  const controller = new AbortController()
  const waiting = unlessAborted(controller.signal, new Promise(() => {}))
  controller.abort()
  expect(await waiting).toBe(null)
  expect(await unlessAborted(controller.signal, Promise.resolve(1))).toBe(null)
})
