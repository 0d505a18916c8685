import { EngineError } from '../model/errors.ts'
import type { Disk } from '../runtime/disk.ts'

/** Exclusive end of what is durable, per log; recovery begins there. */
export const recoveryPointFile = 'recovery-point-offset-checkpoint'
/** First readable offset per log. */
export const logStartOffsetFile = 'log-start-offset-checkpoint'

/** Exclusive end of what was compacted, per log. */
export const cleanedOffsetFile = 'cleaner-offset-checkpoint'

/** The text of a checkpoint file: version 0, a count, then `topic partition offset`, sorted by name. */
export function encodeCheckpoint(offsets: ReadonlyMap<string, number>): string {
  const lines = [...offsets].map(([name, offset]) => {
    const dash = name.lastIndexOf('-')
    return `${name.slice(0, dash)} ${name.slice(dash + 1)} ${offset}`
  })
  return ['0', String(lines.length), ...lines.sort(), ''].join('\n')
}

/** Reads the text of a checkpoint file into offsets by `topic-partition`; null when it is not one. */
export function decodeCheckpoint(text: string): Map<string, number> | null {
  const lines = text.split('\n')
  const count = Number(lines[1])
  if (lines[0] !== '0' || !Number.isInteger(count) || count < 0 || lines.length < count + 2) return null
  const offsets = new Map<string, number>()
  for (const line of lines.slice(2, count + 2)) {
    const match = /^(\S+) (\d{1,10}) (\d{1,16})$/.exec(line)
    if (match === null || !Number.isSafeInteger(Number(match[3]))) return null
    offsets.set(`${match[1]}-${match[2]}`, Number(match[3]))
  }
  return offsets
}

/** The text of a small file, null when there is none. */
export async function readTextIfThere(disk: Disk, path: string): Promise<string | null> {
  try {
    return Buffer.from(await disk.readFile(path)).toString()
  } catch (error) {
    if (error instanceof EngineError && error.code === 'notFound') return null
    throw error
  }
}
