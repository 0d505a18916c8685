import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { type Outcome, type RunningCommand, run, start } from '../commandLine.ts'

/** A base port with nothing on the ports of three nodes: of clients, 10 above of metrics, 1,000 above of the nodes. */
async function freeBasePort(): Promise<number> {
  for (;;) {
    const base = 25_300 + Math.floor(process.hrtime()[1] % 90) * 5
    const ports = [0, 1, 2, 10, 11, 12, 1000, 1001, 1002].map((distance) => base + distance)
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

/** The value of a series without labels. */
function seriesValue(text: string, series: string): number {
  return Number(new RegExp(`^${series} (\\S+)$`, 'm').exec(text)![1])
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
    const ports = ['--base-port', String(base), '--metrics-base-port', String(base + 10)]
    cluster = start(['cluster', 'start', ...ports, '--directory', directory])
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

  test('every node is ready, one of them decides, and each leads its share', async () => {
    const texts = await Promise.all(
      [0, 1, 2].map(async (index) => {
        expect((await fetch(`http://127.0.0.1:${base + 10 + index}/readyz`)).status).toBe(200)
        return (await fetch(`http://127.0.0.1:${base + 10 + index}/metrics`)).text()
      }),
    )
    const sum = (series: string): number =>
      texts.reduce((total, text) => total + seriesValue(text, series), 0)
    expect(sum('kafka_controller_kafkacontroller_activecontrollercount')).toBe(1)
    expect(sum('kafka_server_replicamanager_leadercount')).toBe(2)
    expect(sum('kafka_server_replicamanager_partitioncount')).toBe(6)
    expect(sum('cordwood_elections_won_total')).toBeGreaterThanOrEqual(3)
    for (const text of texts) {
      expect(seriesValue(text, 'kafka_controller_kafkacontroller_activebrokercount')).toBe(3)
    }
  })

  test('partitions move by a plan, with the way back, and can be told to stay', async () => {
    await run(['topics', 'create', 'moved', '--partitions', '3', ...to])
    const plan = await run(['reassign', 'generate', 'moved', '--replication-factor', '2', ...to])
    expect([plan.exitCode, plan.stderr]).toEqual([
      0,
      expect.stringContaining('3 of 3 partitions change, 0 replicas'),
    ])
    const done = await run(['reassign', 'execute', '-', '--wait', ...to], plan.stdout)
    expect([done.exitCode, done.stderr]).toEqual([0, expect.stringContaining('Everything has moved.')])
    expect(JSON.parse(done.stdout)).toMatchObject({ version: 1 })
    expect(
      (JSON.parse(done.stdout) as { partitions: { replicas: number[] }[] }).partitions[0]!.replicas,
    ).toHaveLength(3)
    const rows = objects(await run(['partitions', 'moved', '--json', ...to]))
    expect(rows.map(({ replicas }) => (replicas as number[]).length)).toEqual([2, 2, 2])
    expect((await run(['reassign', 'status', ...to])).stderr).toBe('Nothing is moving.\n')
    expect((await run(['reassign', 'cancel', ...to])).stderr).toBe('Nothing is moving.\n')
    const again = await run(['reassign', 'generate', 'moved', ...to])
    expect([again.stdout, again.stderr]).toEqual([
      '',
      'Everything is where it should be: there is nothing to move.\n',
    ])
    const unknown = await run(['reassign', 'generate', '--brokers', '1,9', ...to])
    expect([unknown.exitCode, unknown.stderr]).toEqual([
      2,
      'cordwood: there is no broker 9; there are 1, 2, 3\n',
    ])
  })

  test('a throttled plan bounds the brokers it copies between until nothing moves any more', async () => {
    const alone = ['--replication-factor', '1', '--config', 'min.insync.replicas=1']
    await run(['topics', 'create', 'slow', ...alone, ...to])
    const plan = JSON.stringify({
      version: 1,
      partitions: [{ topic: 'slow', partition: 0, replicas: [1, 2, 3] }],
    })
    const throttled = async (): Promise<unknown> =>
      objects(await run(['topics', 'describe', 'slow', '--json', ...to]))[0]!.configs
    // Slow enough to be looked at.
    expect((await run(['produce', 'slow', '--quiet', ...to], 'x'.repeat(100_000))).exitCode).toBe(0)
    const started = await run(['reassign', 'execute', '-', '--throttle', '100KiB', ...to], plan)
    expect([started.exitCode, started.stderr]).toEqual([
      0,
      expect.stringContaining('1 partitions are being moved'),
    ])
    const had = (JSON.parse(started.stdout) as { partitions: { replicas: number[] }[] }).partitions[0]!
      .replicas[0]!
    const others = [1, 2, 3].filter((id) => id !== had)
    expect(await throttled()).toEqual({
      'min.insync.replicas': '1',
      'leader.replication.throttled.replicas': `0:${had}`,
      'follower.replication.throttled.replicas': others.map((id) => `0:${id}`).join(','),
    })
    const done = await run(['reassign', 'status', '--wait', ...to])
    expect(done.stderr).toMatch(
      /(Everything has moved|Nothing is moving)\.\nThe throttle was taken back\.\n$/,
    )
    expect(await throttled()).toEqual({ 'min.insync.replicas': '1' })
    expect((await run(['reassign', 'status', ...to])).stderr).toBe('Nothing is moving.\n')
    const nothing = await run(['reassign', 'execute', '-', '--throttle', '0', ...to], plan)
    expect([nothing.exitCode, nothing.stderr]).toEqual([2, expect.stringContaining('more than nothing')])
  })

  test('who votes already cannot be added, who does not follow neither, who does not vote cannot be removed', async () => {
    for (const [args, message] of [
      [['add-voter', '2'], 'node 2 votes already'],
      [['add-voter', '9'], 'node 9 does not follow the metadata'],
      [['remove-voter', '9'], 'node 9 does not vote'],
    ] as const) {
      const { exitCode, stderr } = await run(['quorum', ...args, ...to])
      expect([exitCode, stderr]).toEqual([2, expect.stringContaining(message)])
    }
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

  test.each([
    [
      'an id that another one has',
      (text: string) => text,
      /DUPLICATE_BROKER_REGISTRATION: there is a node 2 already/,
    ],
    [
      'the id of another cluster',
      (text: string) =>
        text
          .replace(/^cordwood.cluster.id=.*$/m, 'cordwood.cluster.id=MkU3OEVBNTcwNTJENDM2Qg')
          .replace(/^node.id=.*$/m, 'node.id=4')
          .replace(/^process.roles=.*$/m, 'process.roles=broker'),
      /INCONSISTENT_CLUSTER_ID: .*MkU3OEVBNTcwNTJENDM2Qg/,
    ],
    [
      'other voters than the cluster has',
      (text: string) =>
        text
          .replace(/^node.id=.*$/m, 'node.id=4')
          .replace(/^(controller.quorum.voters=)([^,]*),.*$/m, `$1$2,4@127.0.0.1:${base + 1003}`)
          .replace(/CONTROLLER:\/\/127.0.0.1:0/, `CONTROLLER://127.0.0.1:${base + 1003}`),
      /INCONSISTENT_VOTER_SET: .*voters/,
    ],
  ])('a node with %s ends with one line', async (_, change, message) => {
    const own = temporaryDirectory()
    const properties = readFileSync(join(directory, 'node-2.properties'), 'utf8')
      .replace(/^log.dirs=.*$/m, `log.dirs=${join(own, 'data')}`)
      .replace(/^listeners=.*$/m, 'listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0')
      .replace(/^cordwood.metrics.listener=.*\n/m, '')
    writeFileSync(join(own, 'server.properties'), change(properties))
    const flags = ['--config', join(own, 'server.properties'), '--log-level', 'error']
    const { exitCode, stderr } = await run(['serve', ...flags])
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/^cordwood: [^\n]*\n$/)])
    expect(stderr).toMatch(message)
  })

  test('a node that dies is named, and the others go on; interrupted, all end in order; started again, all is there, on the same ports', async () => {
    process.kill(ownerOf(join(directory, 'node-2')), 'SIGKILL')
    await cluster.noted(
      'node 2 has ended by SIGKILL; the others go on. To start it again: cordwood serve --config',
    )
    const produced = await run(['produce', 'orders', '--quiet', ...to], 'd\n')
    expect([produced.exitCode, produced.stderr]).toEqual([0, ''])
    const stateOfNode2 = async (): Promise<unknown> =>
      objects(await run(['brokers', '--json', ...to])).find(({ id }) => id === 2)?.state
    await vi.waitUntil(async () => (await stateOfNode2()) === 'fenced', { timeout: 30_000, interval: 200 })
    await vi.waitUntil(
      async () => objects(await run(['partitions', '--under-replicated', '--json', ...to])).length >= 2,
      { timeout: 30_000, interval: 200 },
    )
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
    const read = await run(['consume', 'orders', ...to])
    expect([read.stdout.split('\n').filter(Boolean).sort(), read.stderr]).toEqual([
      ['a', 'b', 'c', 'd'],
      expect.any(String),
    ])
    expect((await fetch(`http://127.0.0.1:${base + 10}/readyz`)).status).toBe(200)
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

test.each([
  [
    ['--set', 'num.partitons=3'],
    /^cordwood: --set: there is no setting "num.partitons"; did you mean "num.partitions"\?\n$/,
  ],
  [
    ['--set', 'log.retention.ms=soon'],
    /^cordwood: \S+node-1.properties:\d+: log.retention.ms: Invalid value soon[^\n]*\n$/,
  ],
  [['--host', '203.0.113.1'], /^cordwood: cannot listen on 203.0.113.1: [^\n]*; choose another --host\n$/],
  [
    ['--base-port', '65534'],
    /^cordwood: node 3 cannot have port 65536, of clients: there is no such port[^\n]*\n$/,
  ],
])('what cannot be started is one line, and nothing is: %j', async (flags, line) => {
  const directory = join(temporaryDirectory(), 'cluster')
  const { exitCode, stdout, stderr } = await run(['cluster', 'start', '--directory', directory, ...flags])
  expect([exitCode, stdout, stderr]).toEqual([2, '', expect.stringMatching(line)])
})
