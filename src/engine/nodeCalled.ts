import { EngineError } from '../model/errors.ts'
import { randomUuid, type Uuid, zeroUuid } from '../model/uuid.ts'
import { encodeMetadataRecord } from '../protocol/metadataRecords/metadataRecord.ts'
import type { Voter } from '../raft.ts'
import type { Group } from '../replica/group.ts'
import { NotLeaderError } from '../replica/notLeader.ts'
import { groupKey } from '../replica/transport.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { logDirectoryName } from '../segment/directoryNames.ts'
import { checkBatch } from '../segment/recordBatch.ts'
import { encodeBatch } from '../segment/records.ts'
import type { LogSettings } from './logSettings.ts'
import {
  CallKind,
  type CallRequest,
  type CallResponse,
  decodeCall,
  encodeAnswer,
  encodeFailure,
} from './nodeCalls.ts'
import { type NodeGroups, settingsFor } from './nodeGroups.ts'
import { changeVoters } from './nodeJoining.ts'
import type { NodeRegistry } from './nodeRegistry.ts'

/** What answering needs of the node. */
export interface CalledOptions {
  readonly runtime: Runtime
  readonly nodeId: number
  readonly clusterId: string
  readonly directoryId: Uuid
  readonly metadata: Group
  readonly groups: NodeGroups
  readonly registry: NodeRegistry
  readonly defaults: LogSettings
  /** The directory id of the node that is where node `id` is known to be. */
  askWho(id: number): Promise<Uuid>
}

/** The metadata log takes no other partitions than these. */
const reservedTopic = '__cluster_metadata'

/** Carries out what other nodes ask of this one, and what it asks of itself as a leader. */
export class NodeCalled {
  readonly #options: CalledOptions

  constructor(options: CalledOptions) {
    this.#options = options
  }

  /** The answer to a request of another node, whatever it is. */
  async answer(payload: Uint8Array): Promise<Uint8Array> {
    try {
      const request = decodeCall(payload)
      const { clusterId, nodeId } = this.#options
      if (request.clusterId !== clusterId) {
        throw new EngineError(
          'inconsistentClusterId',
          `node ${nodeId} belongs to cluster ${clusterId}, not to ${request.clusterId}`,
        )
      }
      return encodeAnswer({ clusterId, ...(await this.#carryOut(request)) })
    } catch (error) {
      return encodeFailure(error)
    }
  }

  /** Makes a partition as the leader of the metadata log; resolves with the offset after its records, once they are committed. */
  async createPartition(topic: string, partition: number, settings: LogSettings): Promise<number> {
    const { metadata, registry, runtime, defaults } = this.#options
    checkName(topic, partition)
    settingsFor(settings, defaults)
    this.#checkLeads()
    const replicas = metadata.voters.voters.voters.map(({ id, directoryId }) => ({ id, directoryId }))
    // A new cluster first gets to know all of its voters' directories.
    if (replicas.some(({ directoryId }) => directoryId === zeroUuid)) throw new NotLeaderError(-1)
    const newId = (): Uuid => randomUuid(runtime.random)
    const records = registry.decideCreate(topic, partition, settings, replicas, newId)
    return this.#append(records.map(encodeMetadataRecord))
  }

  /** Removes a topic as the leader of the metadata log; resolves as `createPartition`. */
  removeTopic(topic: string): Promise<number> {
    const { registry } = this.#options
    this.#checkLeads()
    return this.#append(registry.decideRemove(topic).map(encodeMetadataRecord))
  }

  async #carryOut(request: CallRequest): Promise<Partial<CallResponse>> {
    const { nodeId, directoryId, metadata } = this.#options
    switch (request.kind) {
      case CallKind.hello:
        await this.#checkTwin(request)
        return { nodeId, directoryId }
      case CallKind.append: {
        const { records, acks } = request
        if (records === null) throw new EngineError('invalidRecord', 'an append without records')
        checkBatch(records, this.#options.runtime.checksum)
        const ack = await this.#group(request).append(records, { acks: acks === -1 ? 'all' : 'leader' })
        return { ...ack, duplicate: ack.duplicate ? 1 : 0 }
      }
      case CallKind.readIndex:
        return { baseOffset: await this.#group(request).readIndex() }
      case CallKind.createPartition: {
        const settings = parse<LogSettings>(request.json)
        return { baseOffset: await this.createPartition(request.topic, request.partition, settings) }
      }
      case CallKind.removeTopic:
        return { baseOffset: await this.removeTopic(request.topic) }
      case CallKind.addVoter:
        await changeVoters(metadata, 'add', voterOf(request.json))
        return {}
      case CallKind.removeVoter:
        await changeVoters(metadata, 'remove', voterOf(request.json))
        return {}
      case CallKind.updateVoter:
        await changeVoters(metadata, 'update', voterOf(request.json))
        return {}
      case CallKind.transferLeadership:
        await this.#group(request).transferLeadership(parse<number>(request.json))
        return {}
      default:
        throw new EngineError(
          'unsupportedVersion',
          `node ${nodeId} does not know a call of kind ${request.kind}`,
        )
    }
  }

  /** Throws `duplicateBrokerRegistration` when another node of this id is alive. */
  async #checkTwin({ nodeId: id, directoryId }: CallRequest): Promise<void> {
    const { nodeId, metadata, askWho } = this.#options
    const known = id === nodeId ? this.#options : metadata.voters.voters.get(id)
    if (known === null || known.directoryId === directoryId || known.directoryId === zeroUuid) return
    // A voter with a new disk says so itself: it is where the old one was.
    if (id !== nodeId && (await askWho(id).catch(() => null)) !== known.directoryId) return
    throw new EngineError(
      'duplicateBrokerRegistration',
      `there is a node ${id} already, with another directory`,
    )
  }

  #group(request: CallRequest): Group {
    const { metadata, groups } = this.#options
    const key = groupKey(request)
    const group = key === metadata.key ? metadata : groups.get(key)?.group
    // This node may not have heard of it yet.
    if (group === undefined) throw new NotLeaderError(-1)
    return group
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
  if (topic !== reservedTopic) return
  throw new EngineError('invalidTopicException', `${name} is the cluster's own`)
}

function parse<T>(json: string): T {
  try {
    return JSON.parse(json) as T
  } catch (cause) {
    throw new EngineError('malformed', 'a call whose text is not JSON', { cause })
  }
}

function voterOf(json: string): Voter {
  const { id, directoryId, endpoints } = parse<Partial<Voter>>(json)
  const isSound =
    Number.isSafeInteger(id) &&
    typeof directoryId === 'string' &&
    /^[\w-]{22}$/.test(directoryId) &&
    Array.isArray(endpoints) &&
    endpoints.every(
      (each) =>
        typeof each?.name === 'string' && typeof each.host === 'string' && Number.isSafeInteger(each.port),
    )
  if (!isSound) throw new EngineError('invalidRequest', 'a voter that cannot be')
  return { id: id!, directoryId: directoryId!, endpoints: endpoints!, minVersion: 0, maxVersion: 1 }
}
