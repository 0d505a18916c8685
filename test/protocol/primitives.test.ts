import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Reader } from '../../src/protocol/reader.ts'
import { Writer } from '../../src/protocol/writer.ts'

const malformed = expect.objectContaining({ code: 'malformed' })

/** What `write` puts into an empty message. */
function written(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer(16)
  writer.begin()
  write(writer)
  return writer.finish()
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const reader = (text: string) => new Reader(bytesOf(text))

describe('64-bit numbers', () => {
  test.each([
    [0, '0000000000000000'],
    [-1, 'ffffffffffffffff'],
    [2 ** 32, '0000000100000000'],
    [-(2 ** 31) - 1, 'ffffffff7fffffff'],
    [2 ** 53 - 1, '001fffffffffffff'],
    [-(2 ** 53), 'ffe0000000000000'],
  ])('%d is %s', (value, text) => {
    expect(hex(written((writer) => writer.int64(value)))).toBe(text)
    expect(reader(text).int64()).toBe(value)
  })

  test.each(['0020000000000000', 'ffdfffffffffffff', '7fffffffffffffff', '8000000000000000'])(
    '%s is beyond ±2^53 and refused, never rounded',
    (text) => {
      expect(() => reader(text).int64()).toThrow(malformed)
    },
  )

  test('whatever fits agrees with BigInt', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const bytes = written((writer) => writer.int64(value))
        expect(Buffer.from(bytes).readBigInt64BE()).toBe(BigInt(value))
        expect(new Reader(bytes).int64()).toBe(value)
      }),
    )
  })

  test.each([2 ** 53, -(2 ** 53) - 2, 0.5, Number.NaN, Number.POSITIVE_INFINITY])(
    '%d is not written',
    (value) => {
      expect(() => written((writer) => writer.int64(value))).toThrow(malformed)
      expect(() => written((writer) => writer.varlong(value))).toThrow(malformed)
    },
  )
})

describe('varints', () => {
  test.each([
    [0, '00'],
    [127, '7f'],
    [128, '8001'],
    [300, 'ac02'],
    [0xffff_ffff, 'ffffffff0f'],
  ])('unsigned %d is %s', (value, text) => {
    expect(hex(written((writer) => writer.uvarint(value)))).toBe(text)
    expect(reader(text).uvarint()).toBe(value)
  })

  test.each([
    [0, '00'],
    [-1, '01'],
    [1, '02'],
    [-64, '7f'],
    [64, '8001'],
    [0x7fff_ffff, 'feffffff0f'],
    [-0x8000_0000, 'ffffffff0f'],
  ])('signed %d is %s', (value, text) => {
    expect(hex(written((writer) => writer.varint(value)))).toBe(text)
    expect(reader(text).varint()).toBe(value)
    expect(hex(written((writer) => writer.varlong(value)))).toBe(text)
    expect(reader(text).varlong()).toBe(value)
  })

  test.each(['ffffffff10', 'ffffffffff', 'ffffffffff01', '80'])('%s is not an unsigned varint', (text) => {
    expect(() => reader(text).uvarint()).toThrow(malformed)
  })

  test.each(['ffffffffffffffffff01', '80808080808080808080', 'ffffffffffffffff7f', '80'])(
    '%s is not a varlong within ±2^53',
    (text) => {
      expect(() => reader(text).varlong()).toThrow(malformed)
    },
  )

  test('the zigzag form of any 64-bit number within ±2^53 agrees with BigInt, both ways', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.maxSafeInteger(),
          fc.integer(),
          fc.constantFrom(-(2 ** 53), 2 ** 53 - 1, 2 ** 31, -(2 ** 31) - 1),
        ),
        (value) => {
          let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
          const expected: number[] = []
          for (; rest > 0x7fn; rest >>= 7n) expected.push(Number(rest & 0x7fn) | 0x80)
          expected.push(Number(rest))
          const bytes = written((writer) => writer.varlong(value))
          expect([...bytes]).toEqual(expected)
          expect(new Reader(bytes).varlong()).toBe(value)
        },
      ),
    )
  })

  test('a varlong beyond ±2^53 is refused, whatever it is', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }), fc.boolean(), (size, negative) => {
        const value = negative ? -size - 1n : size
        let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
        const bytes: number[] = []
        for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
        bytes.push(Number(rest))
        expect(() => new Reader(Uint8Array.from(bytes)).varlong()).toThrow(malformed)
      }),
    )
  })
})

describe('texts', () => {
  // On either side of where a length, compact or not, takes one byte more.
  const lengths = [0, 1, 31, 32, 33, 41, 42, 43, 126, 127, 128, 5460, 5461, 16_382, 16_383, 16_384, 32_767]

  test.each(lengths)('%i ASCII characters come back', (length) => {
    const text = 'k'.repeat(length)
    const plain = new Reader(written((writer) => writer.string(text)))
    expect(plain.text(plain.int16())).toBe(text)
    const compact = new Reader(written((writer) => writer.compactString(text)))
    expect(compact.text(compact.uvarint() - 1)).toBe(text)
    expect(compact.remaining).toBe(0)
  })

  test('any text comes back, and takes as many bytes as UTF-8 says', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const bytes = written((writer) => writer.compactString(text))
        const compact = new Reader(bytes)
        const length = compact.uvarint() - 1
        expect(length).toBe(Buffer.byteLength(text))
        expect(compact.text(length)).toBe(text)
        expect(compact.remaining).toBe(0)
      }),
    )
  })

  test('more than 32,767 bytes are refused, also when the characters are fewer', () => {
    for (const text of ['x'.repeat(32_768), 'é'.repeat(16_384)]) {
      expect(() => written((writer) => writer.string(text))).toThrow(malformed)
      expect(() => written((writer) => writer.compactString(text))).toThrow(malformed)
    }
  })
})

test('a reader never reads past its end, though the bytes go on', () => {
  const bytes = new Uint8Array(32).fill(0x01)
  const reads: ((reader: Reader) => unknown)[] = [
    (reader) => reader.int8(),
    (reader) => reader.bool(),
    (reader) => reader.int16(),
    (reader) => reader.uint16(),
    (reader) => reader.int32(),
    (reader) => reader.int64(),
    (reader) => reader.float64(),
    (reader) => reader.uvarint(),
    (reader) => reader.varlong(),
    (reader) => reader.uuid(),
    (reader) => reader.view(1),
    (reader) => reader.text(1),
  ]
  for (const read of reads) {
    expect(() => read(new Reader(bytes, 8, 8))).toThrow(malformed)
    expect(() => read(new Reader(bytes, 32))).toThrow(malformed)
  }
  expect(() => new Reader(bytes, 0, 8).view(-1)).toThrow(malformed)
})

test('a message that outgrows its slab is whole, and those before it stay as they were', () => {
  const writer = new Writer(64)
  writer.begin()
  writer.raw(new Uint8Array(40).fill(1))
  const first = writer.finish()
  writer.begin()
  for (let i = 0; i < 100_000; i++) writer.int32(i)
  const second = new Reader(writer.finish())
  for (let i = 0; i < 100_000; i++) if (second.int32() !== i) expect.fail(`number ${i} is damaged`)
  expect(second.remaining).toBe(0)
  expect(first).toEqual(new Uint8Array(40).fill(1))
})

test('a size put in front of what was written pushes it back, however many bytes the size takes', () => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 70_000]) {
    const bytes = written((writer) => {
      writer.int8(7)
      const from = writer.position - writer.start
      writer.raw(new Uint8Array(length).fill(5))
      writer.prefixSize(writer.start + from)
      writer.int8(8)
    })
    const back = new Reader(bytes)
    expect(back.int8()).toBe(7)
    expect(back.uvarint()).toBe(length)
    expect(back.view(length)).toEqual(new Uint8Array(length).fill(5))
    expect(back.int8()).toBe(8)
    expect(back.remaining).toBe(0)
  }
})

test('texts and tagged sections are whole wherever the slab ends', () => {
  const write = (writer: Writer): void => {
    for (const text of ['', 'a', 'ü', '', 'x'.repeat(130)]) writer.compactString(text)
    writer.int8(1)
    const from = writer.position - writer.start
    writer.uvarint(300)
    writer.prefixSize(writer.start + from)
    writer.compactString('')
    writer.prefixSize(writer.position)
  }
  const wanted = hex(written(write))
  for (let used = 0; used < 256; used++) {
    const writer = new Writer(256)
    writer.begin()
    writer.raw(new Uint8Array(used))
    writer.finish()
    writer.begin()
    write(writer)
    expect(hex(writer.finish()), `${used} bytes used`).toBe(wanted)
  }
})
