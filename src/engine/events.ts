import type { EngineError } from '../model/errors.ts'
import type { Survives } from '../model/flushPolicy.ts'

/** A channel that costs one look when nobody listens; those of `node:diagnostics_channel` are such. */
export interface EventChannel<T> {
  readonly hasSubscribers: boolean
  publish(message: T): void
}

/** An append was acknowledged. */
export interface AppendEvent {
  readonly directory: string
  readonly log: string
  readonly baseOffset: number
  readonly lastOffset: number
  /** Bytes of the batch as it is stored. */
  readonly bytes: number
  readonly survives: Survives
}

/** A group of appends, of whatever logs, came back from the disk, or failed with `error`. */
export interface FlushEvent {
  readonly directory: string
  readonly appends: number
  readonly bytes: number
  readonly durationMs: number
  readonly error: EngineError | null
}

/** A directory was opened. */
export interface RecoveryEvent {
  readonly directory: string
  readonly logs: number
  readonly durationMs: number
  /** Logs that are damaged: they take and give nothing. */
  readonly offline: readonly { readonly log: string; readonly error: EngineError }[]
}

/** A log takes and gives nothing any more. */
export interface LogOfflineEvent {
  readonly directory: string
  readonly log: string
  readonly error: EngineError
}

/** Whole segments were removed because the settings said so. */
export interface RetentionEvent {
  readonly directory: string
  readonly log: string
  readonly segments: number
  readonly logStartOffset: number
}

/** Stored records are not what was written: found by the background check or by a read, and never read from now on. */
export interface DamageEvent {
  readonly directory: string
  readonly log: string
  readonly file: string
  /** Bytes from the start of the file. */
  readonly position: number
  /** Exclusive. */
  readonly end: number
  /** First offset concerned. */
  readonly baseOffset: number
  /** First offset after them. */
  readonly nextOffset: number
}

/** What an engine tells, by channel. On `node:diagnostics_channel` the names begin with `cordwood:`. */
export interface EngineChannels {
  readonly append: EventChannel<AppendEvent>
  readonly flush: EventChannel<FlushEvent>
  readonly recovery: EventChannel<RecoveryEvent>
  readonly logOffline: EventChannel<LogOfflineEvent>
  readonly retention: EventChannel<RetentionEvent>
  readonly damage: EventChannel<DamageEvent>
}

const silent: EventChannel<unknown> = { hasSubscribers: false, publish() {} }

/** Nobody listens. */
export const silentChannels: EngineChannels = {
  append: silent,
  flush: silent,
  recovery: silent,
  logOffline: silent,
  retention: silent,
  damage: silent,
}
