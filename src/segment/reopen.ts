import type { EngineError } from '../model/errors.ts'
import { LeaderEpochs } from './leaderEpochs.ts'
import type { Log } from './log.ts'
import type { LogOptions } from './logTypes.ts'
import { notedPlaces } from './resumePoint.ts'
import { OtherSegmentError } from './sameSegment.ts'

/**
 * Opens a log again that was offline because of damage, now that its files are mended; where its end could not be, with
 * `endOffset` for its end: whatever the journal says that was durable beyond is given up, which is for whoever asks to answer for.
 */
export type Reopen = (endOffset: number | null) => Promise<Log>

/**
 * What a log is opened with that was opened with `from` and found damaged, which `offline` tells of. Where what was noted of
 * the active segment was not what was there, either may have been wrong: the note counts no more, and the records are read.
 */
export function reopenInput<T extends Pick<LogOptions, 'recoveryPoint'> & Partial<LogOptions>>(
  from: T,
  endOffset: number | null,
  offline: EngineError,
): T {
  // What replay has made ready is half used up.
  const noted = notedPlaces(from)
  const again = { ...from, damage: null, tail: null, noted }
  const anew = { ...again, resume: null, cleanShutdown: false, closedState: null }
  if (endOffset === null) return offline instanceof OtherSegmentError ? anew : again
  const { recoveryPoint, resume, epochs } = from
  return {
    ...anew,
    recoveryPoint: Math.min(recoveryPoint, endOffset),
    provenEnd: null,
    epochs: epochs ?? (resume ? new LeaderEpochs(resume.closed.leaderEpochs) : null),
    journalIsDamaged: false,
  }
}
