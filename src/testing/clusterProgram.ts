import { InvariantError } from '../model/assert.ts'
import { type Logger, silentLogger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import { randomUuid } from '../model/uuid.ts'
import type { Voter } from '../raft.ts'
import { CacheProof } from '../replica/cacheProof.ts'
import type { Group } from '../replica/group.ts'
import type { GroupObserver } from '../replica/observer.ts'
import { PeerTransport } from '../replica/peerTransport.ts'
import { ReplicaHost } from '../replica/replicaHost.ts'
import { defaultLogConfig, type LogConfig } from '../segment/logConfig.ts'
import { LogDirectory } from '../segment/logDirectory.ts'
import type { SimNode } from './simNode.ts'
import type { SimRandom } from './simRandom.ts'
import type { Place, Program, Running } from './worldTypes.ts'

/** The data directory of every node. */
export const dataDirectory = '/data'
/** The name of the topic that all groups are of. */
export const topicName = 'w'

const clusterId = 'simulated-cluster-wood'

/** What runs on the nodes of a cluster. */
export interface ClusterShape {
  /** The nodes; the first `voters` of them vote at first, the others observe. */
  readonly nodes: number
  readonly voters: number
  /** How many replicated logs. */
  readonly groups: number
  readonly kind: 'metadata' | 'partition'
  /** Whether observers ask to become voters. */
  readonly autoJoin: boolean
  /** Most bytes of one group in one answer; snapshots come in parts of this size. */
  readonly fetchBytes: number
  /** Whether peers have to record a start before the replica votes. */
  readonly confirmation: 'none' | 'peers'
  readonly flush: LogConfig['flush']
  readonly segmentBytes: number
}

/** What a node of a cluster has open. */
export interface ClusterNode extends Running {
  readonly host: ReplicaHost
  readonly logs: LogDirectory
  readonly groups: readonly Group[]
}

/** The topic id of all groups. */
export const topicId: Uuid = 'd29ybGRzLXRvcGljLWlk0w'

/** Small files, so that a run goes through many of them. */
const logConfig: LogConfig = {
  ...defaultLogConfig,
  indexIntervalBytes: 512,
  timestampAfterMaxMs: Number.MAX_SAFE_INTEGER,
  fileDeleteDelayMs: 100,
}

/** The directory ids that nodes begin with: voter sets name them before a node has ever run. */
export function drawDirectoryIds(nodes: number, random: SimRandom): readonly Uuid[] {
  return Array.from({ length: nodes }, () => randomUuid(random))
}

/** Prepares the disk of a node that has never run: its identity is there, as after `format`. */
export function format<P extends Running>(node: SimNode<P>, directoryId: Uuid): void {
  const { fs } = node
  fs.makeDirectory(dataDirectory)
  const file = fs.open(`${dataDirectory}/meta.properties`)
  const text = `#\ncluster.id=${clusterId}\ndirectory.id=${directoryId}\nnode.id=${node.id}\nversion=1\n`
  fs.write(file, 0, Buffer.from(text))
  fs.syncAll(fs.beginSync())
}

/** Replicas of a few groups on the host, the transport and the logs as they are shipped. */
export function clusterProgram(
  shape: ClusterShape,
  directoryIds: readonly Uuid[],
  observer: (node: number) => GroupObserver,
  logger: Logger = silentLogger,
): Program<ClusterNode> {
  return async (place: Place<ClusterNode>): Promise<ClusterNode> => {
    const { runtime, nodeId } = place
    const voters = directoryIds.slice(0, shape.voters).map((directoryId, index): Voter => {
      const endpoints = [{ name: 'CONTROLLER', ...place.endpointOf(index + 1) }]
      return { id: index + 1, directoryId, endpoints, minVersion: 0, maxVersion: 1 }
    })
    const config: LogConfig = { ...logConfig, flush: shape.flush, segmentBytes: shape.segmentBytes }
    const cache = await CacheProof.look(runtime, dataDirectory, logger)
    const logs = await LogDirectory.open(runtime, {
      directory: dataDirectory,
      logger,
      nodeId,
      clusterId,
      journalBytes: 256 << 10,
      journalFileBytes: 64 << 10,
      configFor: () => config,
    })
    let transport: PeerTransport | null = null
    const endpoint = place.endpointOf(nodeId)
    const host = await ReplicaHost.open(runtime, {
      nodeId,
      clusterId,
      endpoints: [{ name: 'CONTROLLER', ...endpoint }],
      logs,
      cache,
      transport(handler) {
        transport = new PeerTransport(runtime, { nodeId, clusterId, logger }, handler)
        return transport
      },
      logger,
      maxFetchBytes: shape.fetchBytes,
      // Runs are short.
      readPatienceMs: 500,
      observer: observer(nodeId),
    })
    for (const { id, endpoints } of voters) if (id !== nodeId) transport!.know(id, endpoints)
    await transport!.listen(endpoint)
    const groups: Group[] = []
    for (let partition = 0; partition < shape.groups; partition++) {
      const group = await host.openGroup({
        topic: topicName,
        partition,
        topicId,
        kind: shape.kind,
        config,
        voters,
        bootstrapIds: voters.map(({ id }) => id),
        autoJoin: shape.autoJoin,
        confirmation: shape.confirmation,
      })
      tellOfBugs(group)
      groups.push(group)
    }
    return {
      host,
      logs,
      groups,
      async close() {
        await host.close()
        await logs.close()
      },
    }
  }
}

/** A replica that stops because an invariant does not hold has found a bug: nobody is to catch that. */
function tellOfBugs(group: Group): void {
  const tell = (error: Error | null): void => {
    if (error?.cause instanceof InvariantError) void Promise.reject(error.cause)
  }
  tell(group.failure)
  group.watch({ failed: tell })
}
