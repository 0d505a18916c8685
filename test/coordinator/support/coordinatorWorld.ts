import type { GroupCoordinatorConfig } from '../../../src/coordinator/coordinatorConfig.ts'
import { GroupCoordinator } from '../../../src/coordinator/groupCoordinator.ts'
import { LocalOffsets } from '../../../src/coordinator/logReign.ts'
import type {
  JoinGroupResponse,
  OffsetCommitResponse,
  OffsetFetchResponse,
  RequestContext,
  SyncGroupResponse,
} from '../../../src/coordinator/messages.ts'
import type { Logger } from '../../../src/model/logger.ts'
import { nodeChecksum } from '../../../src/runtime/node/nodeChecksum.ts'
import type { Runtime } from '../../../src/runtime/runtime.ts'
import { checkBatch } from '../../../src/segment/recordBatch.ts'
import { encodeBatch } from '../../../src/segment/records.ts'
import { WriteGroup } from '../../../src/segment/writeGroup.ts'
import { FakeClock, settle } from './fakeClock.ts'
import { bytes, subscription } from './groupWorld.ts'
import { MemoryDisk, MemoryLog } from './memoryLog.ts'

/** The error of the first partition in an answer. */
export const codeOf = (
  response: { topics: readonly { partitions: readonly { errorCode: number }[] }[] } | undefined,
) => response?.topics[0]?.partitions[0]?.errorCode

/** A coordinator over logs in memory, with a clock that stands still. */
export class CoordinatorWorld {
  readonly clock = new FakeClock()
  readonly disk = new MemoryDisk()
  readonly config: Partial<GroupCoordinatorConfig>
  readonly partitionCount: number
  logs: (MemoryLog | null)[] = []
  coordinator!: GroupCoordinator
  readonly reports: string[] = []
  readonly #runtime: Runtime
  #random = 1

  constructor(config: Partial<GroupCoordinatorConfig> = {}, partitionCount = 1) {
    this.config = { groupInitialRebalanceDelayMs: 0, ...config }
    this.partitionCount = partitionCount
    this.#runtime = {
      clock: this.clock,
      random: { fill: (target: Uint8Array) => this.#fill(target), below: () => 0 },
      disk: this.disk.asDisk(),
      network: undefined as never,
      checksum: nodeChecksum,
      compute: undefined as never,
    }
  }

  static async start(
    config: Partial<GroupCoordinatorConfig> = {},
    partitionCount = 1,
  ): Promise<CoordinatorWorld> {
    const world = new CoordinatorWorld(config, partitionCount)
    await world.open()
    return world
  }

  /** Starts a coordinator on what the disk has. */
  async open(): Promise<void> {
    this.logs = Array.from({ length: this.partitionCount }, (_, partition) => {
      const start = this.logs[partition]?.logStartOffset ?? 0
      return new MemoryLog(this.disk, `offsets-${partition}`, start)
    })
    this.create()
    await this.coordinator.start()
  }

  /** Makes a coordinator that has not started. */
  create(): void {
    const report = (message: string): void => {
      this.reports.push(message)
    }
    const logger: Logger = { debug() {}, info() {}, warn: report, error: report }
    this.coordinator = new GroupCoordinator(this.#runtime, {
      logger,
      config: this.config,
      offsets: new LocalOffsets(this.#runtime, {
        partitionCount: () => this.partitionCount,
        log: (partition) => this.logs[partition] ?? null,
      }),
    })
  }

  /** The broker is killed and started again. Whoever waits is never answered. */
  async restart(): Promise<void> {
    this.disk.crash()
    await this.open()
  }

  get log(): MemoryLog {
    return this.logs[0]!
  }

  /** Puts a record into the log past the coordinator. */
  async appendRaw(record: { readonly key: Uint8Array; readonly value: Uint8Array | null }): Promise<void> {
    const { checksum } = this.#runtime
    const encoded = encodeBatch({ records: [{ ...record, timestampMs: 0 }] }, checksum)
    const group = new WriteGroup(this.disk.asDisk())
    this.log.append(checkBatch(encoded, checksum, 'broker'), encoded, 0, group)
    await group.submit()
  }

  /** The answer, or undefined while there is none. */
  async now<T>(promise: Promise<T>): Promise<T | undefined> {
    let answer: T | undefined
    void promise.then((value) => {
      answer = value
    })
    await settle()
    return answer
  }

  join(
    memberId = '',
    options: { groupId?: string; instance?: string; version?: number } = {},
  ): Promise<JoinGroupResponse> {
    const request = {
      groupId: options.groupId ?? 'g',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      memberId,
      groupInstanceId: options.instance ?? null,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription('t') }],
      reason: null,
    }
    return this.coordinator.joinGroup(request, this.context(options.version ?? 3))
  }

  context(apiVersion: number): RequestContext {
    return { apiVersion, clientId: 'client', clientHost: '127.0.0.1' }
  }

  sync(
    memberId: string,
    generationId: number,
    assignments: Readonly<Record<string, string>> = {},
    groupId = 'g',
  ): Promise<SyncGroupResponse> {
    return this.coordinator.syncGroup({
      groupId,
      generationId,
      memberId,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      assignments: Object.entries(assignments).map(([id, text]) => ({
        memberId: id,
        assignment: bytes(text),
      })),
    })
  }

  async heartbeat(memberId: string, generationId: number, groupId = 'g'): Promise<number> {
    const request = { groupId, generationId, memberId, groupInstanceId: null }
    return (await this.coordinator.heartbeat(request)).errorCode
  }

  commit(
    offset: number,
    options: {
      memberId?: string
      generationId?: number
      topic?: string
      partition?: number
      groupId?: string
      version?: number
    } = {},
  ): Promise<OffsetCommitResponse> {
    const request = {
      groupId: options.groupId ?? 'g',
      generationIdOrMemberEpoch: options.generationId ?? -1,
      memberId: options.memberId ?? '',
      groupInstanceId: null,
      retentionTimeMs: -1,
      topics: [
        {
          name: options.topic ?? 't',
          partitions: [
            {
              partitionIndex: options.partition ?? 0,
              committedOffset: offset,
              committedLeaderEpoch: 3,
              committedMetadata: 'note',
            },
          ],
        },
      ],
    }
    return this.coordinator.commitOffsets(request, this.context(options.version ?? 9))
  }

  /** What OffsetFetch says of one partition. */
  offset(topic = 't', partition = 0, groupId = 'g'): number {
    const { groups } = this.coordinator.fetchOffsets({
      groups: [{ groupId, topics: [{ name: topic, partitionIndexes: [partition] }] }],
      requireStable: true,
    }) as OffsetFetchResponse
    return groups[0]!.topics[0]?.partitions[0]?.committedOffset ?? Number.NaN
  }

  /** A lone member, stable at generation 1. */
  async stable(groupId = 'g'): Promise<string> {
    const { memberId } = await this.join('', { groupId })
    await this.sync(memberId, 1, { [memberId]: 'one' }, groupId)
    return memberId
  }

  #fill(target: Uint8Array): void {
    for (let index = 0; index < target.length; index++) {
      this.#random = (Math.imul(this.#random, 1_103_515_245) + 12_345) >>> 0
      target[index] = this.#random >>> 16
    }
  }
}
