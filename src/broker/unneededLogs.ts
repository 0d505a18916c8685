import type { MetadataImage } from '../controller/image.ts'
import { metadataTopicName } from '../controller/topicNames.ts'
import type { Logger } from '../model/logger.ts'
import type { Uuid } from '../model/uuid.ts'
import { inParallel } from '../segment/inParallel.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'

const parallel = 16

/** What is looked through. */
export interface UnneededOptions {
  readonly directory: LogDirectory
  /** Everything that was decided before this start. */
  readonly image: MetadataImage
  readonly logger: Logger
  readonly nodeId: number
  /** Whether a log is that of a replica that is open. */
  isServed(topic: string, index: number, topicId: Uuid): boolean
}

/** Removes the logs of partitions that have gone elsewhere, and sets those aside that no topic knows. */
export async function removeUnneeded(options: UnneededOptions): Promise<void> {
  const { directory, image, logger, nodeId } = options
  const work: (() => Promise<unknown>)[] = []
  for (const [log, { topicId }] of directory.logs) {
    const at = log.lastIndexOf('-')
    const topic = log.slice(0, at)
    const index = Number(log.slice(at + 1))
    if (topic === metadataTopicName || options.isServed(topic, index, topicId)) continue
    const replicas = image.topicsById.get(topicId)?.partitions[index]?.replicas
    if (replicas?.includes(nodeId) === false) {
      logger.info('removing the log of a partition that has gone elsewhere', { log, topicId })
      work.push(() => directory.deleteLog(topic, index))
    } else if (replicas === undefined) {
      work.push(async () => {
        const keptAs = (await directory.setAside(topic, index)) ?? ''
        logger.warn('a log belongs to no topic any more; it is set aside', { log, topicId, keptAs })
      })
    }
  }
  await inParallel(work, parallel, async (each) => {
    await each().catch((error) => logger.error('a log stays that is not needed', { error: String(error) }))
  })
}
