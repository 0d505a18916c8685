import { expect, test } from 'vitest'
import { Outbox } from '../../src/replica/outbox.ts'

test('what follows a persist leaves when that is durable, in order; what precedes it leaves at once', () => {
  const outbox = new Outbox()
  const left: string[] = []
  outbox.leave(() => left.push('before'))
  outbox.persistAsked(1)
  outbox.leave(() => left.push('after 1'))
  outbox.persistAsked(2)
  outbox.leave(() => left.push('after 2'))
  expect(left).toEqual(['before'])
  outbox.persisted(1)
  expect(left).toEqual(['before', 'after 1'])
  outbox.persisted(2)
  expect(left).toEqual(['before', 'after 1', 'after 2'])
  outbox.leave(() => left.push('later'))
  expect(left.at(-1)).toBe('later')
  expect(outbox.isEmpty).toBe(true)
})

test('an answer that was begun before a persist does not wait for it', () => {
  const outbox = new Outbox()
  const left: string[] = []
  const { ticket } = outbox
  outbox.persistAsked(1)
  outbox.leave(() => left.push('begun before'), false, ticket)
  expect(left).toEqual(['begun before'])
})

test('Fetches that have not left are forgotten with the leader, and nothing else is', () => {
  const outbox = new Outbox()
  const left: string[] = []
  outbox.persistAsked(1)
  outbox.leave(() => left.push('fetch'), true)
  outbox.leave(() => left.push('vote'))
  outbox.dropFetches()
  outbox.persisted(1)
  expect(left).toEqual(['vote'])
})
