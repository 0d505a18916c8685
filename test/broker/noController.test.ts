import { expect, test } from 'vitest'
import { handleAlterConfigs, handleIncrementalAlterConfigs } from '../../src/broker/handlers/configs.ts'
import { handleInitProducerId } from '../../src/broker/handlers/initProducerId.ts'
import { handleAlterPartitionReassignments } from '../../src/broker/handlers/reassignments.ts'
import {
  handleCreatePartitions,
  handleCreateTopics,
  handleDeleteTopics,
} from '../../src/broker/handlers/topics.ts'
import type { RequestContext, Services } from '../../src/broker/services.ts'
import { EngineError } from '../../src/model/errors.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka
const context = { apiVersion: 6 } as RequestContext

/** A broker whose controller does nothing but reject. */
function services(reason: Error): Services {
  const reject = () => Promise.reject(reason)
  return {
    config: { flag: () => true },
    producerIds: { next: reject },
    controller: {
      image: { topics: new Map() },
      createTopics: reject,
      deleteTopics: reject,
      createPartitions: reject,
      alterConfigs: reject,
      incrementalAlterConfigs: reject,
      alterPartitionReassignments: reject,
    },
  } as unknown as Services
}

/** The error codes of all that two things are answered with, by API. */
async function codes(reason: Error): Promise<Record<string, readonly (number | undefined)[]>> {
  const on = services(reason)
  const timeoutMs = 1_000
  const topics = ['a', 'b'].map((name) => ({ name }))
  const as = <T>(value: unknown): T => value as T
  const resources = topics.map(({ name }) => ({ resourceType: 2, resourceName: name, configs: [] }))
  const created = await handleCreateTopics(on, context, as({ topics, timeoutMs, validateOnly: false }))
  const deleted = await handleDeleteTopics(on, context, as({ topics, topicNames: [], timeoutMs }))
  const grown = await handleCreatePartitions(on, context, as({ topics, timeoutMs, validateOnly: false }))
  const altered = await handleAlterConfigs(on, context, { resources, validateOnly: false })
  const changed = await handleIncrementalAlterConfigs(on, context, as({ resources, validateOnly: false }))
  const moved = await handleAlterPartitionReassignments(on, context, {
    timeoutMs,
    allowReplicationFactorChange: true,
    topics: topics.map(({ name }) => ({ name, partitions: [{ partitionIndex: 0, replicas: [1] }] })),
  })
  const codeOf = (answers: readonly { readonly errorCode?: number | undefined }[]) =>
    answers.map(({ errorCode }) => errorCode)
  return {
    created: codeOf(created!.topics!),
    deleted: codeOf(deleted!.responses!),
    grown: codeOf(grown!.results!),
    altered: codeOf(altered!.responses!),
    changed: codeOf(changed!.responses!),
    moved: codeOf(moved!.responses!.flatMap(({ partitions }) => partitions!)),
  }
}

test('without an active controller every change is answered with NOT_CONTROLLER: nothing was done, ask again', async () => {
  for (const code of ['leaderNotAvailable', 'notLeaderOrFollower'] as const) {
    const told = await codes(new EngineError(code, 'nobody leads'))
    for (const each of Object.values(told)) expect(each).toEqual([41, 41])
  }
})

test('a controller that is lost meanwhile leaves open what became of the change', async () => {
  const told = await codes(new EngineError('requestTimedOut', 'lost'))
  for (const each of Object.values(told)) expect(each).toEqual([7, 7])
})

test('what is no operating error is not taken for an answer', async () => {
  await expect(codes(new TypeError('a bug'))).rejects.toThrow(TypeError)
})

test('a producer that cannot be given an id yet is told to ask again (14), and of other errors as they are', async () => {
  const request = { transactionalId: null } as Parameters<typeof handleInitProducerId>[2]
  const ask = (code: 'leaderNotAvailable' | 'corruptLog') =>
    handleInitProducerId(services(new EngineError(code, 'no')), context, request)
  expect(await ask('leaderNotAvailable')).toMatchObject({
    errorCode: error('coordinatorLoadInProgress'),
    producerId: -1,
  })
  await expect(ask('corruptLog')).rejects.toThrow('no')
})
