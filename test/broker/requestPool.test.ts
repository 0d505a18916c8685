import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type PoolWaiter, type RequestBytes, RequestPool } from '../../src/broker/requestPool.ts'

const kib = 1024
const mib = 1024 * kib

class Waiter implements PoolWaiter {
  readonly lengthBytes: number
  readonly weight = 1
  loan: RequestBytes | null = null

  constructor(lengthBytes: number) {
    this.lengthBytes = lengthBytes
  }

  granted(request: RequestBytes): void {
    this.loan = request
  }
}

test('memory is used again after its release', () => {
  const pool = new RequestPool(16 * mib)
  const first = pool.take(mib)!
  const { buffer } = first.bytes
  first.release()
  const second = pool.take(mib - 10)!
  expect(second.bytes.buffer).toBe(buffer)
  expect(second.bytes.length).toBe(mib - 10)
})

test('a loan that was given back shows nothing and counts once', () => {
  const pool = new RequestPool(16 * mib)
  const loan = pool.take(100 * kib)!
  loan.release()
  loan.release()
  expect(pool.usedBytes).toBe(0)
  expect(loan.bytes.length).toBe(0)
  expect(pool.take(100 * kib)!.bytes).not.toBe(pool.take(100 * kib)!.bytes)
})

test('an empty pool grants in the order of waiting, a large request before a later less large one', () => {
  const pool = new RequestPool(4 * mib)
  const out = pool.take(3 * mib)!
  const first = new Waiter(2 * mib)
  const second = new Waiter(100 * kib)
  pool.wait(first)
  pool.wait(second)
  expect(pool.take(100 * kib)).toBe(null)
  expect([first.loan, second.loan]).toEqual([null, null])
  out.release()
  expect(first.loan?.bytes.length).toBe(2 * mib)
  expect(second.loan?.bytes.length).toBe(100 * kib)
})

test('small requests do not stand behind large ones, and have a line of their own', () => {
  const pool = new RequestPool(mib)
  const out = pool.take(2 * mib)!
  pool.wait(new Waiter(2 * mib))
  const small = Array.from({ length: 4 }, () => pool.take(64 * kib)!)
  expect(pool.take(64 * kib)).toBe(null)
  const waiter = new Waiter(kib)
  pool.wait(waiter)
  expect(waiter.loan).toBe(null)
  small[0]!.release()
  expect(waiter.loan?.bytes.length).toBe(kib)
  out.release()
})

test('half of the memory for large requests is kept for those that do arrive', () => {
  const pool = new RequestPool(4 * mib)
  expect(pool.isPlentyFor(mib, 1)).toBe(true)
  expect(pool.isPlentyFor(mib, 2)).toBe(false)
  const out = pool.take(mib)!
  expect(pool.isPlentyFor(mib, 1)).toBe(false)
  expect(pool.isPlentyFor(kib, 1)).toBe(true)
  out.release()
})

test('a request larger than the pool is granted once nothing else is out', () => {
  const pool = new RequestPool(mib)
  const out = pool.take(100 * kib)!
  const huge = new Waiter(5 * mib)
  pool.wait(huge)
  expect(huge.loan).toBe(null)
  out.release()
  expect(huge.loan?.bytes.length).toBe(5 * mib)
})

test('whoever leaves the line no longer holds up those behind', () => {
  const pool = new RequestPool(2 * mib)
  const out = pool.take(mib)!
  const large = new Waiter(2 * mib)
  const small = new Waiter(100 * kib)
  pool.wait(large)
  pool.wait(small)
  pool.cancel(large)
  expect(small.loan?.bytes.length).toBe(100 * kib)
  expect(large.loan).toBe(null)
  out.release()
})

test('a request that becomes large when it is decoded counts more', () => {
  const pool = new RequestPool(8 * mib)
  const loan = pool.take(mib / 2, 8)!
  expect(pool.usedBytes).toBe(4 * mib)
  expect(pool.take(mib, 8)).toBe(null)
  loan.release()
  expect(pool.usedBytes).toBe(0)
})

test('loans never exceed the capacity and kept memory never its bound, whatever the order of requests', () => {
  const step = fc.record({ lengthBytes: fc.integer({ min: 0, max: 3 * mib }), releases: fc.nat(5) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const pool = new RequestPool(4 * mib, 2 * mib)
      const loans: RequestBytes[] = []
      for (const { lengthBytes, releases } of steps) {
        const loan = pool.take(lengthBytes)
        if (loan) {
          expect(loan.bytes.length).toBe(lengthBytes)
          loans.push(loan)
        }
        expect(pool.usedBytes).toBeLessThanOrEqual(4 * mib)
        for (let count = 0; count < releases; count++) loans.shift()?.release()
        expect(pool.freeBytes).toBeLessThanOrEqual(2 * mib)
      }
      for (const loan of loans) loan.release()
      expect(pool.usedBytes).toBe(0)
    }),
  )
})

test('large requests get memory that was lent, small ones never do, whatever is kept', () => {
  const lent = new Set<ArrayBufferLike>()
  const pool = new RequestPool(16 * mib, undefined, (sizeBytes) => {
    const memory = new Uint8Array(sizeBytes)
    lent.add(memory.buffer)
    return memory
  })
  for (const lengthBytes of [1, 4097, 64 * kib, 64 * kib + 1, 80 * kib, mib, 90 * kib, 60 * kib, 64 * kib]) {
    const loan = pool.take(lengthBytes)!
    expect(loan.bytes.length).toBe(lengthBytes)
    expect([loan.isLent, lent.has(loan.bytes.buffer)]).toEqual(Array(2).fill(lengthBytes > 64 * kib))
    loan.release()
  }
  expect(lent.size).toBe(3)
  expect(new RequestPool(16 * mib).take(mib)!.isLent).toBe(false)
})
