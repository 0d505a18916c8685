import { EngineError } from '../../model/errors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer } from '../dispatch.ts'
import { type RequestContext, type Services, type WireError, wireError } from '../services.ts'

type FindCoordinatorApi = (typeof apiKeys)['findCoordinator']

const KeyType = { group: 0, transaction: 1 } as const

/** FindCoordinator: this broker, for groups. The first question creates the topic that groups are kept in. */
export async function handleFindCoordinator(
  services: Services,
  { apiVersion }: RequestContext,
  request: Infer<FindCoordinatorApi['request']>,
): Promise<Answer<FindCoordinatorApi>> {
  const error = await whyNot(services, request.keyType)
  const { nodeId, host, port } = services.node
  const place = error
    ? { nodeId: -1, host: '', port: -1, ...error }
    : { nodeId, host, port, errorCode: 0, errorMessage: null }
  if (apiVersion < 4) return place
  return { coordinators: request.coordinatorKeys.map((key) => ({ key, ...place })) }
}

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
