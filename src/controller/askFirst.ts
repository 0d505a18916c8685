import { EngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'
import type { NodeAddress } from '../replica/nodes/nodeAddress.ts'
import { CallKind, decodeAnswer, encodeCall, votersSaid } from '../replica/nodes/nodeCalls.ts'
import type { Runtime } from '../runtime/runtime.ts'

/** What asking needs of the node. */
export interface AskFirstOptions {
  readonly runtime: Runtime
  readonly nodeId: number
  readonly clusterId: string
  readonly directoryId: Uuid
  readonly controllers: readonly NodeAddress[]
  /**
   * Whether this node is new and its own list of voters names it: it would wait for ever where neither the cluster's voters nor the
   * settings of the others do. Between the removal of a lost disk and the coming of the next one only the settings name it.
   */
  readonly isNewVoter: boolean
  call(to: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array>
}

const answerMs = 1000

/**
 * Asks the controllers whether this node may be one of theirs, before it connects as one: a node whose id another living node has
 * would take that one's connections away. Who does not answer does not object. Rejects with `duplicateBrokerRegistration`,
 * `inconsistentClusterId` and `inconsistentVoterSet`.
 */
export async function askFirst(options: AskFirstOptions): Promise<void> {
  const { nodeId, clusterId, directoryId, controllers, isNewVoter, call } = options
  const hello = encodeCall({ kind: CallKind.hello, clusterId, nodeId, directoryId })
  const others = controllers.filter(({ id }) => id !== nodeId)
  const objections = await Promise.all(
    others.map(async ({ id }) => {
      try {
        const voterIds = votersSaid(decodeAnswer(await call(id, hello, answerMs)).payload)
        const isLeftOut = isNewVoter && voterIds.length > 0 && !voterIds.includes(nodeId)
        return isLeftOut ? otherVoters(id, voterIds, controllers) : null
      } catch (error) {
        return error instanceof EngineError ? error : null
      }
    }),
  )
  const foreign = objections.filter((objection) => objection?.code === 'inconsistentClusterId').length
  if (isForeign(foreign, others.length)) throw foreignCluster(clusterId)
  for (const objection of objections) {
    const { code } = objection ?? {}
    if (code === 'duplicateBrokerRegistration' || code === 'inconsistentVoterSet') throw objection
  }
}

/** Whether it is this node that is wrong, where `count` of `others` belong to another cluster: a single stranger stops nobody. */
export function isForeign(count: number, others: number): boolean {
  return count > others / 2
}

/** Said by a node of `clusterId` to which the controllers of its settings have said that they are of another one. */
export function foreignCluster(clusterId: string): EngineError {
  return new EngineError(
    'inconsistentClusterId',
    `the controllers belong to another cluster than this node (${clusterId}): ` +
      'check controller.quorum.voters and the data directory',
  )
}

function otherVoters(from: number, voterIds: readonly number[], own: readonly NodeAddress[]): EngineError {
  return new EngineError(
    'inconsistentVoterSet',
    `node ${from} knows the voters ${voterIds.join(', ')}; controller.quorum.voters here says ` +
      `${own.map(({ id }) => id).join(', ')}: use controller.quorum.bootstrap.servers to join a cluster`,
  )
}
