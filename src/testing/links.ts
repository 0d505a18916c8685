import type { SimRandom } from './simRandom.ts'

/** How long a link holds a lost chunk back before it is sent again, in milliseconds. Source: RFC 6298: at least 200 in Linux. */
const retransmitMs = 200

/** What is wrong with one direction between two machines. */
interface Link {
  /** How many faults cut it. */
  cuts: number
  slow: readonly [min: number, max: number] | null
  loss: number
  /** Called when it is whole again. */
  waiting: (() => void)[]
}

/** The directed links between machines. A machine's link to itself is always whole and quick. */
export class Links {
  readonly #random: SimRandom
  readonly #usualMs: readonly [min: number, max: number]
  readonly #links = new Map<number, Link>()

  constructor(random: SimRandom, usualMs: readonly [min: number, max: number]) {
    this.#random = random
    this.#usualMs = usualMs
  }

  isCut(from: number, to: number): boolean {
    const link = this.#links.get(key(from, to))
    return link !== undefined && link.cuts > 0
  }

  /** How long the next chunk is on its way. */
  delayMs(from: number, to: number): number {
    const link = this.#links.get(key(from, to))
    const [min, max] = from === to ? ([0.01, 0.02] as const) : (link?.slow ?? this.#usualMs)
    let delayMs = min + (this.#random.below(4096) / 4096) * (max - min)
    if (link === undefined) return delayMs
    // A long tail: what is slow is now and then very slow.
    if (link.slow !== null && this.#random.chance(0.02)) delayMs *= 10
    for (
      let again = retransmitMs;
      link.loss > 0 && again < 20_000 && this.#random.chance(link.loss);
      again *= 2
    ) {
      delayMs += again
    }
    return delayMs
  }

  cut(from: number, to: number): void {
    this.#link(from, to).cuts++
  }

  /** Takes one cut back; what waits for the link goes on. */
  mend(from: number, to: number): void {
    const link = this.#link(from, to)
    link.cuts = Math.max(0, link.cuts - 1)
    this.#wake(link)
  }

  slow(from: number, to: number, range: readonly [min: number, max: number] | null): void {
    this.#link(from, to).slow = range
  }

  lose(from: number, to: number, loss: number): void {
    this.#link(from, to).loss = loss
  }

  /** Calls `run` when the link is no longer cut. */
  whenWhole(from: number, to: number, run: () => void): void {
    this.#link(from, to).waiting.push(run)
  }

  /** Everything is as it should be. */
  heal(): void {
    for (const link of this.#links.values()) {
      link.cuts = 0
      link.slow = null
      link.loss = 0
    }
    for (const link of this.#links.values()) this.#wake(link)
  }

  #wake(link: Link): void {
    if (link.cuts === 0) for (const run of link.waiting.splice(0)) run()
  }

  #link(from: number, to: number): Link {
    let link = this.#links.get(key(from, to))
    if (link === undefined) {
      link = { cuts: 0, slow: null, loss: 0, waiting: [] }
      this.#links.set(key(from, to), link)
    }
    return link
  }
}

function key(from: number, to: number): number {
  return from * 4096 + to
}
