import type { Checks } from '../checks.ts'

/** A commit of a member that was asked for. */
export interface MemberCommit {
  readonly generation: number
  readonly partition: number
  readonly offset: number
  /** It has to be refused: a later generation has begun. */
  readonly isTooLate: boolean
}

/** A member's question for the committed offset of a partition. */
export interface MemberRead {
  readonly partition: number
  /** What it may give, as it was asked. */
  readonly possible: ReadonlySet<number>
}

/** What is known of one partition's committed offset. */
interface Committed {
  /** What was acknowledged last; -1 for nothing. */
  acked: number
  /** Commits without an answer: they may happen at any time, while their generation is the last one. */
  readonly inDoubt: Map<number, MemberCommit>
  last: number
}

/**
 * What the members of one group may rely on, I15: a generation gives a partition to one of them, a commit of an earlier generation than
 * somebody has been given partitions in is refused, and committed offsets do not go back. Every commit has an offset above all
 * that were asked for.
 */
export class GroupChecked {
  readonly group: string
  readonly #checks: Checks
  /** By generation: who owns which partition. */
  readonly #owners = new Map<number, Map<number, string>>()
  readonly #committed = new Map<number, Committed>()
  /** The last generation that somebody was given partitions in. */
  #generation = -1

  constructor(group: string, checks: Checks) {
    this.group = group
    this.#checks = checks
  }

  /** A member is told what it owns in a generation. */
  owns(memberId: string, generation: number, partitions: readonly number[]): void {
    let owners = this.#owners.get(generation)
    if (owners === undefined) this.#owners.set(generation, (owners = new Map()))
    for (const partition of partitions) {
      const owner = owners.get(partition)
      if (owner !== undefined && owner !== memberId) {
        this.#fail(`partition ${partition} is of ${owner} and of ${memberId} in generation ${generation}`)
      }
      owners.set(partition, memberId)
    }
    this.#generation = Math.max(this.#generation, generation)
  }

  /** A commit goes out. */
  begin(generation: number, partition: number): MemberCommit {
    const committed = this.#of(partition)
    const offset = ++committed.last
    const isTooLate = generation < this.#generation
    const commit = { generation, partition, offset, isTooLate }
    if (!isTooLate) committed.inDoubt.set(offset, commit)
    return commit
  }

  acked({ generation, partition, offset, isTooLate }: MemberCommit): void {
    if (isTooLate) {
      this.#fail(`a commit of generation ${generation} is taken after ${this.#generation} has begun`)
      return
    }
    const committed = this.#of(partition)
    committed.inDoubt.delete(offset)
    // What a later generation has committed came later, whoever hears of it first.
    committed.acked = Math.max(committed.acked, offset)
    for (const [other, { generation: of }] of committed.inDoubt) {
      if (of < generation) committed.inDoubt.delete(other)
    }
  }

  /** The commit was refused: it does not happen. */
  refused({ partition, offset }: MemberCommit): void {
    this.#of(partition).inDoubt.delete(offset)
  }

  beginRead(partition: number): MemberRead {
    return { partition, possible: this.#possible(partition) }
  }

  /** The answer to a question. */
  read({ partition, possible }: MemberRead, offset: number): void {
    const now = this.#possible(partition)
    if (possible.has(offset) || now.has(offset)) return
    // Whatever was acknowledged meanwhile.
    if (offset > Math.min(...possible) && offset <= this.#of(partition).acked) return
    this.#fail(
      `${offset} is committed for partition ${partition}; it was ${[...possible]}, and is ${[...now]}`,
    )
  }

  #of(partition: number): Committed {
    let committed = this.#committed.get(partition)
    if (committed === undefined) {
      this.#committed.set(partition, (committed = { acked: -1, inDoubt: new Map(), last: 0 }))
    }
    return committed
  }

  #possible(partition: number): Set<number> {
    const { acked, inDoubt } = this.#of(partition)
    return new Set([...inDoubt.keys(), acked])
  }

  #fail(message: string): void {
    this.#checks.fail('I15', `${this.group}: ${message}`)
  }
}
