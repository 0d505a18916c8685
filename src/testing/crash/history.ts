import { type FlushPolicy, isDurable } from '../../model/flushPolicy.ts'
import type { Uuid } from '../../model/uuid.ts'

/** A moment of a recording: how many events had happened. What is over at a moment happened before a crash there. */
export type Moment = number

/** What has not happened. */
export const never: Moment = Number.POSITIVE_INFINITY
/** After all that has happened. */
export const atTheEnd: Moment = Number.MAX_SAFE_INTEGER

/** One batch as it was appended. Offsets are inclusive. */
export interface AppendedBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  /** As they must be read again, base offset and epoch included. */
  readonly bytes: Uint8Array
  readonly leaderEpoch: number
  readonly timestampMs: number
  readonly key: string
  readonly producerId: number
  readonly baseSequence: number
  readonly appendedAt: Moment
  ackedAt: Moment
  /** Whether the acknowledgement survives the loss of power. */
  readonly isDurable: boolean
  /** Whether the journal has it. */
  readonly isJournaled: boolean
}

/** The content of a log between two truncations. */
export interface Version {
  /** When the truncation that made it was asked for, and when it was done. */
  readonly startedAt: Moment
  doneAt: Moment
  /** Where it cut the version before; nothing at or above was kept. */
  readonly cutAt: number
  readonly batches: AppendedBatch[]
  /** What it lacks of the one before was refused for want of room: a crash may bring it back until something is acknowledged in its place. */
  isUndone?: boolean
}

/** What somebody who uses a log knows of it. */
export class LogHistory {
  readonly topic: string
  readonly topicId: Uuid
  readonly createStartedAt: Moment
  createdAt: Moment = never
  deleteStartedAt: Moment = never
  deletedAt: Moment = never
  policy: FlushPolicy
  readonly versions: Version[] = [{ startedAt: 0, doneAt: 0, cutAt: 0, batches: [] }]
  /** When the engine said that the log is offline: from then on a start may say so, too. */
  offlineAt: Moment = never
  /** When a compaction was first asked for. */
  compactedAt: Moment = never
  /** Start offsets that were asked for. */
  readonly starts: { readonly offset: number; readonly startedAt: Moment; doneAt: Moment }[] = []

  constructor(topic: string, topicId: Uuid, policy: FlushPolicy, createStartedAt: Moment) {
    this.topic = topic
    this.topicId = topicId
    this.policy = policy
    this.createStartedAt = createStartedAt
  }

  get name(): string {
    return `${this.topic}-0`
  }

  /** The content now. */
  get current(): Version {
    return this.versions.at(-1)!
  }

  /**
   * Whether a compaction may have seen, by `moment`, a later batch of the same key that was cut from the log, so that `version`
   * lacks it.
   */
  hadLater({ key, baseOffset }: AppendedBatch, { batches }: Version, moment: Moment): boolean {
    const isLater = (other: AppendedBatch): boolean => other.key === key && other.baseOffset > baseOffset
    return (
      this.compactedAt <= moment &&
      this.versions.some(
        (version) =>
          version.startedAt <= moment &&
          version.batches.some((other) => isLater(other) && !batches.includes(other)),
      )
    )
  }

  appended(batch: Omit<AppendedBatch, 'isDurable' | 'isJournaled' | 'ackedAt'>): AppendedBatch {
    const { policy } = this
    const promised = { isDurable: isDurable(policy), isJournaled: policy === 'journal', ackedAt: never }
    const appended = { ...batch, ...promised }
    this.current.batches.push(appended)
    return appended
  }

  /** A truncation to `offset` begins. */
  cutting(offset: number, startedAt: Moment): Version {
    const batches = this.current.batches.filter(({ lastOffset }) => lastOffset < offset)
    const version: Version = { startedAt, doneAt: never, cutAt: offset, batches }
    this.versions.push(version)
    return version
  }

  /** The truncation that `version` stands for has left `endOffset` as the end: lower where compaction had taken what lay below. */
  cut(version: Version, endOffset: number, doneAt: Moment): void {
    version.doneAt = doneAt
    // Appends may have been undone meanwhile.
    this.versions.push(...this.versions.splice(this.versions.indexOf(version), 1))
    if (this.compactedAt === never) return
    while ((version.batches.at(-1)?.lastOffset ?? -1) >= endOffset) version.batches.pop()
  }

  /**
   * The log goes on from `endOffset`, whichever of the versions that were possible it has: appends that nobody
   * acknowledged are gone, a truncation that was under way has happened or has not.
   */
  resumed(endOffset: number, startedAt: Moment): Version {
    const kept = this.versions.findLast((version, index) => {
      const isPossible = index === this.versions.length - 1 || this.versions[index + 1]!.doneAt === never
      return isPossible && (version.batches.at(-1)?.lastOffset ?? -1) + 1 >= endOffset
    })
    const batches = (kept ?? this.current).batches.filter(({ lastOffset }) => lastOffset < endOffset)
    const version: Version = { startedAt, doneAt: never, cutAt: endOffset, batches }
    this.versions.push(version)
    return version
  }
}
