/**
 * Calls `run` again and again until it says false, each time after everything has happened that the call before set going
 * by promises: the whole queue of microtasks has run empty. Now and then lets the process breathe. Rejects with what `run`
 * throws, and with what fails meanwhile and nobody catches. Microtasks of the caller run in between as well.
 */
export function eachTurn(run: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let turns = 0
    let failure: { readonly error: unknown } | null = null
    const fail = (error: unknown): void => {
      failure ??= { error }
    }
    const end = (): void => {
      process.off('unhandledRejection', fail)
      if (failure === null) resolve()
      else reject(failure.error)
    }
    process.on('unhandledRejection', fail)
    const turn = (): void => {
      try {
        if (failure !== null || !run()) {
          end()
          return
        }
      } catch (error) {
        fail(error)
        end()
        return
      }
      // A tick that is asked for by a microtask comes when no microtask is left: cheaper than a turn of the event loop.
      if (++turns % turnsPerBreath === 0) setImmediate(turn)
      else void settled.then(soon)
    }
    const soon = (): void => process.nextTick(turn)
    setImmediate(turn)
  })
}

const turnsPerBreath = 2048
const settled = Promise.resolve()
