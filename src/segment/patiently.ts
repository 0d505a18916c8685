import { EngineError } from '../model/errors.ts'
import type { LogState } from './logState.ts'

/** How long until a disk is asked again. */
const pauseMs = 100
/** How long a disk that cannot read is asked again and again. */
const readPatienceMs = 30_000

/** How often something is read that cannot be read at once. */
export type Patience = <T>(read: () => Promise<T>) => Promise<T>

/** What `work` gives; tried again as long as there is no room or no descriptor for it, and the log is not being closed. */
export function whenRoom<T>(state: LogState, work: () => Promise<T>): Promise<T> {
  return again(state, work, (error) => error.code === 'diskFull')
}

/** What `work` gives, which changes nothing; tried again as `whenRoom`, and for a while where the disk cannot be read. */
export function whenReadable<T>(state: LogState, work: () => Promise<T>): Promise<T> {
  const endMs = state.runtime.clock.monotonicMs() + readPatienceMs
  return again(state, work, ({ code }) => {
    return code === 'diskFull' || (code === 'diskFailed' && state.runtime.clock.monotonicMs() < endMs)
  })
}

async function again<T>(
  state: LogState,
  work: () => Promise<T>,
  mayPass: (error: EngineError) => boolean,
): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const isOver = state.isClosing || state.offline !== null
      if (isOver || !(error instanceof EngineError) || !mayPass(error)) throw error
    }
    await pause(state)
  }
}

/** Resolves when what could not be done for a while may be tried again. */
export function pause(state: LogState): Promise<void> {
  return new Promise((resolve) => state.runtime.clock.setTimer(pauseMs, resolve))
}
