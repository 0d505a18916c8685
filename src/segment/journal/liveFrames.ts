import type { Runtime } from '../../runtime/runtime.ts'
import { EntryReader } from './entries.ts'
import type { JournalFile } from './journalFiles.ts'
import { type ReplayFrame, readEntries } from './journalReplay.ts'
import { JournalScan, type ScannedFile } from './journalScan.ts'
import type { StoredCheckpoint } from './nodeCheckpoint.ts'
import { ReadPatience } from './readPatience.ts'

/**
 * The frames that a start would replay, up to `flushedSequence` inclusive, from the files of a journal that is in use. None of
 * `files`, which are in the order of their generations, may be let go of meanwhile. The bytes of a frame are valid until the
 * next one is asked for.
 */
export async function* liveFrames(
  files: readonly JournalFile[],
  checkpoint: StoredCheckpoint,
  flushedSequence: number,
  { checksum, clock }: Pick<Runtime, 'checksum' | 'clock'>,
): AsyncGenerator<ReplayFrame, void, undefined> {
  const { replayFrom, journalId } = checkpoint
  // What an earlier life left may have a length of its own.
  const scanned = files.map((file: JournalFile & Partial<ScannedFile>) => {
    return { ...file, fileBytes: file.fileBytes ?? file.sizeBytes }
  })
  const patience = new ReadPatience(clock)
  const { flushedSequence: flushedBefore } = checkpoint
  const scan = new JournalScan(scanned, replayFrom, flushedBefore, journalId, checksum, patience)
  const reader = new EntryReader()
  for await (const frame of scan.frames()) {
    const { sequence } = frame.header
    if (sequence > flushedSequence) return
    yield { sequence, entries: readEntries(frame, reader) }
    // What comes next is being written.
    if (sequence === flushedSequence) return
  }
}
