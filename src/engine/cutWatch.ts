import type { OpenLog } from './openLog.ts'

/** Where the cuts of a log ended, noted while it has readers: the log itself does no more than count them. */
export class CutWatch {
  readonly #target: OpenLog
  #readers = 0
  #count = 0
  /** Of the cuts so far, each that no later one went below: how many there were with it, and the log's end after it. Both ascend. */
  readonly #cuts: { readonly count: number; readonly endOffset: number }[] = []

  constructor(target: OpenLog) {
    this.#target = target
  }

  join(): void {
    if (this.#readers++ > 0) return
    this.#cuts.length = 0
    this.#count = this.#target.log.cuts
    this.#target.follow(this.#look)
  }

  leave(): void {
    if (--this.#readers === 0) this.#target.unfollow(this.#look)
  }

  /** The lowest end that the log had after one of its cuts since there had been `count` of them. */
  lowestSince(count: number): number {
    this.#note()
    return this.#cuts.find((cut) => cut.count > count)?.endOffset ?? Number.MAX_SAFE_INTEGER
  }

  /** A cut wakes followers before anything that takes the place of its records can be flushed. */
  readonly #look = (): void => {
    this.#note()
    if (this.#target.ended === null) this.#target.follow(this.#look)
  }

  #note(): void {
    const { cuts, flushedOffset } = this.#target.log
    if (cuts === this.#count) return
    this.#count = cuts
    while ((this.#cuts.at(-1)?.endOffset ?? -1) >= flushedOffset) this.#cuts.pop()
    this.#cuts.push({ count: cuts, endOffset: flushedOffset })
  }
}

const watches = new WeakMap<OpenLog, CutWatch>()

/** The one of this log, whoever reads it. */
export function watchOf(target: OpenLog): CutWatch {
  let watch = watches.get(target)
  if (watch === undefined) {
    watch = new CutWatch(target)
    watches.set(target, watch)
  }
  return watch
}
