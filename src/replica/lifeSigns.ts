import { planted } from '../model/planted.ts'
import type { RaftEvent, RaftNode } from '../raft.ts'
import type { GroupRef, Transport } from './transport.ts'

/** How long an answer that waits for the disk counts for the leader's life. */
const heldMs = 10_000

/**
 * Tells the core that nodes live whose sessions show it. Nothing does that while nothing is due: groups that have nothing to say
 * cost nothing.
 */
export class LifeSigns {
  readonly #node: RaftNode
  readonly #ref: GroupRef
  readonly #transport: Transport
  readonly #selfId: number
  /** What was told last of each node. */
  #toldMs: Map<number, number> | null = null
  #heldSinceMs = -1

  constructor(node: RaftNode, ref: GroupRef, transport: Transport, selfId: number) {
    this.#node = node
    this.#ref = ref
    this.#transport = transport
    this.#selfId = selfId
  }

  /**
   * Steps the core, by `step`, with every sign of life that is new. `held`: the leader has answered, and the answer waits here, for the
   * `disk`, or because of a `rate`, however long that takes.
   */
  tell(nowMs: number, held: 'disk' | 'rate' | null, step: (event: RaftEvent, atMs: number) => void): void {
    const { state, leaderId } = this.#node
    if (held !== 'disk') this.#heldSinceMs = -1
    if (state === 'leader') {
      for (const { id } of this.#node.voters.voters.voters) {
        if (id !== this.#selfId) this.#contact(id, this.#transport.followerContactMs(id, this.#ref), step)
      }
    } else if (leaderId >= 0 && (state === 'follower' || state === 'observer')) {
      if (held === 'disk' && this.#heldSinceMs < 0) this.#heldSinceMs = nowMs
      const isWaiting = held === 'rate' || (held === 'disk' && nowMs - this.#heldSinceMs < heldMs)
      const atMs =
        isWaiting || planted('contactInvented') ? nowMs : this.#transport.leaderContactMs(leaderId, this.#ref)
      this.#contact(leaderId, atMs, step)
    }
  }

  /** Whether the leader, or every other voter where this replica leads, has shown since `sinceMs` that it lives and is in the group. */
  areNewer(sinceMs: number): boolean {
    const { state, leaderId } = this.#node
    if (state !== 'leader') {
      return leaderId >= 0 && this.#transport.leaderContactMs(leaderId, this.#ref) > sinceMs
    }
    const { voters } = this.#node.voters.voters
    return voters.every(
      ({ id }) => id === this.#selfId || this.#transport.followerContactMs(id, this.#ref) > sinceMs,
    )
  }

  #contact(id: number, atMs: number, step: (event: RaftEvent, atMs: number) => void): void {
    this.#toldMs ??= new Map()
    if (atMs <= (this.#toldMs.get(id) ?? Number.NEGATIVE_INFINITY)) return
    this.#toldMs.set(id, atMs)
    step({ type: 'contact', id, leaderEpoch: this.#node.leaderEpoch }, atMs)
  }
}
