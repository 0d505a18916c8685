import { describe, expect, test } from 'vitest'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { parentOf } from '../../src/segment/durableNames.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import { expectCode } from '../engine/support.ts'
import { append, create, open } from './journalingSupport.ts'
import { batchOf } from './support.ts'

/** What a power cut leaves of all that the disk was not told to keep. */
function afterPowerCut(fs: SimFileSystem): Runtime {
  return createSimRuntime(new SimFileSystem({ image: fs.medium.crashed(() => false) }), { seed: 9 })
}

describe('what was acknowledged survives a power cut', () => {
  test.each(['/fast/node1/journal', '/fast/j/', '/fast//j'])(
    'where the directory of the journal was new: %s',
    async (journalDirectory) => {
      const fs = new SimFileSystem()
      const on = createSimRuntime(fs, { seed: 1 })
      const { logs } = await open('/data', { on, journalDirectory })
      expect(await append(await create(logs, 'orders'), batchOf(['a']), on)).toMatchObject({
        survives: 'powerLoss',
      })
      const again = await open('/data', { on: afterPowerCut(fs), journalDirectory })
      expect(again.log('orders-0').logEndOffset).toBe(1)
    },
  )

  test('where a start that was killed had made the data directory, and not its name durable', async () => {
    const fs = new SimFileSystem()
    const killed = createSimRuntime(fs, { seed: 1 })
    const asked = new Promise<void>((resolve) => {
      killed.disk.syncDirectory = () => {
        killed.disk.kill()
        resolve()
        return new Promise(() => {})
      }
    })
    void open('/big/cordwood/data', { on: killed }).catch(() => {})
    await asked
    const on = createSimRuntime(fs, { seed: 2 })
    expect(await on.disk.stat('/big/cordwood/data')).not.toBeNull()
    const { logs } = await open('/big/cordwood/data', { on })
    await append(await create(logs, 'orders'), batchOf(['a']), on)
    const again = await open('/big/cordwood/data', { on: afterPowerCut(fs) })
    expect(again.log('orders-0')?.logEndOffset).toBe(1)
  })
})

test('a copy of a data directory does not open beside it while both have the same journal elsewhere', async () => {
  const fs = new SimFileSystem()
  const on = createSimRuntime(fs, { seed: 1 })
  const journalDirectory = '/fast/journal'
  const first = await open('/data', { on, journalDirectory })
  await append(await create(first.logs, 'orders'), batchOf(['a']), on)
  await first.logs.close()
  await on.disk.makeDirectory('/copy')
  for (const name of ['meta.properties', '.cordwood_journal']) {
    const from = on.disk.file(`/data/${name}`)
    const bytes = new Uint8Array(await from.size())
    await from.read(bytes, 0)
    await on.disk.submit([{ file: on.disk.file(`/copy/${name}`), position: 0, parts: [bytes], sync: 'none' }])
  }
  const again = await open('/data', { on, journalDirectory })
  await expectCode(open('/copy', { on, journalDirectory }), 'directoryLocked')
  await again.logs.close()
  const copy = await open('/copy', { on, journalDirectory })
  await copy.logs.close()
})

test('the parent of a path', () => {
  expect(['/a/b', '/a/b/', '/a', '/', 'a', 'a/b//', '/a//b'].map(parentOf)).toEqual([
    '/a',
    '/a',
    '/',
    '/',
    '.',
    'a',
    '/a',
  ])
})
