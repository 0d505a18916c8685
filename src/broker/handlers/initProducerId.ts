import { EngineError } from '../../model/errors.ts'
import { KafkaError } from '../../model/kafkaErrors.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Infer } from '../../protocol/schema.ts'
import type { Answer } from '../dispatch.ts'
import type { RequestContext, Services } from '../services.ts'

type InitProducerIdApi = (typeof apiKeys)['initProducerId']

/** InitProducerId: a fresh id for an idempotent producer. There are no transactions yet. */
export async function handleInitProducerId(
  services: Services,
  _context: RequestContext,
  { transactionalId }: Infer<InitProducerIdApi['request']>,
): Promise<Answer<InitProducerIdApi>> {
  if (transactionalId === '') return { errorCode: KafkaError.invalidRequest.kafka, producerEpoch: -1 }
  if (transactionalId !== null) {
    return { errorCode: KafkaError.transactionalIdAuthorizationFailed.kafka, producerEpoch: -1 }
  }
  try {
    return { producerId: await services.producerIds.next(), producerEpoch: 0 }
  } catch (error) {
    if (!(error instanceof EngineError && error.retriable)) throw error
    // With this error producers ask again, as of Kafka; others end them.
    return { errorCode: KafkaError.coordinatorLoadInProgress.kafka, producerId: -1, producerEpoch: -1 }
  }
}
