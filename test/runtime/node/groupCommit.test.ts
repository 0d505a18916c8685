import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test, vi } from 'vitest'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'

type Callback = (error: Error | null) => void

/** Stands between the disk and the system: holds syncs until a test lets them go, and fails what it is told to. */
const faults = vi.hoisted(() => ({
  /** Syncs that have begun and wait to be let go. */
  held: [] as (() => void)[],
  holdSyncs: false,
  syncErrors: [] as (Error | null)[],
  events: [] as string[],
  /** What the next write does instead of writing: the error that it returns. */
  failWrite: null as (() => Error) | null,
  /** The most bytes that one call writes. */
  writeLimit: Number.POSITIVE_INFINITY,
}))

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs')>()
  const fdatasync = (fd: number, callback: Callback): void => {
    faults.events.push('sync begins')
    const finish = (): void => {
      const error = faults.syncErrors.shift() ?? null
      if (error === null) fs.fdatasync(fd, callback)
      else callback(error)
    }
    if (faults.holdSyncs) faults.held.push(finish)
    else finish()
  }
  const writev = (
    fd: number,
    buffers: Buffer[],
    position: number,
    callback: (error: Error | null, written: number) => void,
  ): void => {
    faults.events.push(`write of ${buffers.length}`)
    const { failWrite } = faults
    if (failWrite !== null) {
      faults.failWrite = null
      callback(failWrite(), 0)
      return
    }
    let left = faults.writeLimit
    const some = buffers.flatMap((buffer) => {
      const take = buffer.subarray(0, Math.min(left, buffer.length))
      left -= take.length
      return take.length > 0 ? [take] : []
    })
    fs.writev(fd, some, position, callback)
  }
  return { ...fs, fdatasync, writev }
})

beforeEach(() => {
  Object.assign(faults, {
    held: [],
    holdSyncs: false,
    syncErrors: [],
    failWrite: null,
    events: [],
    writeLimit: Number.POSITIVE_INFINITY,
  })
})

const world = () => {
  const { disk } = createNodeRuntime()
  const file = disk.file(join(temporaryDirectory(), 'log'))
  const submit = (position: number, sync: 'none' | 'data' = 'data') =>
    disk.submit([{ file, position, parts: [Buffer.from('x')], sync }])
  return { disk, file, submit }
}

test('one sync serves every group that was written before it began, and no group that was written later', async () => {
  const { disk, submit } = world()
  faults.holdSyncs = true
  const settled: number[] = []
  const groups = [submit(0).then(() => settled.push(0))]
  await vi.waitUntil(() => faults.held.length === 1)
  for (let at = 1; at <= 50; at++) groups.push(submit(at).then(() => settled.push(at)))
  // Written while the first sync runs: the page cache does not wait for it.
  await submit(51, 'none')
  expect(settled).toEqual([])
  faults.held.shift()!()
  await vi.waitUntil(() => faults.held.length === 1)
  expect(settled).toEqual([0])
  faults.held.shift()!()
  await Promise.all(groups)
  expect(settled).toEqual(Array.from({ length: 51 }, (_, at) => at))
  expect(faults.events.filter((event) => event === 'sync begins')).toHaveLength(2)
  await disk.close()
})

test('writes that follow each other and are queued together become one call', async () => {
  const { disk, submit } = world()
  await submit(0, 'none')
  faults.events = []
  await Promise.all(Array.from({ length: 40 }, (_, at) => submit(1 + at, 'none')))
  expect(faults.events.length).toBeLessThanOrEqual(2)
  await disk.close()
})

test('a failed sync is not tried again: every later one fails with it, though the disk would say yes', async () => {
  const { disk, file, submit } = world()
  await submit(0)
  faults.syncErrors = [Object.assign(new Error('EIO'), { code: 'EIO' })]
  await expect(submit(1)).rejects.toMatchObject({ code: 'diskFailed', cause: { code: 'EIO' } })
  faults.events = []
  await expect(submit(2)).rejects.toMatchObject({ code: 'diskFailed' })
  await expect(file.sync()).rejects.toMatchObject({ code: 'diskFailed' })
  expect(faults.events).not.toContain('sync begins')
  await submit(3, 'none')
  await file.close()
  await submit(4)
  await disk.close()
})

test('a failed sync of a file that was closed for want of descriptors is not forgotten', async () => {
  const { disk } = createNodeRuntime({ maxOpenFiles: 1 })
  const directory = temporaryDirectory()
  const [first, second] = [disk.file(join(directory, 'first')), disk.file(join(directory, 'second'))]
  const write = (file: typeof first, sync: 'none' | 'data') =>
    disk.submit([{ file, position: 0, parts: [Buffer.from('x')], sync }])
  await write(first, 'none')
  faults.syncErrors = [Object.assign(new Error('EIO'), { code: 'EIO' })]
  await write(second, 'none')
  await vi.waitUntil(() => faults.syncErrors.length === 0)
  await expect(write(first, 'data')).rejects.toMatchObject({ code: 'diskFailed' })
  await disk.close()
})

test('what was queued while a write failed fails with it, what is queued after the report runs', async () => {
  const { disk, file, submit } = world()
  await submit(0, 'none')
  const queued: Promise<void>[] = []
  faults.failWrite = () => {
    queued.push(submit(2, 'none'), submit(3))
    return Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
  }
  await expect(submit(1)).rejects.toMatchObject({ code: 'diskFull' })
  for (const group of queued) await expect(group).rejects.toMatchObject({ code: 'diskFull' })
  expect(await file.size()).toBe(1)
  await submit(1)
  expect(await file.size()).toBe(2)
  await disk.close()
})

test('a write that the system takes in pieces is carried on until all is written', async () => {
  const { disk } = createNodeRuntime()
  const file = disk.file(join(temporaryDirectory(), 'log'))
  const parts = Array.from({ length: 9 }, (_, at) => Buffer.alloc(10, 65 + at))
  faults.writeLimit = 7
  const groups = parts.map((part, at) =>
    disk.submit([{ file, position: at * 10, parts: [part], sync: 'none' }]),
  )
  await Promise.all(groups)
  const target = Buffer.alloc(90)
  await file.read(target, 0)
  expect(target.equals(Buffer.concat(parts))).toBe(true)
  await disk.close()
})

test('a file that may only be read can be read, and says permissionDenied to a write', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'log'), 'stored', { mode: 0o444 })
  const { disk } = createNodeRuntime()
  const file = disk.file(join(directory, 'log'))
  const target = Buffer.alloc(6)
  expect(await file.read(target, 0)).toBe(6)
  expect(target.toString()).toBe('stored')
  await disk.close()
})
