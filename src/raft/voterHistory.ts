import { assert } from '../model/assert.ts'
import type { LogPosition } from './epochHistory.ts'
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

/** The same set, at `endOffset` where it was behind it. */
export function notBehind(entry: VotersEntry, endOffset: number): VotersEntry {
  return entry.offset <= endOffset ? entry : { ...entry, offset: endOffset }
}

/**
 * What is left of voter sets when the log is cut at `to`; the first one stays. In a partition none stands behind the end: where
 * records were lost, the leader may have the same set earlier than this log had it.
 */
export function votersUpTo(
  entries: readonly VotersEntry[],
  to: LogPosition,
  isPartition: boolean,
): VotersEntry[] {
  const isKept = ({ offset, version }: VotersEntry): boolean =>
    isPartition ? version <= to.votersVersion : offset < to.endOffset
  const kept = entries.filter((entry, index) => index === 0 || isKept(entry))
  return isPartition ? kept.map((entry) => notBehind(entry, to.endOffset)) : kept
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

  /** Forgets the sets behind `to`; true if another set applies now. The first one stays. */
  truncate(to: LogPosition, isPartition: boolean): boolean {
    const before = this.#entries.length
    this.#entries = votersUpTo(this.#entries, to, isPartition)
    return this.#entries.length !== before
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
}
