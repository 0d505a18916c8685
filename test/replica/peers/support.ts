import type { SendPart } from '../../../src/model/fileRange.ts'
import { silentLogger } from '../../../src/model/logger.ts'
import type { RaftRequest, RaftResponse } from '../../../src/raft.ts'
import type { PeerOptions, PeerRuntime } from '../../../src/replica/peers/peerOptions.ts'
import { PeerTransport } from '../../../src/replica/peerTransport.ts'
import { type GroupRef, groupKey, type TransportHandler } from '../../../src/replica/transport.ts'
import { createNodeRuntime } from '../../../src/runtime/node/nodeRuntime.ts'

/** A request that a node was handed. */
export interface Handed {
  readonly from: number
  readonly group: GroupRef
  readonly request: RaftRequest
  readonly reply: (response: RaftResponse, records: readonly SendPart[]) => void
}

/** An answer that a node got. */
export interface Got {
  readonly from: number
  readonly key: string
  readonly requestId: number
  readonly response: RaftResponse
}

/** Writes down all that a transport says; lets a test wait for what it is to say. */
export class Recorder implements TransportHandler {
  readonly handed: Handed[] = []
  readonly got: Got[] = []
  readonly failures: number[] = []
  readonly lost: number[] = []
  /** Answers at once what it may. */
  onRequest: ((handed: Handed) => void) | null = null
  onResponse: ((got: Got) => void) | null = null
  /** Carries out calls; none by default. */
  call?: NonNullable<TransportHandler['call']>
  onFailed: ((group: GroupRef, requestId: number) => void) | null = null
  #waiting: { readonly isSo: () => boolean; readonly resolve: () => void }[] = []

  request(from: number, group: GroupRef, request: RaftRequest, reply: Handed['reply']): void {
    const handed = { from, group, request, reply }
    this.handed.push(handed)
    this.onRequest?.(handed)
    this.#look()
  }

  response(from: number, group: GroupRef, requestId: number, response: RaftResponse): void {
    const got = { from, key: groupKey(group), requestId, response: kept(response) }
    this.got.push(got)
    this.onResponse?.(got)
    this.#look()
  }

  failed(group: GroupRef, requestId: number): void {
    this.failures.push(requestId)
    this.onFailed?.(group, requestId)
    this.#look()
  }

  connectionLost(node: number): void {
    this.lost.push(node)
    this.#look()
  }

  /** Resolves once `isSo`, which is asked whenever something has happened. */
  until(isSo: () => boolean): Promise<void> {
    if (isSo()) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.push({ isSo, resolve })
    })
  }

  #look(): void {
    this.#waiting = this.#waiting.filter(({ isSo, resolve }) => {
      if (!isSo()) return true
      resolve()
      return false
    })
  }
}

/** A node that a test speaks through. */
export interface TestNode {
  readonly id: number
  readonly recorder: Recorder
  readonly transport: PeerTransport
}

/** The runtime that tests on loopback use. */
export const nodeRuntime: PeerRuntime = createNodeRuntime()

/** Nodes 1 to `count` that know each other. */
export async function startNodes(
  count: number,
  options: Partial<PeerOptions> = {},
  runtime: PeerRuntime = nodeRuntime,
): Promise<TestNode[]> {
  const nodes: TestNode[] = []
  for (let id = 1; id <= count; id++) nodes.push(startNode(id, options, runtime))
  for (const { id, transport } of nodes) {
    const bound = await transport.listen({ host: '127.0.0.1', port: 0 })
    for (const other of nodes) other.transport.know(id, [{ name: 'CONTROLLER', ...bound }])
  }
  return nodes
}

/** A node that listens nowhere yet. */
export function startNode(
  id: number,
  options: Partial<PeerOptions> = {},
  runtime: PeerRuntime = nodeRuntime,
): TestNode {
  const recorder = new Recorder()
  // A busy machine is no silent node.
  const limits = { requestTimeoutMs: 20_000, connectTimeoutMs: 20_000, ...options.limits }
  const whole = { nodeId: id, clusterId: 'cluster', logger: silentLogger, ...options, limits }
  return { id, recorder, transport: new PeerTransport(runtime, whole, recorder) }
}

/** Some group, told from others by its partition. */
export function groupAt(partition: number): GroupRef {
  return { topicId: 'c8qR5mQ9T2ihB7Zl3XkzSw', topic: 't', partition }
}

const directoryId = 'VYxc0qjnQpS5vXtQp0i7Ew'

/** A start that tells which node it is of. */
export function startOf(id: number) {
  return { id, directoryId, incarnation: 3, startNonce: 4_000_000_000, earlierNonces: [1, 2] }
}

/** A request for a vote. */
export function voteRequest(from: number, to: number, replicaEpoch = 1): RaftRequest {
  return {
    type: 'vote',
    clusterId: 'cluster',
    voter: { id: to, directoryId },
    replicaEpoch,
    candidate: { id: from, directoryId },
    lastOffsetEpoch: 0,
    lastOffset: 0,
    preVote: false,
    votersVersion: 0,
    incarnation: startOf(from),
  }
}

/** A vote that is granted. */
export const granted: RaftResponse = {
  type: 'vote',
  error: 'none',
  leaderId: -1,
  leaderEpoch: 1,
  voteGranted: true,
  quarantined: false,
  recorded: null,
}

/** A Fetch from an offset on. */
export function fetchRequest(
  from: number,
  fetchOffset: number,
  claimOnly = false,
): Extract<RaftRequest, { type: 'fetch' }> {
  return {
    type: 'fetch',
    clusterId: 'cluster',
    replica: { id: from, directoryId },
    currentLeaderEpoch: 1,
    fetchOffset,
    lastFetchedEpoch: 1,
    highWatermark: 0,
    maxWaitMs: 3_600_000,
    flushedOffset: fetchOffset,
    flushedVotersVersion: 0,
    votersVersion: 0,
    claimOnly,
    damaged: false,
    quarantined: false,
    round: 0,
    incarnation: startOf(from),
  }
}

/** An answer to a Fetch, by its high watermark. */
export function fetchAnswer(
  leaderId: number,
  highWatermark: number,
): Extract<RaftResponse, { type: 'fetch' }> {
  return {
    type: 'fetch',
    error: 'none',
    leaderId,
    leaderEpoch: 1,
    highWatermark,
    logStartOffset: 0,
    divergingEpoch: null,
    snapshotId: null,
    batches: [],
    epochStarts: [],
    voterSets: [],
    logEndOffset: highWatermark,
    round: 0,
    rolledBack: false,
    recorded: null,
  }
}

/** An answer whose records are its own: those of the message are only valid during the call. */
function kept(response: RaftResponse): RaftResponse {
  if (response.type !== 'fetch') return response
  const batches = response.batches.map((batch) =>
    batch.records instanceof Uint8Array ? { ...batch, records: Uint8Array.from(batch.records) } : batch,
  )
  return { ...response, batches }
}
