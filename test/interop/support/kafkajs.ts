import {
  type Admin,
  type EachBatchHandler,
  Kafka,
  KafkaJSAggregateError,
  type KafkaMessage,
  logLevel,
} from 'kafkajs'
import type { Seen } from './clients.ts'

/** A kafkajs client that keeps quiet. */
export function kafkajs(bootstrap: string): Kafka {
  return new Kafka({ clientId: 'interop', brokers: bootstrap.split(','), logLevel: logLevel.NOTHING })
}

/** Runs `use` with a connected kafkajs admin client. */
export async function withAdmin<T>(bootstrap: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafkajs(bootstrap).admin()
  await admin.connect()
  try {
    return await use(admin)
  } catch (error) {
    if (!(error instanceof KafkaJSAggregateError)) throw error
    // Its own message does not tell what went wrong.
    throw new Error(`${error.message}: ${error.errors.join('; ')}`, { cause: error })
  } finally {
    await admin.disconnect()
  }
}

/** Creates a topic through kafkajs. */
export async function createTopic(
  bootstrap: string,
  topic: string,
  numPartitions: number,
  configs: Record<string, string> = {},
): Promise<void> {
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({ topics: [{ topic, numPartitions, configEntries }] }),
  )
}

/**
 * Reads exactly `count` records with a kafkajs group, resolves no record beyond them, and leaves the group in
 * order: the offsets of what was seen are committed. Fails after 60 s.
 */
export async function kafkajsConsume(
  bootstrap: string,
  topic: string,
  groupId: string,
  count: number,
): Promise<Seen[]> {
  const consumer = kafkajs(bootstrap).consumer({ groupId })
  const seen: Seen[] = []
  let timer: NodeJS.Timeout | undefined
  await consumer.connect()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`kafkajs read ${seen.length} of ${count} records`)), 60_000)
      // One that it restarts from by itself is its own business: a coordinator that is still loading, for one.
      consumer.on('consumer.crash', ({ payload }) => payload.restart || reject(payload.error))
      const eachBatch: EachBatchHandler = async ({ batch, resolveOffset, heartbeat }) => {
        for (const message of batch.messages) {
          if (seen.length === count) break
          seen.push(toSeen(batch.partition, message))
          resolveOffset(message.offset)
        }
        await heartbeat()
        if (seen.length === count) resolve()
      }
      consumer.run({ eachBatchAutoResolve: false, eachBatch }).catch(reject)
    })
    await consumer.stop()
  } finally {
    clearTimeout(timer)
    await consumer.disconnect()
  }
  return seen
}

/** A kafkajs message in the shape that all clients share here. */
export function toSeen(partition: number, message: KafkaMessage): Seen {
  const key = message.key?.toString() ?? ''
  return { partition, offset: Number(message.offset), key, value: message.value?.toString() ?? '' }
}
