import type { Uuid } from '../model/uuid.ts'
import type { Disk } from '../runtime/disk.ts'
import { readTextIfThere } from './checkpointFile.ts'
import { encodePartitionMetadata } from './directoryNames.ts'
import { partitionMetadataFile } from './fileNames.ts'
import { writeWholeFile } from './segmentIndexes.ts'

/**
 * Syncs the file that says whose log a directory holds. Where that fails the file is written again before this rejects, so
 * that the next attempt has something to sync: what a failed sync has lost, none brings back.
 */
export async function syncMetadata(disk: Disk, directory: string, topicId: Uuid | null): Promise<void> {
  const path = `${directory}/${partitionMetadataFile}`
  try {
    await disk.file(path).sync()
  } catch (error) {
    await disk.file(path).close()
    if (topicId !== null) await writeMetadata(disk, directory, topicId)
    throw error
  }
}

/** Writes `partition.metadata` into a log's directory; not durable yet. */
export async function writeMetadata(disk: Disk, directory: string, topicId: Uuid): Promise<void> {
  const metadata = Buffer.from(encodePartitionMetadata(topicId))
  await writeWholeFile(disk, `${directory}/${partitionMetadataFile}`, metadata, 'none')
}

/** Writes a `partition.metadata` again that is there and is not what it should be; not durable yet. */
export async function restoreMetadata(disk: Disk, directory: string, topicId: Uuid): Promise<void> {
  const text = await readTextIfThere(disk, `${directory}/${partitionMetadataFile}`)
  if (text !== null && text !== encodePartitionMetadata(topicId))
    await writeMetadata(disk, directory, topicId)
}

/** Makes the directory of a log with its `partition.metadata`; nothing is durable yet. */
export async function makeWithMetadata(disk: Disk, directory: string, topicId: Uuid): Promise<void> {
  await disk.makeDirectory(directory)
  await writeMetadata(disk, directory, topicId)
}
