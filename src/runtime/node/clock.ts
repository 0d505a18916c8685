import type { Clock, Timer } from '../clock.ts'

/** The longest delay that Node's timers take; they fire at once beyond it. */
const longestDelayMs = 2 ** 31 - 1

/** The machine's clocks and Node's timers. A pending timer keeps the process alive until it is detached. */
export const nodeClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs: number, fire: () => void): Timer {
    const timer = setTimeout(fire, Math.min(Math.max(delayMs, 0), longestDelayMs))
    return { cancel: () => clearTimeout(timer), detach: () => void timer.unref() }
  },
  turn: () => new Promise((resolve) => setImmediate(resolve)),
}
