import { EngineError } from '../model/errors.ts'
import { randomUuid, type Uuid, zeroUuid } from '../model/uuid.ts'
import { encodeMetadataRecord } from '../protocol/metadataRecords/metadataRecord.ts'
import type { Group } from '../replica/group.ts'
import { parseJson } from '../replica/nodes/groupCalls.ts'
import { CallKind, type CallRequest, type CallResponse } from '../replica/nodes/nodeCalls.ts'
import { NotLeaderError } from '../replica/notLeader.ts'
import { metadataTopic } from '../replica/wire/common.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { logDirectoryName } from '../segment/directoryNames.ts'
import { encodeBatch } from '../segment/records.ts'
import { engineDefaults, type LogSettings, resolveSettings } from './logSettings.ts'
import { type PartitionSettings, splitPlacement } from './nodePlacement.ts'
import type { NodeRegistry } from './nodeRegistry.ts'

/** What answering needs of the node. */
export interface CalledOptions {
  readonly runtime: Runtime
  readonly metadata: Group
  readonly registry: NodeRegistry
  readonly defaults: LogSettings
}

/** Carries out what other nodes ask of this one, and what it asks of itself as a leader. */
export class NodeCalled {
  readonly #options: CalledOptions

  constructor(options: CalledOptions) {
    this.#options = options
  }

  /** Carries out a call that concerns the registry; null for any other. */
  other(request: CallRequest): Promise<Partial<CallResponse>> | null {
    if (request.kind === CallKind.createPartition) {
      const settings = parseJson<PartitionSettings>(request.json)
      return this.createPartition(request.topic, request.partition, settings).then((baseOffset) => ({
        baseOffset,
      }))
    }
    if (request.kind === CallKind.removeTopic) {
      return this.removeTopic(request.topic).then((baseOffset) => ({ baseOffset }))
    }
    return null
  }

  /** Makes a partition as the leader of the metadata log; resolves with the offset after its records, once they are committed. */
  async createPartition(topic: string, partition: number, asked: PartitionSettings): Promise<number> {
    const { metadata, registry, runtime, defaults } = this.#options
    checkName(topic, partition)
    const { settings, placement } = splitPlacement(asked)
    resolveSettings({ ...defaults, ...settings }, engineDefaults)
    this.#checkLeads()
    const voters = metadata.voters.voters.voters.map(({ id, directoryId }) => ({ id, directoryId }))
    const strange = placement?.find((id) => !voters.some((voter) => voter.id === id))
    if (strange !== undefined) {
      throw new EngineError('invalidReplicaAssignment', `node ${strange} is no voter of the cluster`)
    }
    const replicas = voters.filter(({ id }) => placement === null || placement.includes(id))
    // A new cluster first gets to know all of its voters' directories.
    if (voters.some(({ directoryId }) => directoryId === zeroUuid)) throw new NotLeaderError(-1)
    const newId = (): Uuid => randomUuid(runtime.random)
    const records = registry.decideCreate(topic, partition, settings, placement, replicas, newId)
    return this.#append(records.map(encodeMetadataRecord))
  }

  /** Removes a topic as the leader of the metadata log; resolves as `createPartition`. */
  removeTopic(topic: string): Promise<number> {
    const { registry } = this.#options
    this.#checkLeads()
    return this.#append(registry.decideRemove(topic).map(encodeMetadataRecord))
  }

  #checkLeads(): void {
    const { metadata } = this.#options
    if (metadata.state !== 'leader') throw new NotLeaderError(metadata.leaderId)
  }

  async #append(values: readonly Uint8Array[]): Promise<number> {
    const { metadata, runtime } = this.#options
    // What there is to know may be known to others already, but not be committed yet.
    if (values.length === 0) return metadata.readIndex()
    const timestampMs = runtime.clock.wallMs()
    const records = values.map((value) => ({ key: null, value, timestampMs }))
    const { lastOffset } = await metadata.append(encodeBatch({ records }, runtime.checksum), { acks: 'all' })
    return lastOffset + 1
  }
}

/** Throws `invalidTopicException` for what cannot be a partition. */
export function checkName(topic: string, partition: number): void {
  const name = logDirectoryName(topic, partition)
  if (topic !== metadataTopic) return
  throw new EngineError('invalidTopicException', `${name} is the cluster's own`)
}
