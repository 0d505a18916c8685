import { afterEach, describe, expect, test } from 'vitest'
import { removeDisks, TestDisk } from './support/disks.ts'
import { lost, wrong } from './support/ledger.ts'
import { endWriters, readBack, Writer } from './support/programs.ts'

afterEach(() => {
  endWriters()
  removeDisks()
})

/** Writes on a disk of its own until `count` appends are acknowledged, then takes its power away and starts anew. */
async function cutAfter(count: number, policy: string, injections: readonly string[] = []) {
  const disk = TestDisk.ext4(512)
  const directory = `${disk.path}/data`
  const writer = Writer.start(directory, { policy, logs: 9, writers: 6, bytes: 1200 }, injections)
  await writer.acknowledge(count)
  writer.freeze()
  disk.cutPower()
  writer.kill()
  await writer.ended()
  disk.unmount()
  disk.mount()
  return { writer, stored: await readBack(directory) }
}

describe('a power cut of an ext4 file system', () => {
  test.each(['journal', 'batch', 'append'])('%s: nothing that was acknowledged is lost', async (policy) => {
    for (const count of [1, 60, 700]) {
      const { writer, stored } = await cutAfter(count, policy)
      expect(wrong(stored)).toEqual([])
      expect(lost(writer.acknowledged, stored)).toEqual([])
    }
  })

  test.each(['none', 'interval', 'bytes', 'records'])('%s: what is left is a prefix', async (policy) => {
    const { stored } = await cutAfter(500, policy)
    expect(wrong(stored)).toEqual([])
  })

  test('is a real one: syncs that only pretend lose what was acknowledged', async () => {
    const lies = ['fdatasync,fsync,syncfs:retval=0']
    const { writer, stored } = await cutAfter(300, 'journal', lies)
    expect(lost(writer.acknowledged, stored)).not.toEqual([])
  })
})
