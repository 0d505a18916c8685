import { pairWarning } from '../../controller/activeController.ts'
import { topicEntries } from '../../controller/describeConfigs.ts'
import { EngineError } from '../../model/errors.ts'
import { zeroUuid } from '../../model/uuid.ts'
import type { apiKeys } from '../../protocol/apiKeys.ts'
import type { Handler } from '../dispatch.ts'
import { wireError } from '../services.ts'
import { outcomesOf } from './changes.ts'

type Apis = typeof apiKeys

/** CreateTopics. What was created is described, configs included (KIP-525). */
export const handleCreateTopics: Handler<Apis['createTopics']> = async (services, _context, request) => {
  const { topics: asked, validateOnly } = request
  const outcomes = await outcomesOf(asked.length, services.controller.createTopics(asked, { validateOnly }))
  const topics = outcomes.map((outcome, index) => {
    const { name } = asked[index]!
    if (outcome instanceof EngineError) {
      return { name, ...wireError(services, outcome), configs: null }
    }
    const { topicId, numPartitions, replicationFactor, configs } = outcome
    return {
      name,
      topicId,
      // Said where nothing is wrong: there is no other place for it.
      errorMessage: services.cluster !== null && replicationFactor === 2 ? pairWarning : null,
      numPartitions,
      replicationFactor,
      configs: topicEntries(configs, services.controller.defaults),
    }
  })
  return { topics }
}

/** DeleteTopics, by name or by id. */
export const handleDeleteTopics: Handler<Apis['deleteTopics']> = async (services, context, request) => {
  const isById = context.apiVersion >= 6
  const asked = isById ? request.topics : request.topicNames.map((name) => ({ name, topicId: zeroUuid }))
  if (!services.config.flag('delete.topic.enable')) {
    const error = wireError(
      services,
      new EngineError('topicDeletionDisabled', 'delete.topic.enable is false: topics cannot be deleted'),
    )
    return { responses: asked.map(({ name, topicId }) => ({ name, topicId, ...error })) }
  }
  const outcomes = await outcomesOf(asked.length, services.controller.deleteTopics(asked))
  const responses = outcomes.map((outcome, index) => {
    const { name, topicId } = asked[index]!
    if (outcome instanceof EngineError) return { name, topicId, ...wireError(services, outcome) }
    return { name: outcome.name, topicId: outcome.topicId }
  })
  return { responses }
}

/** CreatePartitions. */
export const handleCreatePartitions: Handler<Apis['createPartitions']> = async (
  services,
  _context,
  { topics, validateOnly },
) => {
  const outcomes = await outcomesOf(
    topics.length,
    services.controller.createPartitions(topics, { validateOnly }),
  )
  const results = outcomes.map((outcome, index) => {
    const { name } = topics[index]!
    return outcome instanceof EngineError ? { name, ...wireError(services, outcome) } : { name }
  })
  return { results }
}
