import { describe, expect, test } from 'vitest'
import type { Lone } from './support/lone.ts'
import { inState, replica } from './support/lone.ts'

const damage = (lone: Lone, isDamaged = true): Lone => {
  lone.step({ type: 'damaged', isDamaged })
  return lone
}

/** How long a replica waits without hearing of anybody until it stands, in milliseconds. */
function patienceOf(lone: Lone): number {
  const startMs = lone.nowMs
  for (let steps = 0; lone.core.state !== 'prospective' && steps < 1000; steps++) lone.timeOut()
  expect(lone.core.state).toBe('prospective')
  return lone.nowMs - startMs
}

describe('a damaged replica', () => {
  test.each(['follower', 'unattached', 'voted'] as const)(
    'that is %s stands later than any other, and stands',
    (state) => {
      const sound = patienceOf(inState[state]())
      const damaged = patienceOf(damage(inState[state]()))
      expect(damaged).toBeGreaterThanOrEqual(sound + 900)
      expect(patienceOf(damage(damage(inState[state]()), false))).toBe(sound)
    },
  )

  test('does not stand at once when its leader names it first', () => {
    const lone = damage(inState.follower())
    lone.step({
      type: 'endQuorumEpochRequest',
      replyTo: 1,
      request: {
        clusterId: 'cluster',
        leaderId: lone.core.leaderId,
        leaderEpoch: lone.core.leaderEpoch,
        preferredCandidates: [replica(1), replica(3)],
      },
    })
    expect(lone.core.state).toBe('follower')
  })

  test('gives its vote as before: whoever can read the log is to lead', () => {
    const lone = damage(inState.unattached())
    const effects = lone.step(lone.voteRequest(replica(2)))
    expect(effects).toContainEqual(
      expect.objectContaining({ response: expect.objectContaining({ voteGranted: true }) }),
    )
  })

  test('tells its leader when damage is found, though a Fetch waits there, and when it is mended', () => {
    const lone = inState.follower()
    lone.answer('fetch', lone.core.leaderId, lone.fetchResponse())
    const before = lone.sent('fetch').requestId
    damage(lone)
    lone.answer('fetch', lone.core.leaderId, lone.fetchResponse())
    expect(lone.sent('fetch').requestId).not.toBe(before)
    expect(lone.sent('fetch').request.damaged).toBe(true)
  })

  test('is given no lead, whether it is asked for or not, until it is mended', () => {
    const lone = inState.leader()
    const transfer = (to: number, token: string) => lone.step({ type: 'transferLeadership', token, to })
    lone.fetch(replica(2), { damaged: true })
    expect(transfer(2, 'a')).toContainEqual(expect.objectContaining({ type: 'refused', token: 'a' }))
    lone.fetch(replica(2))
    expect(transfer(2, 'b')).not.toContainEqual(expect.objectContaining({ type: 'refused' }))
  })

  test('is the last to be named when its leader goes', () => {
    const lone = inState.leader()
    lone.fetch(replica(2), { damaged: true })
    lone.fetch(replica(3), { fetchOffset: 0, lastFetchedEpoch: 0, flushedOffset: -1 })
    lone.step({ type: 'shutdown' })
    expect(lone.sent('endQuorumEpoch').request.preferredCandidates).toEqual([replica(3), replica(2)])
  })
})
