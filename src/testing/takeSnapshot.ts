import type { Group } from '../replica/group.ts'

/** Has a replica take a snapshot of what is committed, with nothing in it, and drop the records that it stands for. */
export async function takeSnapshot(group: Group): Promise<void> {
  const { highWatermark, log, spec } = group
  if (highWatermark <= log.logStartOffset) return
  const id = { endOffset: highWatermark, epoch: group.epochBefore(highWatermark) }
  const { voters, version, offset } = group.votersAt(highWatermark)
  const isInLog = spec.kind === 'partition' || offset >= 0
  const start = { epoch: id.epoch, startOffset: id.endOffset - 1, votersVersion: version }
  const epochStarts = id.epoch === 0 ? [] : [start]
  await group.snapshots.write(
    id,
    {
      lastTimestampMs: 0,
      kraftVersion: isInLog ? 1 : 0,
      voters: isInLog ? voters.voters : [],
      votersVersion: version,
      partition: spec.kind === 'metadata' ? null : { epochStarts, producers: [] },
    },
    [Buffer.from(`everything below ${highWatermark}`)],
  )
  await group.snapshotTaken(id, highWatermark)
  await group.snapshots.removeBefore(id)
}
