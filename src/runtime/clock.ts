/** Time. No safety argument may rest on it. */
export interface Clock {
  /** Wall clock: whole milliseconds since 1970. May jump either way. */
  wallMs(): number
  /** Milliseconds since an arbitrary moment, with fractions; never goes back. */
  monotonicMs(): number
  /** Calls `fire` once, `delayMs` from now or a little later, unless cancelled before. */
  setTimer(delayMs: number, fire: () => void): Timer
  /** Resolves once timers and arrivals that wait had their turn. Absent where they need none: in simulators, time passes by itself. */
  turn?(): Promise<void>
}

/** A timer that has not fired yet. */
export interface Timer {
  /** After this the timer does not fire. Harmless when it has fired already. */
  cancel(): void
  /** Lets the process end before it fires, where that makes a difference. */
  detach?(): void
}
