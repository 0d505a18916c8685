import { EngineError } from '../../model/errors.ts'
import type { Disk, DiskFile, DiskSync, DiskWrite } from '../../runtime/disk.ts'

/** Others get their turn at the disk in between. */
const pieceBytes = 1 << 20

/** Writes `bytes` from `position` on, piece by piece, each when others have not queued much. The last one is synced. */
export async function writeInPieces(
  disk: Disk,
  file: DiskFile,
  position: number,
  bytes: Uint8Array,
  sync: DiskSync,
): Promise<void> {
  // There is room for a piece whenever less than half of the bound is queued.
  const most = Math.max(1, Math.min(pieceBytes, Math.floor(disk.maxQueuedBytes / 2)))
  for (let at = 0; at < bytes.length; at += most) {
    const part = bytes.subarray(at, at + most)
    const isLast = at + most >= bytes.length
    await submitWhenRoom(disk, { file, position: position + at, parts: [part], sync: isLast ? sync : 'none' })
  }
}

async function submitWhenRoom(disk: Disk, write: DiskWrite): Promise<void> {
  for (;;) {
    await disk.room()
    try {
      await disk.submit([write])
      return
    } catch (error) {
      // Nothing was queued; somebody else was faster.
      if (!(error instanceof EngineError) || error.code !== 'queueFull') throw error
    }
  }
}
