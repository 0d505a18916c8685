import { execFileSync } from 'node:child_process'
import { readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import type { Disk, DiskFile } from '../../src/runtime/disk.ts'
import { implementations } from '../contract/implementations.ts'
import { pair } from '../contract/networkContract.ts'
import { recordBatch } from '../support/recordBatch.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

const native = new URL('../../native/', import.meta.url).pathname
const addon = join(native, readdirSync(native).find((name) => name.endsWith('.node')) ?? '')

/** Has the next read of all of `file` come from the disk: what it holds is synced first. */
async function evict(file: DiskFile): Promise<void> {
  await file.sync()
  await file.dropCached!()
}

async function writtenLog(disk: Disk, batches: readonly Buffer[]) {
  const file = disk.file(join(temporaryDirectory(), 'log'))
  const bytes = Buffer.concat(batches)
  await disk.submit([{ file, position: 0, parts: [bytes], sync: 'data' }])
  return { file, bytes, whole: { file, position: 0, lengthBytes: bytes.length } }
}

describe.each(implementations.filter(({ name }) => name === 'native'))('verified reads', ({ create }) => {
  const batches = Array.from({ length: 40 }, (_, index) => recordBatch(index, 1, 20_000))
  const size = batches[0]!.length

  test('what was written here is sent without a check, until it has left memory', async () => {
    const { disk } = create()
    const { file, whole } = await writtenLog(disk, batches)
    expect(disk.prepare([whole])).toBeNull()
    await evict(file)
    const again = disk.prepare([whole])
    expect(again).not.toBeNull()
    await again
    expect(disk.prepare([whole])).toBeNull()
  })

  test('neighbouring ranges that were checked one by one count as one', async () => {
    const { disk } = create()
    const { file, whole } = await writtenLog(disk, batches)
    await evict(file)
    for (let at = 0; at < batches.length; at += 4) {
      await disk.prepare([{ file, position: at * size, lengthBytes: 4 * size }])
    }
    expect(disk.prepare([whole])).toBeNull()
    expect(disk.prepare([{ file, position: 3 * size, lengthBytes: 30 * size }])).toBeNull()
  })

  test('a bit that flips on the disk is found when the range comes back into memory', async () => {
    const { disk } = create()
    const { file, bytes, whole } = await writtenLog(disk, batches)
    await evict(file)
    bytes[25 * size + 100]! ^= 1
    writeFileSync(file.path, bytes)
    execFileSync('sync', [file.path])
    await file.dropCached!()
    await expect(disk.prepare([whole])).rejects.toMatchObject({ corruption: { position: 25 * size } })
    // The good part may be sent, the rest is refused again.
    expect(disk.prepare([{ ...whole, lengthBytes: 25 * size }])).toBeNull()
    await expect(disk.prepare([whole])).rejects.toMatchObject({ code: 'corruptLog' })
  })

  test('a read that brings a range back into memory does not make it count as checked', async () => {
    const { disk } = create()
    const { file, bytes } = await writtenLog(disk, batches)
    const middle = { file, position: 20 * size, lengthBytes: size }
    bytes[20 * size + 100]! ^= 1
    await evict(file)
    writeFileSync(file.path, bytes)
    execFileSync('sync', [file.path])
    await file.dropCached!()
    // As a look at the batch's header does, and the kernel reads ahead.
    await file.read(Buffer.alloc(100), 20 * size)
    await file.read(Buffer.alloc(100_000), 18 * size)
    await expect(disk.prepare([middle])).rejects.toMatchObject({ corruption: { position: 20 * size } })
  })

  test('what lies behind a cut is not known any more', async () => {
    const { disk } = create()
    const { file, bytes, whole } = await writtenLog(disk, batches)
    await file.truncate(10 * size)
    writeFileSync(file.path, bytes)
    expect(disk.prepare([{ ...whole, lengthBytes: 10 * size }])).toBeNull()
    expect(disk.prepare([whole])).not.toBeNull()
    await disk.prepare([whole])
  })
})

describe.each(implementations.filter(({ name }) => name === 'native'))(
  'sends from the disk',
  ({ create }) => {
    const batches = Array.from({ length: 60 }, (_, index) => recordBatch(index, 1, 50_000))

    test('a range that is not in memory is read aside and arrives whole, beside one that is', async () => {
      const runtime = create()
      const { disk } = runtime
      const cold = await writtenLog(disk, batches)
      const hot = await writtenLog(disk, [recordBatch(0, 1, 1000)])
      const sides = await pair(runtime)
      for (let round = 0; round < 3; round++) {
        await evict(cold.file)
        const small = { file: cold.file, position: 50_000 * 30, lengthBytes: 700 }
        sides.server.connection.send([Buffer.from('head'), cold.whole, hot.whole, small])
      }
      const expected = Buffer.concat([
        Buffer.from('head'),
        cold.bytes,
        hot.bytes,
        cold.bytes.subarray(50_000 * 30, 50_000 * 30 + 700),
      ])
      await sides.client.receives(3 * expected.length)
      expect(sides.client.received.equals(Buffer.concat([expected, expected, expected]))).toBe(true)
    })

    test('a range that has left memory since it was checked is checked again, and closes the connection if it is bad', async () => {
      const runtime = create()
      const { file, bytes, whole } = await writtenLog(runtime.disk, batches)
      const sides = await pair(runtime)
      expect(runtime.disk.prepare([whole])).toBeNull()
      await evict(file)
      bytes[2_000_000]! ^= 1
      writeFileSync(file.path, bytes)
      execFileSync('sync', [file.path])
      await file.dropCached!()
      sides.server.connection.send([Buffer.from('head'), whole])
      expect(await sides.server.closed).toMatchObject({ code: 'corruptLog' })
      await sides.client.closed
      expect(sides.client.received.toString()).toBe('head')
    })
  },
)

describe.each(implementations.filter(({ name }) => name === 'native'))('mapped files', ({ create }) => {
  test('a file that is cut under its mapping is an error of reading it, not the end of the process', async () => {
    const { disk } = create()
    const path = join(temporaryDirectory(), 'index')
    writeFileSync(path, Buffer.alloc(20_000, 7))
    const mapped = await disk.map!(path)
    const target = Buffer.alloc(100)
    expect(mapped.read(target, 8192)).toBe(100)
    expect(target.every((byte) => byte === 7)).toBe(true)
    truncateSync(path, 0)
    // Not in memory, the kernel says: then nobody touches it.
    expect(mapped.read(target, 8192)).toBeNull()
    mapped.close()
  })

  test('a worker maps, loses a page, and leaves; the process goes on to map', async () => {
    const directory = temporaryDirectory()
    const program = `
      const { Engine } = require(${JSON.stringify(addon)})
      const { parentPort, workerData } = require('node:worker_threads')
      const { truncateSync } = require('node:fs')
      const completions = new Float64Array(300)
      const engine = new Engine(() => {
        engine.takeCompletions(completions)
        const [, errno, map] = completions
        truncateSync(workerData, 0)
        const faulty = engine.readMapped(map, new Uint8Array(10), 5000, true)
        parentPort.postMessage([errno, faulty, engine.readMapped(map, new Uint8Array(10), 5000, false)])
      }, 4)
      engine.mapFile(1, workerData)
      setInterval(() => {}, 1000)
    `
    for (let round = 0; round < 3; round++) {
      const path = join(directory, `index-${round}`)
      writeFileSync(path, Buffer.alloc(20_000, 7))
      const worker = new Worker(program, { eval: true, workerData: path })
      const said = await new Promise((resolve, reject) =>
        worker.once('message', resolve).once('error', reject),
      )
      expect(said).toEqual([0, -3, -3])
      await worker.terminate()
      const { disk } = create()
      writeFileSync(path, Buffer.alloc(20_000, 8))
      const mapped = await disk.map!(path)
      expect(mapped.read(Buffer.alloc(10), 15_000)).toBe(10)
    }
  })
})
