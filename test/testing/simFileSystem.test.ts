import { describe, expect, test } from 'vitest'
import type { Medium } from '../../src/testing/medium.ts'
import { SimDisk } from '../../src/testing/simDisk.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { SimRandom } from '../../src/testing/simRandom.ts'

/** What is left of a file, as text; null when it is not there. */
function textAfterCrash(
  fs: SimFileSystem,
  path: string,
  fateOf: Parameters<Medium['crashed']>[0],
): string | null {
  const after = new SimFileSystem({ image: fs.medium.crashed(fateOf) })
  return after.stat(path) === null ? null : Buffer.from(after.contentOf(path)).toString('latin1')
}

const all = () => true
const nothing = () => false

async function world() {
  const fs = new SimFileSystem()
  const disk = new SimDisk(fs)
  await disk.makeDirectory('/data')
  await disk.syncDirectory('/')
  const write = (name: string, text: string, sync: 'none' | 'data' | 'dataAndName', position = 0) =>
    disk.submit([{ file: disk.file(`/data/${name}`), position, parts: [Buffer.from(text)], sync }])
  return { fs, disk, write }
}

describe('a crash of the simulated file system', () => {
  test('takes what was not synced, and leaves what was', async () => {
    const { fs, write } = await world()
    await write('log', 'synced', 'dataAndName')
    await write('log', ', not synced', 'none', 6)
    expect(textAfterCrash(fs, '/data/log', all)).toBe('synced, not synced')
    expect(textAfterCrash(fs, '/data/log', nothing)).toBe('synced')
  })

  test('may leave the length of a file without its bytes, which are zeros then', async () => {
    const { fs, write } = await world()
    await write('log', 'ab', 'dataAndName')
    await write('log', 'x'.repeat(5000), 'none', 4094)
    const text = textAfterCrash(fs, '/data/log', ({ kind }) => kind === 'grow')
    expect(text).toHaveLength(9094)
    expect(text).toBe(`ab${'\0'.repeat(9092)}`)
  })

  test('keeps or loses each block on its own', async () => {
    const { fs, write } = await world()
    await write('log', 'a'.repeat(12288), 'dataAndName')
    await write('log', 'b'.repeat(12288), 'none')
    const text = textAfterCrash(fs, '/data/log', (unit) => unit.kind === 'block' && unit.index === 1)
    expect(text).toBe(`${'a'.repeat(4096)}${'b'.repeat(4096)}${'a'.repeat(4096)}`)
  })

  test('tears a block between sectors of 512 bytes', async () => {
    const { fs, write } = await world()
    await write('log', 'a'.repeat(4096), 'dataAndName')
    await write('log', 'b'.repeat(4096), 'none')
    expect(textAfterCrash(fs, '/data/log', () => ({ sectors: 3 }))).toBe(
      `${'b'.repeat(1536)}${'a'.repeat(2560)}`,
    )
  })

  test('takes the name of a file whose bytes are synced', async () => {
    const { fs, disk, write } = await world()
    await write('log', 'synced', 'data')
    expect(textAfterCrash(fs, '/data/log', nothing)).toBeNull()
    await disk.syncDirectory('/data')
    expect(textAfterCrash(fs, '/data/log', nothing)).toBe('synced')
  })

  test('takes a rename as a whole, and everything in a directory whose name is lost', async () => {
    const { fs, disk, write } = await world()
    await write('old', 'kept', 'dataAndName')
    await disk.rename('/data/old', '/data/new')
    expect(textAfterCrash(fs, '/data/new', nothing)).toBeNull()
    expect(textAfterCrash(fs, '/data/old', nothing)).toBe('kept')
    expect(textAfterCrash(fs, '/data/new', all)).toBe('kept')
    expect(textAfterCrash(fs, '/data/old', all)).toBeNull()
    await disk.makeDirectory('/data/topic')
    await write('topic/log', 'synced', 'dataAndName')
    expect(textAfterCrash(fs, '/data/topic/log', nothing)).toBeNull()
    await disk.syncDirectory('/data')
    expect(textAfterCrash(fs, '/data/topic/log', nothing)).toBe('synced')
  })

  test('brings back what was removed or cut and not synced', async () => {
    const { fs, disk, write } = await world()
    await write('log', 'stored', 'dataAndName')
    await disk.file('/data/log').truncate(3)
    expect(textAfterCrash(fs, '/data/log', nothing)).toBe('stored')
    await disk.file('/data/log').sync()
    await disk.remove('/data/log')
    expect(textAfterCrash(fs, '/data/log', nothing)).toBe('sto')
    await disk.syncDirectory('/data')
    expect(textAfterCrash(fs, '/data/log', nothing)).toBeNull()
  })

  test('leaves all that a sync of the file system covers', async () => {
    const { fs, disk, write } = await world()
    await disk.makeDirectory('/data/topic')
    await write('topic/log', 'bytes', 'none')
    await disk.syncFileSystem('/data')
    expect(textAfterCrash(fs, '/data/topic/log', nothing)).toBe('bytes')
  })

  test('does not take what was written while a sync ran for part of it', async () => {
    const { fs, write } = await world()
    await write('log', 'a', 'dataAndName')
    const upTo = fs.beginSync()
    fs.write(fs.fileAt('/data/log'), 1, Buffer.from('b'))
    fs.syncFile(fs.fileAt('/data/log'), upTo)
    expect(textAfterCrash(fs, '/data/log', nothing)).toBe('a')
  })
})

describe('a sync that fails', () => {
  test('is told once, loses bytes for good, and the cache shows them until it is dropped', async () => {
    const fs = new SimFileSystem()
    let fails = false
    const disk = new SimDisk(fs, {
      random: new SimRandom(5),
      faults: ({ kind }) => (fails && kind === 'sync' ? { code: 'EIO' } : null),
    })
    const file = disk.file('/log')
    await disk.submit([{ file, position: 0, parts: [Buffer.alloc(64 << 10, 'a')], sync: 'dataAndName' }])
    fails = true
    const failed = disk.submit([{ file, position: 0, parts: [Buffer.alloc(64 << 10, 'b')], sync: 'data' }])
    await expect(failed).rejects.toMatchObject({ code: 'diskFailed', cause: { code: 'EIO' } })
    fails = false
    // The descriptor remembers; a new one is told that all is well.
    await expect(file.sync()).rejects.toMatchObject({ code: 'diskFailed' })
    await file.close()
    await file.sync()
    const bytes = Buffer.alloc(64 << 10)
    await file.read(bytes, 0)
    expect(bytes.includes('a')).toBe(false)
    await file.dropCached?.()
    await file.read(bytes, 0)
    expect(bytes.includes('a')).toBe(true)
  })
})

test('a full disk refuses what needs a new block and takes what does not', async () => {
  const fs = new SimFileSystem({ capacityBytes: 8192 })
  const disk = new SimDisk(fs)
  const file = disk.file('/log')
  await disk.submit([{ file, position: 0, parts: [new Uint8Array(8192).fill(1)], sync: 'none' }])
  const more = disk.submit([{ file, position: 8192, parts: [Buffer.from('x')], sync: 'none' }])
  await expect(more).rejects.toMatchObject({ code: 'diskFull', cause: { code: 'ENOSPC' } })
  await disk.submit([{ file, position: 0, parts: [Buffer.from('y')], sync: 'none' }])
  expect(await disk.space()).toEqual({ freeBytes: 0, totalBytes: 8192 })
})

test('a write that is interrupted goes on where it was', async () => {
  const fs = new SimFileSystem()
  let interruptions = 0
  const disk = new SimDisk(fs, {
    faults: ({ kind }) =>
      kind === 'write' && interruptions++ === 0 ? { code: 'EINTR', writtenBytes: 3 } : null,
  })
  await disk.submit([{ file: disk.file('/log'), position: 0, parts: [Buffer.from('abcdef')], sync: 'none' }])
  expect(Buffer.from(fs.contentOf('/log')).toString()).toBe('abcdef')
  expect(interruptions).toBe(2)
})

test('a killed disk makes no further calls, and its locks are free', async () => {
  const fs = new SimFileSystem()
  const disk = new SimDisk(fs)
  await disk.lock('/.lock', 'first')
  const file = disk.file('/log')
  let isDone = false
  void disk
    .submit([{ file, position: 0, parts: [Buffer.from('late')], sync: 'data' }])
    .then(() => (isDone = true))
  disk.kill()
  const next = new SimDisk(fs)
  await next.lock('/.lock', 'second')
  for (let turn = 0; turn < 100; turn++) await null
  expect(isDone).toBe(false)
})

test('a clone of a medium goes its own way', () => {
  const fs = new SimFileSystem()
  fs.write(fs.open('/a'), 0, Buffer.from('one'))
  const copy = fs.medium.clone()
  fs.syncAll(fs.beginSync())
  expect(fs.medium.pending).toHaveLength(0)
  expect(copy.pending.length).toBeGreaterThan(0)
  expect(new SimFileSystem({ medium: copy }).contentOf('/a')).toHaveLength(3)
})
