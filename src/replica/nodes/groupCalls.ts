import { EngineError } from '../../model/errors.ts'
import { type Uuid, zeroUuid } from '../../model/uuid.ts'
import type { Voter } from '../../raft.ts'
import type { Checksum } from '../../runtime/checksum.ts'
import { checkBatch } from '../../segment/recordBatch.ts'
import type { Group } from '../group.ts'
import { NotLeaderError } from '../notLeader.ts'
import { type GroupKey, groupKey } from '../transport.ts'
import { changeVoters } from './membership.ts'
import {
  CallKind,
  type CallRequest,
  type CallResponse,
  decodeCall,
  encodeAnswer,
  encodeFailure,
  sayVoters,
} from './nodeCalls.ts'

/** What answering needs of the node. */
export interface GroupCallsOptions {
  readonly checksum: Checksum
  readonly nodeId: number
  readonly clusterId: string
  readonly directoryId: Uuid
  readonly metadata: Group
  /** A group that is here. */
  find(key: GroupKey): Group | null
  /** The directory that node `id` is known to have, voter or not; null for nobody. */
  directoryOf?(id: number): Uuid | null
  /** Whether the settings of this node say that node `id` votes. */
  isMeantToVote?(id: number): boolean
  /** The directory id of the node that is where node `id` is known to be. */
  askWho(id: number): Promise<Uuid>
  /** Calls that concern more than groups; null for one of an unknown kind. */
  other(request: CallRequest): Promise<Partial<CallResponse>> | null
}

/** Answers what other nodes ask of this one and its groups. */
export class GroupCalls {
  readonly #options: GroupCallsOptions

  constructor(options: GroupCallsOptions) {
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

  async #carryOut(request: CallRequest): Promise<Partial<CallResponse>> {
    const { nodeId, directoryId, metadata } = this.#options
    switch (request.kind) {
      case CallKind.hello:
        await this.#checkTwin(request)
        return { nodeId, directoryId, payload: sayVoters(this.#voterIds(request.nodeId)) }
      case CallKind.append: {
        const { records, acks } = request
        if (records === null) throw new EngineError('invalidRecord', 'an append without records')
        checkBatch(records, this.#options.checksum)
        const ack = await this.#group(request).append(records, { acks: acks === -1 ? 'all' : 'leader' })
        return { ...ack, duplicate: ack.duplicate ? 1 : 0 }
      }
      case CallKind.readIndex:
        return { baseOffset: await this.#group(request).readIndex() }
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
        await this.#group(request).transferLeadership(parseJson<number>(request.json))
        return {}
      case CallKind.uncleanElection:
        await this.#group(request).uncleanElection()
        return {}
      default: {
        const answer = this.#options.other(request)
        if (answer !== null) return answer
        throw new EngineError(
          'unsupportedVersion',
          `node ${nodeId} does not know a call of kind ${request.kind}`,
        )
      }
    }
  }

  /** The voters as the log has them, and `asking` where the settings want it to be one; none while the log does not say. */
  #voterIds(asking: number): readonly number[] {
    const { metadata, isMeantToVote } = this.#options
    const { voters } = metadata.voters.voters
    if (voters.some(({ directoryId }) => directoryId === zeroUuid)) return []
    const ids = voters.map(({ id }) => id)
    return ids.includes(asking) || !isMeantToVote?.(asking) ? ids : [...ids, asking]
  }

  /** Throws `duplicateBrokerRegistration` when another node of this id is alive. */
  async #checkTwin({ nodeId: id, directoryId }: CallRequest): Promise<void> {
    const { nodeId, directoryId: own, metadata, askWho, directoryOf } = this.#options
    const known =
      id === nodeId ? own : (metadata.voters.voters.get(id)?.directoryId ?? directoryOf?.(id) ?? null)
    if (known === null || known === directoryId || known === zeroUuid) return
    // A node with a new disk says so itself: it is where the old one was.
    if (id !== nodeId && (await askWho(id).catch(() => null)) !== known) return
    throw new EngineError(
      'duplicateBrokerRegistration',
      `there is a node ${id} already, with another directory`,
    )
  }

  #group(request: CallRequest): Group {
    const { metadata, find } = this.#options
    const key = groupKey(request)
    const group = key === metadata.key ? metadata : find(key)
    // This node may not have heard of it yet.
    if (group === null) throw new NotLeaderError(-1)
    return group
  }
}

/** What JSON of a call says. Throws `malformed`. */
export function parseJson<T>(json: string): T {
  try {
    return JSON.parse(json) as T
  } catch (cause) {
    throw new EngineError('malformed', 'a call whose text is not JSON', { cause })
  }
}

function voterOf(json: string): Voter {
  const { id, directoryId, endpoints } = parseJson<Partial<Voter>>(json)
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
