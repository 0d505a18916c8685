import type { Clock } from '../runtime/clock.ts'
import type { Terminal } from './terminal.ts'
import { bytesText, durationText } from './units.ts'

const width = 24
const partial = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const
const redrawMs = 100

/** One line that shows how far a command is, on a terminal only. */
export class ProgressBar {
  readonly #terminal: Terminal
  readonly #clock: Clock
  readonly #startedMs: number
  #shownMs = Number.NEGATIVE_INFINITY

  constructor(terminal: Terminal, clock: Clock) {
    this.#terminal = terminal
    this.#clock = clock
    this.#startedMs = clock.monotonicMs()
  }

  /** Shows `share` (0 to 1) of the work; `doneBytes` null leaves the rate out. Calls may come as often as they like. */
  show(share: number, doneBytes: number | null, what: string): void {
    if (!this.#terminal.errorIsTerminal) return
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#shownMs < redrawMs) return
    this.#shownMs = nowMs
    const seconds = (nowMs - this.#startedMs) / 1000
    const parts = [`${barText(share)} ${String(Math.floor(share * 100)).padStart(3)} %`]
    if (doneBytes !== null && seconds > 0) parts.push(`${bytesText(doneBytes / seconds)}/s`)
    if (share > 0.01 && seconds > 1) parts.push(`${durationText((seconds * (1 - share)) / share)} left`)
    parts.push(what)
    this.#terminal.progress(parts.join('  '))
  }

  clear(): void {
    this.#terminal.progress('')
  }
}

/** A bar of 24 columns, filled by eighths of a column. */
export function barText(share: number): string {
  const eighths = Math.round(Math.min(Math.max(share, 0), 1) * width * 8)
  const full = Math.floor(eighths / 8)
  const rest = partial[eighths % 8]!
  return `${'█'.repeat(full)}${rest}`.padEnd(width, '░')
}
