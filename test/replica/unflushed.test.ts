import { expect, test } from 'vitest'
import { replicaMemory } from '../../src/replica/leasedMemory.ts'
import { Unflushed } from '../../src/replica/unflushed.ts'
import { nodeChecksum } from '../../src/runtime/node/nodeChecksum.ts'
import { encodeBatch } from '../../src/segment/records.ts'

/** An append of one batch at `baseOffset`, under a lease. */
function appendOf(baseOffset: number, sizeBytes: number): Uint8Array {
  const records = [{ key: null, value: Buffer.alloc(sizeBytes, 7), timestampMs: 0 }]
  const batch = encodeBatch({ records, baseOffset, leaderEpoch: 1 }, nodeChecksum)
  const lease = replicaMemory.take(batch.length)
  lease.set(batch)
  return lease
}

/** An `Unflushed` with `count` batches of one record each, of which nobody else has a lease. */
function withBatches(count: number, sizeBytes: number): { unflushed: Unflushed; bytes: Buffer } {
  const unflushed = new Unflushed()
  const all: Buffer[] = []
  for (let offset = 0; offset < count; offset++) {
    const append = appendOf(offset, sizeBytes)
    all.push(Buffer.from(append))
    for (const batch of unflushed.add(append, { sequence: offset, isDone: false })) batch.isPlaced = true
    replicaMemory.giveBack(append)
  }
  return { unflushed, bytes: Buffer.concat(all) }
}

for (const sizeBytes of [100, 40_000]) {
  test(`what a follower was given of batches of ${sizeBytes} bytes stays as it is until it has left`, () => {
    const { unflushed, bytes } = withBatches(3, sizeBytes)
    const first = unflushed.read(0, 3, 1 << 20)
    const second = unflushed.read(0, 3, 1 << 20)
    unflushed.flushed(3)
    for (const part of first) replicaMemory.giveBack(part)
    expect(Buffer.concat(second).equals(bytes)).toBe(true)
    for (const part of second) replicaMemory.giveBack(part)
    expect(Buffer.concat(second).equals(bytes)).toBe(false)
  })
}

test('the memory of an append is given back once all of it is flushed', () => {
  const { unflushed, bytes } = withBatches(2, 40_000)
  const before = replicaMemory.freeBytes
  unflushed.flushed(1)
  expect(replicaMemory.freeBytes).toBeGreaterThan(before)
  const rest = unflushed.read(1, 2, 1 << 20)
  expect(Buffer.concat(rest).equals(bytes.subarray(bytes.length / 2))).toBe(true)
  expect(unflushed.bytes).toBe(bytes.length / 2)
})

test('the memory of what is cut is not used again, since its write may not have been handed over', () => {
  const { unflushed } = withBatches(2, 40_000)
  const before = replicaMemory.freeBytes
  unflushed.cut(0)
  unflushed.flushed(2)
  expect(replicaMemory.freeBytes).toBe(before)
})
