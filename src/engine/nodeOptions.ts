import type { FlushPolicy } from '../model/flushPolicy.ts'
import type { Logger } from '../model/logger.ts'
import { uuidToBytes } from '../model/uuid.ts'
import type { HostTimeouts } from '../replica/groupTypes.ts'
import type { Membership, NodeAddress } from '../replica/nodes/nodeAddress.ts'
import type { GroupObserver } from '../replica/observer.ts'
import type { Address } from '../runtime/network.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { refuse } from './logSettings.ts'

/** How a node is started. One of `voters`, `bootstrap` and `join` says how it gets to know the others. */
export interface NodeOptions {
  /** A whole number from 0 on that no other node of the cluster has, and that stays with the directory. */
  readonly nodeId: number
  /** The data directory: made if it is not there, and nobody else's while the node runs. */
  readonly directory: string
  /** `host:port` on which other nodes reach this one. */
  readonly listen: string
  /** `host:port` that other nodes are told, where it is not that of `listen`. */
  readonly advertise?: string | undefined
  /** All nodes of a new cluster, this one included; the same list on each of them. */
  readonly voters?: readonly NodeAddress[] | undefined
  /** This node begins a cluster alone, which others join. */
  readonly bootstrap?: boolean | undefined
  /** Some nodes of the cluster that this one is to become a voter of. A new one needs `clusterId` too. */
  readonly join?: readonly NodeAddress[] | undefined
  /** Whether a node that joins asks for a place among the voters by itself; else `addVoter` gives it one. Default true. */
  readonly autoJoin?: boolean | undefined
  /**
   * Which cluster: 22 characters as `node.clusterId` has them. Nodes of different clusters do not talk to each other. Default:
   * that of the directory; in a new one what follows from `voters`, or a new one with `bootstrap`.
   */
  readonly clusterId?: string | undefined
  /** The flush policy of partitions that name none. Default `journal`. */
  readonly flush?: FlushPolicy | undefined
  /** Where the journal is, perhaps on another disk. Default: `.journal` in the data directory. */
  readonly journalDirectory?: string | undefined
  /** How large the journal may become, in bytes. Default 1 GiB, at least 2 MiB. */
  readonly journalBytes?: number | undefined
  /** Bytes of appends that are not committed at which further ones wait for room. Default 64 MiB. */
  readonly maxPendingBytes?: number | undefined
  /** How long a call waits for somebody to lead, in milliseconds. Default 30 000. */
  readonly callTimeoutMs?: number | undefined
  /** When followers give a leader up, and the like. Defaults give a new leader within half a second. */
  readonly timeouts?: HostTimeouts | undefined
  /** Stored records are checked in the background, at most so many bytes a second; 0 for none. Default 8 MiB. */
  readonly scrubBytesPerSecond?: number | undefined
  /** Says nothing by default. Anything with `debug`, `info`, `warn` and `error`, as pino has them. */
  readonly logger?: Logger | undefined
  /** The world to run in; by default the machine, natively where the addon loads. For simulators. */
  readonly runtime?: Runtime | undefined
  /** Sees what the replicas do. For simulators. */
  readonly observer?: GroupObserver | undefined
}

/** Options that make sense. */
export interface CheckedOptions {
  readonly listen: Address
  readonly advertise: Address | null
  readonly membership: Membership
  readonly autoJoin: boolean
  readonly callTimeoutMs: number
}

const names: Record<keyof NodeOptions, true> = {
  nodeId: true,
  directory: true,
  listen: true,
  advertise: true,
  voters: true,
  bootstrap: true,
  join: true,
  autoJoin: true,
  clusterId: true,
  flush: true,
  journalDirectory: true,
  journalBytes: true,
  maxPendingBytes: true,
  callTimeoutMs: true,
  timeouts: true,
  scrubBytesPerSecond: true,
  logger: true,
  runtime: true,
  observer: true,
}
const timeoutNames: Record<keyof HostTimeouts, true> = {
  mendingMs: true,
  electionTimeoutMs: true,
  fetchTimeoutMs: true,
  requestTimeoutMs: true,
  retryBackoffMs: true,
}
const defaultCallTimeoutMs = 30_000
const leastJournalBytes = 2 << 20

/** Throws `invalidConfig`, with the option's name and what it may be. */
export function checkNodeOptions(options: NodeOptions): CheckedOptions {
  const { nodeId, directory, clusterId, callTimeoutMs = defaultCallTimeoutMs, timeouts = {} } = options
  for (const name of Object.keys(options))
    if (!Object.hasOwn(names, name)) refuse(`there is no option "${name}"`)
  if (!isNodeId(nodeId))
    refuse(`nodeId has to be a whole number from 0 to ${2 ** 31 - 1}, not ${String(nodeId)}`)
  if (typeof directory !== 'string' || directory === '') refuse('directory has to name a directory')
  if (clusterId !== undefined) checkClusterId(clusterId)
  checkWhole('callTimeoutMs', callTimeoutMs, 1)
  checkWhole('journalBytes', options.journalBytes, leastJournalBytes)
  checkWhole('maxPendingBytes', options.maxPendingBytes, 1)
  checkWhole('scrubBytesPerSecond', options.scrubBytesPerSecond, 0)
  for (const [name, value] of Object.entries(timeouts)) {
    if (!Object.hasOwn(timeoutNames, name)) refuse(`there is no timeout "${name}"`)
    checkWhole(`timeouts.${name}`, value, 1)
  }
  const listen = parseAddress('listen', options.listen)
  const advertise = options.advertise === undefined ? null : parseAddress('advertise', options.advertise)
  return {
    listen,
    advertise,
    membership: membershipOf(options),
    autoJoin: options.autoJoin ?? true,
    callTimeoutMs,
  }
}

function membershipOf({ nodeId, voters, bootstrap = false, join }: NodeOptions): Membership {
  const given = [voters !== undefined, bootstrap, join !== undefined].filter((each) => each).length
  if (given !== 1)
    refuse('one of voters, bootstrap and join has to say how this node gets to know the others')
  if (bootstrap) return { type: 'bootstrap' }
  if (voters !== undefined) {
    checkNodes('voters', voters)
    if (!voters.some(({ id }) => id === nodeId)) {
      refuse(`voters has to name this node (${nodeId}), too; a node that comes later uses join`)
    }
    return { type: 'static', voters: [...voters].sort((a, b) => a.id - b.id) }
  }
  checkNodes('join', join!)
  const others = join!.filter(({ id }) => id !== nodeId)
  if (others.length === 0) refuse('join has to name a node other than this one')
  return { type: 'join', others }
}

function checkNodes(name: string, nodes: readonly NodeAddress[]): void {
  if (!Array.isArray(nodes) || nodes.length === 0) refuse(`${name} has to name at least one node`)
  const ids = new Set<number>()
  const places = new Set<string>()
  for (const node of nodes as readonly (NodeAddress | null)[]) {
    const { id, host, port } = node ?? ({} as Partial<NodeAddress>)
    if (!isNodeId(id)) refuse(`${name} has a node whose id is ${String(id)}, not a whole number from 0 on`)
    if (typeof host !== 'string' || host === '' || !isPort(port) || port === 0) {
      refuse(`${name} has to say at which host and port node ${id} is`)
    }
    if (ids.has(id)) refuse(`${name} has node ${id} twice`)
    if (places.has(`${host}:${port}`)) refuse(`${name} has two nodes at ${host}:${port}`)
    ids.add(id)
    places.add(`${host}:${port}`)
  }
}

function parseAddress(name: string, text: unknown): Address {
  const match = typeof text === 'string' ? /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) : null
  const port = Number(match?.[3])
  if (match === null || !isPort(port)) refuse(`${name} has to be 'host:port', not ${JSON.stringify(text)}`)
  return { host: (match[1] ?? match[2])!, port }
}

function checkClusterId(clusterId: unknown): void {
  try {
    if (typeof clusterId === 'string' && uuidToBytes(clusterId).length === 16) return
  } catch {
    // Said below.
  }
  refuse(`clusterId has to be 22 characters of base64url, not ${JSON.stringify(clusterId)}`)
}

function checkWhole(name: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return
  refuse(`${name} has to be a whole number of ${least} or more, not ${String(value)}`)
}

function isNodeId(id: unknown): id is number {
  return Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < 2 ** 31
}

function isPort(port: unknown): port is number {
  return Number.isSafeInteger(port) && (port as number) >= 0 && (port as number) < 65_536
}
