import { EngineError } from '../model/errors.ts'
import {
  type EpochStart,
  initialQuorumState,
  type QuorumState,
  type SnapshotId,
  type Voter,
  VoterSet,
  type VotersEntry,
} from '../raft.ts'

/**
 * The kinds of state under which the journal keeps what a replica knows beside its records. The last one of each kind
 * counts; together with the records they are all that a start needs.
 */
export const stateKind = {
  quorum: 16,
  epochs: 17,
  voters: 18,
  snapshot: 19,
  place: 20,
  /** The word of `CacheProof` under which a replica with a relaxed policy was last open, as text. */
  cacheWord: 21,
  /** 1 while the replica may have claimed records that only the page cache has: see `CacheClaims`. */
  cacheClaims: 22,
} as const

/**
 * What a directory remembers of its node's place among the voters of the metadata log: `claimed` before it asks for one, `voter`
 * once it has been one.
 */
export type Place = 'none' | 'claimed' | 'voter'

const places: readonly Place[] = ['none', 'claimed', 'voter']

/** The bytes of a place. */
export function encodePlace(place: Place): Uint8Array {
  return Uint8Array.of(places.indexOf(place))
}

/** Reads what `encodePlace` wrote; null, where nothing is stored, is `none`. Throws `corruptLog`. */
export function decodePlace(bytes: Uint8Array | null): Place {
  const place = bytes === null ? 'none' : places[bytes[0] ?? -1]
  if (place === undefined) throw unreadable('place')
  return place
}

/** What is stored under `stateKind.quorum`. */
export interface StoredQuorum {
  readonly quorum: QuorumState
  /** A high watermark that was known when this was written: what it says is committed for ever. */
  readonly highWatermark: number
}

/** What a replica has that was never started. */
export const noQuorum: StoredQuorum = { quorum: initialQuorumState, highWatermark: 0 }

/** The bytes of a quorum state. */
export function encodeQuorum({ quorum, highWatermark }: StoredQuorum): Uint8Array {
  return encode({ ...quorum, highWatermark })
}

/** Reads what `encodeQuorum` wrote. Throws `corruptLog`. */
export function decodeQuorum(bytes: Uint8Array): StoredQuorum {
  const { highWatermark, ...quorum } = decode(bytes) as QuorumState & { highWatermark: number }
  const isSound =
    isCount(quorum.leaderEpoch) &&
    Number.isSafeInteger(quorum.leaderId) &&
    isCount(quorum.incarnation) &&
    isCount(highWatermark) &&
    Array.isArray(quorum.startNonces) &&
    Array.isArray(quorum.incarnations)
  if (!isSound) throw unreadable('quorum state')
  return { quorum, highWatermark }
}

/** The bytes of a list of epoch starts. */
export function encodeEpochStarts(starts: readonly EpochStart[]): Uint8Array {
  return encode(starts.map(({ epoch, startOffset, votersVersion }) => [epoch, startOffset, votersVersion]))
}

/** Reads what `encodeEpochStarts` wrote. Throws `corruptLog`. */
export function decodeEpochStarts(bytes: Uint8Array): EpochStart[] {
  const starts: EpochStart[] = []
  for (const each of listIn(bytes)) {
    const [epoch, startOffset, votersVersion] = each as [number, number, number]
    if (!isCount(epoch) || !isCount(startOffset) || !isCount(votersVersion)) throw unreadable('epochs')
    starts.push({ epoch, startOffset, votersVersion })
  }
  return starts
}

/** The bytes of voter sets in their order. */
export function encodeVoterSets(entries: readonly VotersEntry[]): Uint8Array {
  return encode(entries.map(({ offset, version, voters }) => ({ offset, version, voters: voters.voters })))
}

/** Reads what `encodeVoterSets` wrote; at least one set. Throws `corruptLog`. */
export function decodeVoterSets(bytes: Uint8Array): VotersEntry[] {
  const entries = listIn(bytes).map((each): VotersEntry => {
    const { offset, version, voters } = each as { offset: number; version: number; voters: Voter[] }
    if (!Number.isSafeInteger(offset) || !isCount(version)) throw unreadable('voter sets')
    return { offset, version, voters: new VoterSet(voters) }
  })
  if (entries.length === 0) throw unreadable('voter sets')
  return entries
}

/** What is stored under `stateKind.snapshot`. */
export interface StoredSnapshot {
  readonly id: SnapshotId
  /** It is being put in the place of the log: a start that finds this does it again. */
  readonly isInstalling: boolean
}

/** The bytes of the name of the latest snapshot. */
export function encodeSnapshot({ id, isInstalling }: StoredSnapshot): Uint8Array {
  return encode([id.endOffset, id.epoch, isInstalling ? 1 : 0])
}

/** Reads what `encodeSnapshot` wrote. Throws `corruptLog`. */
export function decodeSnapshot(bytes: Uint8Array): StoredSnapshot {
  const [endOffset, epoch, installing] = listIn(bytes) as [number, number, number]
  if (!isCount(endOffset) || !isCount(epoch)) throw unreadable('snapshot')
  return { id: { endOffset, epoch }, isInstalling: installing === 1 }
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

function decode(bytes: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString())
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Told below.
  }
  throw unreadable('state')
}

function listIn(bytes: Uint8Array): unknown[] {
  const value = decode(bytes)
  if (!Array.isArray(value)) throw unreadable('list')
  return value
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function unreadable(what: string): EngineError {
  return new EngineError('corruptLog', `the journal has a ${what} of a replica that cannot be read`)
}

/** The entry of a voter set that a mark carries. */
export function entryOf(mark: {
  readonly offset: number
  readonly version: number
  readonly voters: readonly Voter[]
}): VotersEntry {
  return { offset: mark.offset, version: mark.version, voters: new VoterSet(mark.voters) }
}
