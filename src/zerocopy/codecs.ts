import { constants } from 'node:buffer'
import { gunzipSync, gzipSync } from 'node:zlib'
import { EngineError } from '../model/errors.ts'
import type { Codecs } from '../runtime/compute.ts'
import { type Addon, loadAddon } from './addon.ts'

/** Kafka's compression codecs. */
export type CodecName = 'gzip' | 'snappy' | 'lz4' | 'zstd'

/**
 * `bytes` compressed in the form that Kafka's clients write: snappy in the framing of snappy-java, lz4 as a
 * frame of independent blocks. Throws `unsupportedCompressionType` for all but gzip when the addon is missing.
 */
export function compress(codec: CodecName, bytes: Uint8Array): Uint8Array {
  if (codec === 'gzip') return gzipSync(bytes)
  return codecsOf(codec).compress(codec, bytes)
}

/**
 * What `bytes` were before compression. Reads every form that Kafka's clients write. Throws `messageTooLarge`
 * when that is more than `maxBytes`, `corruptMessage` when the bytes are not of this codec, and
 * `unsupportedCompressionType` for all but gzip when the addon is missing.
 */
export function decompress(codec: CodecName, bytes: Uint8Array, maxBytes: number): Uint8Array {
  try {
    if (codec === 'gzip') {
      return gunzipSync(bytes, { maxOutputLength: Math.min(Math.max(maxBytes, 1), constants.MAX_LENGTH) })
    }
    return codecsOf(codec).decompress(codec, bytes, maxBytes)
  } catch (cause) {
    if (cause instanceof EngineError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ERR_BUFFER_TOO_LARGE' || message.startsWith('too large')) {
      throw new EngineError(
        'messageTooLarge',
        `the ${codec} bytes decompress to more than ${maxBytes} bytes`,
        { cause },
      )
    }
    throw new EngineError('corruptMessage', `the ${codec} bytes cannot be decompressed: ${message}`, {
      cause,
    })
  }
}

/** Codecs by their number in a batch's attributes. */
const codecsById: readonly (CodecName | null)[] = [null, 'gzip', 'snappy', 'lz4', 'zstd']

/**
 * A function that decompresses the body of a batch, given the codec's number in the batch's attributes. Throws as
 * `decompress` does, `messageTooLarge` above `maxBytes`, and `unsupportedCompressionType` for numbers without a codec.
 */
export function decompressWithin(maxBytes: number): (codec: number, body: Uint8Array) => Uint8Array {
  return (codec, body) => batchCodecs.decompress(codec, body, maxBytes)
}

/** `Codecs` of the seam: gzip always, the others where the addon is. */
export const batchCodecs: Codecs = {
  compress: (codec, body) => compress(codecName(codec), body),
  decompress: (codec, body, maxBytes) => decompress(codecName(codec), body, maxBytes),
}

function codecName(codec: number): CodecName {
  const name = codecsById[codec]
  if (name) return name
  throw new EngineError('unsupportedCompressionType', `there is no codec ${codec}`)
}

function codecsOf(codec: CodecName): Pick<Addon, 'compress' | 'decompress'> {
  const { addon, why } = loadAddon()
  if (addon !== null) return addon
  throw new EngineError(
    'unsupportedCompressionType',
    `${codec} needs the native addon, which cannot be used: ${why}`,
  )
}
