import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { Machines } from './nodeSupport.ts'
import { settle } from './support.ts'

test('an aborted signal ends a read of a partition in the middle of a batch', async () => {
  const node = await (await Machines.start(1)).node(1, { bootstrap: true })
  const partition = node.partition('orders')
  await partition.append(Array.from({ length: 100 }, () => ({ value: 'record' })))
  const stop = new AbortController()
  const reason = new Error('stop')
  let count = 0
  const reading = (async () => {
    for await (const _ of partition.read({ signal: stop.signal })) {
      count++
      stop.abort(reason)
    }
  })()
  await expect(reading).rejects.toBe(reason)
  expect(count).toBe(1)
})

test('readers of a partition have one listener of their signal among them', async () => {
  const lab = await Machines.start(1)
  const partition = (await lab.node(1, { bootstrap: true })).partition('orders')
  await partition.append({ value: 'record' })
  const stop = new AbortController()
  const readers = Array.from({ length: 12 }, () => partition.read({ follow: true, signal: stop.signal }))
  for (const records of readers) await records.next()
  const waiting = readers.map((records) => records.next())
  await settle()
  expect(getEventListeners(stop.signal, 'abort').length).toBe(1)
  stop.abort(new Error('stop'))
  for (const result of waiting) await expect(result).rejects.toBe(stop.signal.reason)
  expect(getEventListeners(stop.signal, 'abort').length).toBe(0)
})
