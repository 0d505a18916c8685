import { EngineError } from '../model/errors.ts'
import { fitsReplica, type ReplicaKey, sameReplica } from './replicaKey.ts'

/** Where a voter listens. */
export interface Endpoint {
  readonly name: string
  readonly host: string
  readonly port: number
}

/** A member of a voter set, as Kafka's VotersRecord has it. */
export interface Voter extends ReplicaKey {
  readonly endpoints: readonly Endpoint[]
  /** Range of kraft.version that it can run. */
  readonly minVersion: number
  readonly maxVersion: number
}

/** Who votes, and whose claims count. Immutable; voters are kept by id. Source: KIP-853. */
export class VoterSet {
  readonly voters: readonly Voter[]
  /** How many voters make a majority. */
  readonly majority: number

  /** Throws `EngineError` `invalidRequest` when ids are no ids or appear twice. */
  constructor(voters: readonly Voter[]) {
    this.voters = [...voters].sort((a, b) => a.id - b.id)
    this.majority = (voters.length >> 1) + 1
    let previous = -1
    for (const { id } of this.voters) {
      if (!Number.isSafeInteger(id) || id <= previous) {
        throw new EngineError('invalidRequest', `a voter set may not hold the id ${id} after ${previous}`)
      }
      previous = id
    }
  }

  /** Nobody: what an observer knows before it has read anything. */
  static readonly empty: VoterSet = new VoterSet([])

  get size(): number {
    return this.voters.length
  }

  /** The voter with this id, whatever its directory. */
  get(id: number): Voter | null {
    return this.voters.find((voter) => voter.id === id) ?? null
  }

  /** Whether this very replica votes. A static set does not know directories and takes the id for it. */
  has(key: ReplicaKey): boolean {
    const voter = this.get(key.id)
    return voter !== null && fitsReplica(voter, key)
  }

  /** Whether it votes and nobody else does. */
  isOnly(key: ReplicaKey): boolean {
    return this.voters.length === 1 && this.has(key)
  }

  /** This set and one more. */
  with(voter: Voter): VoterSet {
    return new VoterSet([...this.voters, voter])
  }

  /** This set without a voter. */
  without(key: ReplicaKey): VoterSet {
    return new VoterSet(this.voters.filter((voter) => !sameReplica(voter, key)))
  }

  /** This set with what is known of one voter replaced. */
  replaced(voter: Voter): VoterSet {
    return new VoterSet(this.voters.map((old) => (old.id === voter.id ? voter : old)))
  }

  /**
   * Whether every majority of this set meets every majority of the other: they differ by one voter at most (I17). A voter whose
   * directory becomes known stays the same.
   */
  overlaps(other: VoterSet): boolean {
    const gone = this.voters.filter((voter) => !other.#hasSame(voter)).length
    const come = other.voters.filter((voter) => !this.#hasSame(voter)).length
    return gone + come <= 1
  }

  #hasSame(voter: Voter): boolean {
    const own = this.get(voter.id)
    return own !== null && (fitsReplica(own, voter) || fitsReplica(voter, own))
  }
}
