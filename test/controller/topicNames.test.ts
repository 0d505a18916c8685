import { expect, test } from 'vitest'
import {
  checkNotReserved,
  checkTopicName,
  collisionKey,
  isInternalTopic,
} from '../../src/controller/topicNames.ts'

test.each(['a', 'A-b_c.9', '...', '.a', '__consumer_offsets', 'x'.repeat(249)])(
  'the name %s is legal',
  (name) => {
    expect(() => checkTopicName(name)).not.toThrow()
  },
)

test.each(['', '.', '..', 'x'.repeat(250), 'a b', 'a/b', '../a', 'é', 'a\n', 'a\0', '日本', 'a:b'])(
  'the name %j is not legal',
  (name) => {
    expect(() => checkTopicName(name)).toThrow(expect.objectContaining({ code: 'invalidTopicException' }))
  },
)

test('names that differ in dots and underscores only share a collision key', () => {
  expect(collisionKey('a.b_c')).toBe(collisionKey('a_b.c'))
  expect(collisionKey('a-b')).toBeNull()
})

test('what the broker keeps for itself is closed to clients', () => {
  expect(isInternalTopic('__consumer_offsets')).toBe(true)
  expect(isInternalTopic('orders')).toBe(false)
  expect(() => checkNotReserved('orders')).not.toThrow()
  expect(() => checkNotReserved('__transaction_state')).toThrow(
    expect.objectContaining({ code: 'invalidTopicException' }),
  )
  expect(() => checkNotReserved('__cluster_metadata')).toThrow(
    expect.objectContaining({ code: 'topicAuthorizationFailed' }),
  )
})
