import { expect, test } from 'vitest'
import { OffsetsChecked } from '../../../src/testing/brokers/offsetsChecked.ts'
import { Checks } from '../../../src/testing/checks.ts'

test('a committed offset may be what was acknowledged last, or anything in doubt, and nothing else', () => {
  const checks = new Checks()
  const offsets = new OffsetsChecked('group-0', checks)
  offsets.read(offsets.beginRead(), -1)
  const first = offsets.begin()!
  expect(offsets.begin()).toBeNull()
  offsets.read(offsets.beginRead(), -1)
  offsets.read(offsets.beginRead(), 1)
  offsets.acked(first)
  offsets.ended()
  offsets.begin()
  offsets.ended()
  offsets.read(offsets.beginRead(), 1)
  offsets.read(offsets.beginRead(), 2)
  // Acknowledged while the question is on its way.
  const question = offsets.beginRead()
  offsets.acked(offsets.begin()!)
  offsets.read(question, 3)
  expect(checks.violation).toBeNull()
  offsets.read(offsets.beginRead(), 1)
  expect(checks.violation?.id).toBe('I15')
})
