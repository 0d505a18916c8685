import type { Clock } from '../../runtime/clock.ts'

/** Whoever waits for damaged records of one group to be mended. */
export class RepairWaiters {
  #waiting: ((isMended: boolean) => void)[] = []

  /** Resolves with what `wake` says, with false after `timeoutMs`. */
  wait(clock: Clock, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = clock.setTimer(timeoutMs, () => {
        this.#waiting = this.#waiting.filter((each) => each !== done)
        resolve(false)
      })
      const done = (isMended: boolean): void => {
        timer.cancel()
        resolve(isMended)
      }
      this.#waiting.push(done)
    })
  }

  /** Something was mended (true), or nothing more will be. */
  wake(isMended: boolean): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const done of waiting) done(isMended)
  }
}
