import { createServer } from 'node:net'
import { onTestFinished } from 'vitest'
import { silentChannels } from '../../src/engine/events.ts'
import { Node } from '../../src/engine/node.ts'
import type { NodeChannels } from '../../src/engine/nodeEvents.ts'
import type { NodeAddress, NodeOptions } from '../../src/index.ts'
import { noCodecs } from '../../src/testing/noCodecs.ts'
import { World } from '../../src/testing/world.ts'
import type { NodeRuntime, Place, Running } from '../../src/testing/worldTypes.ts'

const silent = silentChannels.append as never
/** Nobody listens to what nodes tell. */
const quiet: NodeChannels = {
  leadership: silent,
  voters: silent,
  snapshot: silent,
  alarm: silent,
  repair: silent,
}

/** Starts the node of a place in a world whose nodes 1 to `count` all vote. */
export function startInWorld(
  { nodeId, runtime }: Pick<Place, 'nodeId' | 'runtime'>,
  count: number,
  more: Partial<NodeOptions> = {},
): Promise<Node> {
  const voters = Array.from({ length: count }, (_, index) => ({
    id: index + 1,
    host: `node-${index + 1}`,
    port: 9092,
  }))
  return Node.start(
    { nodeId, directory: '/data', listen: `node-${nodeId}:9092`, voters, journalBytes: 2 << 20, ...more },
    { runtime, codecs: noCodecs, channels: quiet, close: async () => {} },
  )
}

interface Machine extends Running {
  readonly runtime: NodeRuntime
}

/** Machines on one network, by number from 1 on, whose time goes by as fast as there is nothing to do. */
export class Machines {
  readonly world: World<Machine>
  #isOver = false

  private constructor(count: number, seed: number) {
    this.world = new World<Machine>({
      seed,
      nodes: count,
      program: async ({ runtime }) => ({ runtime, close: async () => {} }),
    })
  }

  /** `count` machines that are running until the test ends. */
  static async start(count: number, seed = 1): Promise<Machines> {
    const machines = new Machines(count, seed)
    const { world } = machines
    world.startAll()
    await world.runUntil(() => [...world.nodes.values()].every(({ running }) => running !== null), 1000)
    const pumping = machines.#pump()
    onTestFinished(async () => {
      machines.#isOver = true
      await pumping
      world[Symbol.dispose]()
    })
    return machines
  }

  runtime(machine: number): NodeRuntime {
    return this.world.node(machine).running!.runtime
  }

  /** Where a node on `machine` may listen. */
  place(machine: number): NodeAddress {
    return { id: machine, host: `node-${machine}`, port: 9092 }
  }

  /** Starts a node on `machine`, which is closed when the test ends. */
  async node(machine: number, options: Partial<NodeOptions>): Promise<Node> {
    const node = await Node.start(
      {
        nodeId: machine,
        directory: '/data',
        listen: `node-${machine}:9092`,
        journalBytes: 2 << 20,
        callTimeoutMs: 20_000,
        ...options,
      },
      { runtime: this.runtime(machine), codecs: noCodecs, channels: quiet, close: async () => {} },
    )
    onTestFinished(() => node.close().catch(() => {}))
    return node
  }

  /** A node on each of the first `count` machines, which are its cluster's voters. */
  cluster(count: number, more: Partial<NodeOptions> = {}): Promise<Node[]> {
    const voters = Array.from({ length: count }, (_, index) => this.place(index + 1))
    return Promise.all(voters.map(({ id }) => this.node(id, { voters, ...more })))
  }

  /** Resolves once `check` gives something other than null, undefined or false, within a minute of the world's time. */
  async until<T>(check: () => T | null | undefined | false, what: string): Promise<T> {
    const endMs = this.world.nowMs + 60_000
    for (;;) {
      const found = check()
      if (found) return found
      if (this.world.nowMs > endMs) throw new Error(`waited in vain for ${what}`)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Who leads `topic` as far as all of `nodes` agree. */
  leaderAmong(nodes: readonly Node[], topic?: string): Promise<Node> {
    return this.until(
      () => {
        const leader = nodes.find((node) => node.leaderOf(topic) === node.nodeId)
        return nodes.every((node) => node.leaderOf(topic) === leader?.nodeId) ? leader : null
      },
      `a leader of ${topic ?? 'the metadata log'}`,
    )
  }

  async #pump(): Promise<void> {
    while (!this.#isOver) await this.world.advance(2)
  }
}

/** Places for `count` nodes on loopback, whose ports nobody has. */
export async function freePlaces(count: number): Promise<NodeAddress[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const places = servers.map((server, index) => {
    const { port } = server.address() as { port: number }
    return { id: index + 1, host: '127.0.0.1', port }
  })
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return places
}
