import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type InteropCluster, startCluster } from '../interop/support/cluster.ts'
import { withAdmin } from '../interop/support/kafkajs.ts'
import { freePort } from '../interop/support/ports.ts'
import { repositoryRoot, run, start, until } from '../interop/support/run.ts'
import { Workload } from '../interop/support/workload.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { removeDisks, TestDisk } from './support/disks.ts'

const main = join(repositoryRoot, 'dist/cli/main.js')

/** The settings of a node of the cluster, with some in the place of its own, for a process beside it. */
async function settingsLike(
  { nodes }: InteropCluster,
  nodeId: number,
  changed: Readonly<Record<string, string>>,
): Promise<string> {
  const { config } = nodes[nodeId - 1]!
  const [client, node] = [await freePort(), await freePort()]
  const settings = new Map(
    readFileSync(config, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
  settings.set('listeners', `PLAINTEXT://127.0.0.1:${client},CONTROLLER://127.0.0.1:${node}`)
  for (const [name, value] of Object.entries(changed)) settings.set(name, value)
  const file = join(temporaryDirectory(), 'server.properties')
  writeFileSync(file, [...settings].map(([name, value]) => `${name}=${value}\n`).join(''))
  return file
}

/** The lines in which a node says why it does not run: it has to end by itself. */
async function refusal(config: string): Promise<string[]> {
  const { code, stderr } = await run(process.execPath, [main, 'serve', '--config', config], {
    mayFail: true,
    timeoutMs: 60_000,
  })
  expect(code).toBeGreaterThan(0)
  return stderr.split('\n').filter((line) => line.startsWith('cordwood: '))
}

describe('a cluster that takes records does not notice', () => {
  let cluster: InteropCluster
  let workload: Workload
  beforeAll(async () => {
    cluster = await startCluster()
    const replicaAssignment = [0, 1, 2].map((partition) => ({ partition, replicas: [1, 2, 3] }))
    await withAdmin(cluster.bootstrap, (admin) =>
      admin.createTopics({ topics: [{ topic: 'orders', replicaAssignment }], waitForLeaders: true }),
    )
    workload = await Workload.start({ bootstrap: cluster.bootstrap, topic: 'orders', partitions: 3 })
  })
  afterAll(async () => {
    await workload?.stop()
    await cluster?.close()
    removeDisks()
  })

  test('another node with the id of one of its own', async () => {
    const like = await settingsLike(cluster, 2, { 'log.dirs': temporaryDirectory() })
    expect(await refusal(like)).toEqual([
      'cordwood: DUPLICATE_BROKER_REGISTRATION: there is a node 2 already, with another directory',
    ])
    await workload.progress()
  })

  test('a node with the directory of another cluster', async () => {
    const data = temporaryDirectory()
    const [client, node] = [await freePort(), await freePort()]
    const alone = await settingsLike(cluster, 2, {
      'log.dirs': data,
      listeners: `PLAINTEXT://127.0.0.1:${client},CONTROLLER://127.0.0.1:${node}`,
      'controller.quorum.voters': `2@127.0.0.1:${node}`,
    })
    const other = start(process.execPath, [main, 'serve', '--config', alone])
    await until('the other cluster', () => other.stdout().includes('cordwood is ready'))
    other.kill('SIGTERM')
    await other.done
    const like = await settingsLike(cluster, 2, { 'log.dirs': data })
    expect(await refusal(like)).toEqual([
      expect.stringMatching(/^cordwood: INCONSISTENT_CLUSTER_ID: .*belong to another cluster than this node/),
    ])
    await workload.progress()
  })

  test('a node whose list of voters is another one', async () => {
    const voters = cluster.nodes.map(({ config }) =>
      /controller.quorum.voters=(.*)/.exec(readFileSync(config, 'utf8'))![1]!.split(','),
    )[0]!
    const like = await settingsLike(cluster, 2, {
      'node.id': '4',
      'log.dirs': temporaryDirectory(),
      'controller.quorum.voters': `${voters[0]},${voters[1]},4@127.0.0.1:${await freePort()}`,
    })
    expect(await refusal(like)).toEqual([
      expect.stringMatching(/^cordwood: INCONSISTENT_CLUSTER_ID: .*check controller.quorum.voters/),
    ])
    await workload.progress()
  })

  test('that the disk of one node is full, who says so once for all logs', async () => {
    const node = cluster.node(3)
    await node.stop()
    const disk = TestDisk.tmpfs(128)
    const data = join(node.directory, 'data')
    spawnSync('cp', ['-a', data, disk.path])
    rmSync(data, { recursive: true })
    symlinkSync(join(disk.path, 'data'), data)
    await node.start()
    await workload.progress()
    spawnSync('dd', ['if=/dev/zero', `of=${disk.path}/filler`, 'bs=64K'], { stdio: 'ignore' })
    const before = node.output().length
    await until('the replicas of that node to be out of sync', async () => !(await inSync(cluster)), 60_000)
    await workload.progress(100)
    const refused = node
      .output()
      .slice(before)
      .split('\n')
      .filter((line) => line.includes('appends are undone while there is no room for them'))
    const errors = refused.map((line) => /error=(.*)/.exec(line)![1])
    expect(errors.length).toBeGreaterThan(0)
    expect(new Set(errors).size).toBe(errors.length)
    rmSync(`${disk.path}/filler`)
    await until('all replicas to be in sync', () => inSync(cluster), 60_000)
    await workload.finish()
    workload.expectNothingGivenUp()
  })
})

/** Whether every replica of the topic is in sync, as clients are told. */
async function inSync({ bootstrap }: InteropCluster): Promise<boolean> {
  return await withAdmin(bootstrap, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: ['orders'] })
    return topics[0]!.partitions.every(({ replicas, isr }) => isr.length === replicas.length)
  })
}
