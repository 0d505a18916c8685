import { CorruptionError, EngineError } from '../../model/errors.ts'
import type { Checksum } from '../../runtime/checksum.ts'
import type { DiskFile } from '../../runtime/disk.ts'
import type { Log } from '../../segment/log.ts'
import { BatchHeader, batchHeaderBytes, checksummedFrom } from '../../segment/recordBatch.ts'

/**
 * Batches of a log as they are stored, in memory and checked: from the one that begins at `fromOffset` on, none that reaches to
 * `toOffset`, about `maxBytes` but at least one. Throws `offsetOutOfRange` where no batch begins there, and `CorruptionError` when
 * the first one is damaged here, too.
 */
export async function readVerified(
  log: Log,
  checksum: Checksum,
  fromOffset: number,
  toOffset: number,
  maxBytes: number,
): Promise<Uint8Array> {
  if (log.offline !== null) {
    const bytes = await log.readOffline(fromOffset, toOffset, maxBytes)
    if (bytes !== null) return bytes
    throw new EngineError('offsetOutOfRange', `nothing good is stored at ${fromOffset}`)
  }
  const found = await log.read(fromOffset, maxBytes, toOffset, true)
  const range = found?.ranges[0]
  if (range === undefined) throw new EngineError('offsetOutOfRange', `nothing is stored at ${fromOffset}`)
  const file = range.file as DiskFile
  const bytes = new Uint8Array(range.lengthBytes)
  const count = await file.read(bytes, range.position).catch((error: unknown) => {
    log.noteUnreadable(error, file.path)
    throw error
  })
  let at = 0
  let next = found!.firstOffset
  while (at + batchHeaderBytes <= count) {
    const header = new BatchHeader(bytes, at)
    const end = at + header.sizeBytes
    const isWhole = header.magic === 2 && header.sizeBytes >= batchHeaderBytes && end <= count
    if (!isWhole || header.baseOffset < next) break
    if (checksum.crc32c(bytes.subarray(at + checksummedFrom, end)) !== header.crc) break
    next = header.lastOffset + 1
    at = end
  }
  if (at > 0) return bytes.subarray(0, at)
  const { path } = file
  throw new CorruptionError({
    file: path,
    position: range.position,
    expected: 'a whole batch',
    found: 'damage',
  })
}
