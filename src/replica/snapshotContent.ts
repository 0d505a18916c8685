import { type ControlRecordInput, encodeControlRecord } from '../protocol/files/controlRecord.ts'
import type { EpochStart, SnapshotId, Voter } from '../raft.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { ProducerEntry } from '../segment/producerState.ts'
import { encodeBatch, type NewRecord } from '../segment/records.ts'
import { encodeResumeProducers } from '../segment/resumeProducers.ts'

/** What a log without records for them keeps beside its records: epochs, producers. */
export interface PartitionState {
  /** The epochs that the snapshot's records were written in. */
  readonly epochStarts: readonly EpochStart[]
  /** The idempotent producers as they are at the end of the snapshot. */
  readonly producers: readonly ProducerEntry[]
}

/** What stands in a snapshot before the data. */
export interface SnapshotHead {
  /** The time of the last record that the snapshot holds, milliseconds since 1970; -1 when there is none. */
  readonly lastTimestampMs: number
  /** 1 when voter sets are in the log, 0 when the set is static and none is in the snapshot. */
  readonly kraftVersion: 0 | 1
  /** The set that applied at the end of the snapshot. */
  readonly voters: readonly Voter[]
  /** The version of that set; 0 in the metadata log. */
  readonly votersVersion: number
  /** Null in the metadata log, whose records say it all. */
  readonly partition: PartitionState | null
}

/** Keys of the records in which a partition keeps its state; data has no keys. Text, UTF-8. */
export const partitionKeys = {
  votersVersion: 'voters-version',
  epochs: 'epochs',
  producers: 'producers',
} as const

/** The batches that a snapshot begins with, from offset 0 on, and the offset after them. */
export function encodeHead(
  head: SnapshotHead,
  { epoch }: SnapshotId,
  timestampMs: number,
  checksum: Checksum,
): { readonly bytes: Uint8Array; readonly nextOffset: number } {
  const control: ControlRecordInput[] = [
    { type: 'snapshotHeader', version: 0, lastContainedLogTimestamp: head.lastTimestampMs },
  ]
  if (head.kraftVersion === 1) {
    control.push(
      { type: 'kraftVersion', version: 0, kraftVersion: 1 },
      { type: 'kraftVoters', version: 0, voters: head.voters.map(votersRecordOf) },
    )
  }
  const first = controlBatch(control, 0, epoch, timestampMs, checksum)
  if (head.partition === null) return { bytes: first, nextOffset: control.length }
  const { epochStarts, producers } = head.partition
  const record = (key: string, value: Uint8Array): NewRecord => ({
    key: Buffer.from(key),
    value,
    timestampMs,
  })
  const records = [
    record(partitionKeys.votersVersion, Buffer.from(String(head.votersVersion))),
    record(partitionKeys.epochs, Buffer.from(encodeEpochs(epochStarts))),
    record(partitionKeys.producers, encodeResumeProducers(producers, checksum)),
  ]
  const second = encodeBatch({ records, baseOffset: control.length, leaderEpoch: epoch }, checksum)
  return { bytes: Buffer.concat([first, second]), nextOffset: control.length + records.length }
}

/** A batch of data: one record for each chunk. */
export function encodeChunks(
  chunks: readonly Uint8Array[],
  baseOffset: number,
  { epoch }: SnapshotId,
  timestampMs: number,
  checksum: Checksum,
): Uint8Array {
  const records = chunks.map((value) => ({ key: null, value, timestampMs }))
  return encodeBatch({ records, baseOffset, leaderEpoch: epoch }, checksum)
}

/** The batch that a snapshot ends with. */
export function encodeFooter(
  baseOffset: number,
  { epoch }: SnapshotId,
  timestampMs: number,
  checksum: Checksum,
): Uint8Array {
  return controlBatch([{ type: 'snapshotFooter', version: 0 }], baseOffset, epoch, timestampMs, checksum)
}

/** `epoch startOffset votersVersion`, a line each. */
function encodeEpochs(starts: readonly EpochStart[]): string {
  return starts
    .map(({ epoch, startOffset, votersVersion }) => `${epoch} ${startOffset} ${votersVersion}`)
    .join('\n')
}

/** The epochs in what a snapshot has of them; null when it is not that, or they are not in order. */
export function decodeEpochs(text: string): EpochStart[] | null {
  const starts: EpochStart[] = []
  for (const line of text === '' ? [] : text.split('\n')) {
    const match = /^(\d{1,10}) (\d{1,16}) (\d{1,16})$/.exec(line)
    if (match === null) return null
    const [epoch, startOffset, votersVersion] = match.slice(1).map(Number) as [number, number, number]
    const last = starts.at(-1)
    if (!Number.isSafeInteger(startOffset) || !Number.isSafeInteger(votersVersion)) return null
    if (last !== undefined && (epoch <= last.epoch || startOffset < last.startOffset)) return null
    starts.push({ epoch, startOffset, votersVersion })
  }
  return starts
}

function votersRecordOf({ id, directoryId, endpoints, minVersion, maxVersion }: Voter) {
  return {
    voterId: id,
    voterDirectoryId: directoryId,
    endpoints: [...endpoints],
    kraftVersionFeature: { minSupportedVersion: minVersion, maxSupportedVersion: maxVersion },
  }
}

function controlBatch(
  control: readonly ControlRecordInput[],
  baseOffset: number,
  leaderEpoch: number,
  timestampMs: number,
  checksum: Checksum,
): Uint8Array {
  const records = control.map((record) => ({ ...encodeControlRecord(record), timestampMs }))
  return encodeBatch({ records, baseOffset, leaderEpoch, isControl: true }, checksum)
}
