import { silentLogger } from '../../../src/model/logger.ts'
import { randomUuid, type Uuid } from '../../../src/model/uuid.ts'
import type { Voter } from '../../../src/raft.ts'
import type { Group } from '../../../src/replica/group.ts'
import { readBytes } from '../../../src/replica/groupReader.ts'
import type { GroupSpec, HostOptions } from '../../../src/replica/groupTypes.ts'
import { ReplicaHost } from '../../../src/replica/replicaHost.ts'
import type { Runtime } from '../../../src/runtime/runtime.ts'
import { defaultLogConfig, type LogConfig } from '../../../src/segment/logConfig.ts'
import { LogDirectory } from '../../../src/segment/logDirectory.ts'
import { encodeBatch, readRecords } from '../../../src/segment/records.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'
import { LocalTransports } from './localTransport.ts'

/** One batch with a record for each value. */
export function batchOf(runtime: Runtime, ...values: readonly string[]): Uint8Array {
  const records = values.map((value) => ({
    key: null,
    value: Buffer.from(value),
    timestampMs: runtime.clock.wallMs(),
  }))
  return encodeBatch({ records }, runtime.checksum)
}

/** The values of all committed records of a replica. */
export async function committed(group: Group): Promise<string[]> {
  const values: string[] = []
  let offset = group.log.logStartOffset
  while (offset < group.highWatermark) {
    const bytes = await readBytes(group, offset, 1 << 20)
    if (bytes === null) {
      // The log was changed meanwhile: what a snapshot holds is not in it any more.
      await new Promise((resolve) => setTimeout(resolve, 5))
      offset = Math.max(offset, group.log.logStartOffset)
      continue
    }
    for (const record of readRecords(bytes)) {
      if (record.value !== null) values.push(Buffer.from(record.value).toString())
      offset = record.offset + 1
    }
  }
  return values
}

/** A node of a test: its directory stays when it stops. */
interface TestNode {
  directory: string
  readonly runtime: Runtime
  host: ReplicaHost | null
  logs: LogDirectory | null
}

/** Some nodes in this process, on directories of their own. */
export class Cluster {
  readonly transports: LocalTransports
  readonly nodes = new Map<number, TestNode>()
  readonly topicId: Uuid
  readonly #options: Partial<HostOptions>
  readonly #spec: Partial<GroupSpec>
  voters: readonly Voter[] = []

  private constructor(runtime: Runtime, spec: Partial<GroupSpec>, options: Partial<HostOptions>) {
    this.transports = new LocalTransports(runtime)
    this.topicId = randomUuid(runtime.random)
    this.#spec = spec
    this.#options = options
  }

  /** As many nodes, started, with one group that all of them vote in. */
  static async start(
    count: number,
    makeRuntime: (id: number) => Runtime,
    spec: Partial<GroupSpec> = {},
    options: Partial<HostOptions> = {},
  ): Promise<Cluster> {
    const cluster = new Cluster(makeRuntime(0), spec, options)
    const voters: Voter[] = []
    for (let id = 1; id <= count; id++) {
      cluster.nodes.set(id, {
        directory: temporaryDirectory(),
        runtime: makeRuntime(id),
        host: null,
        logs: null,
      })
      const { directoryId } = await cluster.#openLogs(id)
      voters.push({ id, directoryId, endpoints: [], minVersion: 0, maxVersion: 1 })
    }
    cluster.voters = voters
    for (const id of cluster.nodes.keys()) await cluster.run(id)
    return cluster
  }

  /** Starts a node that is not running, with the groups of so many partitions. */
  async run(id: number, partitions = 1): Promise<Group> {
    const node = this.nodes.get(id)!
    const logs = node.logs ?? (await this.#openLogs(id))
    node.host = await ReplicaHost.open(node.runtime, {
      nodeId: id,
      clusterId: 'test-cluster',
      endpoints: [],
      logs,
      transport: this.transports.of(id),
      logger: silentLogger,
      ...this.#options,
    })
    for (let partition = 0; partition < partitions; partition++)
      await node.host.openGroup(this.spec(partition))
    return this.group(id)
  }

  spec(partition: number): GroupSpec {
    return {
      topic: 't',
      partition,
      topicId: this.topicId,
      kind: 'partition',
      config: testConfig,
      voters: this.voters,
      ...this.#spec,
    }
  }

  group(id: number, partition = 0): Group {
    return this.nodes.get(id)!.host!.groups.get(`${this.topicId}/${partition}`)!
  }

  /** The group of every node that runs. */
  groups(partition = 0): Group[] {
    return [...this.nodes.keys()]
      .filter((id) => this.nodes.get(id)!.host !== null)
      .map((id) => this.group(id, partition))
  }

  /** Resolves with the replica that leads once there is one that all others of `groups` follow. */
  async leader(partition = 0): Promise<Group> {
    for (;;) {
      const groups = this.groups(partition)
      const leader = groups.find(({ state }) => state === 'leader')
      if (
        leader !== undefined &&
        groups.every(
          ({ leaderId, leaderEpoch }) => leaderId === leader.leaderId && leaderEpoch === leader.leaderEpoch,
        )
      )
        return leader
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  /** Resolves once all running replicas know that everything below `offset` is committed. */
  async whenCommitted(offset: number, partition = 0): Promise<void> {
    for (const group of this.groups(partition)) {
      while (group.highWatermark < offset) await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  /** Where a node that does not run will find its files. */
  moveDirectory(id: number, directory: string): void {
    this.nodes.get(id)!.directory = directory
  }

  /** Ends a node without any order. */
  async kill(id: number): Promise<void> {
    const node = this.nodes.get(id)!
    this.transports.stop(id)
    const { host, logs } = node
    node.host = null
    node.logs = null
    for (const group of host!.groups.values()) await group.close()
    await host!.close()
    await logs!.close()
  }

  async stop(): Promise<void> {
    for (const node of this.nodes.values()) {
      const { host, logs } = node
      node.host = null
      node.logs = null
      await host?.close()
      await logs?.close()
    }
  }

  async #openLogs(id: number): Promise<LogDirectory> {
    const node = this.nodes.get(id)!
    node.logs = await LogDirectory.open(node.runtime, {
      directory: node.directory,
      logger: silentLogger,
      nodeId: id,
      clusterId: 'test-cluster',
      journalBytes: 1 << 20,
      journalFileBytes: 1 << 18,
      configFor: () => testConfig,
    })
    return node.logs
  }
}

const testConfig: LogConfig = { ...defaultLogConfig, segmentBytes: 64 << 10 }
