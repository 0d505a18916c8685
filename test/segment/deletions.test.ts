import { expect, test } from 'vitest'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import { expectCode } from '../engine/support.ts'
import { append, create, open } from './journalingSupport.ts'
import { batchOf } from './support.ts'

test('a deletion whose files could not be renamed may be asked for again, and then the name is free', async () => {
  let isBad = false
  const on = createSimRuntime(new SimFileSystem(), {
    seed: 1,
    faults: ({ kind, path }) =>
      isBad && kind === 'rename' && path.includes('orders-0') ? { code: 'ENOSPC' } : null,
  })
  const { logs } = await open('/data', { on })
  await append(await create(logs, 'orders'), batchOf(['a']), on)
  isBad = true
  await expectCode(logs.deleteLog('orders', 0), 'diskFull')
  await expectCode(logs.deleteLog('orders', 0), 'diskFull')
  isBad = false
  await logs.deleteLog('orders', 0)
  expect((await create(logs, 'orders')).logEndOffset).toBe(0)
  await logs.close()
})
