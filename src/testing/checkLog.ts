import { check, type LogFact } from './checkFacts.ts'

/** A batch, one object for all replicas that hold it. */
export interface Entry extends LogFact {
  /** What lies before it, null as long as nobody has shown that. */
  previous: Entry | null
  isCommitted: boolean
  /** It was committed, and those who vote have forgotten it, as a relaxed policy allows; others may hold it still. */
  isLost: boolean
}

/** All batches that were ever appended in a group: the same offset and epoch mean the same batch and prefix (I2). */
export class Entries {
  readonly #byEpoch = new Map<number, Map<number, Entry>>()

  /** The batch of a fact that some replica appends behind `previous`, null at the start of its log. */
  intern(fact: LogFact, previous: Entry | null, who: string): Entry {
    const { baseOffset, lastOffset, epoch, hash } = fact
    let ofEpoch = this.#byEpoch.get(epoch)
    if (ofEpoch === undefined) {
      ofEpoch = new Map()
      this.#byEpoch.set(epoch, ofEpoch)
    }
    const known = ofEpoch.get(baseOffset)
    if (known === undefined) {
      const entry: Entry = {
        baseOffset,
        lastOffset,
        epoch,
        hash,
        previous,
        isCommitted: false,
        isLost: false,
      }
      ofEpoch.set(baseOffset, entry)
      return entry
    }
    check(
      known.lastOffset === lastOffset && known.hash === hash,
      'I2',
      () => `${who} has another batch at ${baseOffset} in epoch ${epoch}`,
    )
    if (known.previous === null) known.previous = previous
    check(
      previous === null || known.previous === previous,
      'I2',
      () => `${who} has another log before ${baseOffset} in epoch ${epoch}`,
    )
    return known
  }

  /** The batch that begins at `baseOffset` in `epoch`. */
  find(epoch: number, baseOffset: number): Entry | null {
    return this.#byEpoch.get(epoch)?.get(baseOffset) ?? null
  }

  /** What a leader appended from `offset` on before anybody could hear of it is gone. */
  forget(epoch: number, offset: number): void {
    const ofEpoch = this.#byEpoch.get(epoch)
    if (ofEpoch === undefined) return
    for (const baseOffset of [...ofEpoch.keys()]) if (baseOffset >= offset) ofEpoch.delete(baseOffset)
  }
}

/** The entry of ordered `entries` that holds `offset`. */
export function entryAt(entries: readonly Entry[], offset: number): Entry | null {
  let low = 0
  let high = entries.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const entry = entries[middle]!
    if (entry.lastOffset < offset) low = middle + 1
    else if (entry.baseOffset > offset) high = middle - 1
    else return entry
  }
  return null
}

/** The index of the first entry that ends at `offset` or later; the number of entries when none does. */
export function indexFrom(entries: readonly Entry[], offset: number): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (entries[middle]!.lastOffset < offset) low = middle + 1
    else high = middle
  }
  return low
}
