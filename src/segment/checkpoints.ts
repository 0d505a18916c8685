import type { Logger } from '../model/logger.ts'
import type { Disk } from '../runtime/disk.ts'
import {
  cleanedOffsetFile,
  decodeCheckpoint,
  logStartOffsetFile,
  readTextIfThere,
  recoveryPointFile,
} from './checkpointFile.ts'

/** There only between a clean shutdown and the next start. */
export const cleanShutdownFile = '.kafka_cleanshutdown'

/** Notes, durably, that every log of `directory` was closed cleanly. */
export function markClean(disk: Disk, directory: string): Promise<void> {
  const text = Buffer.from('{"version":0,"brokerEpoch":-1}')
  return disk.replaceFile(`${directory}/${cleanShutdownFile}`, text)
}

/** What the logs of a data directory had when they were last looked at, by `topic-partition`. */
export interface Checkpoints {
  readonly recoveryPoints: ReadonlyMap<string, number>
  readonly startOffsets: ReadonlyMap<string, number>
  /** What was compacted. Without it everything is compacted again. */
  readonly cleanedOffsets: ReadonlyMap<string, number>
  readonly cleanShutdown: boolean
}

/**
 * Reads the checkpoints of `directory` and takes away the marker of a clean shutdown, durably, before anything is
 * written.
 */
export async function readCheckpoints(disk: Disk, directory: string, logger: Logger): Promise<Checkpoints> {
  const read = async (file: string): Promise<Map<string, number> | null> => {
    const text = await readTextIfThere(disk, `${directory}/${file}`)
    if (text === null) return new Map()
    const offsets = decodeCheckpoint(text)
    if (offsets === null) {
      logger.warn('a checkpoint file is damaged; every log is checked in full', { file })
    }
    return offsets
  }
  const recoveryPoints = await read(recoveryPointFile)
  const startOffsets = await read(logStartOffsetFile)
  const cleaned = await readTextIfThere(disk, `${directory}/${cleanedOffsetFile}`)
  const marker = `${directory}/${cleanShutdownFile}`
  const hasMarker = (await disk.stat(marker)) !== null
  if (hasMarker) {
    await disk.remove(marker)
    await disk.syncDirectory(directory)
  }
  return {
    recoveryPoints: recoveryPoints ?? new Map(),
    startOffsets: startOffsets ?? new Map(),
    cleanedOffsets: (cleaned === null ? null : decodeCheckpoint(cleaned)) ?? new Map(),
    cleanShutdown: hasMarker && recoveryPoints !== null && startOffsets !== null,
  }
}
