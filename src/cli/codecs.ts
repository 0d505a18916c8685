import type { BatchCompression } from '../segment/records.ts'
import { compress, decompress } from '../zerocopy/codecs.ts'

/** Names of codecs by their id in a batch's attributes. */
export const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
/** One of `codecNames`. */
export type CodecName = (typeof codecNames)[number]

/** A body never grows beyond this: a batch of a few KiB may claim to hold gigabytes. */
const maxBodyBytes = 512 * 1024 * 1024

/** How a batch is compressed with `name`, or null for `none`. Throws at once if this machine cannot do it. */
export function batchCompression(name: CodecName): BatchCompression | null {
  if (name === 'none') return null
  compress(name, new Uint8Array(1))
  return { id: codecNames.indexOf(name), compress: (bytes) => compress(name, bytes) }
}

/** Decompresses the body of a batch; `codec` is the id in its attributes. */
export function decompressBody(codec: number, body: Uint8Array): Uint8Array {
  const name = codecNames[codec]
  return name === undefined || name === 'none' ? body : decompress(name, body, maxBodyBytes)
}
