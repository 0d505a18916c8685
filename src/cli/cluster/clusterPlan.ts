import { join } from 'node:path'
import type { Uuid } from '../../model/uuid.ts'
import { UsageError } from '../failure.ts'

/** What is kept of a local cluster in its directory, as JSON. */
export interface ClusterFile {
  readonly clusterId: Uuid
  readonly nodes: number
  readonly host: string
  /** Where clients of node 1 connect; node i is at `basePort + i - 1`. */
  readonly basePort: number
  /** Where the nodes reach each other, node 1 first. They stay what they are: the quorum's records name them. */
  readonly nodePorts: readonly number[]
  /** Where node 1 serves metrics; node i at `metricsBasePort + i - 1`. Nowhere without. */
  readonly metricsBasePort?: number
}

/** One node of the plan. */
export interface PlannedNode {
  readonly id: number
  readonly port: number
  readonly nodePort: number
  readonly metricsPort: number | null
  readonly directory: string
  readonly configFile: string
}

/** The name of the file in a cluster's directory that makes it one. */
export const clusterFileName = 'cluster.json'

/** The most nodes that vote on metadata: any more cost every change more than they add to safety. */
const maxControllers = 5

/** Nodes that vote on metadata: the first ones, an odd number of them, so that each adds to what may be lost. */
export function controllerCount(nodes: number): number {
  const most = Math.min(nodes, maxControllers)
  return most % 2 === 1 ? most : most - 1
}

/** Reads what `clusterFileName` held. Throws `UsageError` for anything else. */
export function parseClusterFile(text: string, path: string): ClusterFile {
  const wrong = new UsageError(
    `${path} is not what "cordwood cluster start" wrote; choose another --directory`,
  )
  let found: Partial<ClusterFile>
  try {
    found = JSON.parse(text) as Partial<ClusterFile>
  } catch {
    throw wrong
  }
  const { clusterId, nodes, host, basePort, nodePorts, metricsBasePort } = found ?? {}
  const isPort = (port: unknown): boolean =>
    Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536
  const isRight =
    typeof clusterId === 'string' &&
    typeof host === 'string' &&
    Number.isInteger(nodes) &&
    isPort(basePort) &&
    (metricsBasePort === undefined || isPort(metricsBasePort)) &&
    Array.isArray(nodePorts) &&
    nodePorts.length === nodes &&
    nodePorts.every(isPort)
  if (!isRight) throw wrong
  return found as ClusterFile
}

/** The nodes of a cluster in `directory`. */
export function plannedNodes(
  { nodes, basePort, nodePorts, metricsBasePort }: ClusterFile,
  directory: string,
): readonly PlannedNode[] {
  return Array.from({ length: nodes }, (_, index) => ({
    id: index + 1,
    port: basePort + index,
    nodePort: nodePorts[index]!,
    metricsPort: metricsBasePort === undefined ? null : metricsBasePort + index,
    directory: join(directory, `node-${index + 1}`),
    configFile: join(directory, `node-${index + 1}.properties`),
  }))
}

/** The settings of a node, as a properties file; `more` win over what the plan says. */
export function nodeProperties(
  cluster: ClusterFile,
  node: PlannedNode,
  more: readonly (readonly [string, string])[],
): string {
  const { nodes, host, nodePorts, clusterId } = cluster
  const controllers = controllerCount(nodes)
  const copies = Math.min(3, nodes)
  const at = host.includes(':') ? `[${host}]` : host
  const voters = nodePorts.slice(0, controllers).map((port, index) => `${index + 1}@${at}:${port}`)
  const settings = new Map([
    ['node.id', String(node.id)],
    ['process.roles', node.id <= controllers ? 'broker,controller' : 'broker'],
    ['listeners', `PLAINTEXT://${at}:${node.port},CONTROLLER://${at}:${node.nodePort}`],
    ['controller.listener.names', 'CONTROLLER'],
    ['controller.quorum.voters', voters.join(',')],
    ['cordwood.cluster.id', clusterId],
    ['log.dirs', node.directory],
    ['default.replication.factor', String(copies)],
    ['offsets.topic.replication.factor', String(copies)],
    ['min.insync.replicas', String(copies === 3 ? 2 : 1)],
    // Nobody waits three seconds for a test to begin.
    ['group.initial.rebalance.delay.ms', '0'],
    ...(node.metricsPort === null
      ? []
      : ([['cordwood.metrics.listener', `${at}:${node.metricsPort}`]] as const)),
    ...more,
  ])
  const lines = [...settings].map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}`)
  return `# Written by "cordwood cluster start" each time; --set changes it.\n${lines.join('\n')}\n`
}
