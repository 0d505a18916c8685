import { EngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import type { Uuid } from '../../model/uuid.ts'
import { helloTimeoutMs } from './membership.ts'
import { CallKind } from './nodeCalls.ts'
import type { NodeRouter } from './nodeRouter.ts'

/** What greeting other nodes needs of this one. */
export interface GreetingOptions {
  readonly directoryId: Uuid
  readonly router: NodeRouter
  readonly logger: Logger
  isClosed(): boolean
  /** There is another node of this id. */
  isTwin(error: EngineError): void
  /** Node `id` is of another cluster. */
  isForeign?(id: number): void
}

/**
 * Finds out whether node `id`, which this one was told of, takes it for a node of its cluster: once it has answered. What a node
 * of another cluster says is what calls are answered with that wait in vain.
 */
export async function greet(id: number, options: GreetingOptions): Promise<void> {
  const { router, directoryId, logger } = options
  while (!options.isClosed()) {
    try {
      await router.ask(id, { kind: CallKind.hello, directoryId }, helloTimeoutMs)
      return
    } catch (error) {
      const code = error instanceof EngineError ? error.code : ''
      const isTwin = code === 'invalidRequest' || code === 'duplicateBrokerRegistration'
      if (code === 'inconsistentClusterId' || code === 'rebootstrapRequired' || isTwin) {
        const { message } = error as EngineError
        logger.error('another node does not take this one for a node of its cluster', { id, error: message })
        if (isTwin) options.isTwin(new EngineError('duplicateBrokerRegistration', message))
        else {
          router.complaint = error as EngineError
          options.isForeign?.(id)
        }
        return
      }
    }
    await router.pause(helloTimeoutMs)
  }
}
