import type { Checksum } from '../checksum.ts'
import { checkBatches } from './batchCheck.ts'
import { crc32c } from './crc32c.ts'
import { sealBlocks } from './sealBlocks.ts'

/** `Checksum` in plain JavaScript. */
export const nodeChecksum: Checksum = { crc32c, checkBatches, sealBlocks }
