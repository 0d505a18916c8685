import type { LogFields } from '../model/logger.ts'
import type { GroupCoordinatorConfig } from './coordinatorConfig.ts'
import type { GroupData, PendingWrite, Token } from './groupData.ts'
import type { OffsetsRecord } from './offsetsRecords.ts'

/** Both clocks at one moment. Deadlines use the first, stored timestamps the second. */
export interface Now {
  readonly monotonicMs: number
  readonly wallMs: number
}

/** What the driver has to do, in this order. Timers are not among them: see `nextDeadlineMs`. */
export type Effect =
  /** Answers a waiting request. */
  | { readonly type: 'answer'; readonly token: Token<unknown>; readonly response: unknown }
  /** Appends `records` atomically; then `persisted` or `persistFailed` with the same id. */
  | { readonly type: 'persist'; readonly writeId: number; readonly records: readonly OffsetsRecord[] }
  /** Forgets the group: nothing of it is left, in memory or in the log. */
  | { readonly type: 'remove' }
  | { readonly type: 'log'; readonly message: string; readonly fields: LogFields }

/** One step of one group: when it is, and what comes of it. */
export class Turn {
  readonly now: Now
  readonly config: GroupCoordinatorConfig
  readonly effects: Effect[] = []

  constructor(now: Now, config: GroupCoordinatorConfig) {
    this.now = now
    this.config = config
  }

  /** Answers `token`. */
  answer<Response>(token: Token<Response>, response: Response): void {
    this.effects.push({ type: 'answer', token, response })
  }

  /** Hands `records` to the log and remembers what follows. */
  persist(group: GroupData, records: readonly OffsetsRecord[], write: PendingWrite): void {
    const writeId = group.nextWriteId++
    group.writes.set(writeId, write)
    this.effects.push({ type: 'persist', writeId, records })
  }

  /** Forgets the group. */
  remove(): void {
    this.effects.push({ type: 'remove' })
  }

  /** Says what happened. */
  log(message: string, fields: LogFields): void {
    this.effects.push({ type: 'log', message, fields })
  }
}
