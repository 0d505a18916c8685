import { describe, expect, test } from 'vitest'
import { initialQuorumState } from '../../src/raft/quorumState.ts'
import { Lone, replica } from './support/lone.ts'

/** A start of replica 1 that is none of the disk that the test begins with. */
const other = { ...replica(1), incarnation: 9, startNonce: 99, earlierNonces: [] as readonly number[] }

/** A follower of node 2 among five voters whose disk has been started three times. */
function follower(quarantine: 'none' | 'rolledBack' = 'none'): Lone {
  const quorum = { ...initialQuorumState, incarnation: 3, startNonces: [3, 2, 1], quarantine }
  const lone = new Lone({ voters: [1, 2, 3, 4, 5], config: { confirmation: 'peers' }, start: { quorum } })
  return lone.follow(2, 3)
}

function say(lone: Lone, from: number, recorded: typeof other | null): void {
  const { leaderId, leaderEpoch } = lone.core
  const answer = { error: 'none' as const, leaderId, leaderEpoch, voteGranted: false, quarantined: false }
  lone.answer('vote', from, { ...answer, recorded })
}

const saysSo = (lone: Lone): boolean =>
  lone.effects.some((effect) => effect.type === 'alarm' && effect.code === 'mustBeginAnew')

describe('a disk that went back', () => {
  test('begins anew on the word of the leader alone', () => {
    const lone = follower()
    lone.answer('fetch', 2, lone.fetchResponse({ error: 'staleBrokerEpoch', recorded: other }))
    expect(lone.core.standing).toBe('rolledBack')
    expect(lone.core.mustBeginAnew).toBe(true)
    expect(saysSo(lone)).toBe(true)
  })

  test('votes no more on the word of anybody, and begins anew on that of as many as confirm a start', () => {
    const lone = follower()
    say(lone, 3, other)
    expect(lone.core.standing).toBe('rolledBack')
    lone.answer('fetch', 2, lone.fetchResponse())
    expect(lone.core.mustBeginAnew).toBe(false)
    say(lone, 4, other)
    expect(lone.core.mustBeginAnew).toBe(false)
    lone.step({ type: 'flushed', sequence: 0 })
    lone.nowMs += 10_000
    lone.timeOut()
    lone.follow(2, lone.core.leaderEpoch + 1)
    lone.answer('fetch', 2, lone.fetchResponse())
    expect(lone.core.mustBeginAnew).toBe(true)
  })

  test('waits for a leader: without one there may be no majority that has what it gives up', () => {
    const lone = follower()
    for (const from of [3, 4, 5]) say(lone, from, other)
    expect(lone.core.standing).toBe('rolledBack')
    expect(lone.core.mustBeginAnew).toBe(false)
  })

  test('begins anew as soon as it has a leader when it knew of itself', () => {
    const lone = follower('rolledBack')
    expect(lone.core.mustBeginAnew).toBe(false)
    lone.answer('fetch', 2, lone.fetchResponse())
    expect(lone.core.mustBeginAnew).toBe(true)
  })

  test('a disk that others know goes on', () => {
    const lone = follower()
    const { incarnation } = lone.sent('vote', 3).request
    for (const from of [3, 4]) say(lone, from, incarnation)
    lone.answer('fetch', 2, lone.fetchResponse())
    expect(lone.core.standing).toBe('sound')
    expect(lone.core.mustBeginAnew).toBe(false)
  })
})
