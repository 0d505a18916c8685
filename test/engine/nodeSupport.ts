import { createServer } from 'node:net'
import { onTestFinished } from 'vitest'
import { type Node, type NodeAddress, type NodeOptions, startNode } from '../../src/index.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

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

/** A node that is closed when the test ends. */
export async function start(options: NodeOptions): Promise<Node> {
  const node = await startNode({ journalBytes: 2 << 20, callTimeoutMs: 10_000, ...options })
  onTestFinished(() => node.close().catch(() => {}))
  return node
}

/** Options for each node of a cluster of `count` on loopback. */
export async function clusterOptions(
  count: number,
  more: Partial<NodeOptions> = {},
): Promise<(NodeOptions & { readonly directory: string })[]> {
  const voters = await freePlaces(count)
  return voters.map(({ id, host, port }) => ({
    nodeId: id,
    directory: temporaryDirectory(),
    listen: `${host}:${port}`,
    voters,
    ...more,
  }))
}

/** A cluster on loopback. */
export async function cluster(count: number, more: Partial<NodeOptions> = {}): Promise<Node[]> {
  const options = await clusterOptions(count, more)
  return Promise.all(options.map(start))
}

/** Resolves once `check` gives something other than null, undefined or false; it is asked again whenever the loop has turned. */
export async function until<T>(check: () => T | null | undefined | false, what: string): Promise<T> {
  const end = process.hrtime.bigint() + 15_000_000_000n
  for (;;) {
    const found = check()
    if (found) return found
    if (process.hrtime.bigint() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Who leads `topic` as far as all of `nodes` agree. */
export function leaderAmong(nodes: readonly Node[], topic?: string): Promise<Node> {
  return until(
    () => {
      const leader = nodes.find((node) => node.leaderOf(topic) === node.nodeId)
      return nodes.every((node) => node.leaderOf(topic) === leader?.nodeId) ? leader : null
    },
    `a leader of ${topic ?? 'the metadata log'}`,
  )
}
