import type { Partition } from './partition.ts'
import type { Services } from './services.ts'

/** How far a group is behind in one partition. */
export interface GroupLag {
  readonly topic: string
  readonly partition: number
  readonly committedOffset: number
  /** Records between the committed offset and the high watermark; null where this node has no replica. */
  readonly lag: number | null
  /** The age of the first record that was not read, to its batch; 0 when there is none, null when it was not looked up. */
  readonly lagMs: number | null
}

/** A consumer group. */
export interface GroupStats {
  readonly groupId: string
  /** As Kafka says it: `Stable`, `Empty`, … */
  readonly state: string
  readonly partitions: readonly GroupLag[]
}

/** The part of a batch's header up to its base timestamp. Source: Kafka documentation, "Record Batch". */
const headerBytes = 35
const baseTimestampAt = 27

/** Groups that are looked at in one turn of the event loop. */
const groupsAtOnce = 50

/** `BrokerStats.groups`. */
export async function groupStats(services: Services, maxLookups: number): Promise<readonly GroupStats[]> {
  const { coordinator, runtime } = services
  let lookups = 0
  const found: GroupStats[] = []
  for (const { groupId, groupState } of coordinator.listGroups({ statesFilter: [], typesFilter: [] })
    .groups) {
    const answer = await coordinator.fetchOffsets({
      groups: [{ groupId, topics: null }],
      requireStable: false,
    })
    const partitions: GroupLag[] = []
    for (const topic of answer.groups[0]?.topics ?? []) {
      for (const { partitionIndex, committedOffset } of topic.partitions) {
        if (committedOffset < 0) continue
        const partition = services.partitions.find(topic.name, partitionIndex)
        const lag = partition === null ? null : Math.max(0, partition.highWatermark - committedOffset)
        let lagMs = lag === 0 ? 0 : null
        if (partition !== null && lag !== null && lag > 0 && lookups < maxLookups) {
          lookups += 1
          lagMs = await ageAt(services, partition, committedOffset)
        }
        partitions.push({ topic: topic.name, partition: partitionIndex, committedOffset, lag, lagMs })
      }
    }
    found.push({ groupId, state: groupState, partitions })
    if (found.length % groupsAtOnce === 0) await new Promise<void>((next) => runtime.clock.setTimer(0, next))
  }
  return found
}

/** How old the batch with the first record from `offset` on is; null when it cannot be read. */
async function ageAt(services: Services, partition: Partition, offset: number): Promise<number | null> {
  const { disk, clock } = services.runtime
  try {
    const from = Math.max(offset, partition.log.logStartOffset)
    const range = (await partition.log.read(from, 1, partition.highWatermark, true))?.ranges[0]
    if (range === undefined) return null
    const header = new Uint8Array(headerBytes)
    if ((await disk.file(range.file.path).read(header, range.position)) < headerBytes) return null
    const timestampMs = Number(new DataView(header.buffer).getBigInt64(baseTimestampAt))
    return timestampMs < 0 ? null : Math.max(0, clock.wallMs() - timestampMs)
  } catch {
    // Retention was faster, or the place is damaged: whoever reads it is told.
    return null
  }
}
