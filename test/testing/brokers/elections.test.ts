import { afterEach, expect, test } from 'vitest'
import { KafkaError } from '../../../src/model/kafkaErrors.ts'
import { CallKind } from '../../../src/replica/nodes/nodeCalls.ts'
import { BrokerLink } from '../../../src/testing/brokers/brokerLink.ts'
import { type BrokerNode, brokerProgram } from '../../../src/testing/brokers/brokerProgram.ts'
import { watchBrokers } from '../../../src/testing/brokers/brokerWatcher.ts'
import { World } from '../../../src/testing/world.ts'

const timeoutMs = 5000
const asked = [{ topic: 'orders', partitions: [0] }]
let world: World<BrokerNode>
let link: BrokerLink

afterEach(() => world[Symbol.dispose]())

/** Three brokers and a topic with one partition, of which each has a replica. */
async function threeBrokers(flush: string, nodes = 3, brokerIds = [1, 2, 3]): Promise<void> {
  world = new World<BrokerNode>({ seed: 3, nodes, program: (place) => program(place) })
  const { observer } = watchBrokers(world, null, () => true)
  const settings = { 'cordwood.flush.policy': flush, 'broker.session.timeout.ms': '1000' }
  const program = brokerProgram({ nodes, controllers: 3, settings }, observer)
  link = new BrokerLink(world, 0, 40)
  world.startAll()
  await allRun([...world.nodes.keys()])
  const topics = [
    {
      name: 'orders',
      assignments: [{ partitionIndex: 0, brokerIds }],
      numPartitions: -1,
      replicationFactor: -1,
    },
  ]
  await world.settle(link.anybody('createTopics', { topics, timeoutMs }, timeoutMs))
  await world.runUntil(() => leaderAt(1) >= 0 && stateAt(1).isr.length === 3, 10_000)
}

async function allRun(ids: readonly number[]): Promise<void> {
  expect(await world.runUntil(() => ids.every((id) => world.node(id).running !== null), 30_000)).toBe(true)
}

const clusterOf = (id: number) => world.node(id).running!.broker.cluster!
const stateAt = (id: number) => clusterOf(id).metadata.image.topics.get('orders')!.partitions[0]!
const leaderAt = (id: number): number => stateAt(id).leader

/** Whether one of the nodes leads the partition, and a majority follows. */
async function isLed(ids: readonly number[]): Promise<boolean> {
  const { id: topicId } = clusterOf(2).metadata.image.topics.get('orders')!
  const call = { kind: CallKind.readIndex, topicId, topic: 'orders', partition: 0 }
  const asks = ids.map((id) => clusterOf(2).base.router.ask(id, call, timeoutMs))
  const answers = await world.settle(Promise.allSettled(asks))
  return answers.some(({ status }) => status === 'fulfilled')
}

/** What a broker answers to ElectLeaders for the partition. */
async function elect(node: number, electionType: number): Promise<number> {
  const request = { electionType, topicPartitions: asked, timeoutMs }
  const send = () => world.settle(link.kafka.request(node, 'electLeaders', request, 2 * timeoutMs))
  // A connection of before a crash is noticed when it is used.
  const { replicaElectionResults } = await send().catch(send)
  return replicaElectionResults[0]!.partitionResult[0]!.errorCode
}

test('the first replica is brought to lead by whichever broker is asked, the one that leads among them', async () => {
  await threeBrokers('journal')
  const { id: topicId } = clusterOf(1).metadata.image.topics.get('orders')!
  const call = { kind: CallKind.transferLeadership, topicId, topic: 'orders', partition: 0 }
  for (const leader of [2, 3]) {
    for (const node of [leader, 5 - leader]) {
      await world.settle(
        clusterOf(1).base.router.ask(leaderAt(1), { ...call, json: String(leader) }, timeoutMs),
      )
      await world.runUntil(() => [1, 2, 3].every((id) => leaderAt(id) === leader), 10_000)
      expect(leaderAt(node)).toBe(leader)
      expect(await elect(node, 0)).toBe(0)
      expect(leaderAt(node)).toBe(1)
    }
  }
  expect(await elect(2, 0)).toBe(KafkaError.electionNotNeeded.kafka)
}, 60_000)

test('replicas that may have forgotten records lead again once an operator accepts that, and not before', async () => {
  await threeBrokers('none')
  expect(await elect(1, 1)).toBe(KafkaError.electionNotNeeded.kafka)
  for (const node of world.nodes.values()) node.crash(1, 'journalled')
  for (const id of [1, 2]) world.node(id).start()
  await allRun([1, 2])
  await world.advance(10_000)
  const { leaderEpoch } = stateAt(2)
  expect(await isLed([1, 2])).toBe(false)
  expect(await elect(2, 1)).toBe(0)
  expect(stateAt(2).leaderEpoch).toBeGreaterThan(leaderEpoch)
  expect([1, 2]).toContain(leaderAt(2))
  expect(await elect(1, 1)).toBe(KafkaError.electionNotNeeded.kafka)
}, 60_000)

test('nobody is elected where no majority of the replicas is there, whatever is accepted', async () => {
  await threeBrokers('none', 5, [3, 4, 5])
  for (const id of [4, 5]) world.node(id).kill()
  expect(await elect(1, 1)).toBe(KafkaError.eligibleLeadersNotAvailable.kafka)
  expect(await isLed([3])).toBe(false)
}, 60_000)
