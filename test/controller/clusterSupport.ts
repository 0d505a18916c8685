import { onTestFinished } from 'vitest'
import type { ClusterConfig } from '../../src/controller/clusterConfig.ts'
import { ClusterNode, type ClusterNodeOptions } from '../../src/controller/clusterNode.ts'
import { noConfigs } from '../../src/controller/topicConfigs.ts'
import type { EngineError } from '../../src/model/errors.ts'
import type { LogFields, Logger } from '../../src/model/logger.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'
import { World } from '../../src/testing/world.ts'
import type { NodeRuntime, Running } from '../../src/testing/worldTypes.ts'

interface Machine extends Running {
  readonly runtime: NodeRuntime
}

/** What a test wants of one node; the rest is as usual. */
export type NodeWishes = Partial<Omit<ClusterNodeOptions, 'config'>> & {
  readonly config?: Partial<ClusterConfig>
  readonly port?: number
}

/** Nodes of a cluster on simulated machines, whose time goes by as fast as there is nothing to do. */
export class ClusterWorld {
  readonly world: World<Machine>
  /** What was logged at `warn` and `error`, by node. */
  readonly said: string[] = []
  readonly lost: EngineError[] = []
  readonly #controllers: number
  #isOver = false

  private constructor(machines: number, controllers: number, seed: number) {
    this.#controllers = controllers
    this.world = new World<Machine>({
      seed,
      nodes: machines,
      program: async ({ runtime }) => ({ runtime, close: async () => {} }),
    })
  }

  /** `machines` that run until the test ends, of which the first `controllers` vote. */
  static async start(machines: number, controllers = machines, seed = 1): Promise<ClusterWorld> {
    const cluster = new ClusterWorld(machines, controllers, seed)
    const { world } = cluster
    world.startAll()
    await world.runUntil(() => [...world.nodes.values()].every(({ running }) => running !== null), 1000)
    const pumping = cluster.#pump()
    onTestFinished(async () => {
      cluster.#isOver = true
      await pumping
      world[Symbol.dispose]()
    })
    return cluster
  }

  runtime(machine: number): NodeRuntime {
    return this.world.node(machine).running!.runtime
  }

  /** Starts a node on `machine`, which is closed when the test ends. */
  async node(machine: number, wishes: NodeWishes = {}): Promise<ClusterNode> {
    const { config, port = 9093, ...options } = wishes
    const address = { host: `node-${machine}`, port }
    const node = await ClusterNode.open({
      runtime: this.runtime(machine),
      logger: this.#logger(machine),
      nodeId: machine,
      clusterId: null,
      defaults: noConfigs,
      logs: { directory: '/data', journalBytes: 2 << 20, configFor: () => defaultLogConfig },
      lost: (error) => this.lost.push(error),
      ...options,
      config: {
        isBroker: true,
        isController: machine <= this.#controllers,
        nodeListener: { name: 'CONTROLLER', listen: address, advertised: address },
        clientListenerName: 'PLAINTEXT',
        voters: Array.from({ length: this.#controllers }, (_, index) => ({
          id: index + 1,
          host: `node-${index + 1}`,
          port: 9093,
        })),
        bootstrapServers: [],
        autoJoin: false,
        rack: null,
        heartbeatIntervalMs: 500,
        sessionTimeoutMs: 3000,
        ...config,
      },
    })
    return node
  }

  /** Starts a node on `machine` and waits until its broker has a place in the cluster. */
  async broker(machine: number, wishes: NodeWishes = {}): Promise<ClusterNode> {
    const node = await this.node(machine, wishes)
    await node.join([{ name: 'PLAINTEXT', host: `node-${machine}`, port: 9092, securityProtocol: 0 }])
    return node
  }

  /** The process on `machine` dies, and another one takes its place, without any node yet. */
  async kill(machine: number, how: 'kill' | 'replaceDisk' = 'kill'): Promise<void> {
    const node = this.world.node(machine)
    if (how === 'kill') node.kill()
    else node.replaceDisk(null)
    node.start()
    await this.until(() => node.running !== null, `machine ${machine} to run again`)
  }

  /** From now on nothing passes between `machine` and all others, in either direction. */
  isolate(machine: number): void {
    for (const other of this.world.nodes.keys()) {
      if (other === machine) continue
      this.world.network.links.cut(machine, other)
      this.world.network.links.cut(other, machine)
    }
  }

  /** Ends what `isolate` has begun. */
  reconnect(machine: number): void {
    for (const other of this.world.nodes.keys()) {
      if (other === machine) continue
      this.world.network.links.mend(machine, other)
      this.world.network.links.mend(other, machine)
    }
  }

  /** The one of `nodes` that decides, once all of them know it. */
  async active(nodes: readonly ClusterNode[]): Promise<ClusterNode> {
    const found = (): ClusterNode | undefined =>
      nodes.find(
        (node) => node.isActive && nodes.every(({ metadata }) => metadata.controllerId === node.nodeId),
      )
    await this.until(() => found() !== undefined, 'an active controller that all know')
    return found()!
  }

  /** Resolves once `holds` does. Throws what it waited for in vain. */
  async until(holds: () => boolean, what: string, withinMs = 30_000): Promise<void> {
    const endMs = this.world.nowMs + withinMs
    while (!holds()) {
      if (this.world.nowMs > endMs) throw new Error(`waited in vain: ${what}`)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #logger(machine: number): Logger {
    const note = (message: string, fields: LogFields = {}): void => {
      this.said.push(`${machine}: ${message} ${JSON.stringify(fields)}`)
    }
    return { debug: () => {}, info: () => {}, warn: note, error: note }
  }

  async #pump(): Promise<void> {
    while (!this.#isOver) {
      await this.world.advance(20)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
