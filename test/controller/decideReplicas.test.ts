import { describe, expect, test } from 'vitest'
import { decide } from '../../src/controller/decide.ts'
import type { PartitionImage } from '../../src/controller/image.ts'
import type { PartitionState } from '../../src/controller/metadata.ts'
import { codeOr, testId, World } from './support.ts'

/** A topic `orders` with replicas 1, 2, 3 on four brokers, which nobody leads yet. */
function world(): { world: World; partition: () => PartitionImage } {
  const made = new World({ brokers: 4, elects: true })
  made.create({ name: 'orders', assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }] })
  return { world: made, partition: () => made.image.topics.get('orders')!.partitions[0]! }
}

const directory = (id: number): string => testId(2000 + id)

function state(world: World, change: Partial<PartitionState>): PartitionState {
  const voters = [1, 2, 3].map((id) => ({ id, directoryId: directory(id) }))
  const topicId = world.image.topics.get('orders')!.id
  return { topicId, partition: 0, leader: 1, leaderEpoch: 1, isr: [1, 2, 3], voters, ...change }
}

const report = (world: World, ...states: PartitionState[]) =>
  world.change({ type: 'reportPartitions', states })

describe('what groups report', () => {
  test('is written down: leader, epoch of the group, and who is in sync, in the order of the replicas', () => {
    const { world: w, partition } = world()
    expect(partition()).toMatchObject({ leader: -1, leaderEpoch: 0 })
    const { delta } = report(w, state(w, { leader: 2, leaderEpoch: 7, isr: [3, 2] }))
    expect(partition()).toMatchObject({ leader: 2, leaderEpoch: 7, isr: [2, 3], partitionEpoch: 1 })
    expect(delta?.partitionsChanged).toEqual([{ topic: w.image.topics.get('orders'), partitions: [0] }])
  })

  test('changes nothing when it is known, of an earlier epoch, or of a partition that is gone', () => {
    const { world: w, partition } = world()
    report(w, state(w, { leader: 2, leaderEpoch: 7 }))
    expect(report(w, state(w, { leader: 2, leaderEpoch: 7 })).records).toEqual([])
    expect(report(w, state(w, { leader: 3, leaderEpoch: 6, isr: [3] })).records).toEqual([])
    expect(report(w, state(w, { partition: 4 }), state(w, { topicId: testId(9) })).records).toEqual([])
    expect(partition()).toMatchObject({ leader: 2, leaderEpoch: 7 })
  })

  test('of a later epoch of the same leader moves the epoch on', () => {
    const { world: w, partition } = world()
    report(w, state(w, { leader: 2, leaderEpoch: 7 }))
    report(w, state(w, { leader: 2, leaderEpoch: 9 }))
    expect(partition()).toMatchObject({ leader: 2, leaderEpoch: 9 })
  })
})

describe('a reassignment', () => {
  const reassign = (world: World, replicas: readonly number[] | null, topic = 'orders') =>
    world
      .run({ type: 'alterPartitionReassignments', changes: [{ topic, partition: 0, replicas }] })
      .map(codeOr('changed'))

  test('holds what is wanted until the voters are that, and is over then', () => {
    const { world: w, partition } = world()
    expect(reassign(w, [4, 1])).toEqual(['changed'])
    expect(partition()).toMatchObject({
      replicas: [4, 1, 2, 3],
      addingReplicas: [4],
      removingReplicas: [2, 3],
      directories: [4, 1, 2, 3].map(directory),
    })
    const voters = (...ids: number[]) => ids.map((id) => ({ id, directoryId: directory(id) }))
    report(w, state(w, { isr: [1, 2, 3, 4], voters: voters(1, 2, 3, 4) }))
    expect(partition().addingReplicas).toEqual([4])
    // A voter of that id on another disk is not the one that was asked for.
    report(w, state(w, { isr: [1, 4], voters: [...voters(1), { id: 4, directoryId: directory(1) }] }))
    expect(partition().addingReplicas).toEqual([4])
    report(w, state(w, { isr: [1, 4], voters: voters(4, 1) }))
    expect(partition()).toMatchObject({
      replicas: [4, 1],
      addingReplicas: [],
      removingReplicas: [],
      directories: [4, 1].map(directory),
      isr: [4, 1],
    })
  })

  test('that is asked for anew takes the place of the one under way', () => {
    const { world: w, partition } = world()
    reassign(w, [4, 2, 3])
    reassign(w, [1, 2])
    expect(partition()).toMatchObject({
      replicas: [1, 2, 4, 3],
      addingReplicas: [],
      removingReplicas: [4, 3],
    })
  })

  test('does not make partitions that are added meanwhile wider', () => {
    const { world: w } = world()
    reassign(w, [4, 1])
    w.run({ type: 'createPartitions', topics: [{ name: 'orders', count: 2 }], requester: 'client' })
    expect(w.image.topics.get('orders')!.partitions[1]!.replicas).toHaveLength(2)
  })

  test('that is taken back leaves the replicas that were there before, once nobody else votes', () => {
    const { world: w, partition } = world()
    expect(reassign(w, null)).toEqual(['noReassignmentInProgress'])
    reassign(w, [4, 2, 3])
    expect(reassign(w, null)).toEqual(['changed'])
    expect(partition()).toMatchObject({ addingReplicas: [], removingReplicas: [4] })
    report(w, state(w, {}))
    expect(partition().removingReplicas).toEqual([])
    expect([...partition().replicas].sort()).toEqual([1, 2, 3])
  })

  test.each([
    [[], 'invalidReplicaAssignment'],
    [[1, 1], 'invalidReplicaAssignment'],
    [[1, 9], 'invalidReplicaAssignment'],
  ])('to %j is refused', (replicas, code) => {
    const { world: w } = world()
    expect(reassign(w, replicas)).toEqual([code])
    expect(reassign(w, [1], 'unknown')).toEqual(['unknownTopicOrPartition'])
  })

  test('to what is there already writes nothing', () => {
    const { world: w } = world()
    const changes = [{ topic: 'orders', partition: 0, replicas: [1, 2, 3] }]
    const { records } = decide(
      w.image,
      { type: 'alterPartitionReassignments', changes },
      { broker: new Map() },
    )
    expect(records).toEqual([])
  })
})
