import { EngineError } from '../model/errors.ts'

/** Whether something is wrong, and who can put it right. */
export type Severity = 'damage' | 'derivable' | 'unchecked' | 'note'

/**
 * What `verify` may find: how grave it is, and what to do. Damage is data that was stored and is not there any more;
 * what is derivable is made again from the batches; of what is unchecked nobody knows; a note is as it should be, but worth knowing.
 */
export const findingKinds = {
  batches: {
    severity: 'damage',
    advice:
      'cordwood refuses to serve these offsets and serves the rest; restore the file from a backup, or produce the records again',
  },
  missing: {
    severity: 'damage',
    advice: 'restore the log from a backup; below the recovery point cordwood never shortens it by itself',
  },
  journalLost: {
    severity: 'damage',
    advice:
      'restore the log from a backup, or let another replica give it again; as long as these records may be missing the log stays offline',
  },
  inJournal: { severity: 'note', advice: 'nothing: the next start takes it from the journal' },
  tornEnd: {
    severity: 'note',
    advice: 'nothing: the next start cuts it; it was not acknowledged as durable',
  },
  offsetIndex: { severity: 'derivable', advice: 'stop the broker and delete the file: it is made again' },
  timeIndex: { severity: 'derivable', advice: 'stop the broker and delete the file: it is made again' },
  indexGone: { severity: 'derivable', advice: 'nothing: it is made again as soon as it is needed' },
  txnIndex: {
    severity: 'derivable',
    advice: 'stop the broker and delete the file: it is made again from the markers in the segment',
  },
  snapshot: { severity: 'derivable', advice: 'stop the broker and delete the file: it is made again' },
  epochs: { severity: 'derivable', advice: 'stop the broker and delete the file: it is made again' },
  checkpoint: {
    severity: 'derivable',
    advice: 'stop the broker and delete the file: every log is then checked in full at the next start',
  },
  startOffsets: {
    severity: 'damage',
    advice: 'restore the file, or delete it: records that were deleted may then be readable again',
  },
  partitionMetadata: {
    severity: 'damage',
    advice:
      'write "version: 0" and "topic_id: …" into it as it was (topics describe shows the id); until then the log is kept and not used',
  },
  topicIdFile: {
    severity: 'derivable',
    advice:
      'the log is served all the same, since the journal knows whose it is; write into it what is expected while the broker is stopped',
  },
  metaProperties: {
    severity: 'damage',
    advice:
      'restore it from a backup, or from another node of the cluster with this node.id and directory.id',
  },
  cleanShutdown: {
    severity: 'note',
    advice: 'nothing: the log is checked as after a crash at the next start',
  },
  journalRot: {
    severity: 'damage',
    advice:
      'start the broker: it looks for these entries in the segments, and says which logs it cannot complete',
  },
  journalCheckpoint: {
    severity: 'derivable',
    advice: 'nothing: the other copy counts, and the next checkpoint writes this one again',
  },
  journalTear: {
    severity: 'note',
    advice: 'nothing: the last write was not complete and was not acknowledged; the next start cuts it',
  },
  journalEnd: {
    severity: 'note',
    advice:
      'nothing: the next start cuts the journal there; that the last write was not acknowledged is likely, and nothing proves it',
  },
  journalForeign: {
    severity: 'damage',
    advice:
      'bring back the journal that belongs to this directory; without it acknowledged records may be lost',
  },
  leftover: { severity: 'note', advice: 'nothing: the next start removes it or takes it up' },
  unknown: {
    severity: 'note',
    advice: 'move it away if it does not belong here; cordwood keeps it and does not use it',
  },
  denied: {
    severity: 'unchecked',
    advice:
      'run it as the owner of the files, or let this user read them: what is there has not been checked',
  },
  unreadable: {
    severity: 'damage',
    advice: 'look at the system log and at the disk itself; copy away what can still be read',
  },
} as const satisfies Record<string, { severity: Severity; advice: string }>

/** A key of `findingKinds`. */
export type FindingKind = keyof typeof findingKinds

/** One thing that is not as it was written. */
export interface Finding {
  readonly kind: FindingKind
  readonly file: string
  /** Bytes from the start of the file; null when it is about the file as a whole. */
  readonly position: number | null
  /** Exclusive end of the bytes concerned. */
  readonly end: number | null
  /** First offset concerned; null when no records are. */
  readonly baseOffset: number | null
  /** First offset after them. */
  readonly nextOffset: number | null
  readonly expected: string
  readonly found: string
}

/** That this user may not read `path`, or something in it; throws `error` when it says anything else. */
export function deniedFinding(path: string, error: unknown): Finding {
  if (!isDenied(error)) throw error
  return fileFinding('denied', path, 'what this user may read', error.message)
}

/** Whether an error says that this user may not. */
export function isDenied(error: unknown): error is EngineError & { readonly code: 'permissionDenied' } {
  return error instanceof EngineError && error.code === 'permissionDenied'
}

/** A finding about a file, or a position in it, that concerns no records. */
export function fileFinding(
  kind: FindingKind,
  file: string,
  expected: string,
  found: string,
  position: number | null = null,
): Finding {
  return { kind, file, position, end: null, baseOffset: null, nextOffset: null, expected, found }
}
