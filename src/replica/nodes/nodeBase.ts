import type { EngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import { metadataTopicId, zeroUuid } from '../../model/uuid.ts'
import type { Endpoint, Voter } from '../../raft.ts'
import type { Address } from '../../runtime/network.ts'
import type { Runtime } from '../../runtime/runtime.ts'
import { withinTime } from '../../runtime/withinTime.ts'
import { readTextIfThere } from '../../segment/checkpointFile.ts'
import type { LogConfig } from '../../segment/logConfig.ts'
import type { LogDirectory } from '../../segment/logDirectory.ts'
import type { LogDirectoryOptions } from '../../segment/logDirectoryOptions.ts'
import { decodeMetaProperties, metaPropertiesFile } from '../../segment/metaProperties.ts'
import { type NewBeginning, readNewBeginning } from '../../segment/newBeginning.ts'
import { CacheProof } from '../cacheProof.ts'
import type { Group } from '../group.ts'
import type { HostTimeouts } from '../groupTypes.ts'
import type { GroupObserver } from '../observer.ts'
import { PeerTransport } from '../peerTransport.ts'
import { ReplicaHost } from '../replicaHost.ts'
import { EarlyRequests } from './earlyRequests.ts'
import { openLogs } from './lostJournal.ts'
import { isSound, orderAnew, watchStanding } from './newDisk.ts'
import type { Membership } from './nodeAddress.ts'
import { NodeRouter } from './nodeRouter.ts'

/** The topic of the log that says what there is in the cluster. */
export const metadataTopic = '__cluster_metadata'

/** What a node of any kind is opened with. */
export interface BaseOptions {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly nodeId: number
  readonly clusterId: string
  readonly logs: Omit<LogDirectoryOptions, 'nodeId' | 'clusterId' | 'logger'>
  /** The name of the listener that nodes reach each other on, and where it is. */
  readonly listenerName: string
  readonly listen: Address
  /** Null: as the voters have it, or where it listens. */
  readonly advertise: Address | null
  readonly membership: Membership
  /** How the metadata log is kept. */
  readonly metadataConfig: LogConfig
  readonly callTimeoutMs: number
  readonly timeouts?: HostTimeouts | undefined
  readonly maxPendingBytes?: number | undefined
  readonly maxFetchBytes?: number | undefined
  readonly observer?: GroupObserver | undefined
  /** Asks other nodes whether this one may be, before it takes part in anything; may throw. */
  askFirst?(transport: PeerTransport, logs: LogDirectory): Promise<void>
  /** Looks at what the directory holds before anything else is opened; may throw. */
  checkLogs?(logs: LogDirectory): void
  /** The directory turned out to be an earlier state of itself while the node was in use: the next opening begins anew. */
  mustBeginAnew(error: EngineError): void
}

/** What every node of a cluster has: its logs, its connections, its replica of the metadata log. */
export interface NodeBase {
  readonly nodeId: number
  readonly logs: LogDirectory
  readonly requests: EarlyRequests
  readonly transport: PeerTransport
  /** Where other nodes reach this one, with the real port. */
  readonly address: Address
  readonly endpoints: readonly Endpoint[]
  readonly host: ReplicaHost
  readonly metadata: Group
  readonly router: NodeRouter
  /** This node as a voter. */
  readonly self: Voter
  /** Why its directory has begun anew, as that of a new replica; null while it never had to. */
  readonly beginning: NewBeginning | null
}

/**
 * Opens it, listening once this resolves; calls are refused until `requests.answerCalls`. `opened` gets what closes each part, the last
 * first. A directory that turns out to be an earlier state of itself is put aside, and the node opens as a new replica.
 */
export async function openNodeBase(
  options: BaseOptions,
  opened: (() => Promise<unknown>)[],
): Promise<NodeBase> {
  let base = await openOnce(options, opened)
  if (!(await isSound(base, options.runtime.clock))) {
    await orderAnew(options, base)
    await inOrder(opened.splice(0))
    base = await openOnce(options, opened)
  }
  watchStanding(options, base)
  return base
}

async function openOnce(options: BaseOptions, opened: (() => Promise<unknown>)[]): Promise<NodeBase> {
  const { runtime, logger, nodeId, clusterId, listenerName } = options
  const cache = await CacheProof.look(runtime, options.logs.directory, logger)
  const logs = await openLogs(options)
  opened.unshift(() => logs.close())
  const beginning = await readNewBeginning(runtime, logs.directory)
  // Others have the cluster: whatever the settings say, nobody begins it a second time.
  const membership: Membership =
    beginning === null ? options.membership : { type: 'join', others: beginning.others }
  options.checkLogs?.(logs)
  const requests = new EarlyRequests()
  const transport = new PeerTransport(runtime, { nodeId, clusterId, logger, listenerName }, requests)
  opened.unshift(() => transport.close())
  const bound = await transport.listen(options.listen)
  if (membership.type !== 'bootstrap') {
    const others = membership.type === 'static' ? membership.voters : membership.others
    for (const { id, host: hostName, port } of others) {
      if (id !== nodeId) transport.know(id, [{ name: listenerName, host: hostName, port }])
    }
  }
  await options.askFirst?.(transport, logs)
  const given = options.membership
  const ownVoter = given.type === 'static' ? given.voters.find(({ id }) => id === nodeId) : undefined
  const { host: hostName, port } = options.advertise ?? ownVoter ?? bound
  const address = { host: hostName, port: port === 0 ? bound.port : port }
  const endpoints = [{ name: listenerName, ...address }]
  const host = await ReplicaHost.open(runtime, {
    nodeId,
    clusterId,
    endpoints,
    logs,
    cache,
    logger,
    transport: (handler) => {
      requests.forwardTo(handler)
      return transport
    },
    ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
    ...(options.maxPendingBytes === undefined ? {} : { maxPendingBytes: options.maxPendingBytes }),
    ...(options.maxFetchBytes === undefined ? {} : { maxFetchBytes: options.maxFetchBytes }),
    ...(options.observer === undefined ? {} : { observer: options.observer }),
  })
  opened.unshift(() => host.close())
  const self: Voter = { id: nodeId, directoryId: logs.directoryId, endpoints, minVersion: 0, maxVersion: 1 }
  const metadata = await host.openGroup({
    topic: metadataTopic,
    partition: 0,
    topicId: metadataTopicId,
    kind: 'metadata',
    config: options.metadataConfig,
    ...beginningOf(membership, self, listenerName),
  })
  const router = new NodeRouter({
    nodeId,
    clusterId,
    clock: runtime.clock,
    timeoutMs: options.callTimeoutMs,
    call: (to, payload, timeoutMs) =>
      to === nodeId
        ? withinTime(runtime.clock, timeoutMs, requests.call(nodeId, payload))
        : transport.call(to, payload, timeoutMs),
  })
  return { nodeId, logs, requests, transport, address, endpoints, host, metadata, router, self, beginning }
}

/** The cluster that the directory says it belongs to; null for a new one. */
export async function knownClusterId({ disk }: Runtime, directory: string): Promise<string | null> {
  const text = await readTextIfThere(disk, `${directory}/${metaPropertiesFile}`)
  return (text === null ? null : decodeMetaProperties(text))?.clusterId ?? null
}

/** The voters that the metadata log begins with, if there is nothing of it on the disk. */
function beginningOf(membership: Membership, self: Voter, listenerName: string) {
  switch (membership.type) {
    case 'bootstrap':
      return { voters: [self], kraftVersion: 1 } as const
    case 'join':
      return { voters: null, kraftVersion: 1, bootstrapIds: membership.others.map(({ id }) => id) } as const
    case 'static': {
      const voters = membership.voters.map(({ id, host, port }): Voter => {
        const endpoints = [{ name: listenerName, host, port }]
        return { id, directoryId: zeroUuid, endpoints, minVersion: 0, maxVersion: 1 }
      })
      return { voters, kraftVersion: 0 } as const
    }
  }
}

/** Does all of it, whatever fails, and throws the first error. */
export async function inOrder(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const errors: unknown[] = []
  for (const step of steps) await step().catch((error) => errors.push(error))
  if (errors.length > 0) throw errors[0]
}
