import { parseSnapshotFileName } from '../replica/snapshotNames.ts'
import { nodeChecksum } from '../runtime/node/nodeChecksum.ts'
import { parseSegmentFileName } from '../segment/fileNames.ts'
import { BatchHeader, batchHeaderBytes, checksummedFrom } from '../segment/recordBatch.ts'
import { factsOfBytes, type LogFact } from './checkFacts.ts'
import type { SimFileSystem } from './simFileSystem.ts'

/** The batches in the segments of a log, as they lie in the page cache; read without the code that is checked. */
export function logFacts(fs: SimFileSystem, directory: string): readonly LogFact[] {
  if (fs.find(directory) === null) return []
  const names = fs
    .list(directory)
    .map(({ name }) => name)
    .filter((name) => {
      const parsed = parseSegmentFileName(name)
      return parsed !== null && parsed.kind === 'log' && parsed.leftover === null
    })
  // Their names are numbers of equal length.
  names.sort()
  return names.flatMap((name) => factsOfBytes(fs.contentOf(`${directory}/${name}`), null, null))
}

/** Exclusive ends of the snapshots in the directory of a log whose every batch is there and fits its checksum. */
export function wholeSnapshots(fs: SimFileSystem, directory: string): readonly number[] {
  if (fs.find(directory) === null) return []
  return fs.list(directory).flatMap(({ name }) => {
    const found = parseSnapshotFileName(name)
    if (found === null || found.isPart) return []
    return isWhole(fs.contentOf(`${directory}/${name}`)) ? [found.id.endOffset] : []
  })
}

function isWhole(bytes: Uint8Array): boolean {
  let at = 0
  while (at + batchHeaderBytes <= bytes.length) {
    const header = new BatchHeader(bytes, at)
    const end = at + header.sizeBytes
    if (header.sizeBytes < batchHeaderBytes || end > bytes.length) return false
    if (nodeChecksum.crc32c(bytes.subarray(at + checksummedFrom, end)) !== header.crc) return false
    at = end
  }
  return at > 0 && at === bytes.length
}

const names = new Map<string, Map<number, string>>()

/** The name of a group in checks and traces: that of its directory. */
export function groupName(topic: string, partition: number): string {
  let ofTopic = names.get(topic)
  if (ofTopic === undefined) {
    ofTopic = new Map()
    names.set(topic, ofTopic)
  }
  let name = ofTopic.get(partition)
  if (name === undefined) {
    name = `${topic}-${partition}`
    ofTopic.set(partition, name)
  }
  return name
}
