import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { java, javaConsume, type javaTools, kcat, kcatRead, kgoCat } from './support/clients.ts'
import { type InteropCluster, startCluster } from './support/cluster.ts'
import { withAdmin } from './support/kafkajs.ts'
import { until } from './support/run.ts'
import { isCordwood } from './support/server.ts'

describe.runIf(isCordwood)('Kafka’s own tools and three nodes', () => {
  let cluster: InteropCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster?.close())
  beforeEach(({ onTestFailed }) => onTestFailed(() => console.error(cluster.outputs())))

  /** Runs one of the tools against the cluster; returns everything it printed. */
  async function tool(name: keyof typeof javaTools, ...args: readonly string[]): Promise<string> {
    const at = ['--bootstrap-server', cluster.bootstrap]
    const { stdout, stderr } = await java(name, [...at, ...args], { mayFail: true })
    return stdout + stderr
  }

  /** A file with that content. */
  function fileOf(name: string, content: object): string {
    const file = join(cluster.node(1).directory, name)
    writeFileSync(file, JSON.stringify({ version: 1, ...content }))
    return file
  }

  /** Leader and replicas of a partition. */
  function partition(
    topic: string,
    index: number,
  ): Promise<{ leader: number; replicas: number[]; isr: number[] }> {
    return withAdmin(cluster.bootstrap, async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0]!.partitions.find(({ partitionId }) => partitionId === index)!
    })
  }

  test('kafka-topics spreads a topic over the brokers, and every client reads what another has written', async () => {
    const create = ['--create', '--topic', 'spread', '--partitions', '6', '--replication-factor', '3']
    expect(await tool('topics', ...create)).toContain('Created topic spread')
    const describe = () => tool('topics', '--describe', '--topic', 'spread')
    expect(await describe()).toMatch(/PartitionCount: 6\s+ReplicationFactor: 3/)
    // On a slow machine another replica may lead at first, until the first of the list is there.
    await until('two leaders on each node', async () => {
      const leaders = [...(await describe()).matchAll(/Leader: (\d)/g)].map(([, id]) => id)
      return leaders.sort().join() === '1,1,2,2,3,3'
    })

    const count = 300
    const lines = (by: string) => Array.from({ length: count }, (_, i) => `${by}${i}\t${by} ${i}\n`).join('')
    const acks = ['-X', 'acks=all', '-X', 'enable.idempotence=true']
    await kcat(cluster.bootstrap, ['-P', '-t', 'spread', '-K', '\t', ...acks], { input: lines('kcat') })
    await kgoCat('produce', cluster.bootstrap, ['-t', 'spread'], { input: lines('franz') })
    const seen = await javaConsume(cluster.bootstrap, 'spread', 2 * count, ['--group', 'readers'])
    expect(new Set(seen.map(({ value }) => value)).size).toBe(2 * count)
    expect((await kcatRead(cluster.bootstrap, 'spread')).length).toBe(2 * count)
    const group = await tool('consumerGroups', '--describe', '--group', 'readers')
    const lags = group.split('\n').filter((line) => line.startsWith('readers'))
    expect(lags.map((line) => line.split(/\s+/)[5])).toEqual(['0', '0', '0', '0', '0', '0'])
  })

  test('kafka-configs: of a topic, of one broker, of all brokers', async () => {
    const brokers = (...args: readonly string[]) => tool('configs', '--entity-type', 'brokers', ...args)
    const all = ['--entity-default'] as const
    const second = ['--entity-name', '2'] as const
    expect(await brokers(...all, '--alter', '--add-config', 'log.retention.ms=7200000')).toContain(
      'Completed',
    )
    expect(await brokers(...second, '--alter', '--add-config', 'log.retention.ms=7300000')).toContain(
      'Completed',
    )
    expect(await brokers(...all, '--describe')).toMatch(/log\.retention\.ms=7200000/)
    const described = await brokers(...second, '--describe')
    expect(described).toMatch(
      /log\.retention\.ms=7300000.*DYNAMIC_DEFAULT_BROKER_CONFIG:log\.retention\.ms=7200000/,
    )
    const topic = ['--entity-type', 'topics', '--entity-name', 'spread'] as const
    expect(await tool('configs', ...topic, '--alter', '--add-config', 'retention.ms=7400000')).toContain(
      'Completed',
    )
    expect(await tool('configs', ...topic, '--describe')).toMatch(/retention\.ms=7400000/)
  })

  test('kafka-reassign-partitions moves replicas, kafka-leader-election brings the first of them to lead', async () => {
    const before = await partition('spread', 0)
    const replicas = before.replicas.slice(1)
    const moves = [{ topic: 'spread', partition: 0, replicas }]
    const file = ['--reassignment-json-file', fileOf('moves.json', { partitions: moves })]
    const started = await tool('reassignPartitions', ...file, '--execute', '--throttle', '50000000')
    expect(started).toContain('The inter-broker throttle limit was set to 50000000 B/s')
    expect(started).toContain('Successfully started')
    await until('the replica to go', async () => (await partition('spread', 0)).replicas.length === 2)
    expect(await tool('reassignPartitions', ...file, '--verify')).toMatch(/spread-0 is (completed|complete)/)
    const throttles = await tool('configs', '--entity-type', 'brokers', '--entity-name', '1', '--describe')
    expect(throttles).not.toContain('throttled')
    expect(await tool('reassignPartitions', '--list')).toContain('No partition reassignments found')

    const asked = fileOf('elect.json', { partitions: [{ topic: 'spread', partition: 0 }] })
    const election = ['--election-type', 'preferred', '--path-to-json-file', asked]
    expect(await tool('leaderElection', ...election)).toMatch(/Successfully completed|already elected/)
    await until('the first replica to lead, and both to be in sync', async () => {
      const { leader, isr } = await partition('spread', 0)
      return leader === replicas[0] && [...isr].sort().join() === [...replicas].sort().join()
    })
  })

  test('kafka-delete-records raises the start of the log, whoever leads afterwards', async () => {
    const deletion = fileOf('delete.json', { partitions: [{ topic: 'spread', partition: 1, offset: 20 }] })
    expect(await tool('deleteRecords', '--offset-json-file', deletion)).toMatch(
      /spread-1\s+low_watermark: 20/,
    )
    const { leader, replicas } = await partition('spread', 1)
    await cluster.node(leader).stop()
    try {
      const next = await until('another leader', async () => {
        const found = (await partition('spread', 1)).leader
        return found >= 0 && found !== leader && found
      })
      expect(replicas).toContain(next)
      // Only this partition: the one that was moved has two replicas, and nobody leads it for long while one of them is away.
      const one = ['-q', '-C', '-t', 'spread', '-p', '1', '-o', 'beginning', '-e', '-f', '%o\n']
      const { stdout } = await kcat(cluster.node(next).address, one)
      expect(Number(stdout.split('\n')[0])).toBe(20)
    } finally {
      await cluster.node(leader).start()
    }
  })

  test('kafka-metadata-quorum describes the controllers, takes one out and in again', async () => {
    const status = () => tool('metadataQuorum', 'describe', '--status')
    const voters = (text: string) =>
      [.../CurrentVoters:.*/.exec(text)![0].matchAll(/"id": (\d)/g)].map(([, id]) => Number(id)).sort()
    const before = await status()
    expect(voters(before)).toEqual([1, 2, 3])
    const leader = Number(/LeaderId:\s+(\d)/.exec(before)![1])
    const replication = await tool('metadataQuorum', 'describe', '--replication')
    expect(replication.match(/Leader|Follower/g)!.sort()).toEqual(['Follower', 'Follower', 'Leader'])

    const id = (leader % 3) + 1
    const directoryId = new RegExp(`"id": ${id}, "directoryId": "([^"]+)"`).exec(before)![1]!
    const which = ['--controller-id', `${id}`, '--controller-directory-id', directoryId]
    expect(await tool('metadataQuorum', 'remove-controller', ...which)).toContain('Removed')
    expect(voters(await status())).toEqual([1, 2, 3].filter((each) => each !== id))
    const at = ['--command-config', cluster.node(id).config, '--bootstrap-server', cluster.bootstrap]
    const { stdout } = await java('metadataQuorum', [...at, 'add-controller'])
    expect(stdout).toContain(`Added controller ${id}`)
    expect(voters(await status())).toEqual([1, 2, 3])
  })
})
