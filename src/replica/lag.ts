/** So much of the lag is granted to everything that is waited for: there and back, and some turns of it. */
const share = 3
/** Up to so much lag nothing changes. */
const usualMs = 20
/** After so long half of it counts. */
const halfLifeMs = 2000

/** How far a node is behind with its work, as far as it can tell: what was seen last counts less and less. */
export class Lag {
  #peakMs = 0
  #atMs = 0

  /** Something was done so much later than it should have been. */
  note(lateMs: number, nowMs: number): void {
    if (lateMs <= usualMs || lateMs <= this.#left(nowMs)) return
    this.#peakMs = lateMs
    this.#atMs = nowMs
  }

  /** How much longer things may take than usual. */
  slackMs(nowMs: number): number {
    if (this.#peakMs === 0) return 0
    const leftMs = this.#left(nowMs)
    if (leftMs <= usualMs) this.#peakMs = 0
    return share * leftMs
  }

  #left(nowMs: number): number {
    return this.#peakMs * 2 ** (-Math.max(0, nowMs - this.#atMs) / halfLifeMs)
  }
}
