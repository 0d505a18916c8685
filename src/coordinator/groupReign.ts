import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { Group } from '../replica/group.ts'
import { readBytes } from '../replica/groupReader.ts'
import type { Clock } from '../runtime/clock.ts'
import { BatchHeader } from '../segment/recordBatch.ts'
import type { OffsetsReign, OffsetsTopic } from './offsetsReign.ts'

/** What the coordinator needs of a replica of a partition; a `Group` is one. */
export type ReignGroup = Pick<
  Group,
  'state' | 'leaderEpoch' | 'highWatermark' | 'failure' | 'read' | 'readIndex'
> & {
  readonly log: { readonly config: { readonly maxMessageBytes: number }; readonly logStartOffset: number }
  append: (
    bytes: Uint8Array,
    options: { readonly acks: 'all' | 'leader'; readonly leaderEpoch: number },
  ) => Promise<{ readonly lastOffset: number }>
}

/** Between looks at whether the epoch has begun: at first, and at most. */
const firstLookMs = 2
const longestLookMs = 50

/** The reign of a node that leads the group of a partition: until the group's epoch ends, or this replica resigns. */
export class GroupReign implements OffsetsReign {
  readonly leaderEpoch: number
  readonly group: ReignGroup
  readonly #clock: Clock
  readonly #deleteBefore: (offset: number) => Promise<void>

  /** Begins in the epoch that `group` leads in now. `deleteBefore` deletes records on all replicas. */
  constructor(group: ReignGroup, clock: Clock, deleteBefore: (offset: number) => Promise<void>) {
    this.group = group
    this.leaderEpoch = group.leaderEpoch
    this.#clock = clock
    this.#deleteBefore = deleteBefore
  }

  /** Whether it goes on, as far as this replica knows. */
  get goesOn(): boolean {
    const { state, leaderEpoch, failure } = this.group
    return state === 'leader' && leaderEpoch === this.leaderEpoch && failure === null
  }

  get maxMessageBytes(): number {
    return this.group.log.config.maxMessageBytes
  }

  get logStartOffset(): number {
    return this.group.log.logStartOffset
  }

  /** A leader answers `readIndex` once something of its own epoch is committed, and so all that came before. */
  async begin(): Promise<number> {
    for (let delayMs = firstLookMs; ; delayMs = Math.min(2 * delayMs, longestLookMs)) {
      this.#check()
      if (planted('offsetsLoadedInPart')) return this.group.highWatermark
      try {
        const endOffset = await this.group.readIndex()
        this.#check()
        return endOffset
      } catch (error) {
        if (!(error instanceof EngineError && error.code === 'leaderNotAvailable')) throw error
      }
      await new Promise<void>((resolve) => this.#clock.setTimer(delayMs, resolve))
    }
  }

  async read(fromOffset: number, endOffset: number, maxBytes: number): Promise<Uint8Array> {
    this.#check()
    const bytes = await readBytes(this.group, fromOffset, maxBytes)
    if (bytes !== null && bytes.length > 0) return bytes.subarray(0, bytesBelow(bytes, endOffset))
    this.#check() // A log is cut by those who follow only.
    throw new EngineError('corruptLog', `the offsets log has nothing at offset ${fromOffset}`)
  }

  /** Appends wait for room by themselves. */
  hasRoomFor(): boolean {
    return true
  }

  async append(batches: readonly Uint8Array[]): Promise<number> {
    this.#check()
    const bytes = batches.length === 1 ? batches[0]! : Buffer.concat(batches)
    const acks = planted('offsetAckedEarly') ? 'leader' : 'all'
    const { lastOffset } = await this.group.append(bytes, { acks, leaderEpoch: this.leaderEpoch })
    return lastOffset + 1
  }

  async confirm(): Promise<void> {
    this.#check()
    await this.group.readIndex()
  }

  async deleteRecordsBefore(offset: number): Promise<void> {
    this.#check()
    await this.#deleteBefore(offset)
  }

  #check(): void {
    if (!this.goesOn) {
      throw new EngineError('notLeaderOrFollower', `epoch ${this.leaderEpoch} of an offsets log is over`)
    }
  }
}

/** How many bytes of whole batches begin below `endOffset`. */
function bytesBelow(bytes: Uint8Array, endOffset: number): number {
  let at = 0
  while (at < bytes.length) {
    const header = new BatchHeader(bytes, at)
    if (header.baseOffset >= endOffset) break
    at += header.sizeBytes
  }
  return Math.min(at, bytes.length)
}

/** Where the replicas of `GroupOffsets` are. */
export interface OffsetsGroups {
  /** How many partitions `__consumer_offsets` has, or is to have. */
  partitionCount(): number
  /** This node's replica of a partition; null where it has none. */
  group(partition: number): ReignGroup | null
  /** Deletes committed records before `offset` on all replicas; to be asked of the leader. */
  deleteRecordsBefore(partition: number, offset: number): Promise<void>
}

/** `__consumer_offsets` on a node of a cluster: it reigns where its replica leads. */
export class GroupOffsets implements OffsetsTopic {
  readonly #clock: Clock
  readonly #groups: OffsetsGroups
  readonly #reigns = new Map<number, GroupReign>()

  constructor(clock: Clock, groups: OffsetsGroups) {
    this.#clock = clock
    this.#groups = groups
  }

  get partitionCount(): number {
    return this.#groups.partitionCount()
  }

  reign(partition: number): GroupReign | null {
    const group = this.#groups.group(partition)
    const known = this.#reigns.get(partition)
    if (known !== undefined && known.group === group && known.goesOn) return known
    this.#reigns.delete(partition)
    if (group === null || group.state !== 'leader' || group.failure !== null) return null
    const reign = new GroupReign(group, this.#clock, (offset) =>
      this.#groups.deleteRecordsBefore(partition, offset),
    )
    this.#reigns.set(partition, reign)
    return reign
  }
}
