import { apiKeys } from '../../../src/protocol/apiKeys.ts'
import type { Infer } from '../../../src/protocol/schema.ts'
import { nodeChecksum } from '../../../src/runtime/node/nodeChecksum.ts'
import { encodeBatch, type NewBatch } from '../../../src/segment/records.ts'
import type { RawClient } from './runningBroker.ts'

/** A batch with these values. */
export function batchOf(values: readonly string[], more: Partial<NewBatch> = {}): Uint8Array {
  const timestampMs = Date.now()
  const records = values.map((value) => ({ key: null, value: Buffer.from(value), timestampMs }))
  return encodeBatch({ records, ...more }, nodeChecksum)
}

type ProduceResponse = Infer<(typeof apiKeys)['produce']['response']>
/** What the broker says of one partition. */
export type PartitionAnswer = ProduceResponse['responses'][number]['partitionResponses'][number]

/** Creates a topic with that many partitions. */
export async function createTopic(
  client: RawClient,
  name: string,
  numPartitions = 1,
  configs: readonly { readonly name: string; readonly value: string }[] = [],
): Promise<void> {
  const topics = [{ name, numPartitions, replicationFactor: 1, configs }]
  const { topics: created } = await client.request(apiKeys.createTopics, 7, { topics })
  if (created[0]!.errorCode !== 0) throw new Error(String(created[0]!.errorMessage))
}

/** Produces one batch to one partition. */
export async function produce(
  client: RawClient,
  name: string,
  records: Uint8Array | null,
  { index = 0, acks = -1, version = 9, timeoutMs = 30_000, transactionalId = null as string | null } = {},
): Promise<PartitionAnswer> {
  const topicData = [{ name, partitionData: [{ index, records }] }]
  const body = { acks, timeoutMs, topicData, transactionalId }
  const { responses } = await client.request(apiKeys.produce, version, body)
  return responses[0]!.partitionResponses[0]!
}
