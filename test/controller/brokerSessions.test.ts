import { expect, test } from 'vitest'
import { BrokerSessions } from '../../src/controller/brokerSessions.ts'

test('a session ends when nothing is heard for its time, once, and not a millisecond before', () => {
  const sessions = new BrokerSessions(3000)
  sessions.reset(
    [
      { id: 1, epoch: 5 },
      { id: 2, epoch: 6 },
    ],
    1000,
  )
  sessions.heard(1, 5, 2000)
  for (let nowMs = 1500; nowMs < 4000; nowMs += 500) expect(sessions.takeExpired(nowMs, 500)).toEqual([])
  expect(sessions.takeExpired(3999, 500)).toEqual([])
  expect(sessions.takeExpired(4000, 500)).toEqual([{ brokerId: 2, brokerEpoch: 6 }])
  expect(sessions.takeExpired(4500, 500)).toEqual([])
  expect(sessions.isLive(1, 5, 4999)).toBe(true)
  expect(sessions.isLive(1, 5, 5000)).toBe(false)
  expect(sessions.isLive(1, 4, 2000)).toBe(false)
})

test('time in which this process stood still ends nobody’s session', () => {
  const sessions = new BrokerSessions(3000)
  sessions.reset([{ id: 1, epoch: 5 }], 0)
  expect(sessions.takeExpired(500, 500)).toEqual([])
  // Heartbeats of an hour wait to be read.
  expect(sessions.takeExpired(3_600_000, 500)).toEqual([])
  sessions.heard(1, 5, 3_600_001)
  expect(sessions.takeExpired(3_600_500, 500)).toEqual([])
})

test('a broker that goes has no session, another registration begins a new one', () => {
  const sessions = new BrokerSessions(3000)
  sessions.reset([{ id: 1, epoch: 5 }], 0)
  sessions.heard(1, 9, 2900)
  expect(sessions.takeExpired(3000, 3000)).toEqual([])
  sessions.end(1)
  expect(sessions.isLive(1, 9, 2901)).toBe(false)
  expect(sessions.takeExpired(9000, 3000)).toEqual([])
})
