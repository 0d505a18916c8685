import { expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import type { Disk } from '../../src/runtime/disk.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import { batchOf, ManualClock, openLog, testConfig } from './support.ts'

/** Lets everything go on that waits for nothing but its turn. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('a sync that was under way while appends were undone says nothing of what took their place', async () => {
  const clock = new ManualClock()
  const sim = { ...createSimRuntime(new SimFileSystem(), { seed: 1 }), clock }
  let refuses = false
  let release = (): void => {}
  let syncs: Promise<void> | null = null
  const calls: Partial<Disk> = {
    submit: async (writes) => {
      if (refuses) throw new EngineError('queueFull', 'too much is queued')
      return sim.disk.submit(writes)
    },
    syncDirectory: async (path) => {
      await syncs
      return sim.disk.syncDirectory(path)
    },
  }
  const disk = new Proxy<Disk>(sim.disk, {
    get: (target, name) => {
      const value: unknown = Reflect.get(calls, name) ?? Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const runtime = { ...sim, disk }
  await disk.makeDirectory('/log')
  const log = await openLog('/log', { config: { ...testConfig, flush: { intervalMs: 40 } } }, runtime)
  const groupOf = (value: string): WriteGroup => {
    const group = new WriteGroup(disk, () => void group.submit().catch(() => {}))
    const bytes = batchOf([value])
    log.append(checkBatch(bytes, runtime.checksum), bytes, 0, group)
    return group
  }
  await groupOf('kept').submit()
  expect(log.flushedOffset).toBe(1)
  // The sync begins with an append that is not written then, and waits for the name of the file.
  groupOf('undone')
  refuses = true
  syncs = new Promise((resolve) => {
    release = resolve
  })
  clock.advance(50)
  await turns()
  refuses = false
  expect(log.logEndOffset).toBe(1)
  await groupOf('later').submit()
  expect(log.flushedOffset).toBe(2)
  release()
  await turns()
  expect(log.durableOffset).toBe(1)
  await log.flush()
  expect(log.durableOffset).toBe(2)
})
