import { expect, test } from 'vitest'
import { type GroupState, groupStates } from '../../src/coordinator/groupData.ts'
import { stateTable } from '../../src/coordinator/stateTable.ts'
import { commitCode, GroupWorld } from './support/groupWorld.ts'

/** A group in each state, with the id of a member it has, or had. */
const worlds: Readonly<Record<GroupState, () => [GroupWorld, string]>> = {
  empty: () => {
    const world = new GroupWorld()
    const { memberId } = world.join().answers[0]!
    world.sync(memberId, 1, { [memberId]: 'one' })
    world.leave(memberId)
    return [world, memberId]
  },
  preparingRebalance: () => {
    const world = new GroupWorld()
    const [leader, member] = world.stablePair()
    world.join({ memberId: leader })
    return [world, member]
  },
  completingRebalance: () => {
    const world = new GroupWorld()
    const [leader, member] = world.stablePair()
    world.join({ memberId: leader })
    world.join({ memberId: member })
    return [world, member]
  },
  stable: () => {
    const world = new GroupWorld()
    return [world, world.stablePair()[1]]
  },
  dead: () => {
    const [world, member] = worlds.empty()
    world.autoFlush = false
    world.deleteGroup()
    return [world, member]
  },
}

/** Each request of that member, in its own generation and in the one before, and what it is answered; null: it waits. */
const requests: Readonly<Record<string, (world: GroupWorld, memberId: string) => number | null | undefined>> =
  {
    join: (world, memberId) => world.join({ memberId }).answers[0]?.errorCode,
    'join of a stranger': (world) => world.join({ memberId: 'stranger' }).answers[0]?.errorCode,
    'join of a new member (v4)': (world) => world.join({ version: 4 }).answers[0]?.errorCode,
    sync: (world, memberId) => world.sync(memberId, world.data.generationId).answers[0]?.errorCode,
    'sync of old': (world, memberId) =>
      world.sync(memberId, world.data.generationId - 1).answers[0]?.errorCode,
    heartbeat: (world, memberId) => world.heartbeat(memberId, world.data.generationId),
    'heartbeat of old': (world, memberId) => world.heartbeat(memberId, world.data.generationId - 1),
    'heartbeat of a stranger': (world) => world.heartbeat('stranger', world.data.generationId),
    commit: (world, memberId) => commitCode(world.commit(memberId, world.data.generationId, 1)),
    'commit of old': (world, memberId) => commitCode(world.commit(memberId, world.data.generationId - 1, 1)),
    'commit without a generation': (world) => commitCode(world.commit('', -1, 1)),
    leave: (world, memberId) => {
      const [answer] = world.leave(memberId).answers
      return answer === undefined ? null : answer.errorCode || answer.members[0]?.errorCode
    },
    deleteGroup: (world) => world.deleteGroup().answers[0]?.errorCode,
    deleteOffsets: (world) => {
      const [answer] = world.deleteOffsets('t').answers
      return answer === undefined ? null : answer.errorCode || answer.topics[0]?.partitions[0]?.errorCode
    },
  }

const expected: Readonly<Record<string, Readonly<Record<GroupState, number | null>>>> = {
  join: { empty: 25, preparingRebalance: 0, completingRebalance: 0, stable: 0, dead: 15 },
  'join of a stranger': { empty: 25, preparingRebalance: 25, completingRebalance: 25, stable: 25, dead: 15 },
  'join of a new member (v4)': {
    empty: 79,
    preparingRebalance: 79,
    completingRebalance: 79,
    stable: 79,
    dead: 15,
  },
  sync: { empty: 25, preparingRebalance: 27, completingRebalance: null, stable: 0, dead: 15 },
  'sync of old': { empty: 25, preparingRebalance: 22, completingRebalance: 22, stable: 22, dead: 15 },
  heartbeat: { empty: 25, preparingRebalance: 27, completingRebalance: 0, stable: 0, dead: 15 },
  'heartbeat of old': { empty: 25, preparingRebalance: 22, completingRebalance: 22, stable: 22, dead: 15 },
  'heartbeat of a stranger': {
    empty: 25,
    preparingRebalance: 25,
    completingRebalance: 25,
    stable: 25,
    dead: 15,
  },
  commit: { empty: 25, preparingRebalance: 0, completingRebalance: 27, stable: 0, dead: 15 },
  'commit of old': { empty: 25, preparingRebalance: 22, completingRebalance: 22, stable: 22, dead: 15 },
  'commit without a generation': {
    empty: 0,
    preparingRebalance: 25,
    completingRebalance: 25,
    stable: 25,
    dead: 15,
  },
  leave: { empty: 25, preparingRebalance: 0, completingRebalance: 0, stable: 0, dead: 15 },
  deleteGroup: { empty: 0, preparingRebalance: 68, completingRebalance: 68, stable: 68, dead: 69 },
  deleteOffsets: { empty: 0, preparingRebalance: 86, completingRebalance: 86, stable: 86, dead: 69 },
}

for (const state of groupStates) {
  test(`a group that is ${state} answers every request as Kafka does`, () => {
    const found: Record<string, number | null> = {}
    for (const [name, request] of Object.entries(requests)) {
      const [world, memberId] = worlds[state]()
      expect(world.data.state).toBe(state)
      found[name] = request(world, memberId) ?? null
    }
    expect(found).toEqual(
      Object.fromEntries(Object.entries(expected).map(([name, row]) => [name, row[state]])),
    )
  })
}

test('every state has a handler for every event', () => {
  const events = groupStates.map((state) => Object.keys(stateTable[state]).sort())
  expect(new Set(events.map(String)).size).toBe(1)
  expect(events[0]).toHaveLength(15)
})
