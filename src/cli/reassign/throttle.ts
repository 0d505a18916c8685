import { type ConfigChange, ConfigOperation } from '../../controller/commands.ts'
import { ConfigResourceType } from '../../controller/replay.ts'
import { throttleRates } from '../../controller/throttles.ts'
import { ConfigSource } from '../../controller/topicConfigs.ts'
import { type Client, checkAnswer } from '../client.ts'
import type { Assignment } from './plan.ts'

/** Which brokers send copies of a partition, and which take them. */
export interface Move {
  readonly topic: string
  readonly partition: number
  readonly from: readonly number[]
  readonly to: readonly number[]
}

const rates = [...throttleRates]
const lists = ['leader.replication.throttled.replicas', 'follower.replication.throttled.replicas'] as const
const replicasByName = /^(?:\d+:\d+(?:,|$))+$/

/** What `plan` copies: partitions with a replica that is made anew, now (`current`) or since earlier (`underWay`). */
export function movesOf(
  plan: readonly Assignment[],
  current: readonly Assignment[],
  underWay: readonly (Assignment & { readonly adding: readonly number[] })[],
): readonly Move[] {
  return plan.flatMap(({ topic, partition, replicas }) => {
    const isSame = (each: Assignment): boolean => each.topic === topic && each.partition === partition
    const adding = underWay.find(isSame)?.adding ?? []
    const from = (current.find(isSame)?.replicas ?? []).filter((id) => !adding.includes(id))
    const to = replicas.filter((id) => !from.includes(id))
    return to.length === 0 ? [] : [{ topic, partition, from, to }]
  })
}

/**
 * Bounds what each broker of `moves` sends, and what it takes, for the replicas that they make, in bytes per second; what is
 * throttled already stays so. Source: KIP-73.
 */
export async function setThrottles(
  client: Client,
  moves: readonly Move[],
  bytesPerSecond: number,
): Promise<void> {
  const brokers = new Set(moves.flatMap(({ from, to }) => [...from, ...to]))
  const topics = new Set(moves.map(({ topic }) => topic))
  const replicas = (topic: string, idsOf: (move: Move) => readonly number[]): string =>
    moves
      .filter((move) => move.topic === topic)
      .flatMap((move) => idsOf(move).map((id) => `${move.partition}:${id}`))
      .join(',')
  await alterConfigs(client, 'nothing was moved: cannot throttle', [
    ...[...brokers].map((id) => ({
      resourceType: ConfigResourceType.broker,
      resourceName: String(id),
      configs: rates.map((name) => ({
        name,
        configOperation: ConfigOperation.set,
        value: String(bytesPerSecond),
      })),
    })),
    ...[...topics].map((topic) => ({
      resourceType: ConfigResourceType.topic,
      resourceName: topic,
      configs: [
        {
          name: lists[0],
          configOperation: ConfigOperation.append,
          value: replicas(topic, ({ from }) => from),
        },
        { name: lists[1], configOperation: ConfigOperation.append, value: replicas(topic, ({ to }) => to) },
      ],
    })),
  ])
}

/**
 * Takes back what `setThrottles` has set, whoever set it; false when there was nothing. Topics whose replicas are all throttled
 * (`*`) were not set by it: where there is one it stays, and so do the rates.
 */
export async function clearThrottles(client: Client): Promise<boolean> {
  const { topics } = await client.metadata(null)
  const { results } = await client.send('describeConfigs', {
    resources: topics.map(({ name }) => ({
      resourceType: ConfigResourceType.topic,
      resourceName: name,
      configurationKeys: [...lists],
    })),
    includeSynonyms: false,
  })
  const found = results.flatMap(({ resourceName, configs }) =>
    configs
      .filter(
        ({ configSource, value }) =>
          configSource === ConfigSource.dynamicTopic && value !== null && value !== '',
      )
      .map(({ name, value }) => ({ topic: resourceName, name, isOwn: replicasByName.test(value!) })),
  )
  const own = found.filter(({ isOwn }) => isOwn)
  if (own.length === 0) return false
  const unset = (name: string) => ({ name, configOperation: ConfigOperation.delete, value: null })
  const { brokers } =
    own.length === found.length
      ? await client.send('describeCluster', { includeFencedBrokers: true })
      : { brokers: [] }
  await alterConfigs(client, 'cannot take the throttle back', [
    ...[...new Set(own.map(({ topic }) => topic))].map((topic) => ({
      resourceType: ConfigResourceType.topic,
      resourceName: topic,
      configs: lists.map(unset),
    })),
    ...brokers.map(({ brokerId }) => ({
      resourceType: ConfigResourceType.broker,
      resourceName: String(brokerId),
      configs: rates.map(unset),
    })),
  ])
  return true
}

async function alterConfigs(
  client: Client,
  failure: string,
  resources: readonly ConfigChange[],
): Promise<void> {
  const { responses } = await client.send('incrementalAlterConfigs', { resources, validateOnly: false })
  for (const { errorCode, errorMessage, resourceName } of responses)
    checkAnswer(errorCode, `${failure} ${resourceName}`, errorMessage)
}
