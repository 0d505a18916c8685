/**
 * Calls `run` again and again until it says false, each time after everything has happened that the call before set going
 * by promises: the whole queue of microtasks has run empty. Now and then lets the process breathe. Rejects with what `run`
 * throws. Microtasks of the caller run in between as well.
 */
export function eachTurn(run: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let turns = 0
    const turn = (): void => {
      try {
        if (!run()) {
          resolve()
          return
        }
      } catch (error) {
        reject(error)
        return
      }
      // A tick that is asked for by a microtask comes when no microtask is left: cheaper than a turn of the event loop.
      if (++turns % turnsPerBreath === 0) setImmediate(turn)
      else queueMicrotask(soon)
    }
    const soon = (): void => process.nextTick(turn)
    setImmediate(turn)
  })
}

const turnsPerBreath = 2048
