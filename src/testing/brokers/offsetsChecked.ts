import type { Checks } from '../checks.ts'

/** A commit of an offset that was asked for. */
export interface OffsetCommit {
  readonly offset: number
}

/** A question for the committed offset. */
export interface OffsetRead {
  /** What it may give, as it was asked. */
  readonly possible: ReadonlySet<number>
}

/**
 * The committed offset of one group and partition that one client commits, one after the other and each higher: I15. A commit
 * without an answer may happen at any time.
 */
export class OffsetsChecked {
  readonly group: string
  readonly #checks: Checks
  readonly #inDoubt = new Set<number>()
  /** What was committed last, -1 for nothing. */
  #acked = -1
  #last = 0
  #isUnderWay = false

  constructor(group: string, checks: Checks) {
    this.group = group
    this.#checks = checks
  }

  /** A commit goes out; null while another one has no end: of two at once either may be the later one. */
  begin(): OffsetCommit | null {
    if (this.#isUnderWay) return null
    this.#isUnderWay = true
    const offset = ++this.#last
    this.#inDoubt.add(offset)
    return { offset }
  }

  /** The commit has come to an end, whatever it was. */
  ended(): void {
    this.#isUnderWay = false
  }

  acked({ offset }: OffsetCommit): void {
    this.#inDoubt.delete(offset)
    this.#acked = Math.max(this.#acked, offset)
  }

  beginRead(): OffsetRead {
    return { possible: this.#possible() }
  }

  /** The answer to a question. */
  read({ possible }: OffsetRead, offset: number): void {
    const now = this.#possible()
    if (possible.has(offset) || now.has(offset)) return
    // Whatever was acknowledged meanwhile.
    if (offset > Math.min(...possible) && offset <= this.#acked) return
    this.#checks.fail(
      'I15',
      `${this.group}: ${offset} is committed; it was ${[...possible]}, and is ${[...now]}`,
    )
  }

  #possible(): Set<number> {
    return new Set([...this.#inDoubt, this.#acked])
  }
}
