import { describe, expect, test } from 'vitest'
import { EngineError } from '../../../src/model/errors.ts'
import { inlineCompute } from '../../../src/runtime/compute.ts'
import type { Disk, DiskWrite } from '../../../src/runtime/disk.ts'
import type { Runtime } from '../../../src/runtime/runtime.ts'
import type { Log } from '../../../src/segment/log.ts'
import type { LogOptions } from '../../../src/segment/logTypes.ts'
import { checkBatch } from '../../../src/segment/recordBatch.ts'
import { captureResume, decodeResume } from '../../../src/segment/resumePoint.ts'
import { tasks } from '../../../src/segment/tasks.ts'
import { WriteGroup } from '../../../src/segment/writeGroup.ts'
import { SimFileSystem } from '../../../src/testing/simFileSystem.ts'
import { withCalls } from '../../support/withCalls.ts'
import { openLog } from '../support.ts'
import {
  appendBatch,
  codecs,
  compactAll,
  compactConfig,
  compactingRuntime,
  keyedBatch,
  readThrough,
  stateOf,
} from './support.ts'

const startMs = 1_600_000_000_000

/** A world whose disk has these calls in place of its own, also for compaction. */
function worldWith(fs: SimFileSystem, calls: (disk: Disk) => Partial<Disk>): Runtime {
  const plain = compactingRuntime(fs)
  const own = calls(plain.disk)
  const disk = withCalls<Disk>(plain.disk, own)
  const compute = inlineCompute(tasks, { disk, checksum: plain.checksum, codecs })
  return { ...plain, disk, compute }
}

async function openIn(runtime: Runtime, options: Partial<LogOptions> = {}): Promise<Log> {
  await runtime.disk.makeDirectory('/log')
  return openLog('/log', { config: { ...compactConfig, segmentBytes: 300 }, ...options }, runtime)
}

/** Batches of one record each, two of one key in each segment. */
async function fill(log: Log, runtime: Runtime, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const entry = { key: `k${(index >> 1) % 3}`, value: 'x'.repeat(60) }
    await appendBatch(log, runtime, keyedBatch([entry], startMs + index))
  }
  await stateOf(log).sealer.idle()
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Writes of batches wait from when it is `isHeld` on, until they are answered. */
class Held {
  isHeld = false
  answer: ((error: EngineError | null) => void) | null = null

  submit(disk: Disk): Disk['submit'] {
    return async (writes: readonly DiskWrite[]) => {
      if (this.isHeld && writes[0]!.file.path.endsWith('.log')) {
        const copy = writes.map((write) => ({ ...write, parts: [Buffer.concat(write.parts)] }))
        const error = await new Promise<EngineError | null>((resolve) => {
          this.answer = resolve
        })
        if (error !== null) throw error
        return disk.submit(copy)
      }
      return disk.submit(writes)
    }
  }
}

/** A log of which all but what is under way is sealed: an append that had it roll waits for the disk. */
async function withAppendUnderWay(
  fs = new SimFileSystem(),
): Promise<{ log: Log; runtime: Runtime; held: Held }> {
  const held = new Held()
  const runtime = worldWith(fs, (disk) => ({ submit: held.submit(disk) }))
  const log = await openIn(runtime)
  await fill(log, runtime, 8)
  held.isHeld = true
  const { segmentCount } = log
  while (log.segmentCount === segmentCount) {
    if (held.answer !== null) {
      held.answer(null)
      held.answer = null
      await log.whenFlushed(log.logEndOffset)
    }
    const group = new WriteGroup(runtime.disk)
    const bytes = keyedBatch([{ key: 'late', value: 'x'.repeat(60) }], startMs + 100)
    log.append(checkBatch(bytes, runtime.checksum, 'broker'), bytes, 0, group)
    group.submit().catch(() => {})
    await turns()
  }
  expect(log.flushedOffset).toBe(stateOf(log).segments.active.baseOffset)
  held.isHeld = false
  const sealed = stateOf(log).segments.all.at(-2)!
  await compactAll(log)
  expect([sealed.isReplaced, stateOf(log).flush.pending.length]).toEqual([true, 1])
  return { log, runtime, held }
}

describe('while an append that had the log roll is under way', () => {
  test('the compacted segment before it is read to its end', async () => {
    const { log, runtime, held } = await withAppendUnderWay()
    const last = log.flushedOffset - 1
    expect((await readThrough(log, runtime, last)).map(({ offset }) => offset)).toEqual([last])
    held.answer!(null)
    await log.whenFlushed(log.logEndOffset)
    await log.close({ clean: true })
  })

  test('and finds no room, the segment that was compacted meanwhile stays in its place', async () => {
    const fs = new SimFileSystem()
    const { log, runtime, held } = await withAppendUnderWay(fs)
    const compacted = stateOf(log).segments.all.at(-2)!
    held.answer!(new EngineError('diskFull', 'no space left on the disk'))
    await turns()
    await log.whenWritable()
    expect(log.offline).toBe(null)
    expect(stateOf(log).segments.all).toContain(compacted)
    const bytes = keyedBatch([{ key: 'after', value: 'it' }], startMs + 200)
    const offset = await appendBatch(log, runtime, bytes)
    await stateOf(log).segments.removeFiles()
    expect((await readThrough(log, runtime, offset)).map(({ offset }) => offset)).toEqual([offset])
    await log.close({ clean: false })
    const again = await openLog('/log', { config: log.config }, compactingRuntime(fs))
    expect([again.offline, again.logEndOffset]).toEqual([null, offset + 1])
  })

  test('a resume point begins behind the segment that was compacted', async () => {
    const { log, runtime, held } = await withAppendUnderWay()
    const { active } = stateOf(log).segments
    const resume = captureResume(stateOf(log))
    const { closed } = decodeResume(resume!.bytes, runtime.checksum)!
    expect(closed.segments.at(-1)).toEqual([active.baseOffset, 0])
    held.answer!(null)
    await log.whenFlushed(log.logEndOffset)
  })
})

test('a compaction that finds no descriptor changes no answer for a time', async () => {
  const fs = new SimFileSystem()
  const plain = compactingRuntime(fs)
  const first = await openIn(plain)
  await fill(first, plain, 12)
  await first.close({ clean: true })
  let fails = false
  const runtime = worldWith(fs, (disk) => ({
    rename: (from, to) => {
      if (fails && to.endsWith('.swap')) throw new EngineError('diskFailed', 'injected')
      return disk.rename(from, to)
    },
  }))
  const log = await openIn(runtime, {
    cleanShutdown: true,
    closedState: first.closedState,
    recoveryPoint: first.logEndOffset,
  })
  const before = await log.offsetForTimestamp(startMs + 1)
  expect(before).toMatchObject({ offset: 1 })
  fails = true
  await expect(compactAll(log)).rejects.toThrow('injected')
  expect(await log.offsetForTimestamp(startMs + 1)).toEqual(before)
})

test('what compaction has done is forgotten with what is cut meanwhile', async () => {
  const runtime = worldWith(new SimFileSystem(), () => ({}))
  let stored = 0
  const log: Log = await openIn(runtime, {
    persistRecoveryPoint: async () => {
      if (++stored === 2) void log.truncate(2)
    },
  })
  await fill(log, runtime, 12)
  await compactAll(log)
  await log.whenWritable()
  const { logEndOffset } = log
  expect(logEndOffset).toBeLessThan(3)
  expect(Math.max(log.cleanedOffset, log.gapsBelow)).toBeLessThanOrEqual(logEndOffset)
})

test('nothing stays of what was written for a log that was cut meanwhile', async () => {
  let whenFinished = async (): Promise<void> => {}
  const runtime = worldWith(new SimFileSystem(), (disk) => ({
    remove: async (path) => {
      if (path.endsWith('.txnindex.cleaned')) await whenFinished()
      return disk.remove(path)
    },
  }))
  const log = await openIn(runtime)
  await fill(log, runtime, 12)
  whenFinished = async () => {
    whenFinished = async () => {}
    await log.truncate(10)
  }
  expect(await compactAll(log)).toBe(null)
  const names = (await runtime.disk.list('/log')).map(({ name }) => name)
  expect(names.filter((name) => name.includes('.cleaned'))).toEqual([])
})
