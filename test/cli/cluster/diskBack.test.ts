import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { freePorts } from '../../support/freePorts.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { program as commandLine, type RunningCommand, run, start } from '../commandLine.ts'

/** A command in a process of its own, and how to wait until it has said something. */
function spawned(args: readonly string[]): {
  readonly said: (text: string) => Promise<void>
  readonly ended: () => Promise<void>
} {
  const [node, ...program] = commandLine
  const child = spawn(node!, [...program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let seen = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (seen += String(chunk)))
  return {
    said: async (text) => {
      const patience = { timeout: 120_000, interval: 20 }
      await vi.waitUntil(() => seen.includes(text) || child.exitCode !== null, patience)
      expect(seen).toContain(text)
    },
    ended: async () => {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      expect(await ended).toEqual([0, null])
    },
  }
}

test('a node whose disk was put back while the others were away finds out when they come, begins anew by itself and is whole again', {
  timeout: 300_000,
}, async () => {
  const root = temporaryDirectory()
  const ports = await freePorts(6)
  const directory = (id: number): string => join(root, `node-${id}`)
  const voters = [1, 2, 3].map((id) => `${id}@127.0.0.1:${ports[2 + id]}`).join(',')
  const flagsOf = (id: number): string[] => {
    const settings = [
      `node.id=${id}`,
      'process.roles=broker,controller',
      `listeners=PLAINTEXT://127.0.0.1:${ports[id - 1]},CONTROLLER://127.0.0.1:${ports[2 + id]}`,
      `controller.quorum.voters=${voters}`,
      `log.dirs=${directory(id)}`,
      'default.replication.factor=3',
      'cordwood.journal.bytes=50331648',
    ]
    return ['serve', '--log-level', 'warn', ...settings.flatMap((setting) => ['--set', setting])]
  }
  const serve = (id: number): RunningCommand => start(flagsOf(id))
  const stop = async (nodes: readonly RunningCommand[]): Promise<void> => {
    for (const node of nodes) node.interrupt()
    await Promise.all(nodes.map(({ done }) => done))
  }
  const ready = (nodes: readonly RunningCommand[]): Promise<unknown> =>
    Promise.all(nodes.map((node) => node.printed('cordwood is ready')))
  const to = ['--bootstrap', `127.0.0.1:${ports[0]}`]

  const first = [1, 2, 3].map(serve)
  await ready(first)
  expect((await run(['produce', 'orders', '--quiet', ...to], 'a\n')).exitCode).toBe(0)
  await stop(first)
  const copy = join(root, 'copy')
  cpSync(directory(2), copy, { recursive: true, filter: (path) => !path.includes('/.lock') })
  const second = [1, 2, 3].map(serve)
  await ready(second)
  expect((await run(['produce', 'orders', '--quiet', ...to], 'b\n')).exitCode).toBe(0)
  await stop(second)
  rmSync(directory(2), { recursive: true })
  renameSync(copy, directory(2))

  // Nobody can tell it before it has given up waiting for them.
  const back = spawned(flagsOf(2))
  await back.said('waiting to be taken up by the cluster')
  const others = [1, 3].map(serve)
  await ready(others)
  await back.said('the data directory begins anew')
  await back.said('cordwood is ready')
  expect(existsSync(join(directory(2), '.cordwood_rebuilt'))).toBe(true)
  const lines = async (...args: readonly string[]): Promise<string> => (await run([...args, ...to])).stdout
  await vi.waitUntil(async () => !(await lines('partitions')).includes('behind'), {
    timeout: 60_000,
    interval: 200,
  })
  expect(await lines('brokers')).toMatch(/broker 2: its disk was put aside on \S+ and began anew: /)
  await stop([others[0]!])
  const rest = ['--bootstrap', `127.0.0.1:${ports[1]}`]
  const read = await run(['consume', 'orders', ...rest])
  expect(read.stdout.split('\n').filter(Boolean).sort()).toEqual(['a', 'b'])
  await back.ended()
  await stop([others[1]!])
})
