import { createServer } from 'node:net'
import { UsageError } from '../failure.ts'
import type { PlannedNode } from './clusterPlan.ts'

/** How far the ports of nodes among themselves lie above those of clients, where they are free. */
const nodePortDistance = 1000

/** One port for each node, 1,000 above those of clients where they are free, else any. */
export async function freeNodePorts(
  host: string,
  basePort: number,
  nodes: number,
): Promise<readonly number[]> {
  const ports: number[] = []
  for (let index = 0; index < nodes; index++) {
    const wanted = basePort + nodePortDistance + index
    const isFree = wanted < 65_536 && (await portProblem(host, wanted)) === null
    ports.push(isFree ? wanted : await anyPort(host, ports))
  }
  return ports
}

/** Throws `UsageError` for the first port that a node needs and cannot have. */
export async function checkPorts(host: string, nodes: readonly PlannedNode[]): Promise<void> {
  for (const { id, port, nodePort, metricsPort } of nodes) {
    for (const [wanted, what, advice] of [
      [port, 'of clients', 'choose another --base-port'],
      [nodePort, 'of the other nodes', `stop what has it, or begin anew in another --directory`],
      [metricsPort, 'of metrics', 'choose another --metrics-base-port'],
    ] as const) {
      if (wanted === null) continue
      const problem = wanted > 65_535 ? 'there is no such port' : await portProblem(host, wanted)
      if (problem === null) continue
      throw new UsageError(`node ${id} cannot have port ${wanted}, ${what}: ${problem}; ${advice}`)
    }
  }
}

/** Why nobody can listen there now; null when one can. */
function portProblem(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'EADDRINUSE' ? 'it is taken' : error.message),
    )
    server.listen(port, host, () => server.close(() => resolve(null)))
  })
}

async function anyPort(host: string, taken: readonly number[]): Promise<number> {
  for (;;) {
    const port = await new Promise<number>((resolve, reject) => {
      const server = createServer()
      server.once('error', (error) =>
        reject(new UsageError(`cannot listen on ${host}: ${error.message}; choose another --host`)),
      )
      server.listen(0, host, () => {
        const address = server.address()
        server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
      })
    })
    if (!taken.includes(port)) return port
  }
}
