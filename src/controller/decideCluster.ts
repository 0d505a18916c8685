import type { MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import type { Command, CommandResults, Decision, Registration } from './commands.ts'
import type { BrokerImage, MetadataImage } from './image.ts'

type Of<T extends Command['type']> = Extract<Command, { readonly type: T }>

/** How many producer ids one block holds. Source: Kafka `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`. */
export const producerIdBlockSize = 1000

/**
 * The feature levels of a new cluster. 21 is Kafka's 3.9-IV0: it has the record versions that are written here,
 * and transactions in the metadata log (KIP-868), and nothing that clients would take for more than there is.
 */
export const bootstrapFeatures: ReadonlyMap<string, number> = new Map([['metadata.version', 21]])

/** The first records of a new cluster: its feature levels and its first broker. */
export function decideBootstrap(
  image: MetadataImage,
  { features, registration }: Of<'bootstrap'>,
): Decision<CommandResults['bootstrap']> {
  return {
    records: [...featureLevels(features), registerBroker(image, registration, features)],
    result: null,
  }
}

/** The records that finalize feature levels. */
export function featureLevels(features: ReadonlyMap<string, number>): readonly MetadataRecordInput[] {
  return [...features].map(([name, featureLevel]) => ({
    type: 'featureLevelRecord',
    version: 0,
    name,
    featureLevel,
  }))
}

/** A broker's registration; no records if everything it says is known already. */
export function decideRegisterBroker(
  image: MetadataImage,
  { registration }: Of<'registerBroker'>,
): Decision<CommandResults['registerBroker']> {
  const known = image.brokers.get(registration.brokerId)
  if (known !== undefined && saysTheSame(known, registration)) return { records: [], result: null }
  return { records: [registerBroker(image, registration, image.features)], result: null }
}

/** The next block of producer ids. */
export function decideAllocateProducerIds(
  image: MetadataImage,
  { brokerId }: Of<'allocateProducerIds'>,
): Decision<CommandResults['allocateProducerIds']> {
  const first = image.nextProducerId
  return {
    records: [
      {
        type: 'producerIdsRecord',
        version: 0,
        brokerId,
        brokerEpoch: image.brokers.get(brokerId)?.epoch ?? -1,
        nextProducerId: first + producerIdBlockSize,
      },
    ],
    result: { first, count: producerIdBlockSize },
  }
}

/** A registration. The broker epoch is the offset at which the change begins, which grows with each one. */
export function registerBroker(
  image: MetadataImage,
  registration: Registration,
  features: ReadonlyMap<string, number>,
  fenced = false,
): MetadataRecordInput {
  return {
    type: 'registerBrokerRecord',
    version: 3,
    brokerId: registration.brokerId,
    isMigratingZkBroker: false,
    incarnationId: registration.incarnationId,
    brokerEpoch: image.nextOffset,
    endPoints: registration.endpoints,
    features: [...features].map(([name, level]) => ({
      name,
      minSupportedVersion: level,
      maxSupportedVersion: level,
    })),
    rack: registration.rack,
    fenced,
    inControlledShutdown: false,
    logDirs: registration.directories,
  }
}

function saysTheSame(known: BrokerImage, registration: Registration): boolean {
  const essence = ({ endpoints, rack, directories }: BrokerImage | Registration): string =>
    JSON.stringify([
      endpoints.map(({ name, host, port, securityProtocol }) => [name, host, port, securityProtocol]),
      rack,
      directories,
    ])
  return essence(known) === essence(registration)
}
