import type { Logger } from '../model/logger.ts'
import type { Clock } from './clock.ts'

/** After how many milliseconds it is said what is waited for. */
const tellMs = 5000

/** Does steps of a shutdown, which have names: one that takes more than five seconds is told, so that nobody has to guess what hangs. */
export function tellIfSlow(
  clock: Clock,
  logger: Logger,
): <T>(waitingFor: string, step: () => Promise<T>) => Promise<T> {
  return async (waitingFor, step) => {
    const timer = clock.setTimer(tellMs, () => logger.warn('stopping takes a while', { waitingFor }))
    timer.detach?.()
    try {
      return await step()
    } finally {
      timer.cancel()
    }
  }
}
