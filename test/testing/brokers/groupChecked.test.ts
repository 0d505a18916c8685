import { expect, test } from 'vitest'
import { GroupChecked } from '../../../src/testing/brokers/groupChecked.ts'
import { Checks } from '../../../src/testing/checks.ts'

/** A group whose member `a` has partitions 0 and 1 in generation 1. */
function begun(): { readonly checks: Checks; readonly group: GroupChecked } {
  const checks = new Checks()
  const group = new GroupChecked('members', checks)
  group.owns('a', 1, [0, 1])
  return { checks, group }
}

test('a generation gives a partition to one member, as often as it is told', () => {
  const { checks, group } = begun()
  group.owns('a', 1, [0, 1])
  group.owns('b', 1, [2])
  group.owns('b', 2, [0])
  expect(checks.violation).toBeNull()
  group.owns('b', 1, [1])
  expect(checks.violation?.message).toBe('I15: members: partition 1 is of a and of b in generation 1')
})

test('a commit of an earlier generation is refused once somebody has partitions in a later one', () => {
  const { checks, group } = begun()
  // On its way while the next generation begins: it may have come before.
  const before = group.begin(1, 0)
  group.owns('b', 2, [0, 1])
  const after = group.begin(1, 0)
  group.acked(before)
  expect(checks.violation).toBeNull()
  group.acked(after)
  expect(checks.violation?.message).toBe('I15: members: a commit of generation 1 is taken after 2 has begun')
})

test('a committed offset is what was acknowledged last, or in doubt while its generation goes on', () => {
  const { checks, group } = begun()
  const read = (offset: number): void => group.read(group.beginRead(0), offset)
  read(-1)
  const lost = group.begin(1, 0)
  read(-1)
  read(lost.offset)
  const refused = group.begin(1, 0)
  group.refused(refused)
  group.owns('b', 2, [0])
  read(lost.offset)
  // Acknowledged while the question is on its way.
  const question = group.beginRead(0)
  group.acked(group.begin(2, 0))
  group.read(question, 3)
  read(3)
  expect(checks.violation).toBeNull()
  read(lost.offset)
  expect(checks.violation?.id).toBe('I15')
})

test('a commit that was refused does not happen', () => {
  const { checks, group } = begun()
  const refused = group.begin(1, 0)
  group.refused(refused)
  group.read(group.beginRead(0), refused.offset)
  expect(checks.violation?.id).toBe('I15')
})
