import type { Disk } from '../runtime/disk.ts'
import type { Log } from '../segment/log.ts'
import { BatchHeader } from '../segment/recordBatch.ts'

const stepBytes = 1 << 20

/** The control batches of a log from an offset on, with their bytes. Rejects with what reading throws. */
export async function* controlBatches(
  disk: Disk,
  log: Log,
  fromOffset: number,
): AsyncGenerator<{ readonly header: BatchHeader; readonly bytes: Uint8Array }> {
  let offset = fromOffset
  while (offset < log.logEndOffset) {
    const found = await log.read(offset, stepBytes, log.logEndOffset, true)
    if (found === null) return
    for (const { file, position, lengthBytes } of found.ranges) {
      const bytes = new Uint8Array(lengthBytes)
      await disk.file(file.path).read(bytes, position)
      for (let at = 0; at < bytes.length; ) {
        const header = new BatchHeader(bytes, at)
        if (header.isControl) yield { header, bytes: bytes.subarray(at, at + header.sizeBytes) }
        offset = header.lastOffset + 1
        at += header.sizeBytes
      }
    }
  }
}
