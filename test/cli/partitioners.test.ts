import fc from 'fast-check'
import { expect, test } from 'vitest'
import { murmur2, partitionForKey, StickyPartition } from '../../src/cli/partitioners.ts'

const text = (value: string): Uint8Array => Buffer.from(value)

test("murmur2 gives the hashes that Kafka's own UtilsTest expects", () => {
  expect(murmur2(text('21'))).toBe(-973932308)
  expect(murmur2(text('foobar'))).toBe(-790332482)
  expect(murmur2(text('a-little-bit-long-string'))).toBe(-985981536)
  expect(murmur2(text('a-little-bit-longer-string'))).toBe(-1486304829)
  expect(murmur2(text('lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8'))).toBe(-58897971)
  expect(murmur2(text('abc'))).toBe(479470107)
})

test('a key whose hash is negative lands where the Java client puts it: sign bit dropped, not negated', () => {
  expect(partitionForKey('murmur2', text('21'), 7)).toBe((-973932308 & 0x7fffffff) % 7)
  expect(partitionForKey('murmur2', text('foobar'), 1000)).toBe(166)
})

test("crc32 gives librdkafka's partition: the checksum modulo the number of partitions", () => {
  // The check value of CRC-32 (IEEE) is 0xcbf43926 for these nine digits.
  expect(partitionForKey('crc32', text('123456789'), 2 ** 31)).toBe(0xcbf43926 % 2 ** 31)
  expect(partitionForKey('crc32', text('123456789'), 10)).toBe(0xcbf43926 % 10)
})

test('what has no key, and for librdkafka an empty one, may go anywhere', () => {
  expect(partitionForKey('murmur2', null, 3)).toBe(null)
  expect(partitionForKey('crc32', null, 3)).toBe(null)
  expect(partitionForKey('crc32', text(''), 3)).toBe(null)
  expect(partitionForKey('murmur2', text(''), 3)).not.toBe(null)
})

test('every key has one partition within range', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1 }),
      fc.integer({ min: 1, max: 10_000 }),
      fc.constantFrom('murmur2' as const, 'crc32' as const),
      (key, partitions, partitioner) => {
        const partition = partitionForKey(partitioner, key, partitions)
        expect(partition).toBeGreaterThanOrEqual(0)
        expect(partition).toBeLessThan(partitions)
        // The same key inside a larger buffer is the same key.
        expect(
          partitionForKey(
            partitioner,
            new Uint8Array([1, ...key, 2]).subarray(1, 1 + key.length),
            partitions,
          ),
        ).toBe(partition)
      },
    ),
  )
})

test('a sticky partition stays until a batch is full, then moves to another (KIP-480)', () => {
  const sticky = new StickyPartition(100, () => 0)
  const first = sticky.next(3, 60)
  expect(sticky.next(3, 60)).toBe(first)
  const second = sticky.next(3, 60)
  expect(second).not.toBe(first)
  expect(sticky.next(3, 60)).toBe(second)
  expect(new StickyPartition(10, () => 0).next(1, 60)).toBe(0)
})
