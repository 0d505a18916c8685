import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { freePlaces } from '../engine/nodeSupport.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { bundled, type RunningExample, run } from './runExample.ts'

/** Three ports in a row that nobody has. */
async function threePorts(): Promise<number> {
  for (;;) {
    const { port } = (await freePlaces(1))[0]!
    try {
      await Promise.all([1, 2].map((more) => isFree(port + more)))
      return port
    } catch {
      // Somebody has one of them.
    }
  }
}

async function isFree(port: number): Promise<void> {
  const { createServer } = await import('node:net')
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve)
  })
  await new Promise((resolve) => server.close(resolve))
}

/** The counts that were printed. */
function countsIn(output: string): number[] {
  return [...output.matchAll(/counted to (\d+)/g)].map(([, count]) => Number(count))
}

/** Resolves once `example` has counted to `least`. */
async function countedTo(example: RunningExample, least: number): Promise<number> {
  for (let seen = 0; ; ) {
    const counts = countsIn(await example.printed(`counted to `))
    seen = counts.at(-1) ?? seen
    if (seen >= least) return seen
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

test('has fewer than 60 lines', () => {
  const path = new URL('../../examples/replicated-counter/counter.js', import.meta.url)
  expect(readFileSync(path, 'utf8').split('\n').length).toBeLessThan(60)
})

test('goes on counting when a process is killed, and loses nothing that it counted', async () => {
  const program = await bundled('replicated-counter/counter.js')
  const directory = temporaryDirectory()
  const port = await threePorts()
  const begin = (id: number): RunningExample => run(program, [`${id}`, directory, `${port}`])
  const nodes = [begin(1), begin(2), begin(3)]
  await Promise.all(nodes.map((node) => countedTo(node, 10)))
  const [, leader] = /led by (\d)/.exec(await nodes[0]!.printed('led by '))!
  const killed = nodes[Number(leader) - 1]!
  killed.child.kill('SIGKILL')
  const before = Math.max(...countsIn((await killed.ended).output))
  const rest = nodes.filter((node) => node !== killed)
  await Promise.all(rest.map((node) => countedTo(node, before + 10)))
  const again = begin(Number(leader))
  await countedTo(again, before + 20)
  const all = [...rest, again]
  for (const { child } of all) child.kill('SIGTERM')
  const ends = await Promise.all(all.map(({ ended }) => ended))
  for (const { code } of ends) expect(code).toBe(0)
  // Every count was given once, to one of them; what the killed one did not get to print is missing.
  const outputs = [...ends.map(({ output }) => output), (await killed.ended).output]
  const counts = outputs.flatMap(countsIn)
  expect(new Set(counts).size).toBe(counts.length)
  for (const output of outputs) expect(countsIn(output)).toEqual(countsIn(output).toSorted((a, b) => a - b))
  expect(Math.max(...counts) - counts.length).toBeLessThanOrEqual(4)
}, 120_000)
