import { damageIn, isAsItWas, partitionBytes, type Spot } from './damage.ts'
import type { ChaosNode } from './node.ts'

/** A damage and how it ended, for the report. */
export interface Repaired {
  readonly node: string
  readonly kind: Spot['kind']
  readonly file: string
  readonly position: number
  /** Bytes that were not as they had been, at most. */
  readonly bytes: number
  /** From the start of the node until the bytes were back; null when they were not in time. */
  readonly afterMs: number | null
}

/** How many damages of each kind there were, and how long they lasted. An exchange of two files is counted once. */
export function repairsText(damages: readonly Repaired[]): string {
  const kinds = (['flip', 'cut', 'swap'] as const).map((kind) => {
    const these = damages.filter((damage) => damage.kind === kind)
    const took = these.flatMap(({ afterMs }) => (afterMs === null ? [] : [afterMs])).sort((a, b) => a - b)
    const count = kind === 'swap' ? these.length / 2 : these.length
    const open = these.length - took.length
    const times =
      took.length === 0 ? '' : `, back after ${took[took.length >> 1]} ms (median), ${took.at(-1)} ms at most`
    return `${count} ${kind}s${times}${open === 0 ? '' : `, ${open} NOT`}`
  })
  return `damages: ${kinds.join('; ')}`
}

/** Follows what was damaged on the disk of a node that runs, until all of it is good again. */
export class RepairWatch {
  readonly #victim: ChaosNode
  readonly #others: readonly ChaosNode[]
  readonly #logs: readonly string[]
  readonly #spots: readonly Spot[]
  readonly #afterMs = new Map<Spot, number>()
  /** Bytes that another replica had when it was last looked at, by partition. */
  readonly #wanted = new Map<string, number>()

  /** `logs` are the partitions that every node has. */
  constructor(
    victim: ChaosNode,
    others: readonly ChaosNode[],
    logs: readonly string[],
    spots: readonly Spot[],
  ) {
    this.#victim = victim
    this.#others = others
    this.#logs = logs
    this.#spots = spots
  }

  /**
   * What is not good yet, `atMs` after the start of the node; empty once every place has its bytes again, and every partition those of
   * another replica from its first byte to what that one had at the look before, and `cordwood verify` finds nothing.
   */
  async look(atMs: number): Promise<readonly string[]> {
    const { data } = this.#victim
    const same = new Set(this.#logs.filter((log) => this.#isSame(log)))
    for (const spot of this.#spots) {
      // An end that nobody else had may have become another one.
      if (!this.#afterMs.has(spot) && (isAsItWas(data, spot) || same.has(spot.log)))
        this.#afterMs.set(spot, atMs)
    }
    const open = this.#spots
      .filter((spot) => !this.#afterMs.has(spot))
      .map(({ kind, file, position }) => `${file} at ${position} (${kind})`)
    const differing = this.#logs
      .filter((log) => !same.has(log))
      .map((log) => `${log} is not as on other nodes`)
    if (open.length + differing.length > 0) return [...open, ...differing]
    return await damageIn(data, true)
  }

  /** What became of every place. */
  get outcome(): readonly Repaired[] {
    return this.#spots.map((spot) => {
      const { kind, file, position, bytes } = spot
      const afterMs = this.#afterMs.get(spot) ?? null
      return { node: this.#victim.name, kind, file, position, bytes: bytes.length, afterMs }
    })
  }

  /** Whether the log has what another node had when this was asked before, the same bytes. */
  #isSame(log: string): boolean {
    const wanted = this.#wanted.get(log)
    const mine = partitionBytes(this.#victim.data, log)
    const other = this.#others.map((node) => partitionBytes(node.data, log)).find((bytes) => bytes !== null)
    if (other === undefined) return false
    this.#wanted.set(log, other.length)
    if (mine === null || wanted === undefined || mine.length < wanted) return false
    const shared = Math.min(mine.length, other.length)
    return mine.subarray(0, shared).equals(other.subarray(0, shared))
  }
}
