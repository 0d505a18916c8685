import { describeFault } from '../../model/batchFault.ts'
import { CorruptionError, EngineError } from '../../model/errors.ts'
import type { FileRange, SendPart } from '../../model/fileRange.ts'
import { KafkaError } from '../../model/kafkaErrors.ts'
import type { RecordsRanges } from '../../protocol/recordsRanges.ts'
import type { ReadResult } from '../../segment/logTypes.ts'
import type { Partition } from '../partition.ts'
import type { FetchWait, WatchedPartition } from '../purgatory.ts'
import { type Services, wireError } from '../services.ts'

/** What a fetch asks of one partition. */
export interface FetchPosition {
  readonly partition: number
  readonly currentLeaderEpoch: number
  readonly fetchOffset: number
  readonly lastFetchedEpoch: number
  readonly partitionMaxBytes: number
}

/** Where a batch has its attributes, and the codec in them. */
const attributesAt = 21
const codecMask = 7
const zstd = 4

const noParts: readonly SendPart[] = []
const noRanges: readonly FileRange[] = []
const none: RecordsRanges = { lengthBytes: 0, parts: noParts }
const notDiverging = { epoch: -1, endOffset: -1 }
const unknownLeader = { leaderId: -1, leaderEpoch: -1 }
const notLeader = KafkaError.notLeaderOrFollower.kafka
const fencedEpoch = KafkaError.fencedLeaderEpoch.kafka

/**
 * One partition of a fetch: the question, the answer as the response wants it, and, while the fetch waits, its
 * place in the partition's list. Read again and again until the fetch is answered.
 */
export class FetchItem {
  readonly partitionIndex: number
  errorCode = 0
  highWatermark = -1
  lastStableOffset = -1
  logStartOffset = -1
  divergingEpoch: { epoch: number; endOffset: number } = notDiverging
  /** Whom to ask in place of this node, where that is why there is an error. */
  currentLeader: { readonly leaderId: number; readonly leaderEpoch: number } = unknownLeader
  /** A replica that is closer to the client, -1 for none. Source: KIP-392. */
  preferredReadReplica = -1
  /** Null: no transaction was aborted, or it was not asked for. */
  readonly abortedTransactions: null = null
  records: RecordsRanges = none

  readonly #services: Services
  readonly #topic: string | null
  readonly #position: FetchPosition
  readonly #rack: string
  readonly #isReplica: boolean
  #partition: Partition | null = null
  #readableEnd = -1
  /** What the log had at the last look; null for nothing. */
  #found: ReadResult | null = null

  /** `topic` is null where its id is not known; `rack` is the client's, empty for none. */
  constructor(
    services: Services,
    topic: string | null,
    position: FetchPosition,
    rack: string,
    isReplica: boolean,
  ) {
    this.#services = services
    this.#topic = topic
    this.#position = position
    this.#rack = rack
    this.#isReplica = isReplica
    this.partitionIndex = position.partition
  }

  /** The partition as of the last `prepare`; null when there was an error. */
  get partition(): Partition | null {
    return this.#partition
  }

  /**
   * Looks at the partition as it is now. Returns whether there may be something to read. An error is kept for
   * the response and makes `errorCode` differ from 0.
   */
  prepare(): boolean {
    this.errorCode = 0
    this.records = none
    this.#found = null
    this.divergingEpoch = notDiverging
    this.preferredReadReplica = -1
    this.#partition = null
    try {
      if (this.#isReplica) {
        throw new EngineError('topicAuthorizationFailed', 'clients may not fetch as replicas do')
      }
      if (this.#topic === null) throw new EngineError('unknownTopicId', 'no topic has this id')
      const partition = this.#services.partitions.require(this.#topic, this.#position.partition)
      const { fetchOffset } = this.#position
      this.preferredReadReplica = partition.readReplica(this.#rack, fetchOffset)
      this.#describe(partition)
      this.#check(partition)
      this.#partition = partition
      return !this.asksForAnswer && fetchOffset < this.#readableEnd
    } catch (error) {
      this.#fail(error)
      return false
    }
  }

  /** Whether it is of no use to wait for records: there is an error, logs part, or somebody else has them. */
  get asksForAnswer(): boolean {
    return this.errorCode !== 0 || this.divergingEpoch !== notDiverging || this.preferredReadReplica >= 0
  }

  /** Notes who leads where that is why there is an error; whether somebody is known to. */
  nameLeader(): boolean {
    if (this.errorCode !== notLeader && this.errorCode !== fencedEpoch) return false
    const { leader, leaderEpoch } = this.#services.partitions.leadershipOf(this.#topic!, this.partitionIndex)
    this.currentLeader = { leaderId: leader, leaderEpoch }
    return leader >= 0
  }

  /** Reads up to `maxBytes`; the number of bytes found. With `minOneBatch` one batch may be larger than that. */
  read(maxBytes: number, minOneBatch: boolean): number | Promise<number> {
    const { fetchOffset, partitionMaxBytes } = this.#position
    const limitBytes = Math.max(0, Math.min(maxBytes, partitionMaxBytes))
    if (limitBytes === 0 && !minOneBatch) return 0
    try {
      const found = this.#partition!.log.read(fetchOffset, limitBytes, this.#readableEnd, minOneBatch)
      if (!(found instanceof Promise)) return this.#take(found)
      return found.then(
        (late) => this.#take(late),
        (error) => this.#fail(error),
      )
    } catch (error) {
      return this.#fail(error)
    }
  }

  /** What of files the answer consists of. */
  get ranges(): readonly FileRange[] {
    return this.#found?.ranges ?? noRanges
  }

  /**
   * Resolves once what was read may be sent: it is in memory and has been checked. From damage on nothing is sent;
   * it is noted, and reported with its offsets. `always` sends the very bytes that were checked.
   */
  async confirm(always: boolean): Promise<void> {
    try {
      while (this.#found !== null) {
        try {
          if (always) await this.#copy(this.#found)
          else await this.#services.runtime.disk.prepare(this.#found.ranges)
          return
        } catch (error) {
          if (!(error instanceof CorruptionError)) {
            this.#partition!.log.noteUnreadable(error, this.#found.ranges[0]!.file.path)
            throw error
          }
          await this.#leaveOut(this.#found, error)
        }
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Takes back what was read when it begins with a batch that clients before Fetch 10 cannot decompress. */
  async refuseZstd(): Promise<void> {
    const first = this.ranges[0]
    if (first === undefined) return
    try {
      const attributes = new Uint8Array(2)
      await this.#services.runtime.disk.file(first.file.path).read(attributes, first.position + attributesAt)
      if ((attributes[1]! & codecMask) !== zstd) return
      throw new EngineError('unsupportedCompressionType', 'zstd needs a fetch request of version 10 or later')
    } catch (error) {
      this.#fail(error)
    }
  }

  /** As seen by the purgatory. */
  watchedBy(wait: FetchWait): WatchedPartition {
    return new WatchedItem(this, this.#partition!, wait)
  }

  /** Bytes that could be read now, as far as that can be said at once. */
  availableBytes(): number {
    const { fetchOffset, partitionMaxBytes } = this.#position
    const partition = this.#partition!
    const { readableEnd } = partition
    if (fetchOffset >= readableEnd) return 0
    try {
      const found = partition.log.read(fetchOffset, partitionMaxBytes, readableEnd, true)
      // An index that has to be loaded first: let the fetch look for itself.
      if (found instanceof Promise) {
        found.catch(() => {})
        return Number.MAX_SAFE_INTEGER
      }
      return found?.lengthBytes ?? 0
    } catch {
      return Number.MAX_SAFE_INTEGER
    }
  }

  /** Whether the partition has advanced since `prepare`. */
  get isStale(): boolean {
    return this.#partition !== null && this.#partition.readableEnd !== this.#readableEnd
  }

  #describe(partition: Partition): void {
    this.highWatermark = partition.highWatermark
    this.#readableEnd = partition.readableEnd
    this.lastStableOffset = partition.lastStableOffset
    this.logStartOffset = partition.log.logStartOffset
  }

  #check(partition: Partition): void {
    const { currentLeaderEpoch, fetchOffset, lastFetchedEpoch } = this.#position
    partition.fence(currentLeaderEpoch)
    if (lastFetchedEpoch >= 0) {
      const end = partition.endOfEpoch(lastFetchedEpoch)
      if (end.endOffset < 0) {
        throw new EngineError('offsetOutOfRange', `nothing is known of leader epoch ${lastFetchedEpoch}`)
      }
      if (end.epoch < lastFetchedEpoch || end.endOffset < fetchOffset) {
        this.divergingEpoch = { epoch: end.epoch, endOffset: end.endOffset }
        return
      }
    }
    const { logStartOffset, logEndOffset } = partition.log
    if (fetchOffset < logStartOffset || fetchOffset > logEndOffset) {
      throw new EngineError(
        'offsetOutOfRange',
        `offset ${fetchOffset} is outside ${logStartOffset} to ${logEndOffset}`,
      )
    }
    if (partition.log.offline) throw partition.log.offline
  }

  /** Puts checked bytes in the place of ranges. Throws `CorruptionError`. */
  async #copy({ ranges, lengthBytes }: ReadResult): Promise<void> {
    const { disk, checksum } = this.#services.runtime
    const parts: Uint8Array[] = []
    for (const { file, position, lengthBytes: length, bounds } of ranges) {
      const bytes = Buffer.allocUnsafeSlow(length)
      const count = await disk.file(file.path).read(bytes, position)
      const { validBytes, fault } = checksum.checkBatches(bytes.subarray(0, count), bounds)
      if (validBytes < length) {
        const wrong = fault ?? { kind: 'cut', expected: length - validBytes, found: count - validBytes }
        throw new CorruptionError({
          file: file.path,
          position: position + validBytes,
          ...describeFault(wrong),
        })
      }
      parts.push(bytes)
    }
    this.records = { lengthBytes, parts }
  }

  /** Finds out where the damage is, reports it and reads again, which ends before it or is refused. */
  async #leaveOut(found: ReadResult, error: CorruptionError): Promise<void> {
    const { log } = this.#services
    const range = found.ranges[0]!
    const bad = await this.#partition!.log.noteDamage(range, found.firstOffset)
    if (bad !== null) {
      log.error(`damage:${bad.file}`, 'stored records are damaged; they are not sent', { ...bad })
      const { fetchOffset } = this.#position
      this.#take(await this.#partition!.log.read(fetchOffset, found.lengthBytes, this.#readableEnd, true))
      return
    }
    // All batches are good: a damaged index has said that the range ends inside one.
    const lengthBytes = error.corruption.position - range.position
    if (lengthBytes <= 0 || lengthBytes >= found.lengthBytes) throw error
    this.#take({ ...found, ranges: [{ ...range, lengthBytes }], lengthBytes })
  }

  #take(found: ReadResult | null): number {
    this.#found = found
    if (found === null) return 0
    this.records = { lengthBytes: found.lengthBytes, parts: found.ranges }
    return found.lengthBytes
  }

  #fail(error: unknown): number {
    this.errorCode = wireError(this.#services, error).errorCode
    this.records = none
    this.#found = null
    return 0
  }
}

class WatchedItem implements WatchedPartition {
  readonly partition: Partition
  readonly wait: FetchWait
  readonly #item: FetchItem
  knownBytes: number
  slot = -1

  constructor(item: FetchItem, partition: Partition, wait: FetchWait) {
    this.#item = item
    this.partition = partition
    this.wait = wait
    this.knownBytes = item.records.lengthBytes
  }

  availableBytes(): number {
    return this.#item.availableBytes()
  }
}
