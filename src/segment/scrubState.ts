import type { BadRange } from './badRanges.ts'

/** Name of the file in the data directory; it may be deleted at any time. */
export const scrubStateFile = '.scrub'

/** When segments were last found to be whole: by log, then base offset, size in bytes and wall clock in ms. */
export interface ScrubState {
  readonly verified: ReadonlyMap<string, ReadonlyMap<number, readonly [sizeBytes: number, wallMs: number]>>
  /** Damage that was found and is still there. */
  readonly bad: readonly BadRange[]
}

/** The text of the file. */
export function encodeScrubState({ verified, bad }: ScrubState): string {
  const logs = Object.fromEntries([...verified].map(([name, segments]) => [name, [...segments]]))
  return JSON.stringify({ version: 1, logs, bad })
}

/** Reads the text of the file; a state without anything when it is not one: then all is looked at again. */
export function decodeScrubState(text: string | null): ScrubState {
  try {
    const parsed = JSON.parse(text ?? '') as { version?: unknown; logs?: unknown; bad?: unknown }
    if (parsed.version !== 1) return { verified: new Map(), bad: [] }
    const logs = Object.entries(parsed.logs as Record<string, [number, [number, number]][]>)
    const verified = new Map(logs.map(([name, segments]) => [name, new Map(segments.filter(isSegment))]))
    return { verified, bad: (parsed.bad as BadRange[]).filter(isBadRange) }
  } catch {
    return { verified: new Map(), bad: [] }
  }
}

function isSegment([baseOffset, [sizeBytes, wallMs]]: [number, [number, number]]): boolean {
  return [baseOffset, sizeBytes, wallMs].every((value) => Number.isSafeInteger(value))
}

function isBadRange(range: BadRange): boolean {
  const { file, position, end, baseOffset, nextOffset, expected, found } = range
  const numbers = [position, end, baseOffset, nextOffset].every((value) => Number.isSafeInteger(value))
  return numbers && [file, expected, found].every((text) => typeof text === 'string')
}
