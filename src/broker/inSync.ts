import type { FollowerProgress } from '../replica/groupTypes.ts'

/** A follower that has been silent for so long is not in sync. Milliseconds. */
const maxSilenceMs = 2000
/** So long ago a follower in sync must have had what was committed then, at least. Milliseconds. */
const lagMs = 500
/** A new leader takes all voters for being in sync until they have had so long to come. Milliseconds. */
const graceMs = 2000

/** What a leader knows of its group, for the look of `InSync`. */
export interface LedGroup {
  readonly highWatermark: number
  readonly leaderEpoch: number
  readonly followers: readonly FollowerProgress[]
  readonly voters: { readonly voters: { readonly voters: readonly { readonly id: number }[] } }
}

/**
 * Which voters have caught up, as the leader sees it: those that live, have forgotten nothing, and hold what was committed a
 * moment ago.
 */
export class InSync {
  readonly #nodeId: number
  #leaderEpoch = -1
  #sinceMs = 0
  #goalOffset = 0
  /** What becomes the goal once it is old enough. */
  #nextGoal = { offset: 0, atMs: Number.NEGATIVE_INFINITY }
  #followers: readonly FollowerProgress[] = []
  #members: readonly number[] = []

  constructor(nodeId: number) {
    this.#nodeId = nodeId
  }

  /** As of the last look: node ids in the order of the voters. */
  get members(): readonly number[] {
    return this.#members
  }

  /** As of the last look. */
  get followers(): readonly FollowerProgress[] {
    return this.#followers
  }

  /** Looks at a group that this node leads. */
  look(group: LedGroup, nowMs: number): readonly number[] {
    const { leaderEpoch, highWatermark } = group
    if (leaderEpoch !== this.#leaderEpoch) {
      this.#leaderEpoch = leaderEpoch
      this.#sinceMs = nowMs
      this.#goalOffset = 0
      this.#nextGoal = { offset: highWatermark, atMs: nowMs }
    }
    if (nowMs - this.#nextGoal.atMs >= lagMs) {
      this.#goalOffset = this.#nextGoal.offset
      this.#nextGoal = { offset: highWatermark, atMs: nowMs }
    }
    this.#followers = group.followers
    const isIn = (id: number): boolean =>
      id === this.#nodeId ||
      this.#followers.some(
        (follower) =>
          follower.id === id &&
          follower.counts &&
          follower.claimOffset >= this.#goalOffset &&
          nowMs - follower.contactMs <= maxSilenceMs,
      )
    this.#members = group.voters.voters.voters.map(({ id }) => id).filter(isIn)
    return this.#members
  }

  /** How many replicas may be counted on for what is appended now. */
  count(group: LedGroup, nowMs: number): number {
    const isNew = group.leaderEpoch !== this.#leaderEpoch || nowMs - this.#sinceMs < graceMs
    return isNew ? group.voters.voters.voters.length : this.#members.length
  }
}
