import { describe, expect, test } from 'vitest'
import { ClusterNode } from '../../src/controller/clusterNode.ts'
import { noConfigs } from '../../src/controller/topicConfigs.ts'
import { EngineError } from '../../src/model/errors.ts'
import { zeroUuid } from '../../src/model/uuid.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'
import { usualFaults } from '../../src/testing/arbitraries.ts'
import { watchWorld } from '../../src/testing/checkWatcher.ts'
import { planFaults } from '../../src/testing/swarm.ts'
import { World } from '../../src/testing/world.ts'
import type { Running } from '../../src/testing/worldTypes.ts'
import { plain } from './support.ts'

/** Faults that take nothing that is durable, and no node for good. */
const classes = usualFaults.filter((kind) => kind !== 'crashAfterVote' && kind !== 'hungDisk')
const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

interface Controller extends Running {
  readonly node: ClusterNode
}

interface Totals {
  readonly made: number
  readonly unknown: number
  readonly blocks: number
  readonly epochs: number
  readonly cut: number
  readonly hash: string
}

/** Three controllers that are brokers under faults, while topics come and go, partitions are added and producer ids given. */
async function run(seed: number, nodes = 3): Promise<Totals> {
  const voters = Array.from({ length: nodes }, (_, index) => ({
    id: index + 1,
    host: `node-${index + 1}`,
    port: 9092,
  }))
  const problems: string[] = []
  const world = new World<Controller>({
    seed,
    nodes,
    faults: planFaults({ seed, nodes, voters: nodes, durationMs: 6000, classes }),
    program: async ({ nodeId, runtime, node: machine }) => {
      const address = { host: `node-${nodeId}`, port: 9092 }
      const node = await ClusterNode.open({
        runtime,
        logger,
        nodeId,
        clusterId: null,
        defaults: noConfigs,
        logs: { directory: '/data', journalBytes: 2 << 20, configFor: () => defaultLogConfig },
        lost: (error) => machine.exit(error),
        observer: watched.observer(nodeId),
        batchLimits: { batchBytes: 400 },
        maxFetchBytes: 600,
        snapshotBytes: 4000,
        keptRecords: 10,
        config: {
          isBroker: true,
          isController: true,
          nodeListener: { name: 'CONTROLLER', listen: address, advertised: address },
          clientListenerName: 'PLAINTEXT',
          voters,
          bootstrapServers: [],
          autoJoin: false,
          rack: null,
          heartbeatIntervalMs: 200,
          sessionTimeoutMs: 1000,
        },
      })
      node
        .join([{ name: 'PLAINTEXT', host: `node-${nodeId}`, port: 9093, securityProtocol: 0 }])
        .catch(() => {})
      return { node, close: () => node.close() }
    },
  })
  const watched = watchWorld(world, { dataDirectory: '/data' })
  const running = (): ClusterNode[] =>
    [...world.nodes.values()].flatMap(({ running: each }) => (each ? [each.node] : []))
  world.leaderOf = () => running().find(({ isActive }) => isActive)?.nodeId ?? null

  /** What the log gives up to an offset: the same on every node, at every start. */
  const contents = new Map<number, string>()
  const deciders = new Map<number, number>()
  const seen = new WeakMap<ClusterNode, number>()
  let cut = 0
  world.watch({
    afterEvent: () => {
      for (const node of running()) {
        const { image } = node.metadata
        if (node.isActive) {
          const epoch = node.base.metadata.leaderEpoch
          const other = deciders.get(epoch) ?? node.nodeId
          if (other !== node.nodeId)
            problems.push(`nodes ${other} and ${node.nodeId} decide in epoch ${epoch}`)
          deciders.set(epoch, node.nodeId)
        }
        const before = seen.get(node) ?? 0
        if (image.nextOffset === before) continue
        seen.set(node, image.nextOffset)
        if (image.nextOffset < before)
          problems.push(`the image of node ${node.nodeId} went back to ${image.nextOffset}`)
        const content = JSON.stringify(plain(image))
        const known = contents.get(image.nextOffset)
        if (known !== undefined && known !== content)
          problems.push(`two images at offset ${image.nextOffset}`)
        contents.set(image.nextOffset, content)
        if (node.base.metadata.log.logStartOffset > 0) cut++
      }
    },
  })

  const made = new Map<string, number>()
  const removed = new Set<string>()
  const firsts: number[] = []
  let unknown = 0
  const work = async (number: number): Promise<void> => {
    const all = running()
    const node = all[number % Math.max(1, all.length)]
    if (node === undefined) return
    const { metadata } = node
    const name = `topic-${number}`
    try {
      if (number % 5 === 4) {
        const target = [...made.keys()][0]
        if (target === undefined || removed.has(target)) return
        // Whatever becomes of it: from here on nobody knows whether it is there.
        removed.add(target)
        await metadata.deleteTopics([{ name: target, topicId: zeroUuid }])
      } else if (number % 5 === 3) {
        const { first, count } = await metadata.allocateProducerIds()
        expect(count).toBe(1000)
        firsts.push(first)
      } else {
        const topics = Array.from({ length: 1 + (number % 7) }, (_, index) => ({
          name: `${name}-${index}`,
          numPartitions: 1 + (number % 4),
        }))
        const outcomes = await metadata.createTopics(topics)
        for (const [index, outcome] of outcomes.entries()) {
          if (outcome instanceof EngineError) continue
          made.set(topics[index]!.name, outcome.numPartitions)
          if (!metadata.image.topics.has(topics[index]!.name) && !removed.has(topics[index]!.name)) {
            problems.push(`${topics[index]!.name} was made, and is not there where that was answered`)
          }
        }
      }
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      unknown++
    }
  }
  try {
    world.startAll()
    for (let number = 0; number < 120; number++) world.after(300 + number * 50, () => void work(number))
    await world.advance(7000)
    world.heal()
    await world.advance(6000)
    const alive = running()
    expect(alive).toHaveLength(nodes)
    const { metadata } = alive[0]!
    await world.settle(metadata.createTopics([{ name: 'the-last-one', replicationFactor: nodes }]))
    await world.advance(1000)
    const last = alive.map((node) =>
      JSON.stringify({ ...(plain(node.metadata.image) as object), nextOffset: 0 }),
    )
    expect(new Set(last).size).toBe(1)
    for (const [name, partitions] of made) {
      const found = metadata.image.topics.get(name)?.partitions.length ?? 0
      if (found !== partitions && !(found === 0 && removed.has(name))) {
        problems.push(`${name} was made with ${partitions} partitions, and has ${found}`)
      }
    }
    const order = firsts.toSorted((a, b) => a - b)
    for (let index = 1; index < order.length; index++) {
      if (order[index]! - order[index - 1]! < 1000)
        problems.push(`two blocks of producer ids at ${order[index]}`)
    }
    for (const { fenced, id } of metadata.image.brokers.values())
      if (fenced) problems.push(`broker ${id} stays fenced`)
    watched.checks.checkHistories()
    expect(watched.checks.violation).toBe(null)
    expect(problems).toEqual([])
    return {
      made: made.size,
      unknown,
      blocks: firsts.length,
      epochs: deciders.size,
      cut,
      hash: world.traceHash,
    }
  } finally {
    world[Symbol.dispose]()
  }
}

describe('controllers in a simulated world', () => {
  test('keep every acknowledged change, whole, in one order, on every node, whatever happens', async () => {
    const seeds = (process.env.CONTROLLER_SEEDS ?? '1,2,3').split(',').map(Number)
    const totals = { made: 0, blocks: 0, epochs: 0, cut: 0 }
    for (const seed of seeds) {
      const { made, blocks, epochs, cut } = await run(seed).catch((error: Error) => {
        throw new Error(`seed ${seed}: ${error.message}`, { cause: error })
      })
      totals.made += made
      totals.blocks += blocks
      totals.epochs += epochs
      totals.cut += cut
    }
    expect(totals.made).toBeGreaterThan(50)
    expect(totals.blocks).toBeGreaterThan(10)
    expect(totals.epochs).toBeGreaterThan(seeds.length)
    expect(totals.cut).toBeGreaterThan(0)
  }, 600_000)
})
