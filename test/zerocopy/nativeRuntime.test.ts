import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, test, vi } from 'vitest'
import type { DiskLock } from '../../src/runtime/disk.ts'
import { loadAddon } from '../../src/zerocopy/addon.ts'
import { EngineLink } from '../../src/zerocopy/engineLink.ts'
import { NativeDisk } from '../../src/zerocopy/nativeDisk.ts'
import { createRuntime } from '../../src/zerocopy/nativeRuntime.ts'
import { implementations } from '../contract/implementations.ts'
import { nextMessage, startProgram } from '../support/childProgram.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

test('with CORDWOOD_NATIVE=0 the portable implementation runs and the reason is told once', async () => {
  vi.stubEnv('CORDWOOD_NATIVE', '0')
  try {
    const reasons: string[] = []
    const runtime = createRuntime({ onFallback: (why) => reasons.push(why) })
    expect(runtime.kind).toBe('portable')
    expect(reasons).toEqual(['CORDWOOD_NATIVE is 0'])
    await runtime.disk.close()
    expect(() => createRuntime({ native: true })).toThrow(/CORDWOOD_NATIVE is 0/)
  } finally {
    vi.unstubAllEnvs()
  }
})

test('who asks for the portable implementation gets it without being told why', async () => {
  const runtime = createRuntime({ native: false, onFallback: () => expect.unreachable() })
  expect(runtime.kind).toBe('portable')
  await runtime.disk.close()
})

describe.each(implementations.filter(({ name }) => name === 'native'))('the addon', ({ create }) => {
  const native = new URL('../../native/', import.meta.url).pathname
  const addon = join(native, readdirSync(native).find((name) => name.endsWith('.node')) ?? '')

  test('is used when it is there', () => {
    expect(create().kind).toBe('native')
  })

  test('survives workers that are ended in the middle of writes', async () => {
    const directory = temporaryDirectory()
    const program = `
      const { Engine } = require(${JSON.stringify(addon)})
      const { parentPort, workerData } = require('node:worker_threads')
      const completions = new Float64Array(300)
      const engine = new Engine(() => engine.takeCompletions(completions), 4)
      const file = engine.registerFile(workerData)
      for (let ticket = 0; ticket < 200; ticket++) {
        const bytes = new Uint8Array(65536)
        engine.submit(ticket, Float64Array.of(file, ticket * 65536, 1, 1), 1, bytes, Float64Array.of(0, 65536), [], 0)
      }
      parentPort.postMessage('busy')
      setInterval(() => {}, 1000)
    `
    for (let round = 0; round < 4; round++) {
      const path = join(directory, `log-${round}`)
      const worker = new Worker(program, { eval: true, workerData: path })
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
      expect(await worker.terminate()).toBe(1)
      const { disk } = create()
      // What was queued has been written: the threads are joined, not dropped.
      expect(await disk.file(path).size()).toBe(200 * 65536)
    }
  })

  test('keeps the lock of a worker that is ended until its writes have been carried out', async () => {
    const [directory, count] = [temporaryDirectory(), 128]
    const child = await startProgram(new URL('./writingWorker.ts', import.meta.url), [directory, `${count}`])
    expect(await nextMessage(child)).toBe('ending')
    const { disk } = create()
    const take = async (): Promise<DiskLock> => {
      for (;;) {
        try {
          return await disk.lock(join(directory, 'lock'), 'the next one')
        } catch (error) {
          expect(error).toMatchObject({ code: 'directoryLocked' })
        }
      }
    }
    const lock = await take()
    const found = (await disk.list(directory)).filter(({ name }) => name.startsWith('log-'))
    const sizes = found.map(({ name }) => statSync(join(directory, name)).size)
    expect(sizes).toEqual(Array(count).fill(1 << 20))
    // A release is one for all: nobody else has to wait.
    await lock.release()
    await (await disk.lock(join(directory, 'lock'), 'the last one')).release()
  })

  test('refuses what is not bytes and stays usable', async () => {
    const { disk } = create()
    const file = disk.file(join(temporaryDirectory(), 'log'))
    const wrong = ['text'] as unknown as Uint8Array[]
    await expect(disk.submit([{ file, position: 0, parts: wrong, sync: 'none' }])).rejects.toThrow()
    expect(disk.queuedBytes).toBe(0)
    await disk.submit([{ file, position: 0, parts: [Buffer.from('x')], sync: 'data' }])
    expect(await file.size()).toBe(1)
  })

  test('leaves nothing waiting for what could not begin', async () => {
    const link = new EngineLink(loadAddon().addon!, null)
    const disk = new NativeDisk(link)
    const directory = temporaryDirectory()
    const file = disk.file(join(directory, 'log'))
    const refuse = () => {
      throw new Error('no thread')
    }
    const { engine } = link
    const { truncate, submit } = engine
    Object.assign(engine, { truncate: refuse, submit: refuse })
    await expect(file.truncate(1)).rejects.toThrow('no thread')
    await expect(file.sync()).rejects.toThrow('no thread')
    Object.assign(engine, { truncate, submit })
    await file.close()
    await disk.remove(file.path)
    await disk.close()
  })

  test('refuses files of another disk', async () => {
    const [one, other] = [create(), create()]
    const file = one.disk.file(join(temporaryDirectory(), 'log'))
    const write = other.disk.submit([{ file, position: 0, parts: [Buffer.from('x')], sync: 'none' }])
    await expect(write).rejects.toMatchObject({ code: 'notFound' })
  })
})
