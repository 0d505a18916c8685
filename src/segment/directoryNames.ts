import { EngineError } from '../model/errors.ts'
import type { Uuid } from '../model/uuid.ts'

/** The longest name that file systems take. */
const longestName = 255

/** Name of the directory of a log, also its key in `LogDirectory.logs`. Throws `invalidTopicException`. */
export function logDirectoryName(topic: string, partition: number): string {
  const isName = /^[a-zA-Z0-9._-]{1,249}$/.test(topic) && topic !== '.' && topic !== '..'
  const name = `${topic}-${partition}`
  if (!isName || !Number.isInteger(partition) || partition < 0 || name.length > longestName) {
    throw new EngineError(
      'invalidTopicException',
      `"${name.slice(0, 300)}" cannot name the directory of a log`,
    )
  }
  return name
}

/**
 * Name that the directory of a log gets which is to be deleted, or to be kept without being anybody's log; no log
 * of any topic can have it.
 */
export function retiredDirectoryName(name: string, uniqueId: string, why: 'delete' | 'stray'): string {
  const suffix = `.${uniqueId}-${why}`
  return name.slice(0, longestName - suffix.length) + suffix
}

/** What a directory inside the data directory is, by its name. */
export function directoryKind(name: string): 'log' | 'deleted' | 'unknown' {
  if (/\.[0-9a-zA-Z_-]{16,64}-delete$/.test(name)) return 'deleted'
  return /^[a-zA-Z0-9._-]{1,249}-(0|[1-9]\d{0,9})$/.test(name) ? 'log' : 'unknown'
}

/** The text of `partition.metadata`. */
export function encodePartitionMetadata(topicId: Uuid): string {
  return `version: 0\ntopic_id: ${topicId}`
}

/** The topic id in the text of `partition.metadata`; null when it is not one. */
export function decodePartitionMetadata(text: string): Uuid | null {
  return /^version: 0\s+topic_id: ([A-Za-z0-9_-]{22})\s*$/.exec(text)?.[1] ?? null
}
