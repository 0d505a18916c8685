import type { GroupObserver } from '../../../src/replica/observer.ts'
import { BrokerClient } from '../../../src/testing/brokers/brokerClient.ts'
import { BrokerLink, requestMs } from '../../../src/testing/brokers/brokerLink.ts'
import { type BrokerNode, brokerProgram } from '../../../src/testing/brokers/brokerProgram.ts'
import { groupNameOf, watchBrokers } from '../../../src/testing/brokers/brokerWatcher.ts'
import { errorOf } from '../../../src/testing/brokers/simKafka.ts'
import { writeTo } from '../../../src/testing/brokers/writeTo.ts'
import { factsOfBytes } from '../../../src/testing/checkFacts.ts'
import type { Checks } from '../../../src/testing/checks.ts'
import type { KeptShare } from '../../../src/testing/fault.ts'
import { wordOption } from '../../../src/testing/scenarioOptions.ts'
import { World } from '../../../src/testing/world.ts'

/** How long anything that is waited for may take, in milliseconds. */
const patienceMs = 30_000
const metadata = '__cluster_metadata-0'

type Command = (scenario: BrokerScenario, words: readonly string[]) => Promise<void> | void

/** What a line of a scenario of brokers may begin with, and how the rest of it reads. */
const commands: Readonly<Record<string, Command>> = {
  /** `create t0 replicas=1,2,3`: asks for a topic of one partition; the answer comes when it comes. */
  create: (scenario, [name, ...words]) => scenario.create(name!, wordOption(words, 'replicas', '1,2,3')),
  /** `produce t0 count=5`: a client writes until as many are acknowledged, one after the other, while the scenario goes on. */
  produce: (scenario, [name, ...words]) => scenario.produce(name!, Number(wordOption(words, 'count', '1'))),
  /** `read t0`: what a client reads from the start on. */
  read: (scenario, [name]) => scenario.read(name!),
  /** `describe t0`: what Metadata says. */
  describe: (scenario, [name]) => scenario.describe(name!),
  /** `reassign t0 to 1,2,4`: asks for other replicas. */
  reassign: (scenario, [name, , ids]) => scenario.reassign(name!, ids!),
  /** `kill leader of t0`, `kill controller`, `kill 2`: the process dies. */
  kill: (scenario, words) => scenario.world.node(scenario.nodeOf(words)).kill(),
  /** `crash 1 2 3 kept=0.5`: the power goes; of each block that is not synced that share is kept. */
  crash({ world }, words) {
    const kept = Number(wordOption(words, 'kept', '0')) as KeptShare
    for (const id of words.filter((word) => !word.includes('=')))
      world.node(Number(id)).crash(kept, 'journalled')
  },
  /** `start 2`, or without a number whoever does not run. */
  start({ world }, ids) {
    const wanted = ids.length > 0 ? ids.map(Number) : [...world.nodes.keys()]
    for (const id of wanted) if (!world.node(id).isAlive) world.node(id).start()
  },
  /** `replace 2`: its disk is lost, and it starts on an empty one. */
  replace({ world }, [id]) {
    world.node(Number(id)).replaceDisk(null)
    world.node(Number(id)).start()
  },
  /** `advance 250ms` */
  advance: ({ world }, [ms]) => world.advance(Number.parseInt(ms!, 10)),
  /** Until all brokers that live serve, and clients have what they asked for. */
  settle: (scenario) => scenario.settle(),
}

/**
 * Carries out the commands of a scenario, a line each, on a cluster of simulated brokers; `#` begins a comment, and the first line
 * may be `brokers nodes=4`. Gives what came of it: when somebody else leads, and what clients were told. Rejects with a `Violation`
 * when a promise is broken.
 */
export async function playBrokerScenario(script: string): Promise<string> {
  const lines = script
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
  const options = lines[0]?.startsWith('brokers') === true ? lines.shift()!.split(/\s+/).slice(1) : []
  const scenario = new BrokerScenario(Number(wordOption(options, 'nodes', '3')))
  try {
    scenario.world.startAll()
    await scenario.settle()
    for (const line of lines) {
      const [name, ...words] = line.split(/\s+/)
      const command = commands[name!]
      if (command === undefined) throw new Error(`a scenario of brokers knows no "${name}"`)
      scenario.lines.push(`> ${line}`)
      await command(scenario, words)
    }
    scenario.checks.checkHistories()
    if (scenario.checks.violation !== null) throw scenario.checks.violation
    return `${scenario.lines.join('\n')}\n`
  } finally {
    scenario.world[Symbol.dispose]()
  }
}

class BrokerScenario {
  readonly world: World<BrokerNode>
  readonly checks: Checks
  readonly lines: string[] = []
  readonly #client: BrokerClient
  #pending: Promise<void>[] = []
  #written = 0
  /** How many records of each topic were acknowledged. */
  readonly #acked = new Map<string, number>()

  constructor(nodes: number) {
    this.world = new World<BrokerNode>({
      seed: 1,
      nodes,
      program: (place) => program(place),
      syncMs: [1, 1],
      callMs: [0.01, 0.01],
      linkMs: [1, 1],
    })
    const { checks, observer } = watchBrokers(this.world, null, () => false)
    this.checks = checks
    const shape = { nodes, controllers: 3, settings: {} }
    const program = brokerProgram(shape, (node) => this.#observe(observer(node)))
    const counts = {
      ...{ acked: 0, refused: 0, unknown: 0, read: 0, administered: 0, deletions: 0 },
      topicIds: new Set<string>(),
      producerIds: new Set<number>(),
    }
    this.#client = new BrokerClient(new BrokerLink(this.world, 0, 40), 0, checks, counts)
  }

  get #link(): BrokerLink {
    return this.#client.link
  }

  nodeOf([word, , topic]: readonly string[]): number {
    return word === 'leader' || word === 'controller' ? this.#leaderOf(topic ?? null) : Number(word)
  }

  create(name: string, replicas: string): void {
    const assignments = [{ partitionIndex: 0, brokerIds: replicas.split(',').map(Number) }]
    const topics = [{ name, numPartitions: -1, replicationFactor: -1, assignments }]
    this.#begin(async () => {
      const answer = await this.#link.anybody('createTopics', { topics, timeoutMs: 5000 }, 5000)
      const error = errorOf(answer.topics[0]!.errorCode)
      this.#tell(`creating ${name}: ${error?.code ?? 'done'}`)
    })
  }

  reassign(name: string, ids: string): void {
    const partitions = [{ partitionIndex: 0, replicas: ids.split(',').map(Number) }]
    this.#begin(async () => {
      const topics = [{ name, partitions }]
      const body = { topics, timeoutMs: 5000 }
      const { errorCode, responses } = await this.#link.anybody('alterPartitionReassignments', body, 5000)
      const error = errorOf(errorCode) ?? errorOf(responses[0]!.partitions[0]!.errorCode)
      this.#tell(`reassigning ${name}: ${error?.code ?? 'accepted'}`)
    })
  }

  produce(name: string, count: number): void {
    this.#begin(async () => {
      let acked = 0
      let attempts = 0
      while (acked < count) {
        if (attempts++ > 100 * count) throw new Error(`nobody takes records of ${name}`)
        if (await this.#client.write(writeTo(Number(name.slice(1)), 0, ++this.#written))) acked++
        else {
          await this.#link.pause(100)
          await this.#link.refresh()
        }
      }
      this.#acked.set(name, (this.#acked.get(name) ?? 0) + acked)
      this.#tell(`${acked} records in ${name} are acknowledged`)
    })
  }

  async read(name: string): Promise<void> {
    await this.#until(async () => {
      await this.#link.refresh()
      const topic = this.#link.topics.get(name)!
      const { leader } = topic.partitions[0]!
      if (leader < 0) return false
      const partitions = [
        { partition: 0, fetchOffset: 0, currentLeaderEpoch: -1, partitionMaxBytes: 1 << 20 },
      ]
      const body = { maxWaitMs: 0, minBytes: 0, topics: [{ topicId: topic.id, partitions }] }
      const { responses } = await this.#link.kafka.request(leader, 'fetch', body, requestMs)
      const answer = responses[0]?.partitions[0]
      if (answer === undefined || answer.errorCode !== 0 || !(answer.records instanceof Uint8Array))
        return false
      const facts = factsOfBytes(answer.records, null, null)
      this.checks.history(groupNameOf(name, 0, topic.id)).read(0, facts)
      const acked = this.#acked.get(name) ?? 0
      // What was in doubt may be there as well; which ones are is what the history is asked in the end.
      if (facts.length < acked) throw new Error(`${facts.length} of ${acked} acknowledged records are read`)
      this.#tell(`${name} reads all ${acked} records that were acknowledged`)
      return true
    })
  }

  async describe(name: string): Promise<void> {
    await this.#until(async () => {
      const answer = await this.#link.anybody('metadata', { topics: [{ name }] })
      const partition = answer.topics[0]?.partitions[0]
      if (partition === undefined) return false
      const { leaderId, replicaNodes, isrNodes } = partition
      this.#tell(
        `${name}: leader ${leaderId}, replicas ${replicaNodes.join(',')}, in sync ${isrNodes.join(',')}`,
      )
      return true
    })
  }

  async settle(): Promise<void> {
    const { world } = this
    const isUp = (): boolean =>
      [...world.nodes.values()].every(({ isAlive, running }) => !isAlive || running !== null)
    if (!(await world.runUntil(isUp, patienceMs))) throw new Error('a broker that lives does not serve')
    await world.settle(Promise.all(this.#pending), patienceMs)
    this.#pending = []
    // As long as a look at who is in sync, and its report, may take.
    await world.advance(4000)
  }

  #leaderOf(topic: string | null): number {
    const leader = this.checks.leaderOf(topic === null ? metadata : `${topic}-0@`)
    if (leader === null) throw new Error(`nobody leads ${topic ?? 'the metadata'}`)
    return leader
  }

  #begin(work: () => Promise<void>): void {
    this.#pending.push(work())
  }

  async #until(work: () => Promise<boolean>): Promise<void> {
    const { world } = this
    const untilMs = world.nowMs + patienceMs
    while (!(await world.settle(work(), patienceMs))) {
      if (world.nowMs > untilMs) throw new Error('nobody answers what was asked')
      await world.advance(100)
    }
  }

  #tell(text: string): void {
    this.lines.push(`  ${text}`)
  }

  /** Has the trace say when somebody comes to lead. */
  #observe(other: GroupObserver): GroupObserver {
    return {
      ...other,
      stepped: (group, event, effects) => {
        for (const effect of effects) {
          if (effect.type !== 'stateChanged' || effect.state !== 'leader') continue
          const what = group.topic.startsWith('__') ? 'the metadata' : group.topic
          // Which one it is changes with every millisecond.
          const text = `  ${what} has a new leader`
          if (this.lines.at(-1) !== text) this.lines.push(text)
        }
        other.stepped(group, event, effects)
      },
    }
  }
}
