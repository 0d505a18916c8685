/** A command whose result somebody on this node will ask for. */
export interface Outstanding {
  /** It cannot be at an offset below this one. */
  readonly from: number
}

/**
 * Results of applied records that this node may still be asked for: a command may be applied before its proposer
 * learns its offset. Kept as long as something is outstanding that may be there.
 */
export class Outstandings {
  readonly #open = new Set<Outstanding>()
  readonly #results = new Map<number, unknown>()

  /** Somebody is about to append a command, and everything below `applied` has been applied. */
  begin(applied: number): Outstanding {
    const outstanding = { from: applied }
    this.#open.add(outstanding)
    return outstanding
  }

  /** Records from `baseOffset` on have been applied. */
  applied(baseOffset: number, results: readonly unknown[]): void {
    if (this.#open.size === 0) return
    for (let index = 0; index < results.length; index++) this.#results.set(baseOffset + index, results[index])
  }

  has(offset: number): boolean {
    return this.#results.has(offset)
  }

  /** The result of the record at `offset`. */
  result(offset: number): unknown {
    return this.#results.get(offset)
  }

  /** Nobody asks for this one any more. */
  end(outstanding: Outstanding): void {
    this.#open.delete(outstanding)
    if (this.#open.size === 0) {
      this.#results.clear()
      return
    }
    let from = Number.POSITIVE_INFINITY
    for (const each of this.#open) from = Math.min(from, each.from)
    // Offsets were added in their order.
    for (const offset of this.#results.keys()) {
      if (offset >= from) break
      this.#results.delete(offset)
    }
  }
}
