import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import type { ReplicaKey } from '../raft.ts'
import type { Command, CommandResults, Decision } from './commands.ts'
import type { MetadataImage, PartitionImage } from './image.ts'
import type { PartitionState, Reassignment } from './metadata.ts'
import { decideEach, duplicates } from './outcomes.ts'
import { checkAssignment, directoryOf } from './placement.ts'

type Of<T extends Command['type']> = Extract<Command, { readonly type: T }>

/**
 * Writes down what the groups of partitions say of themselves: who leads, in which epoch, and which voters have caught up. A
 * reassignment is over once the voters are those that were asked for. What is of an earlier epoch, or known, is left out.
 */
export function decideReportPartitions(
  image: MetadataImage,
  { states }: Of<'reportPartitions'>,
): Decision<CommandResults['reportPartitions']> {
  const records: MetadataRecordInput[] = []
  for (const state of states) {
    const known = image.topicsById.get(state.topicId)?.partitions[state.partition]
    if (known === undefined || state.leaderEpoch < known.leaderEpoch) continue
    const record = changeOf(known, state)
    if (record !== null) records.push(record)
  }
  return { records, result: null }
}

/**
 * Other replicas for partitions, or an end of such a change. The record holds what is wanted; the groups follow. Errors:
 * `unknownTopicOrPartition`, `invalidReplicaAssignment`, `noReassignmentInProgress`, `invalidRequest`. Source: KIP-455.
 */
export function decideAlterPartitionReassignments(
  image: MetadataImage,
  { changes }: Of<'alterPartitionReassignments'>,
): Decision<CommandResults['alterPartitionReassignments']> {
  const keyOf = ({ topic, partition }: Reassignment): string => `${topic}-${partition}`
  const twice = duplicates(changes.map(keyOf))
  return decideEach(changes, (change) => {
    const topic = image.topics.get(change.topic)
    const known = topic?.partitions[change.partition]
    if (topic === undefined || known === undefined) {
      throw new EngineError('unknownTopicOrPartition', `There is no partition ${keyOf(change)}.`)
    }
    if (twice.has(keyOf(change))) throw new EngineError('invalidRequest', 'Duplicate partition.')
    const next = change.replicas === null ? takenBack(known) : reassigned(image, known, change.replicas)
    if (next === null) return { records: [], result: null }
    const before = new Map(known.replicas.map((id, index) => [id, known.directories[index]!]))
    const record: MetadataRecordInput = {
      type: 'partitionChangeRecord',
      version: 1,
      topicId: topic.id,
      partitionId: known.partition,
      replicas: next.replicas,
      addingReplicas: next.adding,
      removingReplicas: next.removing,
      directories: next.replicas.map((id) => before.get(id) ?? directoryOf(image, id)),
    }
    return { records: [record], result: null }
  })
}

function changeOf(known: PartitionImage, state: PartitionState): MetadataRecordInput | null {
  const { topicId, leader, leaderEpoch, voters } = state
  const done = isReassigned(known, voters)
  const replicas = done ? targetOf(known) : known.replicas
  // In the order of the replicas, as clients know it.
  const isr = replicas.filter((id) => state.isr.includes(id))
  const isLed = known.leader === leader && known.leaderEpoch === leaderEpoch
  const isIsrKnown = isSameList(isr, known.isr)
  if (isLed && isIsrKnown && !done) return null
  return {
    type: 'partitionChangeRecord',
    version: 1,
    topicId,
    partitionId: known.partition,
    ...(isLed ? {} : { leader, leaderEpoch }),
    // Without an epoch of its own a change of the leader would count one up.
    ...(isIsrKnown ? {} : { isr }),
    ...(done
      ? {
          replicas,
          addingReplicas: [],
          removingReplicas: [],
          directories: known.directories.filter((_, index) => replicas.includes(known.replicas[index]!)),
        }
      : {}),
  }
}

/** The replicas that a partition is to have in the end. */
function targetOf({ replicas, removingReplicas }: PartitionImage): readonly number[] {
  return replicas.filter((id) => !removingReplicas.includes(id))
}

function isReassigned(known: PartitionImage, voters: readonly ReplicaKey[]): boolean {
  if (known.addingReplicas.length + known.removingReplicas.length === 0) return false
  if (planted('reassignedEarly')) return true
  const target = targetOf(known)
  return (
    voters.length === target.length &&
    voters.every(({ id, directoryId }) => {
      const at = known.replicas.indexOf(id)
      return target.includes(id) && known.directories[at] === directoryId
    })
  )
}

interface Replicas {
  readonly replicas: readonly number[]
  readonly adding: readonly number[]
  readonly removing: readonly number[]
}

/** What was there before, without those that were on their way in. */
function takenBack({ replicas, addingReplicas, removingReplicas }: PartitionImage): Replicas | null {
  if (addingReplicas.length + removingReplicas.length === 0) {
    throw new EngineError('noReassignmentInProgress', 'No reassignment of this partition is under way.')
  }
  // Some of those that were to come may vote already.
  const before = replicas.filter((id) => !addingReplicas.includes(id))
  return { replicas: [...before, ...addingReplicas], adding: [], removing: addingReplicas }
}

function reassigned(image: MetadataImage, known: PartitionImage, target: readonly number[]): Replicas | null {
  checkAssignment(image, target, null)
  const established = known.replicas.filter((id) => !known.addingReplicas.includes(id))
  const adding = target.filter((id) => !established.includes(id))
  const removing = known.replicas.filter((id) => !target.includes(id))
  const replicas = [...target, ...removing]
  const isKnown =
    isSameList(replicas, known.replicas) &&
    isSameList(adding, known.addingReplicas) &&
    isSameList(removing, known.removingReplicas)
  return isKnown ? null : { replicas, adding, removing }
}

function isSameList(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((number, index) => number === other[index])
}
