import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LeasedMemory } from '../../src/replica/leasedMemory.ts'

const kib = 1024

test('memory is used again once its last lease was given back', () => {
  const memory = new LeasedMemory()
  const first = memory.take(100 * kib)
  const view = memory.share(first.subarray(10, 20))
  memory.giveBack(first)
  expect(memory.freeBytes).toBe(0)
  expect(view.length).toBe(10)
  memory.giveBack(view)
  expect(memory.freeBytes).toBeGreaterThanOrEqual(100 * kib)
  expect(memory.take(90 * kib).buffer).toBe(first.buffer)
  expect(memory.freeBytes).toBe(0)
})

test('a lease ends once, whatever is given back beside it', () => {
  const memory = new LeasedMemory()
  const lease = memory.take(100 * kib)
  const other = memory.share(lease)
  memory.giveBack(lease)
  memory.giveBack(lease)
  memory.giveBack(lease.subarray(0))
  memory.giveBack(new Uint8Array(lease.buffer))
  expect(memory.freeBytes).toBe(0)
  memory.giveBack(other)
  expect(memory.freeBytes).toBeGreaterThan(0)
})

test('other memory has no leases', () => {
  const memory = new LeasedMemory()
  const bytes = new Uint8Array(100 * kib)
  expect(memory.share(bytes)).toBe(bytes)
  memory.giveBack(bytes)
  expect(memory.freeBytes).toBe(0)
})

test('what is kept goes once nothing was taken for a while', () => {
  const memory = new LeasedMemory()
  memory.giveBack(memory.take(100 * kib))
  memory.trimIdle()
  expect(memory.freeBytes).toBeGreaterThan(0)
  memory.trimIdle()
  expect(memory.freeBytes).toBe(0)
})

test('poisoned memory is written over when its last lease ends, and not before', () => {
  const memory = new LeasedMemory()
  memory.poison()
  const lease = memory.take(3)
  lease.set([1, 2, 3])
  const other = memory.share(lease)
  memory.giveBack(lease)
  expect([...other]).toEqual([1, 2, 3])
  memory.giveBack(other)
  expect([...other]).toEqual([0xdb, 0xdb, 0xdb])
})

test('no two leases of different takes ever share memory', () => {
  const step = fc.oneof(
    fc.record({ take: fc.integer({ min: 1, max: 200_000 }) }),
    fc.record({ share: fc.nat() }),
    fc.record({ giveBack: fc.nat() }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const memory = new LeasedMemory()
      memory.poison()
      const held: { readonly lease: Uint8Array; readonly mark: number }[] = []
      let takes = 0
      for (const each of steps) {
        if ('take' in each) {
          const mark = (takes++ % 200) + 1
          held.push({ lease: memory.take(each.take).fill(mark), mark })
        } else if (held.length > 0 && 'share' in each) {
          const { lease, mark } = held[each.share % held.length]!
          held.push({ lease: memory.share(lease.subarray(lease.length >> 1)), mark })
        } else if (held.length > 0 && 'giveBack' in each) {
          memory.giveBack(held.splice(each.giveBack % held.length, 1)[0]!.lease)
        }
        for (const { lease, mark } of held) expect(lease.every((byte) => byte === mark)).toBe(true)
      }
    }),
    { numRuns: 100 },
  )
})

test('memory comes from whoever lends it, and is used again without asking once more', () => {
  const memory = new LeasedMemory()
  const lent: number[] = []
  memory.comeFrom((sizeBytes) => {
    lent.push(sizeBytes)
    return new Uint8Array(sizeBytes).fill(7)
  })
  const first = memory.take(100 * kib)
  expect(first.every((byte) => byte === 7)).toBe(true)
  memory.giveBack(first)
  expect(memory.take(90 * kib).buffer).toBe(first.buffer)
  // Little is ordinary memory.
  memory.take(kib)
  expect(lent).toHaveLength(1)
  memory.comeFrom(null)
  expect(memory.take(90 * kib).length).toBe(90 * kib)
  expect(lent).toHaveLength(1)
})
