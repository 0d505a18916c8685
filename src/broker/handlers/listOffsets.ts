import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer } from '../dispatch.ts'
import type { Partition } from '../partition.ts'
import { type RequestContext, type Services, wireError } from '../services.ts'

type ListOffsetsApi = (typeof apiKeys)['listOffsets']
type ListOffsetsRequest = Infer<ListOffsetsApi['request']>

/** Timestamps that are questions. Source: KIP-79, KIP-734, KIP-405, KIP-1005, KIP-1023. */
const Ask = {
  latest: -1,
  earliest: -2,
  maxTimestamp: -3,
  earliestLocal: -4,
  latestTiered: -5,
  earliestPendingUpload: -6,
} as const

/** The first version in which each of them may be asked. */
const firstVersions: ReadonlyMap<number, number> = new Map([
  [Ask.latest, 1],
  [Ask.earliest, 1],
  [Ask.maxTimestamp, 7],
  [Ask.earliestLocal, 8],
  [Ask.latestTiered, 9],
  [Ask.earliestPendingUpload, 11],
])

const firstVersionWithEpoch = 4

interface Found {
  readonly offset: number
  readonly timestampMs: number
  readonly leaderEpoch: number
}

const nothing: Found = { offset: -1, timestampMs: -1, leaderEpoch: -1 }

/**
 * ListOffsets: the start, the end, the record with the largest timestamp, or the first one of a time or later. Nothing is
 * stored elsewhere than in the log: what is local begins where all does, and nothing is tiered or about to be. A partition that is
 * named twice is refused, as in Kafka.
 */
export async function handleListOffsets(
  services: Services,
  context: RequestContext,
  request: ListOffsetsRequest,
): Promise<Answer<ListOffsetsApi>> {
  const twice = repeated(request)
  const topics = await Promise.all(
    request.topics.map(async ({ name, partitions }) => ({
      name,
      partitions: await Promise.all(
        partitions.map(async ({ partitionIndex, currentLeaderEpoch, timestamp }) => {
          try {
            if (twice.has(`${partitionIndex} ${name}`)) {
              throw new EngineError('invalidRequest', `partition ${partitionIndex} of ${name} is named twice`)
            }
            const partition = services.partitions.require(name, partitionIndex)
            partition.requireLeader()
            partition.fence(currentLeaderEpoch)
            const found = await find(
              services,
              partition,
              timestamp,
              request.isolationLevel,
              context.apiVersion,
            )
            return {
              partitionIndex,
              timestamp: found.timestampMs,
              offset: found.offset,
              leaderEpoch: context.apiVersion >= firstVersionWithEpoch ? found.leaderEpoch : -1,
            }
          } catch (error) {
            return { partitionIndex, errorCode: wireError(services, error).errorCode }
          }
        }),
      ),
    })),
  )
  return { topics }
}

/** Partitions that the request names more than once. */
function repeated({ topics }: ListOffsetsRequest): ReadonlySet<string> {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const { name, partitions } of topics) {
    for (const { partitionIndex } of partitions) {
      const key = `${partitionIndex} ${name}`
      if (seen.has(key)) twice.add(key)
      seen.add(key)
    }
  }
  return twice
}

async function find(
  services: Services,
  partition: Partition,
  timestampMs: number,
  isolationLevel: number,
  apiVersion: number,
): Promise<Found> {
  const { log, leaderEpoch } = partition
  if (timestampMs < 0 && !(apiVersion >= (firstVersions.get(timestampMs) ?? Number.POSITIVE_INFINITY))) {
    throw new EngineError('unsupportedVersion', `${timestampMs} is no timestamp of version ${apiVersion}`)
  }
  if (timestampMs === Ask.latestTiered || timestampMs === Ask.earliestPendingUpload) return nothing
  const isEarliest = timestampMs === Ask.earliest || timestampMs === Ask.earliestLocal
  if (!isEarliest) partition.requireKnownEnd()
  // Nothing at or above this may be shown.
  const endOffset = isolationLevel === 1 ? partition.lastStableOffset : partition.highWatermark
  if (timestampMs === Ask.latest) return { offset: endOffset, timestampMs: -1, leaderEpoch }
  if (isEarliest) {
    return {
      offset: log.logStartOffset,
      timestampMs: -1,
      leaderEpoch: epochAt(partition, log.logStartOffset),
    }
  }
  if (timestampMs === Ask.maxTimestamp) {
    const latest = await services.lookups.run(() => log.maxTimestamp())
    return latest && latest.offset < endOffset ? latest : nothing
  }
  const found = await services.lookups.run(() => log.offsetForTimestamp(timestampMs))
  return found && found.offset < endOffset ? found : nothing
}

/** The epoch of the record at `offset`; the current one when nothing is there. */
function epochAt(partition: Partition, offset: number): number {
  const epoch = partition.log.leaderEpochs.epochFor(offset)
  return epoch < 0 ? partition.leaderEpoch : epoch
}
