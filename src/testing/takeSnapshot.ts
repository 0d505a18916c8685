import { silentLogger } from '../model/logger.ts'
import type { Group } from '../replica/group.ts'
import { SnapshotTaker } from '../replica/snapshotTaker.ts'
import { nodeChecksum } from '../runtime/node/nodeChecksum.ts'

/** Has a replica take a snapshot of what is committed, as programs on it do, and drop the records that it stands for. */
export async function takeSnapshot(group: Group): Promise<void> {
  const { highWatermark, log, spec } = group
  if (highWatermark <= log.logStartOffset) return
  // What the log knows of producers is of its end.
  const producers = log.producerState.entries()
  if (producers.some(({ batches }) => batches.some(({ lastOffset }) => lastOffset >= highWatermark))) return
  const taker = new SnapshotTaker(group, {
    checksum: nodeChecksum,
    logger: silentLogger,
    name: `${spec.topic}-${spec.partition}`,
    kind: spec.kind,
    snapshotBytes: 0,
    keptRecords: 0,
    failed: () => {},
  })
  const place = { endOffset: highWatermark, lastTimestampMs: 0, producers }
  // Large enough to be fetched in parts.
  const chunks = Array.from({ length: 16 }, (_, part) => Buffer.alloc(1024, `${part} of ${highWatermark}`))
  await taker.take(chunks, place)
}
