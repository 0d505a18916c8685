import { EngineError } from '../model/errors.ts'
import type { Clock } from './clock.ts'

/** What `work` gives. Rejects with `requestTimedOut` once `timeoutMs` are over; `work` goes on then. */
export function withinTime<T>(clock: Clock, timeoutMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(Math.ceil(timeoutMs), () => {
      reject(new EngineError('requestTimedOut', 'this node has not answered itself in time'))
    })
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}
