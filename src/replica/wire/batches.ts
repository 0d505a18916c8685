import { describeFault } from '../../model/batchFault.ts'
import { EngineError } from '../../model/errors.ts'
import { decodeControlRecord, encodeControlRecord } from '../../protocol/files/controlRecord.ts'
import type { Batch, ControlRecord, ReplicaKey, Voter } from '../../raft.ts'
import type { Checksum } from '../../runtime/checksum.ts'
import { BatchHeader } from '../../segment/recordBatch.ts'
import { encodeBatch, readRecords } from '../../segment/records.ts'

/** Version 1 has directories, but Kafka's tools read every LeaderChange as version 0. Source: Kafka 4.3 `ControlRecordUtils`. */
const leaderChangeVersion = 0

/**
 * The batches in `bytes`, checked: lengths, checksums, offsets that grow. Each has its own bytes as `records`, a view. A batch
 * that is cut off by the end is left out. With `isJoined` those of one epoch that follow each other and hold nothing that the core
 * reads are one: it looks at no more than where they begin and end. Throws `corruptMessage`, or what a control record that cannot be
 * read throws.
 */
export function readBatches(bytes: Uint8Array, checksum: Checksum, isJoined = false): readonly Batch[] {
  const { validBytes, fault } = checksum.checkBatches(bytes)
  if (fault !== null) {
    const { expected, found } = describeFault(fault)
    throw new EngineError(
      'corruptMessage',
      `a batch at byte ${validBytes} has ${found} in place of ${expected}`,
    )
  }
  const batches: Batch[] = []
  let run: Run | null = null
  for (let at = 0, end = 0; at < validBytes; at = end) {
    const header = new BatchHeader(bytes, at)
    checkNumbers(header)
    end = at + header.sizeBytes
    const control = header.isControl ? controlRecordsOf(bytes.subarray(at, end)) : noControl
    if (run !== null && isJoined && follows(run, header) && control.length === 0) {
      run.lastOffset = header.lastOffset
      run.end = end
      continue
    }
    if (run !== null) batches.push(batchOf(run, bytes))
    const { baseOffset, lastOffset, partitionLeaderEpoch: leaderEpoch } = header
    run = { baseOffset, lastOffset, leaderEpoch, control, from: at, end }
  }
  if (run !== null) batches.push(batchOf(run, bytes))
  return batches
}

/** Batches that are one to the core. */
interface Run {
  readonly baseOffset: number
  lastOffset: number
  readonly leaderEpoch: number
  readonly control: readonly ControlRecord[]
  /** Where they begin and, exclusive, end. */
  readonly from: number
  end: number
}

const noControl: readonly ControlRecord[] = []

function follows(run: Run, { baseOffset, partitionLeaderEpoch }: BatchHeader): boolean {
  return (
    run.control.length === 0 && run.leaderEpoch === partitionLeaderEpoch && run.lastOffset + 1 === baseOffset
  )
}

/** As `readBatches`, with the error as a value. */
export function batchesOrError(
  bytes: Uint8Array | null,
  checksum: Checksum,
  isJoined: boolean,
): { readonly batches: readonly Batch[]; readonly damage: EngineError | null } {
  if (bytes === null || bytes.length === 0) return { batches: [], damage: null }
  try {
    return { batches: readBatches(bytes, checksum, isJoined), damage: null }
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    return { batches: [], damage: error }
  }
}

function checkNumbers({ baseOffset, lastOffsetDelta, recordsCount }: BatchHeader): void {
  if (!Number.isSafeInteger(baseOffset) || lastOffsetDelta < 0 || recordsCount < 0) {
    throw new EngineError('corruptMessage', `a batch of ${recordsCount} records from ${baseOffset} on`)
  }
}

function batchOf({ baseOffset, lastOffset, leaderEpoch, control, from, end }: Run, bytes: Uint8Array): Batch {
  return { baseOffset, lastOffset, leaderEpoch, control, records: bytes.subarray(from, end) }
}

/**
 * The control records of one batch that the core reads: none for a batch of others, such as markers of transactions. Throws
 * `malformed`, `invalidRecord`, or `unsupportedCompressionType`.
 */
export function controlRecordsOf(batch: Uint8Array): readonly ControlRecord[] {
  const { baseOffset } = new BatchHeader(batch, 0)
  const found: ControlRecord[] = []
  let others = 0
  let next = baseOffset
  for (const { offset, key, value } of readRecords(batch)) {
    if (offset !== next++) throw new EngineError('malformed', `a control record at ${offset} and not ${next}`)
    const record = key && value && decodeControlRecord(key, value)
    switch (record?.type) {
      case 'leaderChange':
        found.push({
          type: 'leaderChange',
          leaderId: record.leaderId,
          voters: record.voters.map(keyFromWire),
          grantingVoters: record.grantingVoters.map(keyFromWire),
        })
        break
      case 'kraftVersion':
        found.push({ type: 'kraftVersion', version: record.kraftVersion })
        break
      case 'kraftVoters':
        found.push({ type: 'voters', voters: record.voters.map(voterFromWire) })
        break
      default:
        others++
    }
  }
  // The place of a record is its offset, so none may be left out.
  if (found.length > 0 && others > 0) {
    throw new EngineError('malformed', 'a batch mixes control records of the quorum with others')
  }
  return found
}

/** The bytes of a batch of control records, as Kafka writes them. `timestampMs` is that of every record. */
export function encodeControlBatch(batch: Batch, timestampMs: number, checksum: Checksum): Uint8Array {
  const { baseOffset, leaderEpoch, control } = batch
  const records = control.map((record) => ({ ...encodeOne(record), timestampMs }))
  return encodeBatch({ records, baseOffset, leaderEpoch, isControl: true }, checksum)
}

function encodeOne(record: ControlRecord): { readonly key: Uint8Array; readonly value: Uint8Array } {
  switch (record.type) {
    case 'leaderChange':
      return encodeControlRecord(
        {
          type: 'leaderChange',
          leaderId: record.leaderId,
          voters: record.voters.map(({ id }) => ({ voterId: id })),
          grantingVoters: record.grantingVoters.map(({ id }) => ({ voterId: id })),
        },
        leaderChangeVersion,
      )
    case 'kraftVersion':
      return encodeControlRecord({ type: 'kraftVersion', kraftVersion: record.version })
    case 'voters':
      return encodeControlRecord({ type: 'kraftVoters', voters: record.voters.map(voterToRecord) })
  }
}

function keyToWire({ id, directoryId }: ReplicaKey) {
  return { voterId: id, voterDirectoryId: directoryId }
}

function keyFromWire(wire: { readonly voterId: number; readonly voterDirectoryId: string }): ReplicaKey {
  return { id: wire.voterId, directoryId: wire.voterDirectoryId }
}

function voterToRecord({ id, directoryId, endpoints, minVersion, maxVersion }: Voter) {
  return {
    ...keyToWire({ id, directoryId }),
    endpoints: endpoints.map(({ name, host, port }) => ({ name, host, port })),
    kraftVersionFeature: { minSupportedVersion: minVersion, maxSupportedVersion: maxVersion },
  }
}

function voterFromWire(wire: {
  readonly voterId: number
  readonly voterDirectoryId: string
  readonly endpoints: Voter['endpoints']
  readonly kraftVersionFeature: {
    readonly minSupportedVersion: number
    readonly maxSupportedVersion: number
  }
}): Voter {
  const { endpoints, kraftVersionFeature } = wire
  return {
    ...keyFromWire(wire),
    endpoints,
    minVersion: kraftVersionFeature.minSupportedVersion,
    maxVersion: kraftVersionFeature.maxSupportedVersion,
  }
}
