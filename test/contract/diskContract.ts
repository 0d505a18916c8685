import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { assert, InvariantError } from '../../src/model/assert.ts'
import { WriteError } from '../../src/model/errors.ts'
import type { Disk, DiskFile, DiskSync } from '../../src/runtime/disk.ts'
import { recordBatch } from '../support/recordBatch.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import type { CreateDisk } from './implementations.ts'

/** What every `Disk` has to do, said through the seam alone. */
export function diskContract(create: CreateDisk): void {
  const world = (options: Parameters<CreateDisk>[0] = {}) => {
    const directory = temporaryDirectory()
    const { disk } = create(options, directory)
    return { disk, directory, at: (name: string) => join(directory, name) }
  }

  test('a group lands where it says, its parts one after the other', async () => {
    const { disk, at } = world()
    const [first, second] = [disk.file(at('first')), disk.file(at('second'))]
    await disk.submit([
      { file: first, position: 0, parts: [text('he'), text(''), text('llo')], sync: 'none' },
      { file: second, position: 2, parts: [text('xyz')], sync: 'data' },
      { file: first, position: 5, parts: [text(' world')], sync: 'dataAndName' },
    ])
    expect(await content(first)).toBe('hello world')
    expect(await content(second)).toBe('\0\0xyz')
  })

  test('a file whose cached bytes are dropped reads as before, what is not synced included', async () => {
    const { disk, at } = world()
    const file = disk.file(at('log'))
    await disk.submit([{ file, position: 0, parts: [text('stored')], sync: 'data' }])
    await disk.submit([{ file, position: 6, parts: [text(', dirty')], sync: 'none' }])
    await file.dropCached?.()
    expect(await content(file)).toBe('stored, dirty')
    await disk.file(at('none')).dropCached?.()
  })

  test('a file system that is synced keeps what was written', async () => {
    const { disk, directory, at } = world()
    if (disk.syncFileSystem === undefined) return
    const file = disk.file(at('log'))
    await disk.submit([{ file, position: 0, parts: [text('kept')], sync: 'none' }])
    await Promise.all([disk.syncFileSystem(directory), disk.syncFileSystem(at('log'))])
    expect(await content(file)).toBe('kept')
  })

  test('the word for a mount is one, and stays the same', async () => {
    const { disk, directory, at } = world()
    const mount = (await disk.mountOf?.(directory)) ?? null
    expect(mount === null || /^\S+$/.test(mount)).toBe(true)
    expect((await disk.mountOf?.(directory)) ?? null).toBe(mount)
    await disk.makeDirectory(at('below'))
    expect((await disk.mountOf?.(at('below'))) ?? null).toBe(mount)
  })

  test('groups on one file are carried out in the order of calls', async () => {
    const { disk, at } = world()
    const file = disk.file(at('log'))
    const groups: Promise<void>[] = []
    for (let round = 0; round < 300; round++) {
      const sync = (['none', 'data', 'dataAndName'] as const)[round % 3]!
      const part = text(
        String(round)
          .padStart(3, '0')
          .repeat(1 + (round % 7)),
      )
      groups.push(disk.submit([{ file, position: (round * 5) % 11, parts: [part], sync }]))
    }
    await Promise.all(groups)
    const expected = new Uint8Array(11 + 21)
    let length = 0
    for (let round = 0; round < 300; round++) {
      const part = text(
        String(round)
          .padStart(3, '0')
          .repeat(1 + (round % 7)),
      )
      expected.set(part, (round * 5) % 11)
      length = Math.max(length, ((round * 5) % 11) + part.length)
    }
    expect(await content(file)).toBe(Buffer.from(expected.subarray(0, length)).toString('latin1'))
  })

  test('any mixture of writes and truncations leaves what an array of bytes would hold', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(diskCommand, { maxLength: 40 }), async (commands) => {
        const { disk, at } = world()
        const model = [Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(0)]
        const files = model.map((_, index) => disk.file(at(`file-${index}`)))
        for (const file of files) await disk.submit([{ file, position: 0, parts: [text('')], sync: 'none' }])
        const running: Promise<void>[] = []
        for (const command of commands) {
          if (command.type === 'truncate') {
            running.push(files[command.file]!.truncate(command.size))
            model[command.file] = resized(model[command.file]!, command.size)
          } else {
            const group = command.writes.map((write) => ({ ...write, file: files[write.file]! }))
            running.push(disk.submit(group))
            for (const write of command.writes) {
              const bytes = Buffer.concat(write.parts)
              const old = model[write.file]!
              // A write of nothing does not extend a file.
              const end = bytes.length === 0 ? 0 : write.position + bytes.length
              const next = resized(old, Math.max(old.length, end))
              next.set(bytes, Math.min(write.position, next.length))
              model[write.file] = next
            }
          }
        }
        await Promise.all(running)
        for (const [index, file] of files.entries()) {
          expect(await content(file)).toBe(model[index]!.toString('latin1'))
        }
        await disk.close()
      }),
      { numRuns: 40 },
    )
  })

  test('bytes may be changed as soon as submit has returned', async () => {
    const { disk, at } = world()
    const file = disk.file(at('log'))
    const bytes = Buffer.alloc(100_000, 1)
    const written = disk.submit([{ file, position: 0, parts: [bytes], sync: 'none' }])
    bytes.fill(2)
    await written
    const found = Buffer.alloc(100_000)
    await file.read(found, 0)
    expect(found.equals(Buffer.alloc(100_000, 1))).toBe(true)
  })

  test('a read stops at the end of the file and says how much it found', async () => {
    const { disk, at } = world()
    const file = disk.file(at('log'))
    await disk.submit([{ file, position: 0, parts: [text('12345')], sync: 'none' }])
    expect(await file.read(new Uint8Array(10), 2)).toBe(3)
    expect(await file.read(new Uint8Array(10), 5)).toBe(0)
    expect(await file.read(new Uint8Array(10), 500)).toBe(0)
    expect(await file.read(new Uint8Array(0), 0)).toBe(0)
    expect(await file.size()).toBe(5)
  })

  test('a file that is not there is notFound to read, size, sync and truncate, and is not created by them', async () => {
    const { disk, at } = world()
    const file = disk.file(at('nothing'))
    await expect(file.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'notFound' })
    await expect(file.size()).rejects.toMatchObject({ code: 'notFound' })
    await expect(file.sync()).rejects.toMatchObject({ code: 'notFound' })
    await expect(file.truncate(0)).rejects.toMatchObject({ code: 'notFound' })
    expect(await disk.stat(at('nothing'))).toBeNull()
  })

  test('a file is created by a write even after it was notFound', async () => {
    const { disk, at } = world()
    const file = disk.file(at('late'))
    await expect(file.sync()).rejects.toMatchObject({ code: 'notFound' })
    await disk.submit([{ file, position: 0, parts: [text('x')], sync: 'dataAndName' }])
    expect(await content(file)).toBe('x')
  })

  test('a write into a directory that is not there is notFound and names the file', async () => {
    const { disk, at } = world()
    const file = disk.file(at('no/such'))
    const written = disk.submit([{ file, position: 0, parts: [text('x')], sync: 'none' }])
    await expect(written).rejects.toMatchObject({ code: 'notFound', cause: { code: 'ENOENT' } })
    await expect(written).rejects.toThrow(at('no/such'))
  })

  test('a group of which files fail names each of them; the others are written, and synced as was asked', async () => {
    const { disk, at } = world()
    const good = [disk.file(at('first')), disk.file(at('second')), disk.file(at('third'))] as const
    // A directory that is not there, and a file that takes bytes and cannot be synced.
    const bad = [disk.file(at('none/log')), disk.file('/dev/null'), disk.file(at('gone/log'))] as const
    const failed = await disk
      .submit([
        { file: good[0], position: 0, parts: [text('one')], sync: 'data' },
        { file: bad[0], position: 0, parts: [text('x')], sync: 'data' },
        { file: good[1], position: 0, parts: [text('two')], sync: 'none' },
        { file: bad[1], position: 0, parts: [text('x')], sync: 'data' },
        { file: bad[2], position: 0, parts: [text('x')], sync: 'none' },
        { file: good[2], position: 0, parts: [text('three')], sync: 'dataAndName' },
      ])
      .catch((error: unknown) => error)
    assert(failed instanceof WriteError)
    expect(failed.failures.map(({ path, error }) => `${path} ${error.code}`).sort()).toEqual(
      [`${bad[0].path} notFound`, '/dev/null diskFailed', `${bad[2].path} notFound`].sort(),
    )
    expect([failed.in(at('none'))?.code, failed.in('/dev')?.code, failed.in(at('here'))]).toEqual([
      'notFound',
      'diskFailed',
      null,
    ])
    expect(await Promise.all(good.map(content))).toEqual(['one', 'two', 'three'])
    // The failure of one is nothing to the others, in this group and in later ones.
    await disk.submit(good.map((file) => ({ file, position: 0, parts: [text('X')], sync: 'data' as const })))
    expect(await Promise.all(good.map(content))).toEqual(['Xne', 'Xwo', 'Xhree'])
    const alone = disk.submit([{ file: bad[1], position: 0, parts: [text('x')], sync: 'data' }])
    await expect(alone).rejects.toMatchObject({ name: 'WriteError', code: 'diskFailed' })
  })

  test('truncate waits for the groups before it, and groups after it wait for truncate', async () => {
    const { disk, at } = world()
    const file = disk.file(at('log'))
    await Promise.all([
      disk.submit([{ file, position: 0, parts: [text('0123456789')], sync: 'data' }]),
      file.truncate(4),
      disk.submit([{ file, position: 6, parts: [text('x')], sync: 'data' }]),
    ])
    expect(await content(file)).toBe('0123\0\0x')
  })

  test('a position that is no position is a bug of the caller, and nothing is written', async () => {
    const { disk, at } = world()
    const file = disk.file(at('log'))
    for (const position of [-1, 0.5, Number.NaN, 2 ** 60]) {
      const group = disk.submit([{ file, position, parts: [text('x')], sync: 'none' }])
      await expect(group).rejects.toBeInstanceOf(InvariantError)
    }
    expect(disk.queuedBytes).toBe(0)
    expect(await disk.stat(file.path)).toBeNull()
  })

  test('an empty group resolves', async () => {
    const { disk } = world()
    await expect(disk.submit([])).resolves.toBeUndefined()
  })

  test('many groups with syncs on many files all resolve', async () => {
    const { disk, at } = world()
    const files = Array.from({ length: 20 }, (_, index) => disk.file(at(`part-${index}`)))
    const groups = Array.from({ length: 200 }, (_, round) =>
      disk.submit([
        { file: files[round % 20]!, position: round, parts: [text('a')], sync: 'data' },
        { file: files[(round + 7) % 20]!, position: round, parts: [text('b')], sync: 'dataAndName' },
      ]),
    )
    await expect(Promise.all(groups)).resolves.toHaveLength(200)
    expect(disk.queuedBytes).toBe(0)
  })

  test('queuedBytes is bounded, and room comes when groups have ended', async () => {
    const { disk, at } = world({ maxQueuedBytes: 1000 })
    const write = (length: number) =>
      disk.submit([
        { file: disk.file(at('log')), position: 0, parts: [new Uint8Array(length)], sync: 'data' },
      ])
    const first = write(5000)
    expect(disk.queuedBytes).toBe(5000)
    await expect(write(1)).rejects.toMatchObject({ code: 'queueFull' })
    await disk.room()
    expect(disk.queuedBytes).toBeLessThan(500)
    await first
    await Promise.all([write(400), write(600)])
    expect(disk.queuedBytes).toBe(0)
  })

  test('a file keeps its bytes over a rename, and over a rename of its directory', async () => {
    const { disk, at } = world()
    await disk.makeDirectory(at('old'))
    const file = disk.file(at('old/log'))
    await disk.submit([{ file, position: 0, parts: [text('kept')], sync: 'none' }])
    expect(await content(file)).toBe('kept')
    await disk.rename(at('old/log'), at('old/moved'))
    await disk.rename(at('old'), at('new'))
    expect(await content(disk.file(at('new/moved')))).toBe('kept')
    expect(await disk.stat(at('old'))).toBeNull()
    await disk.makeDirectory(at('old'))
    await disk.submit([{ file, position: 0, parts: [text('fresh')], sync: 'none' }])
    expect(await content(disk.file(at('old/log')))).toBe('fresh')
    expect(await content(disk.file(at('new/moved')))).toBe('kept')
  })

  test('a rename replaces a file that is there, also one that is open', async () => {
    const { disk, at } = world()
    const [from, to] = [disk.file(at('from')), disk.file(at('to'))]
    await disk.submit([
      { file: from, position: 0, parts: [text('new')], sync: 'none' },
      { file: to, position: 0, parts: [text('older')], sync: 'none' },
    ])
    await disk.rename(from.path, to.path)
    expect(await content(to)).toBe('new')
  })

  test('a file that is moved is read on by who has it, while another file has its old name', async () => {
    const { disk, at } = world({ maxOpenFiles: 8 })
    const names = Array.from({ length: 40 }, (_, index) => at(`moved-${index}`))
    const files = names.map((name) => disk.file(name))
    await Promise.all(
      files.map((file, index) =>
        disk.submit([{ file, position: 0, parts: [text(`old ${index}`)], sync: 'none' }]),
      ),
    )
    await disk.submit([
      { file: disk.file(`${names[0]}.aside`), position: 0, parts: [text('gone')], sync: 'none' },
    ])
    await Promise.all(
      files.map(async (file, index) => {
        const before = content(file)
        await disk.moveFile(file, `${names[index]}.aside`)
        const fresh = disk.file(names[index]!)
        await disk.submit([{ file: fresh, position: 0, parts: [text(`new ${index}`)], sync: 'none' }])
        expect([await before, await content(file), await content(fresh)]).toEqual([
          `old ${index}`,
          `old ${index}`,
          `new ${index}`,
        ])
        expect(file.path).toBe(`${names[index]}.aside`)
      }),
    )
    await disk.remove(files[0]!.path)
    await expect(content(files[0]!)).rejects.toMatchObject({ code: 'notFound' })
    await expect(disk.moveFile(disk.file(at('none')), at('x'))).rejects.toMatchObject({ code: 'notFound' })
  })

  test('what is removed is gone, and a new file of that name is another one', async () => {
    const { disk, at } = world()
    await disk.makeDirectory(at('topic/deep'))
    const file = disk.file(at('topic/deep/log'))
    await disk.submit([{ file, position: 0, parts: [text('old bytes')], sync: 'data' }])
    await disk.remove(at('topic'))
    await disk.remove(at('topic'))
    expect(await disk.stat(at('topic'))).toBeNull()
    await expect(file.size()).rejects.toMatchObject({ code: 'notFound' })
    await disk.makeDirectory(at('topic/deep'))
    await disk.submit([{ file, position: 0, parts: [text('new')], sync: 'dataAndName' }])
    expect(await content(file)).toBe('new')
  })

  test('makeDirectory makes parents, takes what is there, and ends where nothing can be made', async () => {
    const { disk, at } = world()
    await disk.makeDirectory(at('a/b/c'))
    await disk.makeDirectory(at('a/b/c'))
    expect(await disk.stat(at('a/b/c'))).toMatchObject({ kind: 'directory' })
    await disk.replaceFile(at('file'), Buffer.from('x'))
    await expect(disk.makeDirectory(at('file/below'))).rejects.toMatchObject({ code: 'notFound' })
    // /proc answers "not found" to whoever makes a directory in it.
    await expect(disk.makeDirectory('/proc/nope/deeper')).rejects.toMatchObject({ code: 'notFound' })
  })

  test('a directory lists its entries by name with their kinds', async () => {
    const { disk, directory, at } = world()
    await disk.makeDirectory(at('b/inner'))
    await disk.replaceFile(at('c'), text('123'))
    await disk.replaceFile(at('a'), text(''))
    await disk.syncDirectory(directory)
    expect(await disk.list(directory)).toEqual([
      { name: 'a', kind: 'file' },
      { name: 'b', kind: 'directory' },
      { name: 'c', kind: 'file' },
    ])
    expect(await disk.stat(at('c'))).toMatchObject({ kind: 'file', sizeBytes: 3 })
    await expect(disk.list(at('none'))).rejects.toMatchObject({ code: 'notFound' })
  })

  test('replaceFile replaces a whole file and leaves nothing else behind', async () => {
    const { disk, directory, at } = world()
    await disk.replaceFile(at('checkpoint'), text('a longer text'))
    await disk.replaceFile(at('checkpoint'), text('short'))
    expect(Buffer.from(await disk.readFile(at('checkpoint'))).toString()).toBe('short')
    expect(await disk.list(directory)).toHaveLength(1)
  })

  test('readFile refuses a file that is larger than allowed', async () => {
    const { disk, at } = world()
    await disk.replaceFile(at('large'), new Uint8Array(101))
    await expect(disk.readFile(at('large'), 100)).rejects.toMatchObject({ code: 'unsupportedFormat' })
    await expect(disk.readFile(at('none'))).rejects.toMatchObject({ code: 'notFound' })
    expect(await disk.readFile(at('large'), 101)).toHaveLength(101)
  })

  test('space says how much is free and how much there is', async () => {
    const { disk, directory } = world()
    const { freeBytes, totalBytes } = await disk.space(directory)
    expect(freeBytes).toBeGreaterThan(0)
    expect(totalBytes).toBeGreaterThanOrEqual(freeBytes)
  })

  test('a lock excludes others, names its owner and can be taken again after release', async () => {
    const { disk, at } = world()
    const other = create().disk
    for (let round = 0; round < 3; round++) {
      const lock = await disk.lock(at('.lock'), 'pid 7\nhost here\n')
      await expect(other.lock(at('.lock'), 'me')).rejects.toMatchObject({
        code: 'directoryLocked',
        message: expect.stringContaining('pid 7, host here'),
      })
      await lock.release()
    }
    const lock = await other.lock(at('.lock'), 'me')
    await lock.release()
  })

  test('one of many that want the lock at once gets it', async () => {
    const { at } = world()
    const attempts = Array.from({ length: 12 }, (_, index) =>
      create().disk.lock(at('.lock'), `owner ${index}`),
    )
    const outcomes = await Promise.allSettled(attempts)
    const held = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    expect(held).toHaveLength(1)
    for (const { value } of held) await value.release()
  })

  test('a closed file opens again when it is used', async () => {
    const { disk, at } = world()
    const file = disk.file(at('log'))
    await disk.submit([{ file, position: 0, parts: [text('one')], sync: 'data' }])
    await file.close()
    await file.close()
    expect(await content(file)).toBe('one')
    await disk.submit([{ file, position: 3, parts: [text('two')], sync: 'data' }])
    expect(await content(disk.file(at('log')))).toBe('onetwo')
  })

  test('ranges of whole batches that were written may be sent', async () => {
    const { disk, at } = world()
    const file = disk.file(at('log'))
    const bytes = Buffer.concat([recordBatch(0, 3, 5000), recordBatch(3, 1, 70_000), recordBatch(9, 2, 0)])
    await disk.submit([{ file, position: 0, parts: [bytes], sync: 'none' }])
    await disk.prepare([{ file, position: 0, lengthBytes: bytes.length }])
    await disk.prepare([
      { file, position: 5061, lengthBytes: 70_061 },
      { file, position: 75_122, lengthBytes: 61 },
    ])
    await disk.prepare([])
    expect(await file.size()).toBe(bytes.length)
  })

  test('ranges that somebody else wrote are checked, and may be sent when they are good', async () => {
    const { disk, at } = world()
    const bytes = Buffer.concat([recordBatch(0, 3, 2_000_000), recordBatch(3, 1, 10), recordBatch(9, 2, 0)])
    await disk.replaceFile(at('log'), bytes)
    const file = disk.file(at('log'))
    const first = disk.prepare([{ file, position: 0, lengthBytes: bytes.length }])
    expect(first).not.toBeNull()
    await first
    await disk.prepare([{ file, position: 0, lengthBytes: bytes.length }])
  })

  test('damage in a range is a CorruptionError that says where; what lies before it stays good', async () => {
    const { disk, at } = world()
    const batches = [recordBatch(0, 3, 300), recordBatch(3, 1, 200_000), recordBatch(9, 2, 100)]
    const [first, second] = batches
    const good = Buffer.concat(batches)
    const end = first!.length + second!.length
    const refused = async (name: string, bytes: Uint8Array, lengthBytes: number, position: number) => {
      await disk.replaceFile(at(name), bytes)
      const file = disk.file(at(name))
      const prepared = disk.prepare([{ file, position: 0, lengthBytes }])
      await expect(prepared).rejects.toMatchObject({
        code: 'corruptLog',
        corruption: { file: at(name), position },
      })
      if (position > 0) await disk.prepare([{ file, position: 0, lengthBytes: position }])
    }
    for (const [name, where] of [
      ['record', end - 1],
      ['checksum', first!.length + 17],
      ['magic', first!.length + 16],
      ['offset', first!.length + 7],
    ] as const) {
      const bytes = Buffer.from(good)
      bytes[where]! ^= 2
      await refused(name, bytes, good.length, first!.length)
    }
    const bounds = { minOffset: 0, isGapless: true, minEpoch: 0x5a5a5a5a, maxEpoch: 0x5a5a5a5a }
    const gapless = Buffer.concat([first!, second!, recordBatch(4, 2, 2_000_000), recordBatch(6, 1, 10)])
    await disk.replaceFile(at('bounds'), gapless)
    const whole = { file: disk.file(at('bounds')), position: 0, lengthBytes: gapless.length, bounds }
    await disk.prepare([whole])
    for (const [name, where] of [
      ['later offset', gapless.length - 71 + 6],
      ['another epoch', gapless.length - 71 + 12],
    ] as const) {
      const bytes = Buffer.from(gapless)
      bytes[where]! ^= 0x40
      await disk.replaceFile(at(name), bytes)
      const file = disk.file(at(name))
      await expect(disk.prepare([{ ...whole, file }])).rejects.toMatchObject({
        corruption: { position: gapless.length - 71 },
      })
    }
    await refused('cut', good.subarray(0, good.length - 1), good.length, end)
    await refused('cut inside', good, good.length - 1, end)
    await refused('empty', good.subarray(0, 0), good.length, 0)
    const none = disk.prepare([{ file: disk.file(at('none')), position: 0, lengthBytes: 100 }])
    await expect(none).rejects.toMatchObject({ code: 'notFound' })
  })

  test('a mapped file reads as the file, also when there is room for few mappings', async () => {
    const { disk, at } = world({ maxOpenFiles: 3 })
    if (disk.map === undefined) return
    const names = Array.from({ length: 10 }, (_, index) => at(`file-${index}`))
    for (const [index, name] of names.entries()) await disk.replaceFile(name, text(`content ${index}`))
    await disk.replaceFile(at('empty'), text(''))
    const maps = []
    for (const name of names) maps.push(await disk.map(name))
    const target = Buffer.alloc(20)
    const read = maps.map((mapped) => mapped.read(target, 2))
    expect(read.at(-1)).toBe(7)
    expect(target.toString('latin1', 0, 7)).toBe('ntent 9')
    expect(read.filter((count) => count !== null).length).toBeLessThanOrEqual(3)
    expect(maps.filter(({ isOpen }) => isOpen).length).toBeLessThanOrEqual(3)
    const empty = await disk.map(at('empty'))
    expect([empty.sizeBytes, empty.read(target, 0), empty.read(target, 10)]).toEqual([0, 0, 0])
    empty.close()
    expect([empty.isOpen, empty.read(target, 0)]).toEqual([false, null])
    await expect(disk.map(at('none'))).rejects.toMatchObject({ code: 'notFound' })
  })

  test('close waits for what is queued; after it everything is refused', async () => {
    const { disk, at } = world()
    const file = disk.file(at('log'))
    let written = false
    const group = disk
      .submit([{ file, position: 0, parts: [new Uint8Array(1 << 20)], sync: 'data' }])
      .then(() => (written = true))
    await disk.close()
    await group
    expect(written).toBe(true)
    const late = disk.submit([{ file, position: 0, parts: [text('x')], sync: 'none' }])
    await expect(late).rejects.toMatchObject({ code: 'closed' })
    await expect(file.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'closed' })
  })
}

const sync = fc.constantFrom<DiskSync>('none', 'data', 'dataAndName')
const diskWrite = fc.record({
  file: fc.integer({ min: 0, max: 2 }),
  position: fc.integer({ min: 0, max: 60 }),
  parts: fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 3 }),
  sync,
})
const diskCommand = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('group' as const),
      writes: fc.array(diskWrite, { maxLength: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('truncate' as const),
      file: fc.integer({ min: 0, max: 2 }),
      size: fc.integer({ min: 0, max: 60 }),
    }),
  },
)

function text(value: string): Uint8Array {
  return Buffer.from(value, 'latin1')
}

function resized(bytes: Buffer, length: number): Buffer<ArrayBuffer> {
  const result = Buffer.alloc(length)
  bytes.copy(result)
  return result
}

async function content(file: ReturnType<Disk['file']> | DiskFile): Promise<string> {
  const target = Buffer.alloc(await file.size())
  await file.read(target, 0)
  return target.toString('latin1')
}
