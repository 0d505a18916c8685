import { EngineError } from '../model/errors.ts'
import type { SnapshotId, VotersEntry } from '../raft.ts'
import type { Log } from '../segment/log.ts'
import type { ProducerEntry } from '../segment/producerState.ts'
import type { SnapshotFiles } from './snapshotFiles.ts'

/** What a group gives for removing the beginning of its log. */
export interface ShorteningGroup {
  readonly log: Log
  readonly highWatermark: number
  readonly snapshots: SnapshotFiles
  epochBefore(offset: number): number
  votersAt(offset: number): VotersEntry
  snapshotTaken(id: SnapshotId, logStartOffset: number): Promise<void>
}

/**
 * Has the log of a partition begin at `offset`: a snapshot that ends there says what a replica needs which comes without the records
 * before, then they go. Nothing happens when the log begins later already. Throws `offsetOutOfRange` for what is not committed, and
 * what the disk says.
 */
export async function beginAt(group: ShorteningGroup, offset: number): Promise<void> {
  const { log, highWatermark, snapshots } = group
  if (offset <= log.logStartOffset) return
  if (offset > highWatermark) {
    throw new EngineError('offsetOutOfRange', `offset ${offset} is above the high watermark ${highWatermark}`)
  }
  const id = { endOffset: offset, epoch: group.epochBefore(offset) }
  const { voters, version } = group.votersAt(offset)
  const { epoch } = id
  await snapshots.write(
    id,
    {
      lastTimestampMs: -1,
      kraftVersion: 1,
      voters: voters.voters,
      votersVersion: version,
      partition: {
        epochStarts: epoch === 0 ? [] : [{ epoch, startOffset: offset - 1, votersVersion: version }],
        producers: committedOnly(log.producerState.entries(), highWatermark),
      },
    },
    [],
  )
  await group.snapshotTaken(id, offset)
  await snapshots.removeBefore(id)
}

/** What is known of producers from records that no failover takes: who loads it may find others in the place of the rest. */
function committedOnly(entries: readonly ProducerEntry[], highWatermark: number): ProducerEntry[] {
  const known: ProducerEntry[] = []
  for (const entry of entries) {
    const batches = entry.batches.filter(({ lastOffset }) => lastOffset < highWatermark)
    if (batches.length > 0) known.push({ ...entry, batches })
  }
  return known
}
