import { expect, test } from 'vitest'
import { SharedSync } from '../../src/segment/sharedSync.ts'

/** A disk whose syncs end when a test says so. */
class SyncingDisk {
  readonly running: { end: () => void; fail: (error: Error) => void }[] = []
  syncDirectory(): Promise<void> {
    return new Promise((end, fail) => this.running.push({ end, fail }))
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('whoever asks while a sync runs waits for the next one, together with the others', async () => {
  const disk = new SyncingDisk()
  const shared = new SharedSync(disk, '/data')
  const ended: string[] = []
  const ask = (name: string) => void shared.sync().then(() => ended.push(name))
  ask('first')
  await turn()
  ask('second')
  ask('third')
  await turn()
  expect(disk.running).toHaveLength(1)
  disk.running[0]!.end()
  await turn()
  expect(ended).toEqual(['first'])
  expect(disk.running).toHaveLength(2)
  disk.running[1]!.end()
  await turn()
  expect(ended).toEqual(['first', 'second', 'third'])
  expect(disk.running).toHaveLength(2)
})

test('a sync that fails fails those who share it, and no one after them', async () => {
  const disk = new SyncingDisk()
  const shared = new SharedSync(disk, '/data')
  const first = shared.sync()
  await turn()
  const second = shared.sync()
  disk.running[0]!.fail(new Error('the disk is gone'))
  await expect(first).rejects.toThrow('the disk is gone')
  await turn()
  disk.running[1]!.end()
  await expect(second).resolves.toBeUndefined()
})
