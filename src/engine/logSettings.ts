import { EngineError } from '../model/errors.ts'
import { type FlushPolicy, flushPolicyNames } from '../model/flushPolicy.ts'
import { type CleanupPolicy, defaultLogConfig, type LogConfig } from '../segment/logConfig.ts'

/** How records are compressed on the disk. */
export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** How one log is kept. They hold while the engine is open: nothing of them is stored. */
export interface LogSettings<F extends FlushPolicy = FlushPolicy> {
  /**
   * When an append is acknowledged, and what that means; docs/durability.md has the whole story.
   * - `'journal'`: after a sync of the journal that all logs share. Survives power loss; thousands of logs cost as
   *   little as one.
   * - `'batch'`: after a sync of the log's own file, shared with what came meanwhile. Survives power loss; the best
   *   choice for one log with large appends.
   * - `'append'`: after a sync of its own. Survives power loss; for comparison only.
   * - `'none'`: once the system has the bytes. Survives the death of the process; a power cut may take what is recent.
   * - `{ intervalMs, bytes, records }`: as `'none'`, and synced behind at whichever bound comes first: a power cut
   *   takes no more than that.
   *
   * Default: that of the engine.
   */
  readonly flush?: F
  /** Compresses each append as one batch. Default `none`. All but `gzip` need the native addon. */
  readonly compression?: Compression
  /** The largest append taken, in bytes as stored. Default 1 MiB. Larger ones: `messageTooLarge`. */
  readonly maxAppendBytes?: number
  /** Bytes at which a log goes on in a new file. Default 1 GiB. */
  readonly segmentBytes?: number
  /** Age in milliseconds at which a log goes on in a new file. Default 7 days. */
  readonly segmentMs?: number
  /**
   * Removes files whose newest record is older than this, in milliseconds. Default -1: never. Logs are looked at half a minute
   * after the first that has a bound was opened, then every five minutes.
   */
  readonly retentionMs?: number
  /** Removes the oldest files while the log is larger than this, in bytes, when logs are looked at. Default -1: never. */
  readonly retentionBytes?: number
  /**
   * What happens to old records: `delete` removes them by age and size, `compact` keeps the last one of each key (a null
   * value removes the key in time), `compact,delete` does both. Default `delete`. A log that is compacted takes no
   * records without a key, and its offsets have gaps in time.
   */
  readonly cleanupPolicy?: 'delete' | 'compact' | 'compact,delete'
  /** How long a null value is kept for readers to see, in milliseconds. Default a day. */
  readonly deleteRetentionMs?: number
  /** How old a record has to be before compaction may remove it, in milliseconds. Default 0. */
  readonly minCompactionLagMs?: number
  /** How long compaction may put off what it has to do, in milliseconds. Default: without bound. */
  readonly maxCompactionLagMs?: number
  /** The part of a log, by bytes, that has to be new before it is compacted, 0 to 1. Default 0.5. */
  readonly minCleanableDirtyRatio?: number
  /** Bytes between two entries of the index: less finds records with less reading, more takes less room. Default 4096. */
  readonly indexIntervalBytes?: number
  /** Whose time a record has: the caller's (`createTime`, the default) or that of its append (`logAppendTime`). */
  readonly timestamps?: 'createTime' | 'logAppendTime'
}

/** Settings with every default filled in, as the engine uses them. */
export interface ResolvedSettings {
  readonly config: LogConfig
  readonly compression: Compression
}

const cleanupPolicies: Readonly<Record<string, CleanupPolicy>> = {
  delete: { delete: true, compact: false },
  compact: { delete: false, compact: true },
  'compact,delete': { delete: true, compact: true },
}
const compressions: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** Kafka's defaults, but nothing is ever removed unasked, times may be any, and files go at once when they go. */
export const engineDefaults: ResolvedSettings = {
  config: {
    ...defaultLogConfig,
    retentionMs: -1,
    timestampAfterMaxMs: Number.MAX_SAFE_INTEGER,
    fileDeleteDelayMs: 0,
    flush: 'journal',
  },
  compression: 'none',
}

const checks: { readonly [K in keyof LogSettings]-?: (value: unknown) => string | null } = {
  flush: checkFlush,
  compression: (value) =>
    compressions.includes(value as Compression) ? null : `one of ${compressions.join(', ')}`,
  maxAppendBytes: wholeNumber(128, 2 ** 30),
  segmentBytes: wholeNumber(1024, 2 ** 31 - 1),
  segmentMs: wholeNumber(1, Number.MAX_SAFE_INTEGER),
  retentionMs: wholeNumber(-1, Number.MAX_SAFE_INTEGER),
  retentionBytes: wholeNumber(-1, Number.MAX_SAFE_INTEGER),
  cleanupPolicy: (value) =>
    Object.hasOwn(cleanupPolicies, String(value)) ? null : 'delete, compact or compact,delete',
  deleteRetentionMs: wholeNumber(0, Number.MAX_SAFE_INTEGER),
  minCompactionLagMs: wholeNumber(0, Number.MAX_SAFE_INTEGER),
  maxCompactionLagMs: wholeNumber(1, Number.MAX_SAFE_INTEGER),
  minCleanableDirtyRatio: (value) =>
    typeof value === 'number' && value >= 0 && value <= 1 ? null : 'a number from 0 to 1',
  indexIntervalBytes: wholeNumber(0, 2 ** 31 - 1),
  timestamps: (value) =>
    value === 'createTime' || value === 'logAppendTime' ? null : 'createTime or logAppendTime',
}

/** The names of all log settings. */
export const logSettingNames: readonly string[] = Object.keys(checks)

/**
 * `settings` over `base`. Throws `invalidConfig`, with the setting's name and what it may be, for values that are not
 * allowed, names that do not exist, and settings that contradict each other.
 */
export function resolveSettings(settings: LogSettings, base: ResolvedSettings): ResolvedSettings {
  if (typeof settings !== 'object' || settings === null) refuse('settings are an object')
  for (const [name, value] of Object.entries(settings)) {
    if (value === undefined) continue
    const check = Object.hasOwn(checks, name) ? checks[name as keyof LogSettings] : null
    if (check === null) refuse(`there is no setting "${name}"; there are ${logSettingNames.join(', ')}`)
    const allowed = check(value)
    if (allowed !== null) refuse(`${name} has to be ${allowed}, not ${shown(value)}`)
  }
  const before = base.config
  const config: LogConfig = {
    ...before,
    flush: settings.flush ?? before.flush,
    maxMessageBytes: settings.maxAppendBytes ?? before.maxMessageBytes,
    segmentBytes: settings.segmentBytes ?? before.segmentBytes,
    segmentMs: settings.segmentMs ?? before.segmentMs,
    retentionMs: settings.retentionMs ?? before.retentionMs,
    retentionBytes: settings.retentionBytes ?? before.retentionBytes,
    cleanupPolicy: cleanupPolicies[settings.cleanupPolicy ?? ''] ?? before.cleanupPolicy,
    deleteRetentionMs: settings.deleteRetentionMs ?? before.deleteRetentionMs,
    minCompactionLagMs: settings.minCompactionLagMs ?? before.minCompactionLagMs,
    maxCompactionLagMs: settings.maxCompactionLagMs ?? before.maxCompactionLagMs,
    minCleanableDirtyRatio: settings.minCleanableDirtyRatio ?? before.minCleanableDirtyRatio,
    indexIntervalBytes: settings.indexIntervalBytes ?? before.indexIntervalBytes,
    timestampType: settings.timestamps ?? before.timestampType,
  }
  const { maxMessageBytes, segmentBytes, cleanupPolicy } = config
  if (!cleanupPolicy.delete && (config.retentionMs >= 0 || config.retentionBytes >= 0)) {
    refuse('retentionMs and retentionBytes need a cleanupPolicy with "delete" in it')
  }
  if (config.minCompactionLagMs > config.maxCompactionLagMs) {
    refuse('minCompactionLagMs may not be more than maxCompactionLagMs')
  }
  if (maxMessageBytes > segmentBytes) {
    refuse(`maxAppendBytes (${maxMessageBytes}) may not be more than segmentBytes (${segmentBytes})`)
  }
  return shared({ config, compression: settings.compression ?? base.compression })
}

/** Settings that were resolved lately, by what they say. */
const resolved = new Map<string, ResolvedSettings>()
const mostResolved = 64

/** One object for all logs with the same settings: what thousands of them read at every append stays at hand. */
function shared(settings: ResolvedSettings): ResolvedSettings {
  const key = JSON.stringify(settings)
  const found = resolved.get(key)
  if (found !== undefined) return found
  if (resolved.size >= mostResolved) resolved.clear()
  resolved.set(key, settings)
  return settings
}

const flushNames: readonly string[] = flushPolicyNames.filter(
  (name) => name !== 'interval' && name !== 'bytes' && name !== 'records',
)
const flushBounds: readonly string[] = ['intervalMs', 'bytes', 'records']

function checkFlush(value: unknown): string | null {
  if (typeof value === 'string' && flushNames.includes(value)) return null
  if (typeof value === 'object' && value !== null) {
    const bounds = Object.entries(value).filter(([, bound]) => bound !== undefined)
    const isBound = wholeNumber(1, Number.MAX_SAFE_INTEGER)
    const isRight = bounds.every(([name, bound]) => flushBounds.includes(name) && isBound(bound) === null)
    if (bounds.length > 0 && isRight) return null
  }
  return `one of ${flushNames.join(', ')}, or { intervalMs, bytes, records } with at least one whole number of 1 or more`
}

/** A check for whole numbers of a range, both ends inclusive. */
function wholeNumber(least: number, most: number): (value: unknown) => string | null {
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
      ? null
      : `a whole number from ${least} to ${most}`
}

/** Throws `invalidConfig`. */
export function refuse(message: string): never {
  throw new EngineError('invalidConfig', message)
}

/** A value as it was given, also one that JSON does not know. */
function shown(value: unknown): string {
  return typeof value === 'bigint' ? `${value}n` : JSON.stringify(value)
}
