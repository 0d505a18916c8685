import { parseSegmentFileName } from '../segment/fileNames.ts'
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
