import { expect, test } from 'vitest'
import { openEngine } from '../../src/index.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

test('what is appended is read back', async () => {
  const engine = await openEngine({ directory: temporaryDirectory(), flush: 'batch' })
  try {
    const orders = await engine.log('orders')
    const ack = await orders.append([{ key: 'k', value: 'v', headers: { a: 'b' } }, { value: 'w' }])
    expect(ack).toEqual({ survives: 'powerLoss', policy: 'batch', baseOffset: 0, lastOffset: 1, duplicate: false })
    const read: (string | null)[] = []
    for await (const record of orders.read()) read.push(record.keyText(), record.text(), record.header('a'))
    expect(read).toEqual(['k', 'v', 'b', null, 'w', null])
  } finally {
    await engine.close()
  }
})
