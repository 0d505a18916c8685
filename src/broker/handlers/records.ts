import { isInternalTopic } from '../../controller/topicNames.ts'
import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Handler } from '../dispatch.ts'
import { type Services, wireError } from '../services.ts'

type Apis = typeof apiKeys

/** DeleteRecords: raises the log start offset; -1 stands for the high watermark. */
export const handleDeleteRecords: Handler<Apis['deleteRecords']> = async (services, _context, request) => {
  const topics = await Promise.all(
    request.topics.map(async ({ name, partitions }) => ({
      name,
      partitions: await Promise.all(
        partitions.map(async ({ partitionIndex, offset }) => {
          try {
            const lowWatermark = await deleteBefore(services, name, partitionIndex, offset)
            return { partitionIndex, lowWatermark }
          } catch (error) {
            return { partitionIndex, lowWatermark: -1, errorCode: wireError(services, error).errorCode }
          }
        }),
      ),
    })),
  )
  return { topics }
}

async function deleteBefore(
  services: Services,
  name: string,
  index: number,
  offset: number,
): Promise<number> {
  const partition = services.partitions.require(name, index)
  if (isInternalTopic(name)) {
    throw new EngineError('policyViolation', `records of ${name} are kept by the broker alone`)
  }
  partition.requireLeader()
  const { log, highWatermark } = partition
  if (!log.config.cleanupPolicy.delete) {
    throw new EngineError('policyViolation', `records of ${name} are compacted, not deleted`)
  }
  const target = offset === -1 ? highWatermark : offset
  if (target < 0 || target > highWatermark) {
    throw new EngineError('offsetOutOfRange', `offset ${target} is above the high watermark ${highWatermark}`)
  }
  if (target > log.logStartOffset) await partition.deleteRecordsBefore(target)
  return log.logStartOffset
}

/** OffsetForLeaderEpoch: where an epoch ends, so that a client can tell whether the log was cut behind it (KIP-320). */
export const handleOffsetForLeaderEpoch: Handler<Apis['offsetForLeaderEpoch']> = (
  services,
  _context,
  request,
) => {
  const topics = request.topics.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map(({ partition: index, currentLeaderEpoch, leaderEpoch }) => {
      try {
        const partition = services.partitions.require(topic, index)
        partition.requireLeader()
        partition.fence(currentLeaderEpoch)
        const end = partition.endOfEpoch(leaderEpoch)
        return { partition: index, leaderEpoch: end.epoch, endOffset: end.endOffset }
      } catch (error) {
        return { partition: index, errorCode: wireError(services, error).errorCode }
      }
    }),
  }))
  return { topics }
}
