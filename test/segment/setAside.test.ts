import { expect, test } from 'vitest'
import { randomUuid } from '../../src/model/uuid.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import { append, journaled, open } from './journalingSupport.ts'
import { batchOf } from './support.ts'

test.each([
  ['in the same life', false],
  ['in a later life', true],
])('a log whose name one had that was set aside survives a power cut, made %s', async (_, isLater) => {
  const fs = new SimFileSystem()
  let on = createSimRuntime(fs, { seed: 1 })
  let { logs } = await open('/data', { on })
  const make = () => logs.createLog('orders', 0, randomUuid(on.random), journaled)
  await append(await make(), batchOf(['of another topic']), on)
  await logs.checkpoint()
  await logs.setAside('orders', 0)
  await logs.checkpoint()
  if (isLater) {
    await logs.close()
    on = createSimRuntime(fs, { seed: 2 })
    logs = (await open('/data', { on })).logs
  }
  const log = await make()
  expect(await append(log, batchOf(['acknowledged']), on)).toMatchObject({ survives: 'powerLoss' })
  await log.whenFlushed(1)
  const image = fs.medium.crashed(() => false)
  const again = await open('/data', { on: createSimRuntime(new SimFileSystem({ image }), { seed: 3 }) })
  expect(again.log('orders-0')?.logEndOffset).toBe(1)
})

test('a log with the longest of names that was set aside is not missed after a power cut', async () => {
  const fs = new SimFileSystem()
  const on = createSimRuntime(fs, { seed: 1 })
  const { logs } = await open('/data', { on })
  const topic = 'o'.repeat(240)
  await append(await logs.createLog(topic, 0, randomUuid(on.random), journaled), batchOf(['a']), on)
  await logs.checkpoint()
  // The power goes once the new name is durable and the journal does not know it yet.
  let image: ReturnType<typeof fs.medium.crashed> | null = null
  const { syncDirectory } = on.disk
  on.disk.syncDirectory = async (path) => {
    await syncDirectory.call(on.disk, path)
    if (path === '/data') image ??= fs.medium.crashed(() => false)
  }
  await logs.setAside(topic, 0)
  const again = await open('/data', {
    on: createSimRuntime(new SimFileSystem({ image: image! }), { seed: 3 }),
  })
  expect(again.logger.lines.filter((line) => line.startsWith('error'))).toEqual([])
  expect([...again.logs.logs.keys()]).toEqual([])
})
