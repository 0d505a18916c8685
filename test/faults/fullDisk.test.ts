import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../interop/support/run.ts'
import { removeDisks, TestDisk } from './support/disks.ts'
import { lost, wrong } from './support/ledger.ts'
import { endWriters, readBack, Writer } from './support/programs.ts'

afterEach(() => {
  endWriters()
  removeDisks()
})

describe.each(['journal', 'batch', 'none'])('%s on a disk that fills up', (policy) => {
  test('refuses appends, goes on reading, and takes appends again once there is room', async () => {
    const disk = TestDisk.tmpfs(96)
    const ballast = `${disk.path}/ballast`
    const directory = `${disk.path}/data`
    const writer = Writer.start(directory, { policy, logs: 3, writers: 3, bytes: 8000 })
    await writer.acknowledge(200)
    fill(ballast)
    await until('the disk to be full', () => writer.refused.length > 20)
    expect(new Set(writer.refused)).toEqual(new Set(['diskFull']))
    const readable = await writer.read()
    expect(readable).toBeGreaterThanOrEqual(writer.acknowledged.length)
    rmSync(ballast)
    await writer.acknowledge(200)
    await writer.close()
    const stored = await readBack(directory)
    expect(wrong(stored)).toEqual([])
    expect(lost(writer.acknowledged, stored)).toEqual([])
  })
})

/** Writes a file as large as there is room. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  const chunk = Buffer.alloc(256 * 1024)
  try {
    for (;;) writeSync(file, chunk)
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' })
  } finally {
    closeSync(file)
  }
}
