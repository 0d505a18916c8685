import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Command } from '../../src/controller/commands.ts'
import { decide } from '../../src/controller/decide.ts'
import { DeltaBuilder } from '../../src/controller/delta.ts'
import { replay } from '../../src/controller/replay.ts'
import { noConfigs } from '../../src/controller/topicConfigs.ts'
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
} from '../../src/protocol/metadataRecords/metadataRecord.ts'
import { ClusterWorld } from './clusterSupport.ts'
import { testId, World } from './support.ts'

const odd = fc.oneof(
  fc.constantFrom(null, -1, 0, 1, 2, 3, 2 ** 31, 2 ** 53, 1.5, '', 'orders', '1', true, [], {}),
  fc.string({ maxLength: 5 }),
  fc.integer(),
)
const number = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 4 }) },
  { weight: 1, arbitrary: odd },
)
const name = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('orders', 'payments', 'new') },
  { weight: 1, arbitrary: odd },
)
const id = fc.oneof(fc.constantFrom(testId(1), testId(2), testId(77)), odd)
const list = <T>(of: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 5, arbitrary: fc.array<unknown>(of, { maxLength: 3 }) }, { weight: 1, arbitrary: odd })
const key = fc.record({ id: number, directoryId: id })

/** Commands as only a broken node, or somebody who is none, would send them. */
const commands = fc.oneof(
  fc.record({
    type: fc.constant('createTopics'),
    topics: list(fc.record({ name, numPartitions: number, replicationFactor: number, configs: list(odd) })),
    topicIds: list(id),
    requester: fc.constantFrom('client', 'broker', 7),
  }),
  fc.record({
    type: fc.constant('deleteTopics'),
    topics: list(fc.record({ name, topicId: id })),
    requester: fc.constant('client'),
  }),
  fc.record({
    type: fc.constant('createPartitions'),
    topics: list(
      fc.record({ name, count: number, assignments: list(fc.record({ brokerIds: list(number) })) }),
    ),
    requester: fc.constant('client'),
  }),
  fc.record({
    type: fc.constant('incrementalAlterConfigs'),
    resources: list(
      fc.record({
        resourceType: fc.constantFrom(2, 4, 9),
        resourceName: name,
        configs: list(
          fc.record({
            name: fc.constantFrom('retention.ms', 'log.retention.ms', 'x'),
            configOperation: number,
            value: odd,
          }),
        ),
      }),
    ),
  }),
  fc.record({
    type: fc.constant('enrolBroker'),
    registration: fc.record({
      brokerId: number,
      incarnationId: id,
      endpoints: list(fc.record({ name, host: name, port: number, securityProtocol: number })),
      rack: name,
      directories: list(id),
    }),
  }),
  fc.record({
    type: fc.constant('changeBrokers'),
    changes: list(
      fc.record({ brokerId: number, brokerEpoch: number, fenced: odd, inControlledShutdown: odd }),
    ),
  }),
  fc.record({ type: fc.constant('unregisterBroker'), brokerId: number }),
  fc.record({
    type: fc.constant('reportPartitions'),
    states: list(
      fc.record({
        topicId: id,
        partition: number,
        leader: number,
        leaderEpoch: number,
        isr: list(number),
        voters: list(key),
      }),
    ),
  }),
  fc.record({
    type: fc.constant('alterPartitionReassignments'),
    changes: list(fc.record({ topic: name, partition: number, replicas: list(number) })),
  }),
  fc.record({ type: fc.constant('updateFeatures'), updates: list(fc.record({ name, level: number })) }),
  fc.record({ type: fc.constant('allocateProducerIds'), brokerId: number }),
  fc.record({ type: odd }),
)

function world(): World {
  const made = new World({ brokers: 3, elects: true })
  made.create(
    { name: 'orders', numPartitions: 2, replicationFactor: 2 },
    { name: 'payments', replicationFactor: 3 },
  )
  return made
}

test('no command, however broken, gives records that a node could not follow', () => {
  fc.assert(
    fc.property(fc.array(commands, { minLength: 1, maxLength: 6 }), (hostile) => {
      const { image } = world()
      for (const command of hostile) {
        let values: Uint8Array[]
        try {
          const { records } = decide(image, command as unknown as Command, {
            broker: noConfigs,
            elects: true,
          })
          values = records.map((record) => encodeMetadataRecord(record))
        } catch {
          // Refused before anything is written.
          continue
        }
        // From here on it would stand in every log.
        const delta = new DeltaBuilder()
        for (const value of values) replay(image, decodeMetadataRecord(value), delta)
        image.nextOffset += values.length
      }
    }),
    { numRuns: 6000 },
  )
})

test('what is no command is refused, and the controller goes on', async () => {
  const cluster = await ClusterWorld.start(1)
  const node = await cluster.broker(1)
  const send = (payload: Uint8Array | null) =>
    node.metadata.answer({ payload } as Parameters<typeof node.metadata.answer>[0])
  for (const text of [
    '',
    '{',
    'null',
    '7',
    '{"command":null}',
    '{"command":{"type":"nothing"}}',
    '{"command":{"type":"createTopics"}}',
  ]) {
    await expect(send(Buffer.from(text))).rejects.toBeInstanceOf(Error)
  }
  await expect(send(null)).rejects.toMatchObject({ code: 'malformed' })
  expect(await node.metadata.createTopics([{ name: 'goes-on' }])).toMatchObject([{ name: 'goes-on' }])
})
