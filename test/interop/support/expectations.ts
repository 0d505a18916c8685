import { expect } from 'vitest'
import type { Seen } from './clients.ts'
import type { KeyedRecord } from './data.ts'

/** Values by key, in the order in which they come. */
function byKey(records: readonly KeyedRecord[]): Map<string, string[]> {
  const keys = new Map<string, string[]>()
  for (const { key, value } of records) {
    const values = keys.get(key)
    if (values === undefined) keys.set(key, [value])
    else values.push(value)
  }
  return keys
}

/** The records of each partition by offset, whatever order a client took the partitions in. */
export function inOffsetOrder(seen: readonly Seen[]): Seen[] {
  return seen.toSorted((a, b) => a.partition - b.partition || a.offset - b.offset)
}

/**
 * Fails unless `seen` are exactly `sent`: byte for byte, the same order per key, every key in one
 * partition, offsets of each partition from 0 on without a gap, and delivered in that order.
 */
export function expectSameRecords(seen: readonly Seen[], sent: readonly KeyedRecord[]): void {
  expect(seen.length).toBe(sent.length)
  const next = new Map<number, number>()
  const homes = new Map<string, number>()
  for (const { partition, offset, key } of seen) {
    const expected = next.get(partition) ?? 0
    if (offset !== expected)
      expect.fail(`partition ${partition}: offset ${offset} came where ${expected} was due`)
    next.set(partition, expected + 1)
    const home = homes.get(key) ?? partition
    if (home !== partition) expect.fail(`key ${key} is in partition ${home} and in ${partition}`)
    homes.set(key, home)
  }
  const wanted = byKey(sent)
  const got = byKey(seen)
  expect([...got.keys()].sort()).toEqual([...wanted.keys()].sort())
  for (const [key, values] of wanted) {
    const received = got.get(key) ?? []
    const differs = values.findIndex((value, i) => received[i] !== value)
    if (differs >= 0) expect(received[differs], `record ${differs} of key ${key}`).toBe(values[differs])
    expect(received.length, `records of key ${key}`).toBe(values.length)
  }
}

/** Fails at the first record that differs; a whole diff of thousands of records helps nobody. */
export function expectIdentical(seen: readonly Seen[], expected: readonly Seen[]): void {
  const length = Math.max(seen.length, expected.length)
  for (let i = 0; i < length; i++) {
    const [got, due] = [seen[i], expected[i]]
    const same =
      got !== undefined && due !== undefined && got.partition === due.partition && got.offset === due.offset
    if (!same || got.key !== due.key || got.value !== due.value) expect(got, `record ${i}`).toEqual(due)
  }
  expect(seen.length).toBe(expected.length)
}
