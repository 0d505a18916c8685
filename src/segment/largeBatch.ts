import type { Checksum } from '../runtime/checksum.ts'
import type { DiskFile } from '../runtime/disk.ts'
import { checksummedFrom } from './recordBatch.ts'

/** For a batch that says that it is larger, memory is taken only once its checksum has been found to be true: its length may be damaged. */
export const largeBatchBytes = 4 << 20

const stepBytes = 1 << 20

/** CRC-32C of the batch of `sizeBytes` at `position` of a file, read in steps; -1 when the file ends before. */
export async function checksumInSteps(
  file: Pick<DiskFile, 'read'>,
  position: number,
  sizeBytes: number,
  checksum: Checksum,
  read: (bytes: number) => void | Promise<void> = () => {},
): Promise<number> {
  const step = new Uint8Array(Math.min(stepBytes, Math.max(sizeBytes - checksummedFrom, 0)))
  let crc = 0
  for (let at = checksummedFrom; at < sizeBytes; ) {
    const wanted = step.subarray(0, Math.min(stepBytes, sizeBytes - at))
    const count = await file.read(wanted, position + at)
    await read(count)
    if (count < wanted.length) return -1
    crc = checksum.crc32c(wanted, crc)
    at += count
  }
  return crc
}

/**
 * The batch of `sizeBytes` at `position` if its CRC-32C is `expected`, else null; beside it the one that was found, -1 where
 * the file ends before. What is not large is read once.
 */
export async function readWhole(
  file: Pick<DiskFile, 'read'>,
  position: number,
  sizeBytes: number,
  expected: number,
  checksum: Checksum,
): Promise<{ readonly bytes: Uint8Array | null; readonly found: number }> {
  if (sizeBytes > largeBatchBytes) {
    const found = await checksumInSteps(file, position, sizeBytes, checksum)
    if (found !== expected) return { bytes: null, found }
  }
  const bytes = new Uint8Array(sizeBytes)
  const isWhole = (await file.read(bytes, position)) === sizeBytes
  const found = isWhole ? checksum.crc32c(bytes.subarray(checksummedFrom)) : -1
  return { bytes: found === expected ? bytes : null, found }
}
