import type { PartitionState } from '../controller/metadata.ts'
import type { Logger } from '../model/logger.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { GroupPartition } from './groupPartition.ts'

/** How long what has changed waits for more of the same: followers of a new leader come within that time. Milliseconds. */
const gatherMs = 20
/** How long until a report that failed is sent again. Milliseconds. */
const retryMs = 200
/** Most partitions in one report. */
const maxStates = 1000

/** What `LeaderReports` works with. */
export interface LeaderReportsOptions {
  readonly clock: Clock
  readonly logger: Logger
  report(states: readonly PartitionState[]): Promise<void>
}

/**
 * Tells the controller what the leaders of this node know, many partitions in one call, one call at a time, again and again until it
 * is written down. Only what is of now is told: what was to be told before is forgotten with it.
 */
export class LeaderReports {
  readonly #options: LeaderReportsOptions
  readonly #changed = new Set<GroupPartition>()
  /** What was told last of those that are led, as text. */
  readonly #told = new Map<GroupPartition, string>()
  #timer: Timer | null = null
  #isSending = false
  #isClosed = false

  constructor(options: LeaderReportsOptions) {
    this.#options = options
  }

  /** There may be something to tell of a partition. */
  changed(partition: GroupPartition): void {
    this.#changed.add(partition)
    this.#schedule(gatherMs)
  }

  /** The partition is not here any more. */
  forget(partition: GroupPartition): void {
    this.#changed.delete(partition)
    this.#told.delete(partition)
  }

  /** Tells nothing more. */
  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#changed.clear()
  }

  #schedule(afterMs: number): void {
    if (this.#timer !== null || this.#isSending || this.#isClosed) return
    this.#timer = this.#options.clock.setTimer(afterMs, () => {
      this.#timer = null
      void this.#send()
    })
  }

  async #send(): Promise<void> {
    const told = new Map<GroupPartition, string>()
    const states: PartitionState[] = []
    for (const partition of this.#changed) {
      if (states.length === maxStates) break
      this.#changed.delete(partition)
      const state = partition.isLeader && !partition.isGone ? stateOf(partition) : null
      if (state === null) {
        this.#told.delete(partition)
        continue
      }
      const text = textOf(state)
      if (this.#told.get(partition) === text) continue
      told.set(partition, text)
      states.push(state)
    }
    if (states.length > 0) await this.#tell(states, told)
    else if (this.#changed.size > 0) this.#schedule(0)
  }

  async #tell(states: readonly PartitionState[], told: ReadonlyMap<GroupPartition, string>): Promise<void> {
    this.#isSending = true
    let afterMs = 0
    try {
      await this.#options.report(states)
      for (const [partition, text] of told) if (!partition.isGone) this.#told.set(partition, text)
    } catch (error) {
      this.#options.logger.debug('the controller does not take a report now', { error: String(error) })
      for (const partition of told.keys()) if (!partition.isGone) this.#changed.add(partition)
      afterMs = retryMs
    }
    this.#isSending = false
    if (this.#changed.size > 0) this.#schedule(afterMs)
  }
}

function stateOf(partition: GroupPartition): PartitionState {
  const { topicId, index, leadership, group } = partition
  return {
    topicId,
    partition: index,
    ...leadership,
    isr: partition.lookInSync(),
    voters: group.voters.voters.voters.map(({ id, directoryId }) => ({ id, directoryId })),
  }
}

function textOf({ leaderEpoch, isr, voters }: PartitionState): string {
  return `${leaderEpoch} ${isr.join(',')} ${voters.map(({ id, directoryId }) => id + directoryId).join(',')}`
}
