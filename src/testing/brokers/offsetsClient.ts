import type { Checks } from '../checks.ts'
import type { BrokerLink } from './brokerLink.ts'
import { CoordinatorLink } from './coordinatorLink.ts'
import { OffsetsChecked } from './offsetsChecked.ts'

/** Commits and fetches the offset of one partition in a group without members. */
export class OffsetsClient {
  readonly #coordinator: CoordinatorLink
  readonly #offsets: OffsetsChecked
  #hasAsked = false

  constructor(link: BrokerLink, group: string, checks: Checks) {
    this.#coordinator = new CoordinatorLink(link, group)
    this.#offsets = new OffsetsChecked(group, checks)
  }

  /** Whether a commit was asked for. */
  get hasAsked(): boolean {
    return this.#hasAsked
  }

  /** Commits the next offset, unless a commit is under way. Rejects when nobody knows what became of it. */
  async commit(): Promise<void> {
    const commit = this.#offsets.begin()
    if (commit === null) return
    this.#hasAsked = true
    try {
      const topicId = await this.#coordinator.topicId()
      const errorCode = await this.#coordinator.commit(topicId, 0, commit.offset)
      if (this.#coordinator.errorOf(errorCode) === null) this.#offsets.acked(commit)
    } finally {
      this.#offsets.ended()
    }
  }

  /** Asks for the committed offset; whether somebody has said it. */
  async fetch(): Promise<boolean> {
    const topicId = await this.#coordinator.topicId()
    const read = this.#offsets.beginRead()
    const { errorCode, offset } = await this.#coordinator.committed(topicId, 0)
    if (this.#coordinator.errorOf(errorCode) !== null || offset === null) return false
    this.#offsets.read(read, offset)
    return true
  }
}
