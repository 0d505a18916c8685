import type { PartitionImage } from '../controller/image.ts'
import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import type { Voter } from '../raft.ts'
import type { Clock } from '../runtime/clock.ts'
import type { GroupPartition } from './groupPartition.ts'
import type { Peers } from './peers.ts'

/** How long until a change that was refused is tried again. Milliseconds. */
const retryMs = 300
/** Groups of one node whose voters change at the same time: what joins has to copy whole logs. */
const maxChanging = 8
/**
 * How long a group waits for a replica to catch up until it looks again who is wanted: another directory may have come for it
 * meanwhile. What the replica has fetched by then stays. Milliseconds.
 */
const catchUpMs = 10_000

/** The directory ids that say that a broker may choose, or that nothing is known. Source: KIP-858. */
const reservedDirectories: readonly Uuid[] = [
  'AAAAAAAAAAAAAAAAAAAAAA',
  'AAAAAAAAAAAAAAAAAAAAAQ',
  'AAAAAAAAAAAAAAAAAAAAAg',
]

/** What `GroupVoters` works with. */
export interface GroupVotersOptions {
  readonly nodeId: number
  readonly clock: Clock
  readonly logger: Logger
  /** What the controller wants of a partition; null when it is gone. */
  imageOf(partition: GroupPartition): PartitionImage | null
  readonly peers: Peers
}

/** One step towards the voters that the controller wants; `handOver`: to that voter. */
interface Change {
  readonly type: 'add' | 'remove' | 'handOver'
  readonly voter: Voter
}

/** The voters that replicas of a partition make, as far as their directories are known. */
export function votersOf(
  { replicas, directories }: Pick<PartitionImage, 'replicas' | 'directories'>,
  ids: readonly number[],
  peers: Peers,
): Voter[] {
  const voters: Voter[] = []
  for (const id of ids) {
    const written = directories[replicas.indexOf(id)]
    const directoryId =
      written === undefined || reservedDirectories.includes(written) ? peers.directoryOf(id) : written
    if (directoryId === null) continue
    voters.push({ id, directoryId, endpoints: peers.endpointsOf(id), minVersion: 0, maxVersion: 1 })
  }
  return voters
}

/**
 * Makes the voters of the groups that this node leads those that the controller wants: one change at a time in each group, in few
 * groups at once. A new voter has caught up before it counts; who has to go does so after those that come, the leader last.
 */
export class GroupVoters {
  readonly #options: GroupVotersOptions
  readonly #changing = new Set<GroupPartition>()
  readonly #waiting = new Set<GroupPartition>()
  #isClosed = false

  constructor(options: GroupVotersOptions) {
    this.#options = options
  }

  /** Groups whose voters change. */
  get changing(): number {
    return this.#changing.size
  }

  /** The voters of a partition, or what is wanted of them, may be others now. */
  look(partition: GroupPartition): void {
    if (this.#isClosed || this.#changing.has(partition) || this.#next(partition) === null) return
    if (this.#changing.size >= maxChanging) {
      this.#waiting.add(partition)
      return
    }
    this.#changing.add(partition)
    void this.#change(partition).finally(() => {
      this.#changing.delete(partition)
      for (const next of this.#waiting) {
        this.#waiting.delete(next)
        this.look(next)
        break
      }
    })
  }

  /** Begins no further changes. */
  close(): void {
    this.#isClosed = true
    this.#waiting.clear()
  }

  async #change(partition: GroupPartition): Promise<void> {
    const { clock, logger } = this.#options
    const { group } = partition
    // What has made this necessary is under way itself.
    await Promise.resolve()
    while (!this.#isClosed) {
      const change = this.#next(partition)
      if (change === null) return
      try {
        if (change.type === 'add') await group.addVoter(change.voter, catchUpMs)
        else if (change.type === 'remove') await group.removeVoter(change.voter)
        else await group.transferLeadership(change.voter.id)
      } catch (error) {
        const { topic, index } = partition
        logger.debug('the voters cannot be changed yet', { topic, partition: index, error: String(error) })
        await new Promise<void>((resolve) => void clock.setTimer(retryMs, resolve).detach?.())
      }
    }
  }

  /** What has to be done first; null when nothing has to be, or somebody else leads. */
  #next(partition: GroupPartition): Change | null {
    const { group } = partition
    const image = this.#options.imageOf(partition)
    if (!partition.isLeader || partition.isGone || image === null) return null
    const target = image.replicas.filter((id) => !image.removingReplicas.includes(id))
    const wanted = votersOf(image, target, this.#options.peers)
    // A replica whose directory nobody knows cannot be told from one that has gone.
    if (wanted.length === 0 || wanted.length < target.length) return null
    const present = group.voters.voters.voters
    const isIn = (voters: readonly Voter[], { id, directoryId }: Voter): boolean =>
      voters.some((other) => other.id === id && other.directoryId === directoryId)
    // A node with a new directory can only come once its former self has gone.
    const added = wanted.find((voter) => !isIn(present, voter) && !present.some(({ id }) => id === voter.id))
    if (added !== undefined) return { type: 'add', voter: added }
    const gone = present.filter((voter) => !isIn(wanted, voter))
    const removed = gone.find(({ id }) => id !== this.#options.nodeId)
    if (removed !== undefined) return { type: 'remove', voter: removed }
    if (gone.length === 0) return null
    const inSync = partition.lookInSync()
    const to = wanted.find(({ id }) => inSync.includes(id))
    return to === undefined ? null : { type: 'handOver', voter: to }
  }
}
