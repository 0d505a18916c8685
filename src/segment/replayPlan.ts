import type { Uuid } from '../model/uuid.ts'
import type { JournalEntry, TruncateEntry } from './journal/entries.ts'
import type { JournalReplay } from './journal/journalReplay.ts'
import type { LogCheckpoint } from './journal/nodeCheckpoint.ts'
import { deletedKind, provenEndOf } from './ownStates.ts'

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

  /** Takes the entry with number `ordinal`. */
  add(entry: JournalEntry, ordinal: number): void {
    switch (entry.type) {
      case 'append':
        if (entry.lastOffset < this.recoveryPoint) return
        if (entry.baseOffset > this.endOffset) this.#gapEnd = entry.baseOffset
        else if (entry.baseOffset < this.endOffset) this.#cut(ordinal, entry.baseOffset)
        this.endOffset = entry.lastOffset + 1
        this.hasAppends = true
        break
      case 'truncate':
        if (entry.endOffset < this.endOffset) this.#cut(ordinal, entry.endOffset)
        this.recoveryPoint = Math.min(this.recoveryPoint, entry.endOffset)
        this.endOffset = Math.min(this.endOffset, entry.endOffset)
        if (this.#gapEnd > this.endOffset) this.#gapEnd = this.endOffset
        this.unfinishedCut = entry
        break
      case 'truncated':
        this.unfinishedCut = null
        break
      case 'startOffset':
        this.logStartOffset = Math.max(this.logStartOffset, entry.offset)
        break
      case 'state':
        this.states.set(entry.kind, Uint8Array.from(entry.bytes))
        break
    }
  }

  #cut(ordinal: number, endOffset: number): void {
    while (this.#cuts.length > 0 && this.#cuts.at(-1)!.endOffset >= endOffset) this.#cuts.pop()
    this.#cuts.push({ ordinal, endOffset })
  }
}

/** What the first reading of a journal has gathered. */
export interface ReplayPlan {
  readonly logs: ReadonlyMap<Uuid, ReplayedLog>
  /** Names of logs that were deleted, and that no later log has. */
  readonly deletedNames: ReadonlySet<string>
  /** Logs whose creation is in the journal: their directories may be missing. */
  readonly created: ReadonlySet<Uuid>
  /** Entries of logs that neither the checkpoint nor the journal knows. */
  readonly strangers: number
  readonly entryCount: number
}

/** Reads the journal a first time: which logs there are, and what of each is still alive. */
export async function planReplay(replay: JournalReplay): Promise<ReplayPlan> {
  const logs = new Map<Uuid, ReplayedLog>()
  const deletedNames = new Set<string>()
  for (const log of replay.checkpoint?.logs ?? []) {
    if (log.states.some(({ kind }) => kind === deletedKind)) deletedNames.add(log.name)
    else logs.set(log.id, new ReplayedLog(log))
  }
  const created = new Set<Uuid>()
  let strangers = 0
  let ordinal = 0
  for await (const { entries } of replay.frames()) {
    for (const entry of entries) {
      const { logId } = entry
      const log = logs.get(logId)
      if (entry.type === 'create') {
        created.add(logId)
        deletedNames.delete(entry.name)
        if (log === undefined) logs.set(logId, new ReplayedLog(fresh(logId, entry.name, entry.topicId)))
      } else if (log === undefined) {
        strangers++
      } else if (entry.type === 'delete') {
        logs.delete(logId)
        deletedNames.add(log.name)
      } else {
        log.add(entry, ordinal)
      }
      ordinal++
    }
  }
  return { logs, deletedNames, created, strangers, entryCount: ordinal }
}

function fresh(id: Uuid, name: string, topicId: Uuid): LogCheckpoint {
  return { id, name, topicId, recoveryPoint: 0, logStartOffset: 0, states: [] }
}
