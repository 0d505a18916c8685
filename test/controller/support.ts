import { expect } from 'vitest'
import type { Command, CommandResults, NewTopic } from '../../src/controller/commands.ts'
import { decide } from '../../src/controller/decide.ts'
import { bootstrapFeatures } from '../../src/controller/decideCluster.ts'
import { DeltaBuilder } from '../../src/controller/delta.ts'
import { type MetadataDelta, type MetadataImage, MutableImage } from '../../src/controller/image.ts'
import { replay } from '../../src/controller/replay.ts'
import { type Configs, noConfigs } from '../../src/controller/topicConfigs.ts'
import { EngineError } from '../../src/model/errors.ts'
import type { Uuid } from '../../src/model/uuid.ts'
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
  type MetadataRecord,
} from '../../src/protocol/metadataRecords/metadataRecord.ts'

/** The id that stands for `number` in tests. */
export function testId(number: number): Uuid {
  return Buffer.alloc(16, `id ${number}`.padEnd(16)).toString('base64url')
}

/** An image that commands are decided upon and replayed into at once, without a log. */
export class World {
  readonly image = new MutableImage('test-cluster')
  readonly #broker: Configs
  readonly #elects: boolean
  #ids = 0
  /** All records so far. */
  readonly history: MetadataRecord[] = []

  /** A cluster of brokers with the ids 1 to `brokers`, and static broker configs. */
  constructor({
    brokers = 1,
    broker = noConfigs,
    elects = false,
  }: { brokers?: number; broker?: Configs; elects?: boolean } = {}) {
    this.#broker = broker
    this.#elects = elects
    for (let brokerId = 1; brokerId <= brokers; brokerId++) {
      const registration = {
        brokerId,
        incarnationId: testId(1000 + brokerId),
        endpoints: [{ name: 'PLAINTEXT', host: 'localhost', port: 9091 + brokerId, securityProtocol: 0 }],
        rack: null,
        directories: [testId(2000 + brokerId)],
      }
      if (brokerId === 1) this.run({ type: 'bootstrap', features: bootstrapFeatures, registration })
      else this.run({ type: 'registerBroker', registration })
    }
  }

  /** Decides and replays; the records have been bytes in between, as they are in a log. */
  run<C extends Command>(command: C): CommandResults[C['type']] {
    return this.change(command).result
  }

  /** As `run`, with all that came of it. */
  change<C extends Command>(
    command: C,
  ): { result: CommandResults[C['type']]; records: readonly MetadataRecord[]; delta: MetadataDelta | null } {
    const before = plain(this.image)
    const decision = decide(this.image, command, { broker: this.#broker, elects: this.#elects })
    expect(plain(this.image)).toEqual(before)
    const records = decision.records.map((record) => decodeMetadataRecord(encodeMetadataRecord(record)))
    const delta = new DeltaBuilder()
    for (const record of records) replay(this.image, record, delta)
    this.history.push(...records)
    this.image.nextOffset += records.length
    return { result: decision.result, records, delta: delta.build() }
  }

  /** Creates topics as a client; outcomes are names or error codes. */
  create(...topics: NewTopic[]): readonly string[] {
    const topicIds = topics.map(() => testId(++this.#ids))
    return this.run({ type: 'createTopics', topics, topicIds, requester: 'client' }).map(codeOr('created'))
  }
}

/** An outcome as text: the error's code, or `otherwise`. */
export function codeOr(otherwise: string): (outcome: unknown) => string {
  return (outcome) => (outcome instanceof EngineError ? outcome.code : otherwise)
}

/** An outcome that must be an error. */
export function errorOf(outcome: unknown): EngineError {
  expect(outcome).toBeInstanceOf(EngineError)
  return outcome as EngineError
}

/** An image as plain data that compares by value. */
export function plain(image: MetadataImage): unknown {
  return {
    clusterId: image.clusterId,
    nextOffset: image.nextOffset,
    nextProducerId: image.nextProducerId,
    features: Object.fromEntries(image.features),
    brokers: [...image.brokers.values()],
    topics: [...image.topics.values()].map(({ name, id, partitions, configs }) => ({
      name,
      id,
      partitions: [...partitions],
      configs: Object.fromEntries(configs),
      colliding: image.colliding(name),
      isSameById: image.topicsById.get(id) === image.topics.get(name),
    })),
    idCount: image.topicsById.size,
  }
}
