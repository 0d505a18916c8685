import { unreachable } from '../model/assert.ts'
import type { Command, CommandResults, Decision, DecisionContext } from './commands.ts'
import { decideChangeBrokers, decideEnrolBroker, decideUnregisterBroker } from './decideBrokers.ts'
import { decideAllocateProducerIds, decideBootstrap, decideRegisterBroker } from './decideCluster.ts'
import { decideAlterConfigs, decideIncrementalAlterConfigs } from './decideConfigs.ts'
import { decideBootstrapCluster, decideUpdateFeatures } from './decideFeatures.ts'
import { decideCreatePartitions } from './decidePartitions.ts'
import { decideAlterPartitionReassignments, decideReportPartitions } from './decideReplicas.ts'
import { decideCreateTopics, decideDeleteTopics } from './decideTopics.ts'
import type { MetadataImage } from './image.ts'

/**
 * What to write for `command`, and what to answer once that is durable. Pure: the same arguments give the same
 * decision, nothing is changed, and all that is random is in the command. What is wrong with one of several
 * things is that thing's outcome; this throws nothing that a caller could have caused.
 */
export function decide<C extends Command>(
  image: MetadataImage,
  command: C,
  context: DecisionContext,
): Decision<CommandResults[C['type']]>
export function decide(
  image: MetadataImage,
  command: Command,
  context: DecisionContext,
): Decision<CommandResults[Command['type']]> {
  switch (command.type) {
    case 'bootstrap':
      return decideBootstrap(image, command)
    case 'registerBroker':
      return decideRegisterBroker(image, command)
    case 'createTopics':
      return decideCreateTopics(image, command, context)
    case 'deleteTopics':
      return decideDeleteTopics(image, command)
    case 'createPartitions':
      return decideCreatePartitions(image, command, context)
    case 'alterConfigs':
      return decideAlterConfigs(image, command, context)
    case 'incrementalAlterConfigs':
      return decideIncrementalAlterConfigs(image, command, context)
    case 'allocateProducerIds':
      return decideAllocateProducerIds(image, command)
    case 'bootstrapCluster':
      return decideBootstrapCluster(image, command)
    case 'enrolBroker':
      return decideEnrolBroker(image, command)
    case 'changeBrokers':
      return decideChangeBrokers(image, command)
    case 'unregisterBroker':
      return decideUnregisterBroker(image, command)
    case 'reportPartitions':
      return decideReportPartitions(image, command)
    case 'alterPartitionReassignments':
      return decideAlterPartitionReassignments(image, command)
    case 'updateFeatures':
      return decideUpdateFeatures(image, command)
    default:
      return unreachable(command)
  }
}
