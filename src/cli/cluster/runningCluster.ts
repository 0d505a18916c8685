import { EngineError } from '../../model/errors.ts'
import type { Address } from '../../runtime/network.ts'
import { createNodeRuntime } from '../../runtime/node/nodeRuntime.ts'
import { Client } from '../client.ts'
import type { Terminal } from '../terminal.ts'
import { type ClusterFile, controllerCount } from './clusterPlan.ts'
import type { NodeEnd, NodeProcess } from './nodeProcess.ts'

/** How long a node may take to stop before it is killed. */
const stopGraceMs = 15_000
/** How long the nodes may take to find each other. */
const joinMs = 60_000
const lookAgainMs = 50

/** The processes of a cluster. */
export class RunningCluster {
  readonly #processes: readonly NodeProcess[]
  readonly #terminal: Terminal
  #isReady = false
  #isStopping = false

  constructor(processes: readonly NodeProcess[], terminal: Terminal) {
    this.#processes = processes
    this.#terminal = terminal
    for (const process of processes) void process.ended.then((end) => this.#ended(process, end))
  }

  /** Resolves with the node that leads the metadata once every broker is a part of the cluster. Rejects when one ends before. */
  async ready(cluster: ClusterFile): Promise<number> {
    await Promise.all(
      this.#processes.map((process) =>
        process.ready.catch((error: Error) => {
          throw new EngineError(
            'closed',
            `node ${process.node.id} did not start: ${error.message.replace(/^cordwood: /, '')}`,
          )
        }),
      ),
    )
    const bootstrap = this.#processes.map(({ node }) => ({ host: cluster.host, port: node.port }))
    const giveUpMs = performance.now() + joinMs
    for (;;) {
      const controllers = await Promise.all(bootstrap.map((address) => seenFrom(address, cluster.nodes)))
      const [first] = controllers
      if (typeof first === 'number' && controllers.every((id) => id === first)) {
        this.#isReady = true
        return first
      }
      if (performance.now() > giveUpMs) {
        const alone = controllers.flatMap((id, index) => (id === null ? [index + 1] : []))
        throw new EngineError(
          'brokerNotAvailable',
          `the nodes did not find each other within ${joinMs / 1000} s: ${alone.length === 0 ? 'they disagree on who leads' : `node ${alone.join(', node ')} does not see all others`}; --log-level info shows more`,
        )
      }
      await new Promise((wake) => setTimeout(wake, lookAgainMs))
    }
  }

  /** Resolves when no process is left. */
  async allEnded(): Promise<void> {
    await Promise.all(this.#processes.map(({ ended }) => ended))
  }

  /**
   * Stops the nodes one after the other, the highest first, as long as the rest is a majority that takes over; then the rest
   * together.
   */
  async stop(): Promise<void> {
    this.#isStopping = true
    const left = this.#processes.filter(({ hasEnded }) => !hasEnded)
    const majority = Math.floor(controllerCount(this.#processes.length) / 2) + 1
    while (left.length > majority) await this.#stopNode(left.pop()!)
    await Promise.all(left.map((process) => this.#stopNode(process)))
  }

  async #stopNode(process: NodeProcess): Promise<void> {
    if (await process.stop(stopGraceMs)) return
    const { id } = process.node
    this.#terminal.note(`cordwood: node ${id} was killed: it did not stop within ${stopGraceMs / 1000} s`)
  }

  #ended(process: NodeProcess, { code, signal }: NodeEnd): void {
    if (!this.#isReady || this.#isStopping) return
    const { id, configFile } = process.node
    const how = signal === null ? `with exit code ${code}` : `by ${signal}`
    this.#terminal.note(
      `cordwood: node ${id} has ended ${how}; the others go on. To start it again: cordwood serve --config ${configFile}`,
    )
  }
}

/** The controller that the broker at `address` knows, once it sees `nodes` brokers; null before. */
async function seenFrom(address: Address, nodes: number): Promise<number | null> {
  const client = new Client(createNodeRuntime(), { bootstrap: [address], timeoutMs: 2_000 })
  try {
    const { brokers, controllerId } = await client.metadata([])
    return brokers.size === nodes && controllerId >= 0 ? controllerId : null
  } catch {
    return null
  } finally {
    await client.close()
  }
}
