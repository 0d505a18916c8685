import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Controller } from '../../src/controller/controller.ts'
import { zeroUuid } from '../../src/model/uuid.ts'
import { metadataDirectory, openController, testRuntime } from './metadataDirectory.ts'
import { codeOr, plain } from './support.ts'

const name = fc.constantFrom('a', 'b', 'a.b', 'a_b', '__consumer_offsets', '..', 'toString', '__proto__')
const config = fc.record({
  name: fc.constantFrom('segment.ms', 'retention.ms', 'cleanup.policy', 'flush.messages', 'constructor'),
  value: fc.constantFrom('1', '5', '-1', 'delete', 'compact', '', '9223372036854775807', null),
  configOperation: fc.integer({ min: 0, max: 4 }),
})
const configs = fc.array(config, { maxLength: 3 })
const resource = fc.record({ resourceType: fc.constantFrom(2, 2, 2, 4, 7), resourceName: name, configs })
const requester = fc.constantFrom('client' as const, 'broker' as const)

type Step = (controller: Controller) => Promise<unknown>

/** Any call that changes metadata, sensible or not. */
const step: fc.Arbitrary<Step> = fc.oneof(
  fc
    .tuple(
      fc.array(
        fc.record({
          name,
          numPartitions: fc.integer({ min: -2, max: 12 }),
          replicationFactor: fc.constantFrom(-1, -1, 1, 0, 2),
          configs: fc.oneof(fc.constant([]), configs),
        }),
        { maxLength: 3 },
      ),
      requester,
      fc.boolean(),
    )
    .map(
      ([topics, by, validateOnly]): Step =>
        (controller) =>
          controller.createTopics(topics, { requester: by, validateOnly }),
    ),
  fc.tuple(fc.array(name, { maxLength: 3 }), requester, fc.boolean()).map(
    ([names, by, byId]): Step =>
      (controller) => {
        const topics = names.map((topic) =>
          byId
            ? { name: null, topicId: controller.image.topics.get(topic)?.id ?? zeroUuid }
            : { name: topic, topicId: zeroUuid },
        )
        return controller.deleteTopics(topics, { requester: by })
      },
  ),
  fc.array(fc.record({ name, count: fc.integer({ min: -1, max: 15 }) }), { maxLength: 3 }).map(
    (topics): Step =>
      (controller) =>
        controller.createPartitions(topics),
  ),
  fc.array(resource, { maxLength: 2 }).map(
    (resources): Step =>
      (controller) =>
        controller.alterConfigs(resources),
  ),
  fc.array(resource, { maxLength: 2 }).map(
    (resources): Step =>
      (controller) =>
        controller.incrementalAlterConfigs(resources),
  ),
  fc.constant<Step>((controller) => controller.allocateProducerIds()),
  fc.integer({ min: 1, max: 3 }).map(
    (port): Step =>
      (controller) =>
        controller.registerBroker([{ name: 'PLAINTEXT', host: 'localhost', port, securityProtocol: 0 }]),
  ),
)

test('whatever was asked for, the log gives the image that its readers saw live', async () => {
  const runtime = testRuntime()
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 15 }),
      fc.constantFrom({}, { batchRecords: 2 }, { batchBytes: 150 }),
      async (steps, batchLimits) => {
        const directory = metadataDirectory()
        const { controller, log } = await openController(runtime, directory, { batchLimits })
        const mirror = new Map<string, number>()
        controller.onChange(({ topicsCreated, topicsDeleted, partitionsAdded }) => {
          for (const topic of topicsDeleted) mirror.delete(topic.name)
          for (const topic of topicsCreated) mirror.set(topic.name, topic.partitions.length)
          for (const { topic, partitions } of partitionsAdded) {
            expect(partitions[0]).toBe(mirror.get(topic.name))
            mirror.set(topic.name, mirror.get(topic.name)! + partitions.length)
          }
        })
        await Promise.all(steps.map((run) => run(controller)))
        const live = plain(controller.image)
        expect(controller.image.nextOffset).toBe(log.logEndOffset)
        // What the listeners were told adds up to the image.
        const counts = [...controller.image.topics.values()].map((topic) => [
          topic.name,
          topic.partitions.length,
        ])
        expect([...mirror].sort()).toEqual(counts.sort())
        const reopened = await openController(runtime, directory, { batchLimits })
        expect(plain(reopened.controller.image)).toEqual(live)
      },
    ),
    { numRuns: 40 },
  )
})

test('no two topics of an image collide, whatever was asked for', async () => {
  const runtime = testRuntime()
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 10 }), async (steps) => {
      const { controller } = await openController(runtime, metadataDirectory())
      for (const run of steps) await run(controller)
      for (const topic of controller.image.topics.values()) {
        expect(controller.image.colliding(topic.name)).toEqual([])
        expect(topic.partitions.map(({ partition }) => partition)).toEqual(
          topic.partitions.map((_, index) => index),
        )
        expect(topic.partitions.length).toBeGreaterThan(0)
      }
      const again = await controller.createTopics(
        [...controller.image.topics.keys()].map((known) => ({ name: known })),
      )
      for (const code of again.map(codeOr('created'))) expect(code).not.toBe('created')
    }),
    { numRuns: 20 },
  )
})
