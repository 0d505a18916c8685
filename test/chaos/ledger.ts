import { writtenBy } from './programs/values.mjs'

/** A record where a client says that it is. */
export interface Placed {
  readonly partition: number
  readonly offset: number
  readonly value: string
}

/** What all clients were told, and what is wrong with what is stored. */
export class Ledger {
  /** Values by `partition/offset`. */
  readonly #acknowledged = new Map<string, string>()
  readonly #seen = new Map<string, string>()
  readonly #problems = new Set<string>()
  /** Milliseconds since the start of the last acknowledgement, by partition. */
  readonly lastMs = new Map<number, number>()
  /** All times of acknowledgements in milliseconds since the start, ascending: one number a batch. */
  readonly times: number[] = []
  doubts = 0

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
    this.lastMs.set(partition, atMs)
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

  /** Compares with everything that is stored at the end. */
  compare(stored: readonly Placed[]): void {
    const found = new Map<string, string>()
    const next = new Map<number, number>()
    const places = new Map<string, string>()
    const last = new Map<string, number>()
    for (const { partition, offset, value } of stored) {
      const place = `${partition}/${offset}`
      const expected = next.get(partition) ?? 0
      if (offset !== expected) this.#problems.add(`${place} follows offset ${expected - 1}`)
      next.set(partition, offset + 1)
      found.set(place, value)
      const written = parse(value)
      if (written === null || (written.partition ?? partition) !== partition) {
        this.#problems.add(`${place} has ${value.slice(0, 60)}, which nobody wrote there`)
        continue
      }
      const twice = places.get(value)
      if (twice !== undefined) this.#problems.add(`${value} is at ${twice} and at ${place}`)
      places.set(value, place)
      const writer = `${written.writer}/${partition}`
      if (written.number <= (last.get(writer) ?? -1)) this.#problems.add(`${place} has ${value} out of order`)
      last.set(writer, Math.max(written.number, last.get(writer) ?? -1))
    }
    this.#hold('acknowledged', this.#acknowledged, found)
    this.#hold('read by a consumer', this.#seen, found)
  }

  #hold(what: string, places: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): void {
    for (const [place, value] of places) {
      const now = found.get(place)
      if (now !== value) this.#problems.add(`${place} was ${what} as ${value} and is ${now ?? 'gone'}`)
    }
  }
}

/** What the programs of this folder write, and Java's: it counts over all partitions, and adds no checksum. */
function parse(value: string): { writer: string; partition: number | null; number: number } | null {
  const counted = /^(java\d*)\.(\d+)$/.exec(value)
  if (counted !== null) return { writer: counted[1]!, partition: null, number: Number(counted[2]) }
  return writtenBy(value)
}
