import { describe, expect, test } from 'vitest'
import type { Disk } from '../../src/runtime/disk.ts'
import type { Log } from '../../src/segment/log.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import type { Segment } from '../../src/segment/segment.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import type { SimRuntime } from '../../src/testing/simRuntime.ts'
import {
  appendBatch,
  compactAll,
  compactConfig,
  compactingRuntime,
  keyedBatch,
  readThrough,
  stateOf,
} from './compaction/support.ts'
import { openLog } from './support.ts'

const startMs = 1_600_000_000_000

/** A log of two batches a segment, all but the last two of which may be compacted. */
async function open(runtime: SimRuntime, disk: Disk = runtime.disk): Promise<Log> {
  await disk.makeDirectory('/log')
  const config = { ...compactConfig, segmentBytes: 300, fileDeleteDelayMs: 0 }
  return openLog('/log', { config }, { ...runtime, disk })
}

function batch(index: number): Uint8Array {
  return keyedBatch([{ key: `k${index}`, value: `${index}`.padEnd(60) }], startMs + index)
}

async function fill(log: Log, runtime: SimRuntime, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await appendBatch(log, runtime, batch(index))
}

/** Spoils a byte of the first batch of a segment, and has that noted; what the file held. */
async function spoil(log: Log, runtime: SimRuntime, segment: Segment): Promise<Uint8Array> {
  const { file, baseOffset } = segment
  const content = await runtime.disk.readFile(file.path)
  const parts = [Uint8Array.of(content[90]! ^ 1)]
  await runtime.disk.submit([{ file, position: 90, parts, sync: 'data' }])
  expect(await log.findDamage(baseOffset)).toBe(true)
  return content
}

async function offsets(log: Log, runtime: SimRuntime): Promise<number[]> {
  return (await readThrough(log, runtime, 0)).map(({ offset }) => offset)
}

describe('a segment that is written again beside the old one', () => {
  test('is not mixed up with what compaction writes meanwhile', async () => {
    const runtime = compactingRuntime()
    const log = await open(runtime)
    await fill(log, runtime, 8)
    await compactAll(log)
    for (let index = 8; index < 12; index++) await appendBatch(log, runtime, batch(index % 4))
    await stateOf(log).sealer.idle()
    const segment = stateOf(log).segments.all[1]!
    const content = await spoil(log, runtime, segment)
    const first = new DataView(content.buffer).getInt32(8) + 12
    const mending = (await log.mending(log.damage[0]!, true))!
    await mending.take(content.subarray(0, first))
    await compactAll(log).catch(() => {})
    await mending.take(content.subarray(first))
    expect([mending.isOver, log.offline, log.damage]).toEqual([true, null, []])
    expect(await runtime.disk.readFile(segment.file.path.replace(/(\.\d+)?\.deleted$/, ''))).toEqual(content)
  })

  test('is finished in the place of the old one, where that was not yet', async () => {
    const fs = new SimFileSystem()
    const runtime = compactingRuntime(fs)
    const log = await open(runtime)
    await fill(log, runtime, 3)
    await stateOf(log).sealer.idle()
    const { sealer, segments } = stateOf(log)
    const segment = segments.active
    const content = await spoil(log, runtime, segment)
    const range = log.damage[0]!
    // It is full now, and left as it is while it is damaged.
    await appendBatch(log, runtime, batch(3))
    await appendBatch(log, runtime, batch(4))
    await sealer.idle()
    expect(sealer.segments()).toEqual([segment])
    const mending = (await log.mending(range, true))!
    const second = (await runtime.disk.readFile(segment.file.path)).subarray(content.length)
    await mending.take(content)
    await mending.take(second)
    expect([mending.isOver, log.damage]).toEqual([true, []])
    runtime.clock.advance(1)
    await segments.removeFiles()
    await log.prepareCheckpoint()
    await sealer.idle()
    expect([log.offline, sealer.segments(), log.recoveryPoint]).toEqual([null, [], 5])
    expect(await offsets(log, runtime)).toEqual([0, 1, 2, 3, 4])
    await log.close({ clean: true })
    expect(log.closedState).not.toBe(null)
  })

  test('is not begun while something is on its way to the old one', async () => {
    const runtime = compactingRuntime()
    const held: (() => void)[] = []
    let isHeld = false
    const disk = new Proxy<Disk>(runtime.disk, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (name !== 'submit') return typeof value === 'function' ? value.bind(target) : value
        return async (writes: Parameters<Disk['submit']>[0]) => {
          const copy = writes.map((write) => ({ ...write, parts: [Buffer.concat(write.parts)] }))
          if (isHeld) await new Promise<void>((resolve) => held.push(resolve))
          return runtime.disk.submit(copy)
        }
      },
    })
    const log = await open(runtime, disk)
    await fill(log, { ...runtime, disk } as SimRuntime, 3)
    await stateOf(log).sealer.idle()
    await spoil(log, runtime, stateOf(log).segments.active)
    isHeld = true
    for (const index of [3, 4]) {
      const group = new WriteGroup(disk)
      const bytes = batch(index)
      log.append(checkBatch(bytes, runtime.checksum, 'broker'), bytes, 0, group)
      group.submit().catch(() => {})
    }
    expect([log.flushedOffset, stateOf(log).segments.active.baseOffset]).toEqual([3, 4])
    await expect(log.mending(log.damage[0]!, true)).rejects.toMatchObject({ code: 'kafkaStorageError' })
    isHeld = false
    for (const release of held) release()
    await log.whenFlushed(5)
    expect((await log.mending(log.damage[0]!, true))!.toOffset).toBe(4)
  })
  test('needs nothing of the indexes of the old one', async () => {
    const runtime = compactingRuntime()
    const first = await open(runtime)
    await fill(first, runtime, 5)
    await first.close({ clean: true })
    const { config, logEndOffset: recoveryPoint, closedState } = first
    const log = await openLog('/log', { config, cleanShutdown: true, recoveryPoint, closedState }, runtime)
    const segment = stateOf(log).segments.all[1]!
    const content = await runtime.disk.readFile(segment.file.path)
    await runtime.disk.submit([{ file: segment.file, position: 16, parts: [Uint8Array.of(9)], sync: 'data' }])
    for (const kind of ['index', 'timeindex']) {
      await runtime.disk.remove(segment.file.path.replace(/log$/, kind))
    }
    expect(await log.findDamage(2)).toBe(true)
    const mending = (await log.mending(log.damage[0]!, true))!
    await mending.take(content)
    expect([mending.isOver, log.offline, log.damage]).toEqual([true, null, []])
    expect(await offsets(log, runtime)).toEqual([0, 1, 2, 3, 4])
  })
})
