import { CorruptionError } from '../../model/errors.ts'
import { EntryReader, type JournalEntry } from './entries.ts'
import { joinPayload } from './frames.ts'
import type { FoundFrame, JournalScan, JournalVerdict } from './journalScan.ts'
import type { NodeCheckpoint, StoredCheckpoint } from './nodeCheckpoint.ts'

/** The entries of one frame. */
export interface ReplayFrame {
  readonly sequence: number
  /** The bytes that they carry are valid until the next frame is asked for. */
  readonly entries: readonly JournalEntry[]
}

/** What the journal holds, as often as it is asked for. */
export interface JournalContent extends NodeCheckpoint {
  frames(): AsyncIterable<ReplayFrame>
}

/**
 * What the journal held at the start. May be read any number of times, until the first checkpoint of this life has been
 * written; memory is bounded whatever the journal's size.
 */
export class JournalReplay {
  readonly verdict: JournalVerdict
  /** What everything before the first frame amounts to; null in a new journal. */
  readonly checkpoint: StoredCheckpoint | null
  /** Whether the last thing that happened to the journal was a clean shutdown. */
  readonly isClean: boolean
  /** How many frames there are. */
  readonly frameCount: number
  /** Files that could not be read at all, whose first block is damaged, or that are shorter than they were made. */
  readonly damagedFiles: readonly string[]
  readonly #scan: JournalScan

  constructor(
    scan: JournalScan,
    checkpoint: StoredCheckpoint | null,
    frameCount: number,
    verdict: JournalVerdict,
    damagedFiles: readonly string[],
  ) {
    this.#scan = scan
    this.checkpoint = checkpoint
    this.frameCount = frameCount
    this.verdict = verdict
    this.damagedFiles = damagedFiles
    this.isClean = checkpoint?.clean === true && frameCount === 0 && verdict.end === 'clean'
  }

  /** Every entry that must be replayed, in order. The bytes that it carries are valid until the next one is asked for. */
  async *entries(): AsyncGenerator<JournalEntry, void, undefined> {
    for await (const frame of this.frames()) yield* frame.entries
  }

  /** The same, frame by frame. Throws `CorruptionError` when the files are not any more what the start has found. */
  async *frames(): AsyncGenerator<ReplayFrame, void, undefined> {
    const reader = new EntryReader()
    let count = 0
    for await (const frame of this.#scan.frames()) {
      count++
      const entries = readEntries(frame, reader)
      if (entries.length > 0) yield { sequence: frame.header.sequence, entries }
    }
    if (count !== this.frameCount) {
      throw new CorruptionError({
        file: 'the journal',
        position: 0,
        expected: `${this.frameCount} frames, as at the first reading`,
        found: String(count),
      })
    }
  }
}

/** The entries of a frame. Throws `CorruptionError` when they are not what its header says. */
export function readEntries({ header, file, blocks }: FoundFrame, reader: EntryReader): JournalEntry[] {
  if (header.entryCount === 0) return []
  const payload = joinPayload(blocks, header.payloadBytes)
  return reader.read(payload, header.entryCount, file.path, header.position)
}
