import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { type CodecName, compress, decompress } from '../../src/zerocopy/codecs.ts'
import { implementations } from '../contract/implementations.ts'

const withAddon = implementations.some(({ name }) => name === 'native')
const codecs: readonly CodecName[] = withAddon ? ['gzip', 'snappy', 'lz4', 'zstd'] : ['gzip']
const sample = Buffer.from('a log is a sequence of records. '.repeat(5000))

describe.each(codecs)('%s', (codec) => {
  test('gives back what was compressed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), fc.nat(40), (bytes, times) => {
        const whole = Buffer.concat(Array.from({ length: times }, () => bytes))
        const back = decompress(codec, compress(codec, whole), whole.length)
        expect(Buffer.from(back).equals(whole)).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  test('makes what repeats smaller', () => {
    expect(compress(codec, sample).length).toBeLessThan(sample.length / 5)
  })

  test('refuses to give more bytes than allowed, however small the input', () => {
    const bomb = compress(codec, new Uint8Array(20 << 20))
    expect(() => decompress(codec, bomb, 1 << 20)).toThrow(
      expect.objectContaining({ code: 'messageTooLarge' }),
    )
    expect(() => decompress(codec, compress(codec, sample), sample.length - 1)).toThrow(
      expect.objectContaining({ code: 'messageTooLarge' }),
    )
    expect(decompress(codec, compress(codec, sample), sample.length)).toHaveLength(sample.length)
  })

  test('gives everything where any size is allowed', () => {
    for (const most of [Number.POSITIVE_INFINITY, 2 ** 64, Number.MAX_SAFE_INTEGER]) {
      expect(decompress(codec, compress(codec, sample), most)).toHaveLength(sample.length)
    }
  })

  test('never does worse than throw corruptMessage or messageTooLarge for bytes that are damaged', () => {
    const good = Buffer.from(compress(codec, sample))
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(damage, fc.nat(good.length), (changes, length) => {
        const bytes = Buffer.from(good)
        for (const [at, value] of changes) bytes[at] = value
        const code = codeOf(() => decompress(codec, bytes.subarray(0, length), 1 << 20))
        expect([null, 'corruptMessage', 'messageTooLarge']).toContain(code)
      }),
      { numRuns: 300 },
    )
  })

  test('gives memory that is free again without a turn of the event loop', async () => {
    const bytes = compress(codec, new Uint8Array(2 << 20))
    const before = process.memoryUsage.rss()
    for (let round = 0; round < 300; round++) {
      expect(decompress(codec, bytes, 2 << 20)).toHaveLength(2 << 20)
      await null
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(300 << 20)
  })

  test('throws corruptMessage or gives nothing for bytes of another kind', () => {
    const code = codeOf(() => decompress(codec, Buffer.from('GET / HTTP/1.1\r\n\r\n'), 1000))
    expect(code).toBe('corruptMessage')
  })
})

test('gzip is what every gzip reads', () => {
  expect(gunzipSync(compress('gzip', sample)).equals(sample)).toBe(true)
})

describe.each(implementations.filter(({ name }) => name === 'native'))('with the addon', () => {
  test('snappy is written in the framing of snappy-java, and read without it too', () => {
    const framed = compress('snappy', sample)
    expect(Buffer.from(framed.subarray(0, 16)).toString('hex')).toBe('82534e415050590000000001' + '00000001')
    // One raw block: length 5, then a literal of five bytes (tag (5 - 1) << 2).
    const raw = Buffer.from([5, 16, 104, 101, 108, 108, 111])
    expect(Buffer.from(decompress('snappy', raw, 5)).toString()).toBe('hello')
  })

  test('lz4 is a frame of independent blocks without a checksum of the content', () => {
    const frame = Buffer.from(compress('lz4', sample))
    expect(frame.readUInt32LE(0)).toBe(0x184d2204)
    const flags = frame[4]!
    expect(flags >> 6).toBe(1)
    expect((flags >> 5) & 1).toBe(1)
    expect((flags >> 2) & 1).toBe(0)
  })
})

test('without the addon all but gzip say what to do', () => {
  vi.stubEnv('CORDWOOD_NATIVE', '0')
  try {
    expect(() => compress('zstd', sample)).toThrow(
      expect.objectContaining({
        code: 'unsupportedCompressionType',
        message: expect.stringMatching(/addon/),
      }),
    )
    expect(decompress('gzip', compress('gzip', sample), sample.length)).toHaveLength(sample.length)
  } finally {
    vi.unstubAllEnvs()
  }
})

function codeOf(action: () => unknown): string | null {
  try {
    action()
    return null
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}
