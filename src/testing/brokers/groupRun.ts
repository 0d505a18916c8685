import type { Checks } from '../checks.ts'
import type { World } from '../world.ts'
import type { BrokerLink } from './brokerLink.ts'
import type { BrokerOperation } from './brokerOperations.ts'
import type { BrokerNode } from './brokerProgram.ts'
import { GroupChecked } from './groupChecked.ts'
import { GroupMember } from './groupMember.ts'

/** How long a member is silent that falls silent: longer than its session, in milliseconds. */
const stallMs = 2500

/** The members of one group in a run. */
export class GroupRun {
  readonly #group: string
  readonly #members: readonly GroupMember[]

  /** A member for each of `links`. */
  constructor(group: string, links: readonly BrokerLink[], checks: Checks) {
    const checked = new GroupChecked(group, checks)
    this.#group = group
    this.#members = links.map((link) => new GroupMember(link, checked))
  }

  /** Begins an operation; false for one that is none of a member. */
  begin({ kind, client }: BrokerOperation): boolean {
    switch (kind) {
      case 'joinGroup':
        this.#members[client]!.join()
        return true
      case 'leaveGroup':
        this.#members[client]!.leave()
        return true
      case 'stallMember':
        this.#members[client]!.stall(stallMs)
        return true
      default:
        return false
    }
  }

  /** L1: all members come together in one generation, and whoever owns partitions commits; what is missing by then, or null. */
  async goesOn(world: World<BrokerNode>, withinMs: number): Promise<string | null> {
    const before = this.#members.map(({ commits }) => commits)
    for (const member of this.#members) member.join()
    const goOn = (): boolean => {
      const generation = this.#members[0]?.membership?.generation
      return this.#members.every(({ membership, commits }, index) => {
        if (membership === null || membership.generation !== generation) return false
        return membership.partitions.length === 0 || commits > before[index]!
      })
    }
    if (this.#members.length === 0 || (await world.runUntil(goOn, withinMs))) return null
    const members = this.#members.map(({ membership }) =>
      membership === null ? 'joins' : `${membership.generation}: ${membership.partitions}`,
    )
    return `${this.#group} does not go on (${members.join('; ')})`
  }
}
