import { EngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'
import type { NodeAddress } from '../replica/nodes/nodeAddress.ts'
import { CallKind, decodeAnswer, encodeCall } from '../replica/nodes/nodeCalls.ts'
import type { Runtime } from '../runtime/runtime.ts'

/** What asking needs of the node. */
export interface AskFirstOptions {
  readonly runtime: Runtime
  readonly nodeId: number
  readonly clusterId: string
  readonly directoryId: Uuid
  readonly controllers: readonly NodeAddress[]
  call(to: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array>
}

const answerMs = 1000

/**
 * Asks the controllers whether this node may be one of theirs, before it connects as one: a node whose id another living node has
 * would take that one's connections away. Who does not answer does not object. Rejects with `duplicateBrokerRegistration` and
 * `inconsistentClusterId`.
 */
export async function askFirst(options: AskFirstOptions): Promise<void> {
  const { nodeId, clusterId, directoryId, controllers, call } = options
  const hello = encodeCall({ kind: CallKind.hello, clusterId, nodeId, directoryId })
  const others = controllers.filter(({ id }) => id !== nodeId)
  const objections = await Promise.all(
    others.map(async ({ id }) => {
      try {
        decodeAnswer(await call(id, hello, answerMs))
        return null
      } catch (error) {
        return error instanceof EngineError ? error : null
      }
    }),
  )
  for (const objection of objections) {
    if (objection?.code === 'inconsistentClusterId') throw foreignCluster(clusterId)
    if (objection?.code === 'duplicateBrokerRegistration') throw objection
  }
}

/** Said by a node of `clusterId` to which the controllers of its settings have said that they are of another one. */
export function foreignCluster(clusterId: string): EngineError {
  return new EngineError(
    'inconsistentClusterId',
    `the controllers belong to another cluster than this node (${clusterId}): ` +
      'check controller.quorum.voters and the data directory',
  )
}
