import { CorruptionError, EngineError } from '../model/errors.ts'
import { type ControlRecord, decodeControlRecord } from '../protocol/files/controlRecord.ts'
import { type SnapshotId, type Voter, VoterSet } from '../raft.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { Disk, DiskFile } from '../runtime/disk.ts'
import { BatchHeader, batchHeaderBytes, batchPrefixBytes, checksummedFrom } from '../segment/recordBatch.ts'
import { readRecords, type StoredRecord } from '../segment/records.ts'
import { decodeResumeProducers } from '../segment/resumeProducers.ts'
import { decodeEpochs, partitionKeys, type SnapshotHead } from './snapshotContent.ts'

/** The largest batch that a snapshot may have: one chunk, and what goes around it. */
const maxBatchBytes = (64 << 20) + 1024

/**
 * Reads a snapshot from its first byte to its last and checks all of it: batches, checksums, offsets without gaps, the
 * epoch, header and footer where they belong. Iterating `chunks` gives the data as it was written; `head` is there once the
 * first chunk is, or the end. Throws `CorruptionError`, `notFound`.
 */
export class SnapshotReader {
  readonly #file: DiskFile
  readonly #checksum: Checksum
  readonly #id: SnapshotId
  #position = 0
  #nextOffset = 0
  #part: 'header' | 'head' | 'data' | 'end' = 'header'
  #lastTimestampMs = -1
  #kraftVersion: 0 | 1 = 0
  #voters: readonly Voter[] | null = null
  readonly #state = new Map<string, Uint8Array>()
  #head: SnapshotHead | null = null

  /** `path` may be that of a snapshot that does not have its name yet. */
  constructor(disk: Disk, checksum: Checksum, path: string, id: SnapshotId) {
    this.#file = disk.file(path)
    this.#checksum = checksum
    this.#id = id
  }

  /** What stands before the data; null as long as it has not been read. */
  get head(): SnapshotHead | null {
    return this.#head
  }

  /** The chunks of data, each in memory that is the caller's. To be called once. */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      const sizeBytes = await this.#file.size()
      while (this.#position < sizeBytes) {
        const batch = await this.#batch(sizeBytes)
        const header = new BatchHeader(batch, 0)
        if (header.isControl) this.#control(batch)
        else yield* this.#data(batch)
        this.#nextOffset = header.lastOffset + 1
        this.#position += header.sizeBytes
      }
      if (this.#part !== 'end') this.#damaged('the footer of a snapshot', 'the end of the file')
    } finally {
      await this.#file.close()
    }
  }

  /** The next batch, found to be as it was written. */
  async #batch(sizeBytes: number): Promise<Uint8Array> {
    const left = sizeBytes - this.#position
    if (left < batchHeaderBytes) this.#damaged('a whole batch', `${left} bytes`)
    const prefix = await this.#bytes(batchPrefixBytes)
    const batchBytes = Buffer.from(prefix).readInt32BE(8) + batchPrefixBytes
    if (batchBytes < batchHeaderBytes || batchBytes > Math.min(left, maxBatchBytes)) {
      this.#damaged(`a batch of at most ${left} bytes`, `one of ${batchBytes}`)
    }
    const batch = await this.#bytes(batchBytes)
    const header = new BatchHeader(batch, 0)
    if (header.magic !== 2) this.#damaged('a batch of magic 2', `magic ${header.magic}`)
    const crc = this.#checksum.crc32c(batch.subarray(checksummedFrom))
    if (crc !== header.crc) this.#damaged(`checksum ${header.crc}`, `checksum ${crc}`)
    if (header.baseOffset !== this.#nextOffset) {
      this.#damaged(`offset ${this.#nextOffset}`, `offset ${header.baseOffset}`)
    }
    if (header.partitionLeaderEpoch !== this.#id.epoch) {
      this.#damaged(`epoch ${this.#id.epoch}`, `epoch ${header.partitionLeaderEpoch}`)
    }
    if (header.recordsCount < 1 || header.recordsCount !== header.lastOffsetDelta + 1) {
      this.#damaged('a batch with records', `${header.recordsCount} records`)
    }
    if (this.#part === 'end') this.#damaged('the end of the file', 'a batch behind the footer')
    return batch
  }

  async #bytes(count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count)
    const read = await this.#file.read(bytes, this.#position)
    if (read < count) this.#damaged(`${count} bytes`, `${read}`)
    return bytes
  }

  #control(batch: Uint8Array): void {
    for (const { key, value } of this.#records(batch)) {
      const record = this.#decoded(() => decodeControlRecord(key ?? noBytes, value ?? noBytes))
      if (record === null) continue
      const expected = this.#part === 'header' ? 'snapshotHeader' : null
      if (expected !== null && record.type !== expected) this.#damaged('a header', record.type)
      this.#apply(record)
    }
  }

  #apply(record: ControlRecord): void {
    if (this.#part === 'end') this.#damaged('the end of the file', record.type)
    if (record.type === 'snapshotHeader' && this.#part === 'header') {
      this.#lastTimestampMs = record.lastContainedLogTimestamp
      this.#part = 'head'
    } else if (record.type === 'snapshotFooter') {
      if (this.#part === 'head') this.#endHead()
      this.#part = 'end'
    } else if (record.type === 'kraftVersion' && this.#part === 'head') {
      this.#kraftVersion = record.kraftVersion === 0 ? 0 : 1
    } else if (record.type === 'kraftVoters' && this.#part === 'head') {
      this.#voters = record.voters.map((voter) => ({
        id: voter.voterId,
        directoryId: voter.voterDirectoryId,
        endpoints: voter.endpoints.map(({ name, host, port }) => ({ name, host, port })),
        minVersion: voter.kraftVersionFeature.minSupportedVersion,
        maxVersion: voter.kraftVersionFeature.maxSupportedVersion,
      }))
    } else {
      this.#damaged('data', record.type)
    }
  }

  *#data(batch: Uint8Array): Generator<Uint8Array, void, undefined> {
    if (this.#part === 'header') this.#damaged('a header', 'data')
    for (const { key, value } of this.#records(batch)) {
      if (key !== null && this.#part === 'head') {
        this.#state.set(Buffer.from(key).toString(), value ?? noBytes)
        continue
      }
      if (this.#part === 'head') this.#endHead()
      if (key !== null || value === null) this.#damaged('a chunk of data', 'a record of something else')
      yield value
    }
  }

  #endHead(): void {
    const text = (key: string): string | null => {
      const bytes = this.#state.get(key)
      return bytes === undefined ? null : Buffer.from(bytes).toString()
    }
    const version = text(partitionKeys.votersVersion)
    const epochs = text(partitionKeys.epochs)
    const producers = this.#state.get(partitionKeys.producers)
    const isPartition = version !== null && epochs !== null && producers !== undefined
    if (!isPartition && this.#state.size > 0) this.#damaged('the state of a partition', 'a part of it')
    const votersVersion = Number(version ?? 0)
    const epochStarts = decodeEpochs(epochs ?? '')
    const entries = producers === undefined ? [] : decodeResumeProducers(producers, this.#checksum)
    if (
      !Number.isSafeInteger(votersVersion) ||
      votersVersion < 0 ||
      epochStarts === null ||
      entries === null
    ) {
      this.#damaged('the state of a partition', 'something else')
    }
    const isSound =
      (this.#voters !== null) === (this.#kraftVersion === 1) &&
      (epochStarts.at(-1)?.epoch ?? 0) <= this.#id.epoch
    if (!isSound) this.#damaged('voters and epochs that go together', 'others')
    this.#head = {
      lastTimestampMs: this.#lastTimestampMs,
      kraftVersion: this.#kraftVersion,
      voters: this.#decoded(() => new VoterSet(this.#voters ?? [])).voters,
      votersVersion,
      partition: isPartition ? { epochStarts, producers: entries } : null,
    }
    this.#part = 'data'
  }

  #records(batch: Uint8Array): readonly StoredRecord[] {
    return this.#decoded(() => [...readRecords(batch)])
  }

  /** What `decode` gives; what it throws is damage here. */
  #decoded<T>(decode: () => T): T {
    try {
      return decode()
    } catch (error) {
      if (error instanceof EngineError) this.#damaged('what a snapshot holds', error.message)
      throw error
    }
  }

  #damaged(expected: string, found: string): never {
    throw new CorruptionError({ file: this.#file.path, position: this.#position, expected, found })
  }
}

const noBytes = new Uint8Array(0)
