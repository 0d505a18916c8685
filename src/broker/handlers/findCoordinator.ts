import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer } from '../dispatch.ts'
import { type RequestContext, type Services, type WireError, wireError } from '../services.ts'
import { offsetsTopicName } from '../topicCreator.ts'

type FindCoordinatorApi = (typeof apiKeys)['findCoordinator']

const KeyType = { group: 0, transaction: 1 } as const

/** Where a coordinator is, or why it cannot be said. */
interface Place {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly errorCode: number
  readonly errorMessage: string | null
}

/**
 * FindCoordinator: for a group, whoever leads its partition of `__consumer_offsets`. The first question creates that topic.
 */
export async function handleFindCoordinator(
  services: Services,
  { apiVersion }: RequestContext,
  request: Infer<FindCoordinatorApi['request']>,
): Promise<Answer<FindCoordinatorApi>> {
  const error = await whyNot(services, request.keyType)
  const place = (key: string): Place => (error ? nowhere(error) : coordinatorOf(services, key))
  if (apiVersion < 4) return place(request.key)
  return { coordinators: request.coordinatorKeys.map((key) => ({ key, ...place(key) })) }
}

function coordinatorOf(services: Services, groupId: string): Place {
  const { leader } = services.partitions.leadershipOf(
    offsetsTopicName,
    services.coordinator.partitionFor(groupId),
  )
  const node = leader < 0 ? null : services.nodes.find(leader)
  if (node !== null) {
    const { nodeId, host, port } = node
    return { nodeId, host, port, errorCode: 0, errorMessage: null }
  }
  const text = 'Nobody leads the partition of the group at the moment.'
  return nowhere(wireError(services, new EngineError('coordinatorNotAvailable', text)))
}

function nowhere(error: WireError): Place {
  return { nodeId: -1, host: '', port: -1, ...error }
}

/** Why there is no coordinator of this type at all, or null. That of share groups is refused as in Kafka without them. */
async function whyNot(services: Services, keyType: number): Promise<WireError | null> {
  if (keyType === KeyType.transaction) {
    const text = 'This broker has no transactions yet.'
    return wireError(services, new EngineError('transactionalIdAuthorizationFailed', text))
  }
  if (keyType !== KeyType.group) {
    return wireError(
      services,
      new EngineError('invalidRequest', `There is no coordinator of type ${keyType}.`),
    )
  }
  try {
    await services.topicCreator.ensureOffsetsTopic()
    return null
  } catch (error) {
    const { errorMessage } = wireError(services, error)
    return wireError(services, new EngineError('coordinatorNotAvailable', errorMessage))
  }
}
