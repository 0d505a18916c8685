import { EngineError } from '../model/errors.ts'
import type { MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import type { Command, CommandResults, Decision, Registration } from './commands.ts'
import { registerBroker } from './decideCluster.ts'
import type { MetadataImage } from './image.ts'

type Of<T extends Command['type']> = Extract<Command, { readonly type: T }>

/**
 * A broker of a cluster registers, and is fenced until it has seen that. One that asks again gets what it has. Where it comes with
 * another directory, its replicas are to be there: the ones in the old one are gone with it. Source: KIP-631, KIP-858.
 */
export function decideEnrolBroker(
  image: MetadataImage,
  { registration }: Of<'enrolBroker'>,
): Decision<CommandResults['enrolBroker']> {
  const known = image.brokers.get(registration.brokerId)
  if (known?.incarnationId === registration.incarnationId) return { records: [], result: known.epoch }
  const records = [registerBroker(image, registration, image.features, true)]
  for (const record of movedReplicas(image, registration)) records.push(record)
  return { records, result: image.nextOffset }
}

/** Brokers are fenced and unfenced, and say that they shut down; what is of an earlier registration is left out. */
export function decideChangeBrokers(
  image: MetadataImage,
  { changes }: Of<'changeBrokers'>,
): Decision<CommandResults['changeBrokers']> {
  const records: MetadataRecordInput[] = []
  for (const { brokerId, brokerEpoch, fenced, inControlledShutdown } of changes) {
    const known = image.brokers.get(brokerId)
    if (known === undefined || known.epoch !== brokerEpoch) continue
    const fencing = flagOf(known.fenced, fenced)
    const shutdown = flagOf(known.inControlledShutdown, inControlledShutdown)
    if (fencing === 0 && shutdown === 0) continue
    records.push({
      type: 'brokerRegistrationChangeRecord',
      version: 1,
      brokerId,
      brokerEpoch,
      fenced: fencing,
      inControlledShutdown: shutdown,
    })
  }
  return { records, result: null }
}

/** A broker is forgotten. Throws `brokerIdNotRegistered`, `invalidRequest` while it lives or holds replicas. Source: KIP-746. */
export function decideUnregisterBroker(
  image: MetadataImage,
  { brokerId }: Of<'unregisterBroker'>,
): Decision<CommandResults['unregisterBroker']> {
  const known = image.brokers.get(brokerId)
  if (known === undefined) throw new EngineError('brokerIdNotRegistered', `There is no broker ${brokerId}.`)
  if (!known.fenced) {
    throw new EngineError('invalidRequest', `Broker ${brokerId} is alive: stop it before it is unregistered.`)
  }
  for (const { name, partitions } of image.topics.values()) {
    const held = partitions.find(({ replicas }) => replicas.includes(brokerId))
    if (held === undefined) continue
    const what = `${name}-${held.partition}`
    throw new EngineError(
      'invalidRequest',
      `Broker ${brokerId} holds replicas (${what}): reassign them first.`,
    )
  }
  const { epoch: brokerEpoch } = known
  return {
    records: [{ type: 'unregisterBrokerRecord', version: 0, brokerId, brokerEpoch }],
    result: null,
  }
}

function flagOf(before: boolean, after: boolean | undefined): number {
  if (after === undefined || after === before) return 0
  return after ? 1 : -1
}

function* movedReplicas(
  image: MetadataImage,
  { brokerId, directories }: Registration,
): Generator<MetadataRecordInput> {
  const directory = directories.length === 1 ? directories[0]! : null
  if (directory === null) return
  for (const { id: topicId, partitions } of image.topics.values()) {
    for (const { partition: partitionId, replicas, directories: before } of partitions) {
      const at = replicas.indexOf(brokerId)
      if (at < 0 || before[at] === directory) continue
      const after = before.with(at, directory)
      yield { type: 'partitionChangeRecord', version: 1, topicId, partitionId, directories: after }
    }
  }
}
