import { EngineError } from '../model/errors.ts'
import type { FlushPolicy } from '../model/flushPolicy.ts'
import { type Logger, silentLogger } from '../model/logger.ts'
import { randomUuid } from '../model/uuid.ts'
import { metadataTopic } from '../replica/wire/common.ts'
import type { Codecs } from '../runtime/compute.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { LogDirectory } from '../segment/logDirectory.ts'
import { Scrubber } from '../segment/scrubber.ts'
import { Appender } from './appender.ts'
import { Background } from './background.ts'
import { maxBatchBytes } from './encodeInput.ts'
import { EngineLog, type LogHost } from './engineLog.ts'
import type { EngineChannels } from './events.ts'
import { journalOptions } from './journalOptions.ts'
import {
  engineDefaults,
  type LogSettings,
  logSettingNames,
  type ResolvedSettings,
  refuse,
  resolveSettings,
} from './logSettings.ts'
import { OpenLog } from './openLog.ts'

/** How an engine is opened. Settings of logs hold for every log that does not say otherwise. */
export interface EngineOptions<F extends FlushPolicy = 'journal'> extends LogSettings<F> {
  /** The data directory: made if it is not there, and nobody else's while the engine is open. */
  readonly directory: string
  /** Where the journal is, perhaps on another disk. Default: `.journal` in the data directory. */
  readonly journalDirectory?: string | undefined
  /** How large the journal may become, in bytes. More makes the slowest appends faster. Default 1 GiB, at least 2 MiB. */
  readonly journalBytes?: number | undefined
  /** Bytes of appends under way at which further ones wait for room. Default 32 MiB. */
  readonly maxPendingBytes?: number | undefined
  /**
   * How much of the older files is read a second, in the background, to check what is stored: once a week each, if that
   * is enough. Damage is told to the logger and on `cordwood:damage`, and never read. Default 8 MiB; 0 reads nothing.
   */
  readonly scrubBytesPerSecond?: number | undefined
  /** Says nothing by default. Anything with `debug`, `info`, `warn` and `error`, as pino has them. */
  readonly logger?: Logger | undefined
  /** The world to run in; by default the machine, natively where the addon loads. For simulators. */
  readonly runtime?: Runtime | undefined
}

/** What the composition root hands to an engine. */
export interface EngineWorld {
  readonly runtime: Runtime
  readonly codecs: Codecs
  readonly channels: EngineChannels
  /** Closes the runtime, where the engine is its only user. */
  close(): Promise<void>
}

/** The log of a name lies in the directory `<name>-0`: to Kafka's tools it is partition 0 of that topic. */
const partition = 0
const metadataLog = `${metadataTopic}-0`
const defaultMaxPendingBytes = 32 << 20
const defaultScrubBytesPerSecond = 8 << 20
const ownOptions = [
  'directory',
  'journalDirectory',
  'journalBytes',
  'maxPendingBytes',
  'scrubBytesPerSecond',
  'logger',
  'runtime',
]
const leastJournalBytes = 2 << 20

/** A data directory that is open. `F` is the flush policy of logs that name none. */
export class Engine<F extends FlushPolicy = FlushPolicy> implements AsyncDisposable {
  readonly #world: EngineWorld
  readonly #directory: LogDirectory
  readonly #defaults: ResolvedSettings
  readonly #background: Background
  readonly #scrubber: Scrubber
  readonly #host: LogHost
  readonly #open = new Map<string, { readonly target: OpenLog; readonly log: EngineLog }>()
  /** Logs that are being created or deleted. */
  readonly #changing = new Map<string, Promise<unknown>>()
  #closing: Promise<void> | null = null

  private constructor(
    world: EngineWorld,
    directory: LogDirectory,
    defaults: ResolvedSettings,
    options: EngineOptions<F>,
  ) {
    const { runtime, codecs, channels } = world
    this.#world = world
    this.#directory = directory
    this.#defaults = defaults
    const maxPendingBytes = Math.min(
      options.maxPendingBytes ?? defaultMaxPendingBytes,
      runtime.disk.maxQueuedBytes >> 1,
    )
    const targets = (): OpenLog[] => [...this.#open.values()].map(({ target }) => target)
    const logger = options.logger ?? silentLogger
    this.#background = new Background(runtime.clock, logger, channels, directory, targets, () =>
      this.#scrubber.look(),
    )
    directory.badRanges.onFound = ({ file, position, end, baseOffset, nextOffset }) => {
      if (!channels.damage.hasSubscribers) return
      const log = logName(file.slice(directory.directory.length + 1).replace(/\/.*$/, '')) ?? ''
      channels.damage.publish({
        directory: directory.directory,
        log,
        file,
        position,
        end,
        baseOffset,
        nextOffset,
      })
    }
    this.#scrubber = new Scrubber(runtime, {
      directory: directory.directory,
      logs: () => directory.logs,
      badRanges: directory.badRanges,
      logger,
      bytesPerSecond: options.scrubBytesPerSecond ?? defaultScrubBytesPerSecond,
    })
    this.#scrubber.start()
    const appender = new Appender({
      runtime,
      codecs,
      channels,
      directory: options.directory,
      maxPendingBytes,
      appended: () => this.#background.appended(),
    })
    const decompress = (codec: number, body: Uint8Array): Uint8Array =>
      codecs.decompress(codec, body, maxBatchBytes)
    this.#host = {
      appender,
      world: {
        runtime,
        decompress,
      },
      remove: (target) => this.#remove(target),
      configured: ({ config }) => this.#background.configured(config),
    }
  }

  /** Opens a directory; `openEngine` of the package says what it throws. */
  static async open<F extends FlushPolicy>(
    options: EngineOptions<F>,
    world: EngineWorld,
  ): Promise<Engine<F>> {
    const { runtime, codecs, channels } = world
    const { directory: path, logger = silentLogger } = options
    const { clock } = runtime
    const defaults = checkOptions(options)
    const startedMs = clock.monotonicMs()
    if ((await runtime.disk.stat(`${path}/${metadataLog}`)) !== null) {
      throw new EngineError('directoryForeign', `${path} belongs to a broker; name another directory`)
    }
    const directory = await LogDirectory.open(runtime, {
      directory: path,
      logger,
      nodeId: 0,
      configFor: () => defaults.config,
      decompress: (codec, body) => codecs.decompress(codec, body, maxBatchBytes),
      ...journalOptions(options),
    })
    if (channels.recovery.hasSubscribers) {
      const offline = [...directory.logs].flatMap(([name, { offline: error }]) =>
        error === null ? [] : [{ log: logName(name)!, error }],
      )
      const durationMs = clock.monotonicMs() - startedMs
      channels.recovery.publish({ directory: path, logs: directory.logs.size, durationMs, offline })
    }
    return new Engine(world, directory, defaults, options)
  }

  /** The data directory. */
  get directory(): string {
    return this.#directory.directory
  }

  /** Names of all logs that the directory has, opened or not, sorted. */
  get logs(): readonly string[] {
    return [...this.#directory.logs.keys()].flatMap((name) => logName(name) ?? []).sort()
  }

  /** What the engine is doing at the moment: appends that wait for room, and bytes under way to the disk. */
  get load(): { readonly waitingAppends: number; readonly pendingBytes: number } {
    const { waiting, pendingBytes } = this.#host.appender
    return { waitingAppends: waiting, pendingBytes }
  }

  /**
   * The log of this name, made if it is not there. Names have up to 249 letters, digits, dots, dashes and underscores.
   * Settings that are given hold as long as the engine is open. Asking for a log again gives the same one; then a
   * policy or setting that is not the one in force is refused: `EngineLog.configure` changes it.
   * Throws `invalidTopicException` for the name, `invalidConfig`, `closed`, `diskFull`, `permissionDenied`, and the reason
   * of a log that could not be opened.
   */
  async log<G extends FlushPolicy = F>(
    name: string,
    settings: LogSettings<G> = {},
  ): Promise<EngineLog<NoInfer<G>>> {
    checkName(name)
    while (this.#changing.has(name)) await this.#changing.get(name)!.catch(() => {})
    this.#checkOpen()
    const wanted = resolveSettings(settings, this.#defaults)
    const known = this.#open.get(name)
    if (known !== undefined) {
      checkSame(name, settings, wanted, known.target.settings)
      return known.log as unknown as EngineLog<G>
    }
    const opening = this.#openLog(name, wanted)
    this.#changing.set(name, opening)
    try {
      return (await opening) as unknown as EngineLog<G>
    } finally {
      this.#changing.delete(name)
    }
  }

  /**
   * Closes everything in order, at any moment: appends under way settle, those that wait for room reject with `closed`,
   * readers end. The next start has nothing to recover. Calling it again gives the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #openLog(name: string, settings: ResolvedSettings): Promise<EngineLog> {
    const { runtime, channels } = this.#world
    const directory = this.#directory
    const found = directory.logs.get(`${name}-${partition}`) ?? (await directory.openAgain(name, partition))
    const log =
      found ?? (await directory.createLog(name, partition, randomUuid(runtime.random), settings.config))
    // Closed meanwhile: the directory has closed the log, or will.
    this.#checkOpen()
    if (found !== null) log.updateConfig(settings.config)
    const target = new OpenLog(name, this.directory, log, settings, channels)
    const opened = new EngineLog(target, this.#host)
    this.#open.set(name, { target, log: opened })
    this.#background.configured(settings.config)
    return opened
  }

  async #remove(target: OpenLog): Promise<void> {
    const { name } = target
    target.end(`the log ${name} has been deleted`)
    this.#open.delete(name)
    this.#host.appender.refuse(target)
    this.#host.appender.submit()
    const removed = this.#directory.deleteLog(name, partition)
    this.#changing.set(name, removed)
    try {
      await removed
    } finally {
      this.#changing.delete(name)
    }
  }

  async #close(): Promise<void> {
    try {
      await this.#directory.giveUpJournal()
      await this.#background.close()
      await this.#scrubber.close()
      await this.#host.appender.close()
      for (const { target } of this.#open.values()) target.end('the engine has been closed')
      await Promise.allSettled(this.#changing.values())
      await this.#directory.close()
    } finally {
      await this.#world.close()
    }
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new EngineError('closed', 'the engine has been closed')
  }
}

/** The name of the log in a directory of this name; null for one that no library made. */
function logName(directoryName: string): string | null {
  const suffix = `-${partition}`
  return directoryName.endsWith(suffix) ? directoryName.slice(0, -suffix.length) : null
}

function checkOptions(options: EngineOptions<FlushPolicy>): ResolvedSettings {
  const { directory, journalDirectory, journalBytes, maxPendingBytes } = options
  checkDirectory('directory', directory)
  if (journalDirectory !== undefined) checkDirectory('journalDirectory', journalDirectory)
  const settings: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) {
    if (logSettingNames.includes(name)) settings[name] = value
    else if (!ownOptions.includes(name)) refuse(`there is no option "${name}"`)
  }
  checkBytes('maxPendingBytes', maxPendingBytes, 1)
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    const { logger } = options
    if (logger !== undefined && typeof logger?.[level] !== 'function') refuse(`the logger has no ${level}()`)
  }
  checkBytes('journalBytes', journalBytes, leastJournalBytes)
  checkBytes('scrubBytesPerSecond', options.scrubBytesPerSecond, 0)
  return resolveSettings(settings, engineDefaults)
}

function checkDirectory(name: string, path: unknown): void {
  if (typeof path !== 'string' || path === '') refuse(`${name} has to name a directory`)
}

function checkBytes(name: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return
  refuse(`${name} has to be a whole number of ${least} or more, not ${String(value)}`)
}

/** Two users of a log may not think differently of it without knowing. */
function checkSame(
  name: string,
  given: LogSettings,
  wanted: ResolvedSettings,
  inForce: ResolvedSettings,
): void {
  const differs = (before: unknown, after: unknown): boolean =>
    JSON.stringify(before) !== JSON.stringify(after)
  const now = resolveSettings(given, inForce)
  if (!differs(now, inForce) && !differs(wanted.config.flush, inForce.config.flush)) return
  const policies = `${JSON.stringify(inForce.config.flush)} in force, ${JSON.stringify(wanted.config.flush)} asked for`
  refuse(`the log ${name} is open with other settings (flush: ${policies}); use its configure()`)
}

/** Throws `invalidTopicException` for what is no name, and for the one log that makes a directory a broker's. */
function checkName(name: unknown): void {
  if (typeof name !== 'string') {
    throw new EngineError('invalidTopicException', `the name of a log is a string, not ${typeof name}`)
  }
  if (name !== metadataTopic) return
  throw new EngineError('invalidTopicException', `${name} is what a broker keeps its cluster's metadata in`)
}
