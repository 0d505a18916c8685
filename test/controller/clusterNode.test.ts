import { describe, expect, test } from 'vitest'
import type { ClusterNode } from '../../src/controller/clusterNode.ts'
import type { BrokerImage } from '../../src/controller/image.ts'
import { EngineError } from '../../src/model/errors.ts'
import { placeIn } from '../../src/replica/nodes/membership.ts'
import { ClusterWorld } from './clusterSupport.ts'
import { plain } from './support.ts'

const topic = (name: string, numPartitions = 1, replicationFactor = 1) => [
  { name, numPartitions, replicationFactor },
]

/** The error that `promise` rejects with. */
async function rejection(promise: Promise<unknown>): Promise<EngineError> {
  const error = await promise.then(
    () => null,
    (cause: unknown) => cause,
  )
  expect(error).toBeInstanceOf(EngineError)
  return error as EngineError
}

const broker = (node: ClusterNode, id: number): BrokerImage => node.metadata.image.brokers.get(id)!

async function threeBrokers(): Promise<{ cluster: ClusterWorld; nodes: ClusterNode[] }> {
  const cluster = await ClusterWorld.start(3)
  return { cluster, nodes: await Promise.all([1, 2, 3].map((machine) => cluster.broker(machine))) }
}

describe('the active controller', () => {
  test('agrees with all others on one image, whoever is asked for a change', async () => {
    const { cluster, nodes } = await threeBrokers()
    for (const node of nodes) {
      const [outcome] = await node.metadata.createTopics(topic(`by-${node.nodeId}`, 4, 3))
      expect(outcome).toMatchObject({ name: `by-${node.nodeId}`, numPartitions: 4 })
      // Whoever has made a change sees it at once, on the node that was asked.
      expect(node.metadata.image.topics.get(`by-${node.nodeId}`)?.partitions).toHaveLength(4)
    }
    const seen = () => nodes.map(({ metadata }) => JSON.stringify(plain(metadata.image)))
    await cluster.until(() => new Set(seen()).size === 1, 'one image')
    expect(nodes.filter(({ isActive }) => isActive)).toHaveLength(1)
  })

  test('answers no success once it cannot reach a majority; the next one decides on what is committed', async () => {
    const { cluster, nodes } = await threeBrokers()
    const old = await cluster.active(nodes)
    const others = nodes.filter((node) => node !== old)
    cluster.isolate(old.nodeId)
    const lost = old.metadata.createTopics(topic('twice'))
    lost.catch(() => {})
    const next = await cluster.active(others)
    expect(next).not.toBe(old)
    const [outcome] = await next.metadata.createTopics(topic('twice', 7))
    expect(outcome).toMatchObject({ numPartitions: 7 })
    // What it had appended was never committed: neither that change nor a look without one was a success.
    expect((await rejection(lost)).code).toBe('requestTimedOut')
    cluster.reconnect(old.nodeId)
    await cluster.until(
      () => old.metadata.image.topics.get('twice')?.partitions.length === 7,
      'the old one to follow',
    )
  })

  test('gives no answer without a change either, until somebody confirms what it knows', async () => {
    const { cluster, nodes } = await threeBrokers()
    const old = await cluster.active(nodes)
    cluster.isolate(old.nodeId)
    let isAnswered = false
    const dry = old.metadata.createTopics(topic('dry'), { validateOnly: true }).then(() => {
      isAnswered = true
    })
    const next = await cluster.active(nodes.filter((node) => node !== old))
    await next.metadata.createTopics(topic('dry'))
    expect(isAnswered).toBe(false)
    cluster.reconnect(old.nodeId)
    await dry
    expect(old.metadata.image.topics.has('dry')).toBe(true)
  })

  test('that is lost leaves a change whole or absent, and others go on', async () => {
    const { cluster, nodes } = await threeBrokers()
    const old = await cluster.active(nodes)
    const others = nodes.filter((node) => node !== old)
    await others[0]!.metadata.createTopics(topic('before', 3, 3))
    const unknown = others[0]!.metadata
      .createTopics(topic('meanwhile', 5, 3))
      .catch((error: EngineError) => error)
    await cluster.kill(old.nodeId)
    const outcome = await unknown
    if (outcome instanceof EngineError) expect(outcome.retriable).toBe(true)
    const next = await cluster.active(others)
    await next.metadata.createTopics(topic('after', 2, 2))
    for (const { metadata } of others) {
      await cluster.until(() => metadata.image.topics.has('after'), 'the change')
      expect(metadata.image.topics.get('before')?.partitions).toHaveLength(3)
      const meanwhile = metadata.image.topics.get('meanwhile')
      if (meanwhile !== undefined) expect(meanwhile.partitions).toHaveLength(5)
      if (!(outcome instanceof EngineError)) expect(meanwhile).toBeDefined()
    }
    const again = await cluster.broker(old.nodeId)
    await cluster.until(() => again.metadata.image.topics.has('after'), 'the one that was lost')
    const topics = (node: ClusterNode) => (plain(node.metadata.image) as { topics: unknown }).topics
    expect(topics(again)).toEqual(topics(next))
  })

  test('gives every producer id once, whoever asks and whoever decides', async () => {
    const { cluster, nodes } = await threeBrokers()
    const blocks = await Promise.all(
      nodes.flatMap(({ metadata }) => [1, 2].map(() => metadata.allocateProducerIds())),
    )
    const old = await cluster.active(nodes)
    await old.close()
    const others = nodes.filter((node) => node !== old)
    await cluster.active(others)
    blocks.push(...(await Promise.all(others.map(({ metadata }) => metadata.allocateProducerIds()))))
    const firsts = blocks.map(({ first }) => first).sort((a, b) => a - b)
    expect(new Set(firsts).size).toBe(8)
    for (let index = 1; index < firsts.length; index++) {
      expect(firsts[index]! - firsts[index - 1]!).toBeGreaterThanOrEqual(1000)
    }
  })
})

describe('a broker', () => {
  test('that is not heard of is fenced, within its session and not before; it comes back', async () => {
    const { cluster, nodes } = await threeBrokers()
    const active = await cluster.active(nodes)
    const gone = nodes.find((node) => node !== active)!
    const diedMs = cluster.world.nowMs
    await cluster.kill(gone.nodeId)
    await cluster.until(() => broker(active, gone.nodeId).fenced, 'the fence')
    expect(cluster.world.nowMs - diedMs).toBeGreaterThan(2000)
    expect(cluster.world.nowMs - diedMs).toBeLessThan(5000)
    // Nothing is placed on it, and there are too few others.
    const [refused] = await active.metadata.createTopics(topic('wide', 1, 3))
    expect(refused).toMatchObject({ code: 'invalidReplicationFactor' })
    const again = await cluster.broker(gone.nodeId)
    expect(broker(again, gone.nodeId)).toMatchObject({ fenced: false, incarnationId: again.incarnationId })
  })

  test('keeps its place while its clock and those of others are hours apart', async () => {
    const { cluster, nodes } = await threeBrokers()
    const hourMs = 3_600_000
    const jumps = [9 * hourMs, -7 * hourMs, 0]
    for (const [index, byMs] of jumps.entries()) {
      const fault = { kind: 'wallJump', node: index + 1, byMs } as const
      cluster.world.inject({ ...fault, number: index, atMs: cluster.world.nowMs })
    }
    const sinceMs = cluster.world.nowMs
    await cluster.until(() => cluster.world.nowMs > sinceMs + 10_000, 'ten seconds')
    for (const node of nodes) {
      const [outcome] = await node.metadata.createTopics(topic(`at-${node.nodeId}`, 3, 3))
      expect(outcome).toMatchObject({ numPartitions: 3 })
      expect([...node.metadata.image.brokers.values()].map(({ fenced }) => fenced)).toEqual([
        false,
        false,
        false,
      ])
    }
    expect(cluster.said.filter((line) => line.includes('fenced'))).toEqual([])
  })

  test('that shuts down says so, and is fenced at once', async () => {
    const { cluster, nodes } = await threeBrokers()
    const active = await cluster.active(nodes)
    const leaving = nodes.find((node) => node !== active)!
    await leaving.beginShutdown(1000)
    await cluster.until(() => broker(active, leaving.nodeId).inControlledShutdown, 'the shutdown')
    expect(broker(active, leaving.nodeId).fenced).toBe(false)
    const sinceMs = cluster.world.nowMs
    await leaving.close()
    await cluster.until(() => broker(active, leaving.nodeId).fenced, 'the fence')
    expect(cluster.world.nowMs - sinceMs).toBeLessThan(2000)
  })

  test('that reaches nobody leaves soon, however long a heartbeat may take', async () => {
    const cluster = await ClusterWorld.start(3)
    const config = { heartbeatIntervalMs: 3000 }
    const nodes = await Promise.all([1, 2, 3].map((machine) => cluster.broker(machine, { config })))
    const active = await cluster.active(nodes)
    const last = nodes.find((node) => node !== active)!
    cluster.isolate(last.nodeId)
    const sinceMs = cluster.world.nowMs
    await last.beginShutdown(1000)
    expect(cluster.world.nowMs - sinceMs).toBeLessThan(1500)
    await last.close()
    expect(cluster.world.nowMs - sinceMs).toBeLessThan(5000)
  })

  test('with a new disk takes its old place, and its replicas follow it there', async () => {
    const { cluster, nodes } = await threeBrokers()
    const active = await cluster.active(nodes)
    await active.metadata.createTopics(topic('wide', 4, 3))
    const gone = nodes.find((node) => node !== active)!
    const before = broker(active, gone.nodeId).directories[0]!
    await cluster.kill(gone.nodeId, 'replaceDisk')
    const again = await cluster.broker(gone.nodeId)
    const { directoryId } = again.base.logs
    expect(directoryId).not.toBe(before)
    for (const { replicas, directories } of again.metadata.image.topics.get('wide')!.partitions) {
      expect(directories[replicas.indexOf(gone.nodeId)]).toBe(directoryId)
      expect(directories).not.toContain(before)
    }
    // So does its vote.
    const voterOf = () => active.base.metadata.voters.voters.get(gone.nodeId)
    await cluster.until(() => voterOf()?.directoryId === directoryId, 'its vote')
  })

  test.each([
    ['is stopped', 'kill'],
    ['loses its disk again', 'replaceDisk'],
  ] as const)('with a new disk that %s before it votes has its old place in the end', async (_, how) => {
    const { cluster, nodes } = await threeBrokers()
    const active = await cluster.active(nodes)
    const gone = nodes.find((node) => node !== active)!
    const voters = () => active.base.metadata.voters.voters
    await cluster.until(() => voters().get(gone.nodeId)?.directoryId === gone.base.logs.directoryId, 'voters')
    await cluster.kill(gone.nodeId, 'replaceDisk')
    await cluster.node(gone.nodeId)
    await cluster.until(() => voters().get(gone.nodeId) === null, 'the old disk to vote no more')
    await cluster.kill(gone.nodeId, how)
    const again = await cluster.broker(gone.nodeId)
    const voterOf = () => voters().get(gone.nodeId)
    await cluster.until(() => voterOf()?.directoryId === again.base.logs.directoryId, 'its vote')
  })

  test('that an operator has taken the vote from only follows after its next start, too', async () => {
    const { cluster, nodes } = await threeBrokers()
    const active = await cluster.active(nodes)
    const gone = nodes.find((node) => node !== active)!
    const voters = () => active.base.metadata.voters.voters
    const { self } = gone.base
    await cluster.until(() => voters().get(gone.nodeId)?.directoryId === self.directoryId, 'voters')
    const { logs, metadata } = gone.base
    await cluster.until(() => placeIn(logs, metadata).read() === 'voter', 'its note of that')
    await active.changeVoter('remove', self)
    await cluster.kill(gone.nodeId)
    await cluster.broker(gone.nodeId)
    const isTold = () => cluster.said.some((line) => line.includes('is not among the voters'))
    await cluster.until(isTold, 'it to be told')
    expect(voters().get(gone.nodeId)).toBe(null)
  })

  test('is refused while another process is that broker, which goes on', async () => {
    const cluster = await ClusterWorld.start(4, 3)
    const nodes = await Promise.all([1, 2, 3].map((machine) => cluster.broker(machine)))
    const twin = cluster.broker(4, { nodeId: 3, config: { isController: false } })
    expect((await rejection(twin)).code).toBe('duplicateBrokerRegistration')
    const sinceMs = cluster.world.nowMs
    await cluster.until(() => cluster.world.nowMs > sinceMs + 5000, 'five seconds')
    expect(broker(nodes[0]!, 3)).toMatchObject({ fenced: false, incarnationId: nodes[2]!.incarnationId })
    expect(await nodes[2]!.metadata.createTopics(topic('goes-on'))).toMatchObject([{ name: 'goes-on' }])
  })

  test('with another disk is refused by the active controller while the registered one lives, not after', async () => {
    const { cluster, nodes } = await threeBrokers()
    const active = await cluster.active(nodes)
    const gone = nodes.find((node) => node !== active)!
    const registration = {
      brokerId: gone.nodeId,
      incarnationId: 'AAAAAAAAAAAAAAAAAAAAAg',
      endpoints: [],
      rack: null,
      directories: ['AAAAAAAAAAAAAAAAAAAAAw'],
    }
    const enrol = () => active.metadata.run({ type: 'enrolBroker', registration }, {}, true)
    expect((await rejection(enrol())).code).toBe('duplicateBrokerRegistration')
    await cluster.kill(gone.nodeId)
    await cluster.until(() => broker(active, gone.nodeId).fenced, 'the fence')
    expect(await enrol()).toBeGreaterThan(gone.brokerEpoch)
  })

  test('of another cluster is refused by name, and nobody else is affected', async () => {
    const cluster = await ClusterWorld.start(4, 3)
    const nodes = await Promise.all([1, 2, 3].map((machine) => cluster.broker(machine)))
    const stranger = cluster.broker(4, { clusterId: 'AAAAAAAAAAAAAAAAAAAAAQ' })
    const error = await rejection(stranger)
    expect(error.code).toBe('inconsistentClusterId')
    expect(error.message).toMatch(/cluster/)
    expect(await nodes[0]!.metadata.createTopics(topic('goes-on', 1, 3))).toMatchObject([{ name: 'goes-on' }])
  })

  test('that comes late and learns that the others are of another cluster is told to go', async () => {
    const cluster = await ClusterWorld.start(3)
    const stranger = await cluster.node(3, { clusterId: 'AAAAAAAAAAAAAAAAAAAAAQ' })
    await Promise.all([1, 2].map((machine) => cluster.broker(machine)))
    await cluster.until(() => cluster.lost.length > 0, 'the stranger to hear of it')
    expect(cluster.lost.map(({ code }) => code)).toEqual(['inconsistentClusterId'])
    expect(stranger.isActive).toBe(false)
  })

  test('whose own list of voters the cluster does not share is refused with both lists', async () => {
    const cluster = await ClusterWorld.start(4, 3)
    const nodes = await Promise.all([1, 2, 3].map((machine) => cluster.broker(machine)))
    const isDynamic = () => nodes.every(({ base }) => base.metadata.voters.offset >= 0)
    await cluster.until(isDynamic, 'the voters to stand in the log')
    const voters = [1, 4].map((id) => ({ id, host: `node-${id}`, port: 9093 }))
    const { clusterId } = nodes[0]!
    const error = await rejection(cluster.broker(4, { clusterId, config: { isController: true, voters } }))
    expect(error.code).toBe('inconsistentVoterSet')
    expect(error.message).toMatch(/^node 1 knows the voters 1, 2, 3; controller.quorum.voters here says 1, 4/)
  })

  test('that was unregistered and holds nothing is forgotten; one that lives or holds replicas is not', async () => {
    const { cluster, nodes } = await threeBrokers()
    const active = await cluster.active(nodes)
    const gone = nodes.find((node) => node !== active)!
    const { metadata } = active
    expect((await rejection(metadata.unregisterBroker(gone.nodeId))).code).toBe('invalidRequest')
    await metadata.createTopics(topic('wide', 1, 3))
    await cluster.kill(gone.nodeId)
    await cluster.until(() => broker(active, gone.nodeId).fenced, 'the fence')
    expect((await rejection(metadata.unregisterBroker(gone.nodeId))).message).toMatch(/wide-0.*reassign/)
    await metadata.deleteTopics([{ name: 'wide', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }])
    await metadata.unregisterBroker(gone.nodeId)
    expect(metadata.image.brokers.has(gone.nodeId)).toBe(false)
    expect((await rejection(metadata.unregisterBroker(99))).code).toBe('brokerIdNotRegistered')
  })
})

describe('configs of brokers', () => {
  const ofBroker = (resourceName: string, name: string, value: string | null, configOperation = 0) => [
    { resourceType: 4, resourceName, configs: [{ name, value, configOperation }] },
  ]
  const effective = ({ metadata, nodeId }: ClusterNode, name: string) =>
    metadata.describeConfigs({ resourceType: 4, resourceName: `${nodeId}`, configurationKeys: [name] })[0]

  test('of one win over those of all, and those over what it was started with', async () => {
    const { cluster, nodes } = await threeBrokers()
    const [one, two] = nodes as [ClusterNode, ClusterNode]
    const name = 'log.retention.ms'
    expect(await one.metadata.incrementalAlterConfigs(ofBroker('', name, '1000'))).toEqual([null])
    expect(await one.metadata.incrementalAlterConfigs(ofBroker('2', name, '2000'))).toEqual([null])
    await cluster.until(() => two.metadata.defaults.get(name) === '2000', 'the second broker')
    expect(one.metadata.defaults.get(name)).toBe('1000')
    expect(effective(one, name)).toMatchObject({ value: '1000', configSource: 3, readOnly: false })
    expect(effective(two, name)).toMatchObject({ value: '2000', configSource: 2 })
    expect(effective(two, name)?.synonyms.map(({ value }) => value)).toEqual(['2000', '1000'])
    expect(await two.metadata.incrementalAlterConfigs(ofBroker('2', name, null, 1))).toEqual([null])
    expect(two.metadata.defaults.get(name)).toBe('1000')
    await two.metadata.createTopics(topic('plain'))
    const [retention] = two.metadata.describeConfigs({
      resourceType: 2,
      resourceName: 'plain',
      configurationKeys: ['retention.ms'],
    })
    expect(retention).toMatchObject({ value: '1000', configSource: 3 })
  })

  test.each([
    ['', 'node.id', '7', 'invalidConfig'],
    ['', 'log.retention.ms', 'soon', 'invalidConfig'],
    ['99', 'log.retention.ms', '1', 'invalidRequest'],
    ['', 'leader.replication.throttled.rate', '-1', 'invalidConfig'],
    ['1', 'follower.replication.throttled.rate', 'fast', 'invalidConfig'],
    ['', 'replica.alter.log.dirs.io.max.bytes.per.second', '1000', 'invalidConfig'],
  ])('of broker "%s" refuse %s=%s', async (resourceName, name, value, code) => {
    const { nodes } = await threeBrokers()
    const [outcome] = await nodes[0]!.metadata.incrementalAlterConfigs(ofBroker(resourceName, name, value))
    expect(outcome).toMatchObject({ code })
  })

  test('bound what replicas that catch up get, and are told as what they are', async () => {
    const { cluster, nodes } = await threeBrokers()
    const [one, two] = nodes as [ClusterNode, ClusterNode]
    const name = 'follower.replication.throttled.rate'
    expect(await one.metadata.incrementalAlterConfigs(ofBroker('2', name, '2000'))).toEqual([null])
    await cluster.until(() => two.metadata.defaults.get(name) === '2000', 'the second broker')
    expect(effective(two, name)).toMatchObject({ value: '2000', configSource: 2, readOnly: false })
    expect(effective(one, name)).toBeUndefined()
  })

  test('that only Kafka has may be taken back, which changes nothing', async () => {
    const { nodes } = await threeBrokers()
    const { metadata } = nodes[0]!
    const before = metadata.image.nextOffset
    const change = ofBroker('1', 'replica.alter.log.dirs.io.max.bytes.per.second', null, 1)
    expect(await metadata.incrementalAlterConfigs(change)).toEqual([null])
    expect(metadata.image.nextOffset).toBe(before)
  })
})
