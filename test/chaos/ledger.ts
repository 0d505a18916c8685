import { writtenBy } from './programs/values.mjs'
import type { Repeated } from './sequences.ts'

/** A record where a client says that it is. */
export interface Placed {
  readonly partition: number
  readonly offset: number
  readonly value: string
}

/** A moment: how many places had been acknowledged by then, and how many read. */
interface Mark {
  readonly acknowledged: number
  readonly seen: number
  /** By partition, the offset behind all of them. */
  readonly ends: ReadonlyMap<number, number>
}

/** What all clients were told, and what is wrong with what is stored. */
export class Ledger {
  /** Values by `partition/offset`. */
  readonly #acknowledged = new Map<string, string>()
  readonly #seen = new Map<string, string>()
  readonly #problems = new Set<string>()
  /** Milliseconds since the start of the last acknowledgement, by partition. */
  readonly lastMs = new Map<number, number>()
  /** The same by `writer/partition`. */
  readonly lastMsOf = new Map<string, number>()
  /** All times of acknowledgements in milliseconds since the start, ascending: one number a batch. */
  readonly times: number[] = []
  /** Records that were acknowledged, by writer. */
  readonly byWriter = new Map<string, number>()
  doubts = 0
  /** Numbers of the records that Java was told of as not written, or gave up. */
  readonly givenUp: number[] = []
  readonly #repeated = new Map<string, Repeated>()

  get acknowledged(): number {
    return this.#acknowledged.size
  }

  get seen(): number {
    return this.#seen.size
  }

  /** What was found wrong so far, without repetitions. */
  get problems(): readonly string[] {
    return [...this.#problems]
  }

  /** Values that were read at two places of a partition: whose mistake that is, the stored batches tell. */
  get repeated(): readonly Repeated[] {
    return [...this.#repeated.values()]
  }

  /** Notes something else that is wrong. */
  problem(text: string): void {
    console.log(`WRONG: ${text}`)
    this.#problems.add(text)
  }

  /** A client was told that a record is stored there. */
  acknowledge({ partition, offset, value }: Placed, atMs: number): void {
    const place = `${partition}/${offset}`
    const other = this.#acknowledged.get(place)
    if (other !== undefined && other !== value) {
      this.#problems.add(`${place} was acknowledged twice: for ${other} and for ${value}`)
    }
    this.#acknowledged.set(place, value)
    const writer = writtenBy(value)?.writer ?? 'nobody'
    this.byWriter.set(writer, (this.byWriter.get(writer) ?? 0) + 1)
    this.lastMs.set(partition, atMs)
    this.lastMsOf.set(`${writer}/${partition}`, atMs)
    if (this.times.at(-1) !== atMs) this.times.push(atMs)
  }

  /** A consumer was given this record while things went on. */
  see({ partition, offset, value }: Placed): void {
    const place = `${partition}/${offset}`
    const other = this.#seen.get(place)
    if (other !== undefined && other !== value) {
      this.#problems.add(`${place} was read twice with different values: ${other} and ${value}`)
    }
    this.#seen.set(place, value)
  }

  /** How much clients have been told until now. */
  mark(): Mark {
    const ends = new Map<number, number>()
    for (const place of [...this.#acknowledged.keys(), ...this.#seen.keys()]) {
      const [partition, offset] = place.split('/').map(Number) as [number, number]
      ends.set(partition, Math.max(ends.get(partition) ?? 0, offset + 1))
    }
    return { acknowledged: this.#acknowledged.size, seen: this.#seen.size, ends }
  }

  /**
   * Compares with everything that is stored what clients had been told until then. `where` is said behind what is wrong. What is twice in a
   * partition is kept in `repeated`.
   */
  compare(stored: readonly Placed[], until: Mark = this.mark(), where = ''): void {
    const wrong = (text: string): unknown => this.#problems.add(`${text}${where}`)
    const found = new Map<string, string>()
    const next = new Map<number, number>()
    const places = new Map<string, Placed>()
    const last = new Map<string, number>()
    for (const { partition, offset, value } of stored) {
      const place = `${partition}/${offset}`
      const expected = next.get(partition) ?? 0
      if (offset !== expected) wrong(`${place} follows offset ${expected - 1}`)
      next.set(partition, offset + 1)
      found.set(place, value)
      const written = writtenBy(value)
      if (written === null || (written.partition ?? partition) !== partition) {
        wrong(`${place} has ${value.slice(0, 60)}, which nobody wrote there`)
        continue
      }
      const twice = places.get(value)
      places.set(value, { partition, offset, value })
      if (twice?.partition === partition) {
        this.#repeated.set(`${place} ${value}`, { value, partition, offset, before: twice.offset })
        continue
      }
      if (twice !== undefined) wrong(`${value} is at ${twice.partition}/${twice.offset} and at ${place}`)
      const writer = `${written.writer}/${partition}`
      if (written.number <= (last.get(writer) ?? -1)) wrong(`${place} has ${value} out of order`)
      last.set(writer, Math.max(written.number, last.get(writer) ?? -1))
    }
    const hold = (what: string, told: ReadonlyMap<string, string>, count: number): void => {
      let left = count
      for (const [place, value] of told) {
        if (left-- === 0) return
        const now = found.get(place)
        if (now !== value) wrong(`${place} was ${what} as ${value} and is ${now ?? 'gone'}`)
      }
    }
    hold('acknowledged', this.#acknowledged, until.acknowledged)
    hold('read by a consumer', this.#seen, until.seen)
  }
}
