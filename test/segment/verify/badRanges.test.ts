import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CorruptionError } from '../../../src/model/errors.ts'
import { type BadRange, BadRanges } from '../../../src/segment/badRanges.ts'

const rangeOf = (position: number, end: number, file = 'a.log'): BadRange => {
  return { file, position, end, baseOffset: position, nextOffset: end, expected: 'x', found: 'y' }
}

test('a read ends before damage, is refused inside it, and goes on behind it', () => {
  const bad = new BadRanges()
  expect(bad.add(rangeOf(100, 200))).toBe(true)
  expect(bad.readableEnd('a.log', 0, 100)).toBe(100)
  expect(bad.readableEnd('a.log', 0, 300)).toBe(100)
  expect(bad.readableEnd('a.log', 200, 300)).toBe(300)
  expect(bad.readableEnd('b.log', 100, 300)).toBe(300)
  expect(() => bad.readableEnd('a.log', 100, 300)).toThrow(CorruptionError)
  expect(() => bad.readableEnd('a.log', 150, 160)).toThrow('a.log is damaged at byte 100')
})

test('somebody is told of each damage once', () => {
  const bad = new BadRanges()
  const told: number[] = []
  bad.onFound = ({ position }) => told.push(position)
  expect(
    [rangeOf(100, 200), rangeOf(100, 200), rangeOf(120, 150), rangeOf(300, 400)].map((each) => bad.add(each)),
  ).toEqual([true, false, false, true])
  expect(told).toEqual([100, 300])
})

test('a cut forgets what it removed, and nothing else', () => {
  const bad = new BadRanges()
  for (const range of [rangeOf(0, 10), rangeOf(50, 60), rangeOf(0, 10, 'b.log')]) bad.add(range)
  bad.forget('a.log', 20)
  expect(bad.all()).toEqual([rangeOf(0, 10), rangeOf(0, 10, 'b.log')])
  bad.forget('a.log')
  bad.forget('b.log')
  expect(bad.isEmpty).toBe(true)
})

test('no byte that was reported is ever readable, however ranges overlap', () => {
  const ranges = fc.array(fc.tuple(fc.nat(50), fc.integer({ min: 1, max: 20 })), { maxLength: 12 })
  fc.assert(
    fc.property(ranges, fc.nat(70), (given, position) => {
      const bad = new BadRanges()
      for (const [start, length] of given) bad.add(rangeOf(start, start + length))
      const isBad = given.some(([start, length]) => position >= start && position < start + length)
      const read = (): number => bad.readableEnd('a.log', position, 100)
      if (isBad) expect(read).toThrow(CorruptionError)
      else
        expect(read()).toBe(
          Math.min(100, ...given.filter(([start]) => start > position).map(([start]) => start)),
        )
    }),
  )
})
