import { EngineError, toEngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import type { SnapshotId, VotersEntry } from '../../raft.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { SnapshotFiles } from '../snapshotFiles.ts'
import type { GroupRef, Transport } from '../transport.ts'
import {
  decodeSnapshotAsk,
  decodeSnapshotPart,
  encodeSnapshotAsk,
  encodeSnapshotPart,
  type SnapshotPart,
} from './snapshotCalls.ts'

/** Most bytes of a snapshot in one answer. */
const partBytes = 1 << 20
const callTimeoutMs = 5000
/** How long until others are asked again. Milliseconds. */
const retryMs = 300

/** What giving and getting snapshots needs of a replica. */
export interface SnapshotReplica {
  readonly ref: GroupRef
  readonly snapshots: SnapshotFiles
  readonly log: { readonly logStartOffset: number }
  readonly highWatermark: number
  readonly leaderId: number
  readonly voters: VotersEntry
  epochBefore(offset: number): number
  /** A snapshot would be of use to somebody. */
  wantSnapshot(): void
}

/** How others are asked. */
export interface SnapshotHelpers {
  readonly nodeId: number
  readonly clock: Clock
  readonly logger: Logger
  readonly transport: Pick<Transport, 'call'>
  /** Nobody wants it any more. */
  isOver(): boolean
}

/** The answer to a call; `find` gives the replica that it asks. */
export async function answerSnapshotCall(
  payload: Uint8Array,
  find: (group: Pick<GroupRef, 'topicId' | 'partition'>) => SnapshotReplica | undefined,
): Promise<Uint8Array> {
  try {
    const ask = decodeSnapshotAsk(payload)
    const replica = find(ask)
    if (replica === undefined) throw new EngineError('unknownTopicOrPartition', 'there is no such replica')
    const { snapshots } = replica
    const id = ask.endOffset < 0 ? snapshots.latest : { endOffset: ask.endOffset, epoch: ask.epoch }
    if (id === null || id.endOffset < ask.fromOffset) {
      replica.wantSnapshot()
      throw new EngineError('snapshotNotFound', `there is no snapshot from ${ask.fromOffset} on yet`)
    }
    // A damaged one would be found out at its end only, again and again.
    if (ask.position === 0) await snapshots.head(id)
    const { file, sizeBytes } = await snapshots.part(id)
    const content = new Uint8Array(Math.max(0, Math.min(partBytes, sizeBytes - ask.position)))
    const count = await file.read(content, ask.position)
    return encodeSnapshotPart({ id, sizeBytes, content: content.subarray(0, count) })
  } catch (error) {
    return encodeSnapshotPart(toEngineError(error, 'unknownServerError', 'a snapshot cannot be given'))
  }
}

/**
 * Gets a snapshot from another replica that has everything before the log of this one, and nothing that is not known to be
 * committed: with the log it gives the same state as one of this replica's own. Asks until there is one; false once it `isOver`.
 */
export async function snapshotFromOthers(
  replica: SnapshotReplica,
  helpers: SnapshotHelpers,
): Promise<boolean> {
  const { clock, logger, nodeId } = helpers
  for (let round = 0; !helpers.isOver(); round++) {
    const ids = [replica.leaderId, ...replica.voters.voters.voters.map(({ id }) => id)]
    let failure: unknown = null
    for (const node of new Set(ids)) {
      if (node < 0 || node === nodeId) continue
      try {
        const id = await takeFrom(node, replica, helpers)
        const { topic, partition } = replica.ref
        logger.info('a snapshot was taken from another replica', { topic, partition, node, ...id })
        return true
      } catch (error) {
        failure = error
      }
    }
    if (round % 30 === 3)
      logger.warn('no other replica has given a snapshot yet', { ...replica.ref, error: String(failure) })
    await new Promise<void>((resolve) => void clock.setTimer(retryMs, resolve))
  }
  return false
}

async function takeFrom(
  node: number,
  replica: SnapshotReplica,
  helpers: SnapshotHelpers,
): Promise<SnapshotId> {
  const { ref, snapshots } = replica
  const ask = async (id: SnapshotId | null, position: number): Promise<SnapshotPart> => {
    const fromOffset = replica.log.logStartOffset
    const payload = encodeSnapshotAsk({
      ...ref,
      fromOffset,
      ...(id ?? { endOffset: -1, epoch: -1 }),
      position,
    })
    return decodeSnapshotPart(await helpers.transport.call(node, payload, callTimeoutMs))
  }
  const first = await ask(null, 0)
  const { id, sizeBytes } = first
  checkFits(replica, id)
  let position = 0
  for (let content = first.content; ; content = (await ask(id, position)).content) {
    if (content.length === 0) throw new EngineError('malformed', 'a part of a snapshot is empty')
    await snapshots.receive(id, position, content)
    position += content.length
    if (position >= sizeBytes) break
  }
  await snapshots.received(id)
  return id
}

/** Throws unless the snapshot is one of this log, as far as it is known to be committed. */
function checkFits(replica: SnapshotReplica, { endOffset, epoch }: SnapshotId): void {
  const isThere = endOffset >= replica.log.logStartOffset && endOffset <= replica.highWatermark
  if (isThere && replica.epochBefore(endOffset) === epoch) return
  throw new EngineError(
    'snapshotNotFound',
    `one that ends at ${endOffset} in epoch ${epoch} does not fit yet`,
  )
}
