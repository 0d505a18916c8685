import { EngineError } from '../model/errors.ts'
import type { Disk } from '../runtime/disk.ts'
import { cleanedOffsetFile, logStartOffsetFile, recoveryPointFile } from './checkpointFile.ts'
import { cleanShutdownFile } from './checkpoints.ts'
import { directoryKind } from './directoryNames.ts'
import { parseSegmentFileName, partitionMetadataFile } from './fileNames.ts'
import { defaultJournalName, journalPlaceFile } from './journalPlace.ts'
import { metaPropertiesFile } from './metaProperties.ts'

/** What only a data directory has; any of them may be lost. */
const ofDataDirectory: ReadonlySet<string> = new Set([
  cleanedOffsetFile,
  cleanShutdownFile,
  defaultJournalName,
  journalPlaceFile,
  logStartOffsetFile,
  metaPropertiesFile,
  recoveryPointFile,
])

/**
 * What a directory is, as far as the names in it tell: a data directory, that of one log, or none of ours. Nothing is changed.
 * Rejects with the disk's errors when it cannot be listed.
 */
export async function directoryPlace(disk: Disk, directory: string): Promise<'data' | 'log' | 'other'> {
  const entries = await disk.list(directory)
  if (entries.some(({ name }) => ofDataDirectory.has(name))) return 'data'
  if (entries.some(({ name }) => isOfLog(name))) return 'log'
  for (const { name, kind } of entries) {
    if (kind !== 'directory' || directoryKind(name) !== 'log') continue
    if (await holdsLog(disk, `${directory}/${name}`)) return 'data'
  }
  return 'other'
}

/** Whether it is the directory of a log by more than its name, or cannot be looked into. */
async function holdsLog(disk: Disk, directory: string): Promise<boolean> {
  try {
    return (await disk.list(directory)).some(({ name }) => isOfLog(name))
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    return error.code === 'permissionDenied'
  }
}

function isOfLog(name: string): boolean {
  return name === partitionMetadataFile || parseSegmentFileName(name) !== null
}
