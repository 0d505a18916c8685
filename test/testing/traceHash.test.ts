import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TraceHash } from '../../src/testing/traceHash.ts'

const hashOf = (parts: readonly (number | string)[]): string => {
  const hash = new TraceHash()
  for (const part of parts) {
    if (typeof part === 'number') hash.add(part)
    else hash.addText(part)
  }
  return hash.hex
}

test('both halves of a hash depend on every number and every character, and on their order', () => {
  const part = fc.oneof(
    fc.integer(),
    fc.double({ noNaN: true, min: -1e6, max: 1e6 }),
    fc.string({ maxLength: 8 }),
  )
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), fc.nat(), (parts, at) => {
      const index = at % parts.length
      const other = parts[index]
      const changed = typeof other === 'number' ? Math.trunc(other) + 1 : `${other}x`
      const [first, second] = [hashOf(parts), hashOf(parts.with(index, changed))]
      expect(hashOf(parts)).toBe(first)
      expect(first.slice(0, 8)).not.toBe(second.slice(0, 8))
      expect(first.slice(8)).not.toBe(second.slice(8))
    }),
  )
  expect(hashOf(['ab', 1, 'c'])).not.toBe(hashOf(['c', 1, 'ab']))
})
