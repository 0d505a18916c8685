import { EngineError, toEngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Runtime } from '../../runtime/runtime.ts'
import { orderNewBeginning } from '../../segment/newBeginning.ts'
import type { Group } from '../group.ts'
import type { NodeBase } from './nodeBase.ts'

/** How often is looked whether others have answered. Milliseconds. */
const lookMs = 10
/** How long a start waits for anybody to answer, and for the proof once somebody has doubts. */
const answerMs = 1000
const proofMs = 5000

/** What ordering a new beginning needs of the node. */
interface OrderOptions {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly listenerName: string
}

/**
 * Whether the directory of a node is what it was when the node ended, as far as others say: false once it is proven that it is not.
 * The metadata log alone decides: it is on every node and never moves, so what is wrong with it is wrong with the disk.
 */
export async function isSound({ metadata }: Pick<NodeBase, 'metadata'>, clock: Clock): Promise<boolean> {
  const startMs = clock.monotonicMs()
  // Who never took part has nothing to forget.
  if (metadata.starts === 1) return true
  const isOpen = (): boolean => {
    if (metadata.failure !== null || metadata.mustBeginAnew) return false
    const waitedMs = clock.monotonicMs() - startMs
    if (metadata.standing === 'unknown') return waitedMs < answerMs
    return metadata.standing === 'rolledBack' && waitedMs < proofMs
  }
  while (isOpen()) await new Promise<void>((resolve) => void clock.setTimer(lookMs, resolve))
  return !metadata.mustBeginAnew
}

/** Tells once the proof comes later, when the next opening is to begin anew, durably. */
export function watchStanding(
  options: OrderOptions & { mustBeginAnew(error: EngineError): void },
  base: NodeBase,
): void {
  const { metadata } = base
  let isTold = false
  const look = (): void => {
    if (isTold || !metadata.mustBeginAnew) return
    isTold = true
    void orderAnew(options, base).then(options.mustBeginAnew, (error) =>
      options.logger.error('the disk has to begin anew, and does not take the order', {
        error: String(error),
      }),
    )
  }
  metadata.watch({ alarm: look })
  look()
}

/** Has the next opening begin anew; what to tell whoever has the node. Rejects with what the disk says. */
export async function orderAnew(
  options: OrderOptions,
  { logs, metadata, nodeId }: Pick<NodeBase, 'logs' | 'metadata' | 'nodeId'>,
): Promise<EngineError> {
  const reason = 'this disk has forgotten what others know of it: it was put back, or has lost votes'
  const { clusterId, directory } = logs
  const others = othersOf(metadata, nodeId, options.listenerName)
  options.logger.error('the disk of this node cannot be trusted: it begins anew', { directory, reason })
  try {
    await orderNewBeginning(options.runtime, directory, { reason, clusterId, nodeId, others })
  } catch (cause) {
    throw toEngineError(cause, 'diskFailed', 'the order to begin anew could not be written')
  }
  return new EngineError('directoryRolledBack', `${directory}: ${reason}; the next start begins anew`)
}

function othersOf(metadata: Group, nodeId: number, listenerName: string) {
  return metadata.voters.voters.voters
    .filter(({ id, endpoints }) => id !== nodeId && endpoints.length > 0)
    .map(({ id, endpoints }) => {
      const { host, port } = endpoints.find(({ name }) => name === listenerName) ?? endpoints[0]!
      return { id, host, port }
    })
}
