import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openEngine } from '../../src/index.ts'
import { implementations } from '../contract/implementations.ts'
import { pair } from '../contract/networkContract.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

const rounds = 20

/** What the descriptors of this process are for, sorted. Numbers of pipes and sockets are left out: others come and go. */
function openDescriptors(): string[] {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(join('/proc/self/fd', fd)).replace(/\[\d+\]$/, '')
    } catch {
      // The listing's own, which is closed by now.
      return 'gone'
    }
  })
  return targets.sort()
}

/** Runs `work` once for what opens only once, then `rounds` times, after which no descriptor may be left over. */
async function leavesNothingOpen(work: () => Promise<void>): Promise<void> {
  await work()
  const before = openDescriptors()
  for (let round = 0; round < rounds; round++) await work()
  expect(openDescriptors()).toEqual(before)
}

/** Has an engine that makes its own runtime make one of this implementation, until the running test ends. */
function useByDefault(name: string): void {
  vi.stubEnv('CORDWOOD_NATIVE', name === 'native' ? '1' : '0')
  onTestFinished(() => void vi.unstubAllEnvs())
}

// Only Linux tells which descriptors there are.
describe.runIf(process.platform === 'linux').each(implementations)(
  'descriptors, $name',
  ({ name, create }) => {
    test('an engine that is closed leaves none open', async () => {
      useByDefault(name)
      const directory = temporaryDirectory()
      await leavesNothingOpen(async () => {
        const engine = await openEngine({ directory })
        const log = await engine.log('birds')
        await log.append({ value: Buffer.from('wren') })
        await engine.close()
      })
    })

    test('an engine that cannot be opened leaves none open', async () => {
      useByDefault(name)
      const directory = temporaryDirectory()
      const holder = await openEngine({ directory })
      onTestFinished(() => holder.close())
      await leavesNothingOpen(async () => {
        await expect(openEngine({ directory })).rejects.toMatchObject({ code: 'directoryLocked' })
      })
    })

    test('a file system that was synced as a whole leaves none open', async () => {
      const directory = temporaryDirectory()
      await leavesNothingOpen(async () => {
        const { disk } = create()
        const file = disk.file(join(directory, 'log'))
        await disk.submit([{ file, position: 0, parts: [Buffer.from('wren')], sync: 'none' }])
        await disk.syncFileSystem?.(directory)
        await disk.close()
        await expect(file.sync()).rejects.toMatchObject({ code: 'closed' })
        await expect(file.size()).rejects.toMatchObject({ code: 'closed' })
      })
    })

    test('what is on its way when the disk is closed arrives, and the last connection leaves none open', async () => {
      const answer = Buffer.alloc(8 << 20, 'wren')
      const work = async (): Promise<void> => {
        const runtime = create()
        const { client, server, listener } = await pair(runtime)
        client.connection.pause()
        server.connection.send([answer])
        expect(server.connection.unsentBytes).toBeGreaterThan(0)
        await runtime.disk.close()
        client.connection.resume()
        await client.receives(answer.length)
        expect(client.received.equals(answer)).toBe(true)
        server.connection.send([Buffer.from('more')])
        await client.receives(answer.length + 4)
        server.connection.end()
        client.connection.end()
        await Promise.all([client.closed, server.closed, listener.close()])
      }
      await work()
      const before = openDescriptors()
      for (let round = 0; round < rounds; round++) await work()
      // Sockets are closed when the event loop comes to it.
      await vi.waitFor(() => expect(openDescriptors()).toEqual(before))
    })

    test('a range of a file is not sent once the disk has been closed: the connection breaks', async () => {
      const runtime = create()
      const file = runtime.disk.file(join(temporaryDirectory(), 'log'))
      await runtime.disk.submit([{ file, position: 0, parts: [Buffer.from('wren')], sync: 'none' }])
      const { client, server } = await pair(runtime)
      await runtime.disk.close()
      server.connection.send([Buffer.from('head'), { file, position: 0, lengthBytes: 4 }])
      server.connection.send([Buffer.from('tail')])
      expect(await server.closed).toMatchObject({ code: 'closed' })
      await client.closed
      expect(client.received.includes('tail')).toBe(false)
    })
  },
)
