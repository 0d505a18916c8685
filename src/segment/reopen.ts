import { LeaderEpochs } from './leaderEpochs.ts'
import type { Log } from './log.ts'
import type { LogOptions } from './logTypes.ts'

/**
 * Opens a log again that was offline because of damage, now that its files are mended; where its end could not be, with
 * `endOffset` for its end: whatever the journal says that was durable beyond is given up, which is for whoever asks to answer for.
 */
export type Reopen = (endOffset: number | null) => Promise<Log>

/** What a log is opened with that was opened with `from` and found damaged. */
export function reopenInput<T extends Pick<LogOptions, 'recoveryPoint'> & Partial<LogOptions>>(
  from: T,
  endOffset: number | null,
): T {
  // What replay has made ready is half used up.
  if (endOffset === null) return { ...from, damage: null, tail: null }
  const { recoveryPoint, resume, epochs } = from
  return {
    ...from,
    damage: null,
    recoveryPoint: Math.min(recoveryPoint, endOffset),
    provenEnd: null,
    resume: null,
    tail: null,
    epochs: epochs ?? (resume ? new LeaderEpochs(resume.closed.leaderEpochs) : null),
    journalIsDamaged: false,
    cleanShutdown: false,
    closedState: null,
  }
}
