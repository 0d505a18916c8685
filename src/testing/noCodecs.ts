import { EngineError } from '../model/errors.ts'
import type { Codecs } from '../runtime/compute.ts'

/** A simulated machine has no codecs. */
export const noCodecs: Codecs = {
  compress: () => unsupported(),
  decompress: () => unsupported(),
}

function unsupported(): never {
  throw new EngineError('unsupportedCompressionType', 'this world has no codecs')
}
