import { assert } from '../model/assert.ts'
import type { VoterSet } from './voterSet.ts'

/**
 * A voter set and its place in the log. In the metadata log it is a record at `offset`; in a partition it takes no
 * offset: it stands before the record at `offset`, and `version` counts the sets before it and itself.
 */
export interface VotersEntry {
  readonly offset: number
  readonly version: number
  readonly voters: VoterSet
}

/** The voter sets of a log, in its order. The last one applies from the moment it is appended. Source: KIP-853. */
export class VoterHistory {
  #entries: VotersEntry[]

  /** `entries` holds at least the set to begin with, at offset -1 when it comes from no record. */
  constructor(entries: readonly VotersEntry[]) {
    assert(entries.length > 0, 'a group begins with a voter set, an empty one if need be')
    this.#entries = [...entries]
  }

  get entries(): readonly VotersEntry[] {
    return this.#entries
  }

  get last(): VotersEntry {
    return this.#entries[this.#entries.length - 1]!
  }

  /** The set that applies. */
  get current(): VoterSet {
    return this.last.voters
  }

  append(entry: VotersEntry): void {
    assert(entry.offset >= this.last.offset && entry.version >= this.last.version, 'voter sets are in order')
    this.#entries.push(entry)
  }

  /** Forgets the sets whose records are at or above `endOffset`; true if another set applies now. The first one stays. */
  truncateRecords(endOffset: number): boolean {
    return this.#dropWhile(({ offset }) => offset >= endOffset)
  }

  /** Forgets the sets after `version`; true if another set applies now. */
  truncateVersions(version: number): boolean {
    return this.#dropWhile((entry) => entry.version > version)
  }

  /** The set that applied at `offset`, for a snapshot that ends there. */
  at(offset: number): VotersEntry {
    return this.#entries.findLast((entry) => entry.offset < offset) ?? this.#entries[0]!
  }

  /** Forgets sets before the one that applied at `offset`. */
  cutBefore(offset: number): void {
    const first = this.#entries.indexOf(this.at(offset))
    if (first > 0) this.#entries.splice(0, first)
  }

  /** Begins anew with the set of a snapshot. */
  reset(entry: VotersEntry): void {
    this.#entries = [entry]
  }

  #dropWhile(goes: (entry: VotersEntry) => boolean): boolean {
    const before = this.#entries.length
    while (this.#entries.length > 1 && goes(this.last)) this.#entries.pop()
    return this.#entries.length !== before
  }
}
