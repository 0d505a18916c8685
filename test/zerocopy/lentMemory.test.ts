import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { implementations } from '../contract/implementations.ts'
import { nextMessage, startProgram } from '../support/childProgram.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

const native = new URL('../../native/', import.meta.url).pathname
const addon = join(native, readdirSync(native).find((name) => name.endsWith('.node')) ?? '')
const lender = new URL('./lender.ts', import.meta.url)

describe.each(implementations.filter(({ name }) => name === 'native'))('lent memory', ({ create }) => {
  test('is not copied', async () => {
    const { disk } = create()
    const file = disk.file(join(temporaryDirectory(), 'log'))
    const memory = disk.lend!(64 << 10)
    const found = Buffer.alloc(59_995)
    // What is changed too early shows, unless the writer was faster: whoever keeps to the rules cannot tell the difference.
    do {
      memory.fill(1)
      const written = disk.submit([{ file, position: 0, parts: [memory.subarray(5, 60_000)], sync: 'none' }])
      memory.fill(9)
      await written
      await file.read(found, 0)
    } while (found[0] !== 9)
    expect(found.length).toBe(59_995)
  })

  test('is copied like any other where it is small', async () => {
    const { disk } = create()
    const file = disk.file(join(temporaryDirectory(), 'log'))
    const memory = disk.lend!(8192).fill(1)
    const written = disk.submit([{ file, position: 0, parts: [memory], sync: 'none' }])
    memory.fill(2)
    await written
    const found = Buffer.alloc(8192)
    await file.read(found, 0)
    expect(found.equals(Buffer.alloc(8192, 1))).toBe(true)
  })

  test('outlives a worker that is ended while its writes are queued', async () => {
    const directory = temporaryDirectory()
    const program = (order: number): string => `
      const { Engine, lend } = require(${JSON.stringify(addon)})
      const { parentPort, workerData } = require('node:worker_threads')
      const completions = new Float64Array(300)
      const engine = new Engine(() => engine.takeCompletions(completions), 4)
      const file = engine.registerFile(workerData)
      for (let ticket = 0; ticket < 200; ticket++) {
        const bytes = new Uint8Array(lend(65536)).fill(ticket)
        engine.submit(ticket, Float64Array.of(file, ticket * 65536, 1, 1), 1, bytes, Float64Array.of(0, 65536), [], ${order})
      }
      parentPort.postMessage('busy')
      setInterval(() => {}, 1000)
    `
    for (let round = 0; round < 4; round++) {
      const path = join(directory, `log-${round}`)
      const worker = new Worker(program(round % 2), { eval: true, workerData: path })
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
      expect(await worker.terminate()).toBe(1)
      const file = create().disk.file(path)
      const found = Buffer.alloc(65536)
      for (let ticket = 0; ticket < 200; ticket++) {
        expect(await file.read(found, ticket * 65536)).toBe(65536)
        expect(found.equals(Buffer.alloc(65536, ticket))).toBe(true)
      }
    }
  })

  test('goes when nobody has it any more', async () => {
    const child = await startProgram(lender, [temporaryDirectory()])
    const { lentBytes, residentBytes } = (await nextMessage(child)) as Record<string, number>
    expect(lentBytes).toBe(1 << 29)
    expect(residentBytes).toBeLessThan(1 << 28)
  })
})
