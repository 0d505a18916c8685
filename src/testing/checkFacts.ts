import type { AlarmCode } from '../raft/effects.ts'
import type { Batch } from '../raft/messages.ts'
import type { QuorumState } from '../raft/quorumState.ts'

/** The invariants of fault-model.md, section 5, that apply to replicated logs. */
export type InvariantId =
  | 'I1'
  | 'I2'
  | 'I3'
  | 'I4'
  | 'I5'
  | 'I6'
  | 'I7'
  | 'I8'
  | 'I9'
  | 'I10'
  | 'I12'
  | 'I13'
  | 'I15'
  | 'I16'
  | 'I17'
  | 'I18'
  | 'I19'
  | 'I20'
  | 'I21'
  | 'I22'
  | 'I23'
  | 'L1'
  | 'L2'

/** A promise of the fault model that was broken. */
export class Violation extends Error {
  override readonly name = 'Violation'
  readonly id: InvariantId

  constructor(id: InvariantId, message: string) {
    super(`${id}: ${message}`)
    this.id = id
  }
}

/** Throws a `Violation` unless `condition` holds; `text` is made only then. */
export function check(condition: boolean, id: InvariantId, text: () => string): void {
  if (!condition) throw new Violation(id, text())
}

/** One record batch as a checker sees it: where it is, and a hash of what is in it. */
export interface LogFact {
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  readonly epoch: number
  /** Equal for equal records; 0 for control batches, whose records the core knows. */
  readonly hash: number
}

/** How a process ended: `kill` leaves the page cache, `crash` only what is durable, `close` is an orderly end. */
export type Ending = 'kill' | 'crash' | 'close' | 'failed'

/** What the checks of a run have to know. */
export interface CheckOptions {
  /** The batches of wire format that a batch of the core holds. `factsOfBatch` unless the records are of another kind. */
  readonly factsOf?: (batch: Batch) => readonly LogFact[]
  /** What is in the log of a replica that starts, read beside the code that is checked; null when that cannot be read. */
  readonly readLog?: (node: number, group: string) => readonly LogFact[] | null
  /** Exclusive ends of the whole snapshots that a replica has which starts; null when they cannot be read. */
  readonly readSnapshots?: (node: number, group: string) => readonly number[] | null
  /** Whether disks may be damaged again and again, so that both copies of a vote are lost. */
  readonly isOverBudget?: boolean
  /** Whether the faults of this run explain an alarm about a node. */
  readonly isAlarmExpected?: (code: AlarmCode, node: number) => boolean
}

/** Whether a start may not vote, lead or count. */
export function isQuarantined(quorum: QuorumState): boolean {
  return quorum.quarantine !== 'none'
}

const headerBytes = 61
const prefixBytes = 12
const controlBit = 0x20

/** The batches in `batch.records`, when those are bytes (magic 2), or one with a hash of whatever they are. */
export function factsOfBatch(batch: Batch): readonly LogFact[] {
  const { records, baseOffset, leaderEpoch } = batch
  if (batch.control.length === 0 && records instanceof Uint8Array && records.length >= headerBytes) {
    return factsOfBytes(records, baseOffset, leaderEpoch)
  }
  const hash = batch.control.length > 0 ? 0 : hashOf(records)
  return [{ baseOffset, lastOffset: batch.lastOffset, epoch: leaderEpoch, hash }]
}

/**
 * The batches in `bytes`, which lie one behind the other from offset `baseOffset` on. The epoch is that of their headers
 * when `epoch` is null. What is cut off at the end is left out.
 */
export function factsOfBytes(
  bytes: Uint8Array,
  baseOffset: number | null,
  epoch: number | null,
): readonly LogFact[] {
  const facts: LogFact[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let offset = baseOffset ?? 0
  for (let at = 0; at + headerBytes <= bytes.length; ) {
    const end = at + prefixBytes + view.getInt32(at + 8)
    if (end > bytes.length || end < at + headerBytes) break
    if (baseOffset === null) offset = view.getInt32(at) * 2 ** 32 + view.getUint32(at + 4)
    const lastOffset = offset + view.getInt32(at + 23)
    const isControl = (view.getInt16(at + 21) & controlBit) !== 0
    facts.push({
      baseOffset: offset,
      lastOffset,
      epoch: epoch ?? view.getInt32(at + 12),
      hash: isControl ? 0 : batchHash(bytes, at, end, view.getUint32(at + 17)),
    })
    offset = lastOffset + 1
    at = end
  }
  return facts
}

/** 53 bits: the checksum of a batch, and what its records come to by another rule. */
function batchHash(bytes: Uint8Array, from: number, to: number, crc: number): number {
  let hash = 0x811c9dc5
  for (let at = from + headerBytes; at < to; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  return crc * 2 ** 21 + (hash >>> 11)
}

function hashOf(records: unknown): number {
  if (typeof records === 'number') return records
  const text = typeof records === 'string' ? records : ''
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}
