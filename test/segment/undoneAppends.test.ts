import { expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import type { Disk } from '../../src/runtime/disk.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { withCalls } from '../support/withCalls.ts'
import { HoldingDisk } from './faultyDisk.ts'
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
  const disk = withCalls(sim.disk, calls)
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

test.each([
  { becomes: 'finds no room either', isWritten: false, end: 1 },
  { becomes: 'is written', isWritten: true, end: 2 },
])(
  'an append is undone once it is known that an earlier one to the same new file $becomes',
  async ({ isWritten, end }) => {
    const sim = createSimRuntime(new SimFileSystem(), { seed: 1 })
    const answers: ((hasRoom: boolean) => void)[] = []
    const submit: Disk['submit'] = async (writes) => {
      if (!writes[0]!.file.path.endsWith('.log')) return sim.disk.submit(writes)
      const hasRoom = await new Promise<boolean>((resolve) => answers.push(resolve))
      if (!hasRoom) throw new EngineError('diskFull', 'no space left on the disk')
      return sim.disk.submit(writes)
    }
    const runtime = { ...sim, disk: withCalls(sim.disk, { submit }) }
    await runtime.disk.makeDirectory('/log')
    const config = { ...testConfig, segmentBytes: 190 }
    const log = await openLog('/log', { config }, runtime)
    const append = (value: string): void => {
      const group = new WriteGroup(runtime.disk)
      const bytes = batchOf([value])
      log.append(checkBatch(bytes, runtime.checksum), bytes, 0, group)
      group.submit().catch(() => {})
    }
    append('kept'.padEnd(40))
    answers[0]!(true)
    await log.whenFlushed(1)
    append('earlier'.padEnd(40))
    append('undone')
    expect(log.segmentCount).toBe(2)
    answers[2]!(false)
    await turns()
    answers[1]!(isWritten)
    await turns()
    await log.whenWritable()
    expect([log.offline, log.flushedOffset, log.logEndOffset]).toEqual([null, end, end])
    append('after'.padEnd(40))
    answers[3]!(true)
    await log.whenFlushed(end + 1)
    await log.close({ clean: false })
    const reopened = await openLog('/log', { config }, sim)
    expect([reopened.offline, reopened.logEndOffset]).toEqual([null, end + 1])
    await reopened.close({ clean: false })
  },
)

test('segments whose syncs an append that was undone had asked for are synced with the next one', async () => {
  const disk = new HoldingDisk()
  const config = { ...testConfig, segmentBytes: 150, flush: { records: 3 } }
  const log = await openLog(temporaryDirectory(), { config }, disk.runtime)
  const append = (): Promise<string> => {
    const group = new WriteGroup(disk.disk)
    const bytes = batchOf(['x'.repeat(60)])
    log.append(checkBatch(bytes, disk.runtime.checksum), bytes, 0, group)
    return group.submit().then(
      () => 'written',
      (error) => error.code,
    )
  }
  const synced = (): string[] =>
    disk.held[0]!.group.filter(({ sync }) => sync !== 'none').map(({ file }) => file.path.slice(-6))
  // What seals a segment takes its time.
  let open = (): void => {}
  disk.syncGate = new Promise((resolve) => {
    open = resolve
  })
  for (let count = 0; count < 2; count++) {
    void append()
    await disk.held.shift()!.release()
  }
  const lost = append()
  expect(synced()).toEqual(['02.log', '00.log', '01.log'])
  await disk.held.shift()!.fail('diskFull')
  expect(await lost).toBe('diskFull')
  await log.whenWritable()
  void append()
  expect(synced()).toEqual(['02.log', '00.log', '01.log'])
  await disk.held.shift()!.release()
  open()
  await log.close({ clean: true })
})
