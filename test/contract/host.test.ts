import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { InvariantError } from '../../src/model/assert.ts'
import { nextMessage, startProgram } from '../support/childProgram.ts'
import { killed } from '../support/killed.ts'
import { recordBatch } from '../support/recordBatch.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { implementations } from './implementations.ts'

/** A child process of its own: `lockOwner.ts`. */
const lockOwner = new URL('./lockOwner.ts', import.meta.url)
/** Another: `descriptorHog.ts`. */
const descriptorHog = new URL('./descriptorHog.ts', import.meta.url)
/** Another: `manyDisks.ts`. */
const manyDisks = new URL('./manyDisks.ts', import.meta.url)
/** Another: `manyCalls.ts`. */
const manyCalls = new URL('./manyCalls.ts', import.meta.url)

/** What only a real file system can show. */
describe.each(implementations)('the $name disk on this machine', ({ name, create }) => {
  test('a full disk is diskFull, says ENOSPC, and later writes go on', async () => {
    const directory = temporaryDirectory()
    symlinkSync('/dev/full', join(directory, 'full'))
    const { disk } = create()
    const [full, good] = [disk.file(join(directory, 'full')), disk.file(join(directory, 'good'))]
    const group = disk.submit([
      { file: full, position: 0, parts: [Buffer.from('x')], sync: 'data' },
      { file: good, position: 0, parts: [Buffer.from('y')], sync: 'data' },
    ])
    await expect(group).rejects.toMatchObject({ code: 'diskFull', cause: { code: 'ENOSPC' } })
    await disk.submit([{ file: good, position: 0, parts: [Buffer.from('z')], sync: 'data' }])
    expect(await good.size()).toBe(1)
    expect(disk.queuedBytes).toBe(0)
  })

  test('what is queued behind a failed write of a file fails too; what is queued after the report runs', async () => {
    const directory = temporaryDirectory()
    const { disk } = create()
    const [log, other] = [disk.file(join(directory, 'log')), disk.file(join(directory, 'other'))]
    const write = (file: typeof log, position: number) =>
      disk.submit([{ file, position, parts: [Buffer.from('x')], sync: 'none' }])
    await write(log, 0)
    // No file system of Linux that tests run on takes a file of 8 PiB.
    const beyond = write(log, Number.MAX_SAFE_INTEGER - 1)
    const behind = write(log, 1)
    const elsewhere = write(other, 0)
    await expect(beyond).rejects.toMatchObject({ code: 'diskFull', cause: { code: 'EFBIG' } })
    await expect(behind).rejects.toMatchObject({ code: 'diskFull' })
    await elsewhere
    expect(await log.size()).toBe(1)
    await write(log, 1)
    expect(await log.size()).toBe(2)
  })

  test('a length and a place to read at that are none are bugs of the caller, and nothing is cut', async () => {
    const { disk } = create()
    const file = disk.file(join(temporaryDirectory(), 'log'))
    await disk.submit([{ file, position: 0, parts: [Buffer.from('0123456789')], sync: 'none' }])
    for (const position of [-1, 0.5, 3.7, Number.NaN, 2 ** 60, 2 ** 64, Number.POSITIVE_INFINITY]) {
      await expect(file.truncate(position)).rejects.toBeInstanceOf(InvariantError)
      await expect(file.read(Buffer.alloc(4), position)).rejects.toBeInstanceOf(InvariantError)
    }
    expect(await file.size()).toBe(10)
    expect(await file.read(Buffer.alloc(4), Number.MAX_SAFE_INTEGER)).toBe(0)
  })

  test('every file that failed in a group is written and cut again after the report', async () => {
    const directory = temporaryDirectory()
    const { disk } = create()
    const files = ['one', 'two', 'three'].map((name) => disk.file(join(directory, name)))
    const group = (position: number) =>
      disk.submit(files.map((file) => ({ file, position, parts: [Buffer.from('xy')], sync: 'none' })))
    await group(0)
    await expect(group(Number.MAX_SAFE_INTEGER - 1)).rejects.toMatchObject({ code: 'diskFull' })
    for (const file of files) await file.truncate(1)
    await group(1)
    for (const file of files) expect(await file.size()).toBe(3)
  })

  test('a sync that fails is diskFailed, for every later sync too, until the file is closed', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'log')
    // Writing to /dev/null works, syncing it does not.
    symlinkSync('/dev/null', path)
    const { disk } = create()
    const file = disk.file(path)
    const write = () => disk.submit([{ file, position: 0, parts: [Buffer.from('x')], sync: 'data' }])
    await expect(write()).rejects.toMatchObject({ code: 'diskFailed', cause: { code: 'EINVAL' } })
    await disk.submit([{ file, position: 0, parts: [Buffer.from('x')], sync: 'none' }])
    await expect(file.sync()).rejects.toMatchObject({ code: 'diskFailed' })
    unlinkSync(path)
    writeFileSync(path, '')
    await expect(write()).rejects.toMatchObject({ code: 'diskFailed' })
    await file.close()
    await write()
    expect(await file.size()).toBe(1)
  })

  test('a file that there is no descriptor for is diskFull, and is written once there is one', async () => {
    const child = await startProgram(descriptorHog, [temporaryDirectory(), name], 64)
    const refused = 'diskFull EMFILE'
    expect(await nextMessage(child)).toEqual(['written', refused, refused, 'written', 'written'])
  })

  test('all disks of a process together leave descriptors for others', async () => {
    const child = await startProgram(manyDisks, [temporaryDirectory(), name], 320)
    expect(await nextMessage(child)).toEqual(['some left'])
  })

  test('a thousand calls at once share the descriptors that there are', async () => {
    const child = await startProgram(manyCalls, [temporaryDirectory(), name], 320)
    expect(await nextMessage(child)).toEqual([0, 0, 0, 0])
  })

  test('a file system that is not there cannot be synced', async () => {
    const { disk } = create()
    const path = join(temporaryDirectory(), 'none')
    const synced = disk.syncFileSystem?.(path)
    if (synced !== undefined) await expect(synced).rejects.toMatchObject({ code: 'notFound' })
    else expect(name).toBe('portable')
  })

  test('a file that is a directory is refused with an error', async () => {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'log'))
    const { disk } = create()
    const file = disk.file(join(directory, 'log'))
    const write = disk.submit([{ file, position: 0, parts: [Buffer.from('x')], sync: 'none' }])
    await expect(write).rejects.toMatchObject({ code: 'diskFailed', cause: { code: 'EISDIR' } })
  })

  test('what lies behind a cut does not count as written any more', async () => {
    const path = join(temporaryDirectory(), 'log')
    const { disk } = create()
    const file = disk.file(path)
    const [first, second] = [recordBatch(0, 1, 500), recordBatch(1, 1, 500)]
    await disk.submit([{ file, position: 0, parts: [first, second], sync: 'data' }])
    await file.truncate(first.length)
    second[200]! ^= 1
    appendFileSync(path, second)
    await disk.prepare([{ file, position: 0, lengthBytes: first.length }])
    const behind = disk.prepare([{ file, position: first.length, lengthBytes: second.length }])
    await expect(behind).rejects.toMatchObject({ corruption: { file: path, position: first.length } })
  })

  test('a file that takes the name of another is not taken for it', async () => {
    const directory = temporaryDirectory()
    const { disk } = create()
    const [path, other] = [join(directory, 'log'), join(directory, 'other')]
    const bytes = recordBatch(0, 1, 500)
    const write = { position: 0, parts: [bytes], sync: 'none' } as const
    await disk.submit([{ file: disk.file(path), ...write }])
    writeFileSync(other, Buffer.from(bytes).fill(7, 100, 110))
    await disk.rename(other, path)
    const prepared = disk.prepare([{ file: disk.file(path), position: 0, lengthBytes: bytes.length }])
    await expect(prepared).rejects.toMatchObject({ corruption: { file: path, position: 0 } })
  })

  test('a lock ends with its process, however that ends', async () => {
    const path = join(temporaryDirectory(), '.lock')
    const { disk } = create()
    const child = await startProgram(lockOwner, [path])
    expect(await nextMessage(child)).toBe('locked')
    await expect(disk.lock(path, 'me')).rejects.toMatchObject({
      code: 'directoryLocked',
      message: expect.stringContaining(`child ${child.pid}`),
    })
    await killed(child)
    const lock = await disk.lock(path, 'me')
    const second = await startProgram(lockOwner, [path])
    expect(await nextMessage(second)).toBe('directoryLocked')
    await lock.release()
    expect(readdirSync(join(path, '..')).filter((name) => name.endsWith('.sock'))).toHaveLength(1)
  })

  test('a lock works in a directory whose path is longer than a socket address', async () => {
    const directory = join(temporaryDirectory(), 'a'.repeat(120), 'b'.repeat(120))
    mkdirSync(directory, { recursive: true })
    const lock = await create().disk.lock(join(directory, '.lock'), 'me')
    await expect(create().disk.lock(join(directory, '.lock'), 'you')).rejects.toMatchObject({
      code: 'directoryLocked',
    })
    await lock.release()
    const again = await create().disk.lock(join(directory, '.lock'), 'you')
    await again.release()
  })

  test('a lock in a directory that is not there is notFound', async () => {
    const path = join(temporaryDirectory(), 'none', '.lock')
    await expect(create().disk.lock(path, 'me')).rejects.toMatchObject({ code: 'notFound' })
  })

  test('hundreds of files are written, synced and read with a handful of descriptors', async () => {
    const directory = temporaryDirectory()
    const { disk } = create({ maxOpenFiles: 16 })
    const files = Array.from({ length: 300 }, (_, index) => disk.file(join(directory, `log-${index}`)))
    for (let round = 0; round < 3; round++) {
      for (let at = 0; at < files.length; at += 10) {
        const sync = at % 20 === 0 ? 'dataAndName' : 'none'
        const some = files.slice(at, at + 10)
        const parts = [Buffer.from(String(round))]
        await disk.submit(some.map((file) => ({ file, position: round, parts, sync })))
        for (const file of some) expect(await file.size()).toBe(round + 1)
      }
      expect(descriptorsUnder(directory)).toBeLessThan(100)
    }
    const target = Buffer.alloc(4)
    for (const file of files) {
      expect(await file.read(target, 0)).toBe(3)
      expect(target.toString('latin1', 0, 3)).toBe('012')
    }
    await disk.close()
    expect(descriptorsUnder(directory)).toBe(0)
  })

  test('a closed, a renamed and a removed file keep no descriptor', async () => {
    const directory = temporaryDirectory()
    const { disk } = create()
    const names = ['closed', 'renamed', 'removed']
    const files = names.map((name) => disk.file(join(directory, name)))
    await disk.submit(
      files.map((file) => ({ file, position: 0, parts: [Buffer.from('x')], sync: 'data' as const })),
    )
    for (const file of files) await file.read(Buffer.alloc(1), 0)
    expect(descriptorsUnder(directory)).toBeGreaterThan(0)
    await files[0]!.close()
    await disk.rename(files[1]!.path, join(directory, 'moved'))
    await disk.remove(files[2]!.path)
    expect(descriptorsUnder(directory)).toBe(0)
  })

  test('connections leave no descriptor behind', async () => {
    const { network } = create()
    const before = sockets()
    const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (connection) => {
      connection.start({
        data: (chunk) => {
          connection.send([Buffer.from(chunk)])
          connection.end()
        },
        end: () => connection.end(),
        drain: () => {},
        close: () => {},
      })
    })
    for (let round = 0; round < 20; round++) {
      const client = await network.connect(listener.address, 1000)
      await new Promise<void>((resolve) => {
        client.start({ data: () => {}, end: () => client.end(), drain: () => {}, close: () => resolve() })
        client.send([Buffer.from('x')])
      })
    }
    await listener.close()
    // The last connection of the server closes when it has seen the client go.
    while (sockets() > before) await new Promise((resolve) => setImmediate(resolve))
    expect(sockets()).toBe(before)
  })
})

function links(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return []
    }
  })
}

function descriptorsUnder(directory: string): number {
  expect(statSync(directory).isDirectory()).toBe(true)
  return links().filter((target) => target.startsWith(`${directory}/`)).length
}

function sockets(): number {
  return links().filter((target) => target.startsWith('socket:')).length
}
