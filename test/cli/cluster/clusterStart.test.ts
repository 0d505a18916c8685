import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { type Outcome, type RunningCommand, run, start } from '../commandLine.ts'

/** A base port with nothing on the ports of three nodes' clients and, 1,000 above, of the nodes. */
async function freeBasePort(): Promise<number> {
  for (;;) {
    const base = 25_300 + Math.floor(process.hrtime()[1] % 90) * 5
    const ports = [0, 1, 2, 1000, 1001, 1002].map((distance) => base + distance)
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** The process id of the broker that has `directory`. */
function ownerOf(directory: string): number {
  return Number(/process (\d+)/.exec(readFileSync(join(directory, '.lock'), 'utf8'))![1])
}

async function started(command: RunningCommand): Promise<void> {
  await Promise.race([
    command.printed('bootstrap: '),
    command.done.then(({ stderr }) => Promise.reject(new Error(stderr))),
  ])
}

/** What a command says of itself, one object a line. */
function objects({ stdout, stderr, exitCode }: Outcome): Record<string, unknown>[] {
  expect([exitCode, stderr]).toEqual([0, expect.any(String)])
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

describe('a local cluster', { timeout: 120_000 }, () => {
  const root = mkdtempSync(join(tmpdir(), 'cordwood-test-'))
  const directory = join(root, 'cluster')
  let base = 0
  let cluster: RunningCommand
  let to: string[] = []

  beforeAll(async () => {
    base = await freeBasePort()
    to = ['--bootstrap', `127.0.0.1:${base}`]
    cluster = start(['cluster', 'start', '--base-port', String(base), '--directory', directory])
    await started(cluster)
  }, 120_000)

  afterAll(async () => {
    cluster.interrupt()
    await cluster.done
    rmSync(root, { recursive: true, force: true })
  }, 60_000)

  test('says when it is ready, with the addresses for clients', () => {
    expect(cluster.stdout()).toMatch(
      new RegExp(
        `^the cluster is ready after \\d+ ms: 3 nodes, controller [123], directory \\S+\nbootstrap: 127.0.0.1:${base},127.0.0.1:${base + 1},127.0.0.1:${base + 2}\n$`,
      ),
    )
  })

  test('takes records on one node and gives them on another', async () => {
    expect((await run(['topics', 'create', 'orders', '--partitions', '2', ...to])).exitCode).toBe(0)
    expect((await run(['produce', 'orders', '--quiet', ...to], 'a\nb\nc\n')).exitCode).toBe(0)
    const other = ['--bootstrap', `127.0.0.1:${base + 2}`]
    const { stdout } = await run(['consume', 'orders', ...other])
    expect(stdout.split('\n').filter(Boolean).sort()).toEqual(['a', 'b', 'c'])
  })

  test('shows its brokers, its quorum and its partitions', async () => {
    const brokers = objects(await run(['brokers', '--json', ...to]))
    expect(brokers.map(({ id, state }) => [id, state === 'up' || state === 'controller'])).toEqual([
      [1, true],
      [2, true],
      [3, true],
    ])
    expect(brokers.filter(({ state }) => state === 'controller')).toHaveLength(1)
    const [quorum] = objects(await run(['quorum', 'status', '--json', ...to]))
    expect([...(quorum!.voters as number[])].sort()).toEqual([1, 2, 3])
    const replicas = objects(await run(['quorum', 'replication', '--json', ...to]))
    expect(replicas.filter(({ role }) => role === 'leader')).toHaveLength(1)
    const partitions = objects(await run(['partitions', 'orders', '--json', ...to]))
    expect(
      partitions.map(({ partition, replicas: ids }) => [partition, [...(ids as number[])].sort()]),
    ).toEqual([
      [0, [1, 2, 3]],
      [1, [1, 2, 3]],
    ])
    expect((await run(['brokers', ...to])).stdout).toMatch(/^BROKER +ADDRESS +RACK +STATE/)
    expect((await run(['partitions', '--summary', ...to])).stdout).toMatch(/orders +2 +6/)
  })

  test('a second one in the same directory says that there is one', async () => {
    const { exitCode, stderr } = await run(['cluster', 'start', '--directory', directory])
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringMatching(/^cordwood: the cluster in \S+ is running already \(process \d+.*\)\n$/),
    ])
  })

  test('one in another directory on the same ports names the port and who wanted it', async () => {
    const other = join(temporaryDirectory(), 'other')
    const { exitCode, stderr } = await run([
      'cluster',
      'start',
      '--base-port',
      String(base),
      '--directory',
      other,
    ])
    expect([exitCode, stderr]).toEqual([
      2,
      `cordwood: node 1 cannot have port ${base}, of clients: it is taken; choose another --base-port\n`,
    ])
  })

  test('a node with an id that another one has ends with one line', async () => {
    const own = temporaryDirectory()
    const properties = readFileSync(join(directory, 'node-2.properties'), 'utf8')
      .replace(/^log.dirs=.*$/m, `log.dirs=${join(own, 'data')}`)
      .replace(/^listeners=.*$/m, 'listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0')
    writeFileSync(join(own, 'server.properties'), properties)
    const { exitCode, stderr } = await run([
      'serve',
      '--config',
      join(own, 'server.properties'),
      '--log-level',
      'error',
    ])
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringMatching(/^cordwood: DUPLICATE_BROKER_REGISTRATION: there is a node 2 already[^\n]*\n$/),
    ])
  })

  test('a node that dies is named, and the others go on; interrupted, all end in order; started again, all is there', async () => {
    process.kill(ownerOf(join(directory, 'node-2')), 'SIGKILL')
    await cluster.noted(
      'node 2 has ended by SIGKILL; the others go on. To start it again: cordwood serve --config',
    )
    expect((await run(['produce', 'orders', '--quiet', ...to], 'd\n')).exitCode).toBe(0)
    cluster.interrupt()
    const { exitCode, stderr } = await cluster.done
    expect(exitCode).toBe(0)
    expect(stderr).not.toContain('was killed')

    const wrong = await run(['cluster', 'start', '--nodes', '5', '--directory', directory])
    expect([wrong.exitCode, wrong.stderr]).toEqual([
      2,
      expect.stringMatching(/^cordwood: the cluster in \S+ has 3 nodes, not 5; leave --nodes out[^\n]*\n$/),
    ])

    cluster = start(['cluster', 'start', '--directory', directory])
    await started(cluster)
    const { stdout } = await run(['consume', 'orders', ...to])
    expect(stdout.split('\n').filter(Boolean).sort()).toEqual(['a', 'b', 'c', 'd'])
  })
})

test('a directory with something else in it is not taken', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'notes.txt'), '')
  const { exitCode, stderr } = await run(['cluster', 'start', '--directory', directory])
  expect([exitCode, stderr]).toEqual([
    2,
    `cordwood: ${directory} has something else in it; choose an empty --directory\n`,
  ])
})
