/**
 * What `promise` gives, or null as soon as `signal` is aborted. Unlike `Promise.race` with a promise that stands
 * for the signal, it leaves nothing behind: there every result would be kept for as long as the signal lives.
 */
export function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T | null> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      resolve(null)
      return
    }
    const onAbort = (): void => resolve(null)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
