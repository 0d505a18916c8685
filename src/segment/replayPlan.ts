import type { Uuid } from '../model/uuid.ts'
import type { JournalEntry, TruncateEntry } from './journal/entries.ts'
import type { LogCheckpoint, NodeCheckpoint } from './journal/nodeCheckpoint.ts'
import type { ReplayVisitor } from './journal/openJournal.ts'
import { cutOf, deletedKind, provenEndKind, provenEndOf } from './ownStates.ts'

/** What checkpoint and journal together say of one log. */
export class ReplayedLog {
  readonly id: Uuid
  readonly name: string
  readonly topicId: Uuid
  /** Exclusive end of what the log's files hold durably. */
  recoveryPoint: number
  logStartOffset: number
  /** The last state of each kind. */
  readonly states: Map<number, Uint8Array>
  /** Exclusive end of what the journal has of the log, from the recovery point on. */
  endOffset: number
  /** A cut of the log's files that may not have been carried out. */
  unfinishedCut: TruncateEntry | null = null
  /** Whether files of the log are to be written again: it has entries above its recovery point. */
  hasAppends = false
  /** Per segment with entries above the recovery point, the exclusive end of them. */
  readonly #segmentEnds = new Map<number, number>()
  /** Offsets below this one were given out without the journal: the journal proves something only if they are there. */
  #gapEnd = -1
  /** Entries before `ordinal` that begin at or above `endOffset` are dead. */
  readonly #cuts: { readonly ordinal: number; readonly endOffset: number }[] = []

  constructor(from: LogCheckpoint) {
    this.id = from.id
    this.name = from.name
    this.topicId = from.topicId
    this.recoveryPoint = from.recoveryPoint
    this.logStartOffset = from.logStartOffset
    this.endOffset = Math.max(from.recoveryPoint, provenEndOf(from.states) ?? 0)
    this.states = new Map(from.states.map(({ kind, bytes }) => [kind, Uint8Array.from(bytes)]))
    const cut = cutOf(from.states)
    if (cut !== null) this.add({ type: 'truncate', logId: from.id, ...cut }, -1)
  }

  /** Exclusive end of what must be in the log once the journal has been replayed; null when nobody can tell. */
  get provenEnd(): number | null {
    return this.#gapEnd > this.recoveryPoint ? null : this.endOffset
  }

  /** Whether the append with number `ordinal` has to be written again. */
  isLive(ordinal: number, baseOffset: number, lastOffset: number): boolean {
    if (lastOffset < this.recoveryPoint) return false
    return !this.#cuts.some((cut) => cut.ordinal > ordinal && cut.endOffset <= baseOffset)
  }

  /** Whether a segment whose file is not there may stay so: every record of it was deleted. */
  isDeleted(segmentBaseOffset: number): boolean {
    return (this.#segmentEnds.get(segmentBaseOffset) ?? 0) <= this.logStartOffset
  }

  /** Takes the entry with number `ordinal`. */
  add(entry: JournalEntry, ordinal: number): void {
    switch (entry.type) {
      case 'append':
        if (entry.lastOffset < this.recoveryPoint) return
        if (entry.baseOffset > this.endOffset) this.#gapEnd = entry.baseOffset
        else if (entry.baseOffset < this.endOffset) this.#cut(ordinal, entry.baseOffset)
        this.endOffset = entry.lastOffset + 1
        this.#segmentEnds.set(entry.segmentBaseOffset, this.endOffset)
        this.hasAppends = true
        break
      case 'truncate':
        if (entry.endOffset < this.endOffset) this.#cut(ordinal, entry.endOffset)
        this.recoveryPoint = Math.min(this.recoveryPoint, entry.endOffset)
        this.endOffset = Math.min(this.endOffset, entry.endOffset)
        if (this.#gapEnd > this.endOffset) this.#gapEnd = this.endOffset
        for (const [base, end] of this.#segmentEnds) {
          if (base > entry.segmentBaseOffset) this.#segmentEnds.delete(base)
          else this.#segmentEnds.set(base, Math.min(end, entry.endOffset))
        }
        this.unfinishedCut = entry
        break
      case 'truncated':
        this.unfinishedCut = null
        break
      case 'startOffset':
        this.logStartOffset = Math.max(this.logStartOffset, entry.offset)
        // A log that began anew there ends there, too, until something is appended.
        this.endOffset = Math.max(this.endOffset, entry.offset)
        break
      case 'state':
        if (entry.kind === provenEndKind) this.#proven(provenEndOf([entry]) ?? 0)
        this.states.set(entry.kind, Uint8Array.from(entry.bytes))
        break
    }
  }

  /** Everything below `endOffset` is durable, with the journal or without. */
  #proven(endOffset: number): void {
    this.endOffset = Math.max(this.endOffset, endOffset)
    if (this.#gapEnd <= endOffset) this.#gapEnd = -1
  }

  #cut(ordinal: number, endOffset: number): void {
    while (this.#cuts.length > 0 && this.#cuts.at(-1)!.endOffset >= endOffset) this.#cuts.pop()
    this.#cuts.push({ ordinal, endOffset })
  }
}

/** Gathers, while the journal is read the first time, which logs there are and what of each is still alive. */
export class ReplayPlan implements ReplayVisitor {
  readonly logs = new Map<Uuid, ReplayedLog>()
  /** Names of logs that were deleted, and that no later log has. */
  readonly deletedNames = new Set<string>()
  /** Logs whose creation is in the journal: their directories may be missing. */
  readonly created = new Set<Uuid>()
  /** Entries of logs that neither the checkpoint nor the journal knows: what made them is lost. */
  strangers = 0
  /** Exclusive end of what these say of any such log. */
  strangerEnd = 0
  readonly #gone = new Set<Uuid>()
  readonly #idOf = new Map<string, Uuid>()
  #ordinal = 0

  begin(checkpoint: NodeCheckpoint | null): void {
    for (const log of checkpoint?.logs ?? []) {
      if (log.states.some(({ kind }) => kind === deletedKind)) {
        this.#gone.add(log.id)
        this.deletedNames.add(log.name)
      } else this.#take(new ReplayedLog(log))
    }
  }

  frame(entries: readonly JournalEntry[]): void {
    for (const entry of entries) this.#add(entry, this.#ordinal++)
  }

  /** Whether the journal has records of a log beyond its end, behind others that are lost: they must not come back behind what follows. */
  hasBeyond(id: Uuid, logEndOffset: number): boolean {
    return (this.logs.get(id)?.endOffset ?? 0) > logEndOffset
  }

  /** The log has its name alone: the deletion of an earlier one may be among what the journal has lost. */
  #take(log: ReplayedLog): void {
    const earlier = this.#idOf.get(log.name)
    if (earlier !== undefined) {
      this.logs.delete(earlier)
      this.#gone.add(earlier)
    }
    this.#idOf.set(log.name, log.id)
    this.logs.set(log.id, log)
  }

  #takeStranger(entry: JournalEntry): void {
    this.strangers++
    let endOffset = 0
    if (entry.type === 'append') endOffset = entry.lastOffset + 1
    else if (entry.type === 'startOffset') endOffset = entry.offset
    this.strangerEnd = Math.max(this.strangerEnd, endOffset)
  }

  #add(entry: JournalEntry, ordinal: number): void {
    const { logId } = entry
    const log = this.logs.get(logId)
    if (entry.type === 'create') {
      this.created.add(logId)
      this.deletedNames.delete(entry.name)
      if (log === undefined) this.#take(new ReplayedLog(fresh(logId, entry.name, entry.topicId)))
    } else if (log === undefined) {
      // A creation that was refused is deleted without having been there.
      if (entry.type !== 'delete' && !this.#gone.has(logId)) this.#takeStranger(entry)
    } else if (entry.type === 'delete') {
      this.logs.delete(logId)
      this.#gone.add(logId)
      this.deletedNames.add(log.name)
    } else {
      log.add(entry, ordinal)
    }
  }
}

function fresh(id: Uuid, name: string, topicId: Uuid): LogCheckpoint {
  return { id, name, topicId, recoveryPoint: 0, logStartOffset: 0, states: [] }
}
