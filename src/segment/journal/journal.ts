import { EngineError, messageOf } from '../../model/errors.ts'
import { planted } from '../../model/planted.ts'
import type { Timer } from '../../runtime/clock.ts'
import type { Runtime } from '../../runtime/runtime.ts'
import { TroubleLog } from '../troubleLog.ts'
import { blockBytes } from './blocks.ts'
import type { JournalEntry } from './entries.ts'
import { JournalFiles } from './journalFiles.ts'
import type { JournalHost } from './journalHost.ts'
import { type JournalOptions, journalDefaults } from './journalOptions.ts'
import type { JournalContent, JournalReplay } from './journalReplay.ts'
import type { JournalStats } from './journalStats.ts'
import { JournalWriter } from './journalWriter.ts'
import { liveFrames } from './liveFrames.ts'
import type { CheckpointFiles, JournalPlace, StoredCheckpoint } from './nodeCheckpoint.ts'
import { openJournalFiles } from './openJournal.ts'

/** How long until something that failed (a new file, a checkpoint) is tried again. */
const retryMs = 1_000

/**
 * The journal of a node: every durable write of all its logs in one sequence of frames, with one fdatasync for everything
 * that has come together. Files are used again once what they hold is durable elsewhere.
 *
 * To open: `Journal.open`, replay what it returns, set `host`, then commit. The replay can be read until `host` is set.
 */
export class Journal {
  /** Counters that only grow. */
  readonly stats: JournalStats
  readonly #runtime: Runtime
  readonly #troubles: TroubleLog
  readonly #files: JournalFiles
  readonly #writer: JournalWriter
  readonly #checkpoints: CheckpointFiles
  readonly #idleMs: number
  readonly #quietMs: number
  /** From so many bytes in use on a checkpoint is made. */
  readonly #fullBytes: number
  #checkpoint: StoredCheckpoint
  #host: JournalHost | null = null
  #checkpointing: Promise<void> | null = null
  #nextCheckpoint: Promise<void> | null = null
  #storing: Promise<void> = Promise.resolve()
  #closing = false
  #closed: Promise<void> | null = null
  #timer: Timer | null = null
  #timerSequence = 0
  /** Until they fire no new file and no checkpoint are tried again. */
  #fileRetry: Timer | null = null
  #resumption: Timer | null = null
  #checkpointRetry: Timer | null = null
  #isFull = false
  /** How often in a row neither a file nor a checkpoint could be had while commits waited for one. */
  #failures = 0

  private constructor(
    runtime: Runtime,
    options: Required<Omit<JournalOptions, 'visitor'>>,
    found: Awaited<ReturnType<typeof openJournalFiles>>,
  ) {
    const { logger, fileBytes, journalBytes, directory, directoryId } = options
    const { journalId } = found.checkpoint
    this.#runtime = runtime
    this.#troubles = new TroubleLog(runtime.clock, logger)
    this.#idleMs = options.idleMs
    this.#quietMs = options.quietMs
    this.#checkpoint = found.checkpoint
    this.#checkpoints = found.checkpoints
    const maxFiles = Math.max(3, Math.floor(journalBytes / fileBytes))
    this.#fullBytes = Math.max(2, Math.floor(maxFiles / 2)) * fileBytes
    const files = { directory, directoryId, journalId, fileBytes, maxFiles, logger }
    this.#files = new JournalFiles(runtime, files, found.files)
    this.#writer = new JournalWriter(runtime, this.#files, found.place, {
      logger,
      journalId,
      maxQueuedBytes: options.maxQueuedBytes,
      depth: options.depth,
      begin: (usedGeneration) => this.#store((last) => ({ ...last, usedGeneration, clean: false })),
      changed: () => this.#changed(),
      refused: (error) => this.#resumeLater(error),
    })
    this.stats = this.#writer.stats
  }

  /**
   * Opens the journal in a directory, or makes one. Throws `directoryForeign` when it belongs to another data directory and
   * `CorruptionError` when both checkpoints are damaged; other damage is told by `replay.verdict`.
   */
  static async open(
    runtime: Runtime,
    options: JournalOptions,
  ): Promise<{ readonly journal: Journal; readonly replay: JournalReplay }> {
    const all = { ...journalDefaults, ...options }
    const visitor = options.visitor ?? null
    const found = await openJournalFiles(runtime, all.directory, all.directoryId, all.logger, visitor)
    return { journal: new Journal(runtime, all, found), replay: found.replay }
  }

  /** Every frame up to here is durable. */
  get flushedSequence(): number {
    return this.#writer.flushedSequence
  }

  /** The sequence of the next frame. */
  get nextSequence(): number {
    return this.#writer.nextSequence
  }

  /** Why nothing can be committed any more, until the next start; null while it can. */
  get failed(): EngineError | null {
    return this.#writer.failed
  }

  /** Whether commits wait because every file is in use and `syncBehind` has not finished. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Whether the disk takes nothing, so that appends are refused and everything else waits. */
  get isRefusing(): boolean {
    return this.#writer.isRefusing
  }

  /** Bytes that are committed and not durable. */
  get queuedBytes(): number {
    return this.#writer.queuedBytes
  }

  get maxQueuedBytes(): number {
    return this.#writer.maxQueuedBytes
  }

  /** The most bytes that an entry may have; a larger one is refused with `messageTooLarge`. */
  get maxEntryBytes(): number {
    return this.#writer.maxEntryBytes
  }

  /** The number of the last checkpoint that is durable; they count up. */
  get checkpointNumber(): number {
    return this.#checkpoint.number
  }

  /** What a start would find now, as far as it is durable. No checkpoint may end while frames are read. */
  get content(): JournalContent {
    const { logs } = this.#checkpoint
    return {
      logs,
      frames: () => liveFrames(this.#files.live, this.#checkpoint, this.flushedSequence, this.#runtime),
    }
  }

  /** Bytes of all files. */
  get totalBytes(): number {
    return this.#files.totalBytes
  }

  /** Notes, durably, what the host has to know again at the next start if no checkpoint follows. */
  noteDoubts(doubts: number): Promise<void> {
    return this.#store((last) => ({ ...last, doubts: last.doubts | doubts }))
  }

  /** Set once everything has been replayed; without it files are not used again. */
  set host(host: JournalHost) {
    this.#host = host
    this.#changed()
  }

  /** Resolves once less than half of `maxQueuedBytes` is queued. */
  room(): Promise<void> {
    return this.#writer.room()
  }

  /**
   * Takes entries into the frame that is being filled; their bytes are copied before the call returns. Resolves when an
   * fdatasync covers all of them. Many calls share one promise.
   * Rejects with `diskFailed` when the journal has failed: some of what was committed may be durable nevertheless, and
   * nothing can be committed until the next start. Rejects with nothing taken: `queueFull` when `queuedBytes` would pass
   * `maxQueuedBytes`, `messageTooLarge`, `closed`.
   * What has appends or creations is not kept waiting while the disk takes nothing: it rejects with `diskFull` or
   * `queueFull` once the disk has refused twice, and until it takes something. Then what was taken may become durable
   * later; a truncation or deletion that is committed makes it void. Everything else waits.
   */
  commit(entries: readonly JournalEntry[]): Promise<void> {
    return this.#writer.commit(entries)
  }

  /** Hands over what has been committed as far as possible, without waiting for what else comes in this turn. */
  start(): void {
    this.#writer.pump()
  }

  /**
   * Has `host` store what the journal holds, writes a checkpoint, and lets go of the files that it covers. What was there
   * at the time of the call is in it: whoever calls while one is being made shares the next one. Rejects when the host
   * cannot, and with `failed` when the journal has failed.
   */
  checkpoint(): Promise<void> {
    if (this.#closing) return Promise.reject(new EngineError('closed', 'the journal is closed'))
    if (this.#checkpointing === null) return this.#checkpointOnce()
    this.#nextCheckpoint ??= this.#checkpointing
      .catch(() => {})
      .then(() => {
        this.#nextCheckpoint = null
        return this.checkpoint()
      })
    return this.#nextCheckpoint
  }

  #checkpointOnce(): Promise<void> {
    this.#checkpointing ??= this.#makeCheckpoint(false).finally(() => {
      this.#checkpointing = null
    })
    return this.#checkpointing
  }

  /** Waits for what is committed; `clean` then makes a checkpoint, so that the next start replays nothing. Safe to call twice. */
  close({ clean }: { readonly clean: boolean }): Promise<void> {
    this.#closed ??= this.#close(clean)
    return this.#closed
  }

  async #close(clean: boolean): Promise<void> {
    this.#closing = true
    this.#timer?.cancel()
    this.#fileRetry?.cancel()
    this.#resumption?.cancel()
    this.#checkpointRetry?.cancel()
    this.#writer.close()
    await this.#finish()
    await this.#checkpointing?.catch(() => {})
    await this.#files.settled()
    if (clean && this.#writer.failed === null && this.#host !== null) await this.#makeCheckpoint(true)
  }

  /** Writes what is committed, unless there is no file for it and none can be had. */
  async #finish(): Promise<void> {
    for (;;) {
      await this.#writer.settled()
      if (this.#writer.idle || this.#writer.failed !== null) return
      if (this.#writer.isStuck) {
        this.#writer.fail(new EngineError('closed', 'the journal was closed while the disk took nothing'))
        return
      }
      try {
        if (!this.#files.canPrepare) await this.#checkpointOnce()
        await this.#files.prepare()
      } catch (cause) {
        this.#writer.abandon(new EngineError('closed', 'the journal was closed while it was full', { cause }))
      }
      this.#writer.pump()
    }
  }

  async #makeCheckpoint(clean: boolean): Promise<void> {
    const host = this.#host
    if (host === null) return
    // What was on its way may be durable or not; a checkpoint would say that it is.
    if (this.#writer.failed !== null) throw this.#writer.failed
    const { flushedSequence } = this.#writer
    const place = clean ? this.#cleanPlace() : this.#writer.flushedPlace
    if (planted('recycleTooEarly')) this.#files.release(place.generation)
    const node = await host.syncBehind(place.sequence)
    await this.#store((last) => ({
      ...last,
      replayFrom: place,
      flushedSequence: Math.max(flushedSequence, place.sequence - 1),
      clean,
      doubts: 0,
      logs: node.logs,
    }))
    host.stored?.()
    this.#files.release(place.generation)
  }

  /** Stores the checkpoint that follows from the last one, after those that are being stored. */
  #store(change: (last: StoredCheckpoint) => StoredCheckpoint): Promise<void> {
    const stored = this.#storing.then(async () => {
      const next = { ...change(this.#checkpoint), number: this.#checkpoint.number + 1 }
      await this.#checkpoints.write(next)
      this.#checkpoint = next
    })
    this.#storing = stored.catch(() => {})
    return stored
  }

  /** The next life begins with a file of its own, so that every file is free then. */
  #cleanPlace(): JournalPlace {
    return { ...this.#writer.flushedPlace, generation: this.#files.nextGeneration, position: blockBytes }
  }

  /** Something has become durable, or waits: sees to files, checkpoints and timers. */
  #changed(): void {
    if (this.#writer.failed !== null) {
      this.#timer?.cancel()
      return
    }
    const isFull = this.#writer.waitsForFile
    if (isFull && !this.#isFull && !this.#files.canPrepare) {
      this.#troubles.warn('the journal is full: commits wait until segments are synced', {
        bytes: this.totalBytes,
      })
      this.#isFull = true
    } else if (!isFull) this.#isFull = false
    if (isFull || this.#writer.wantsNext || this.#files.isSingle) this.#prepare()
    const isHalfFull =
      this.#files.liveBytes >= this.#fullBytes ||
      (isFull && (!this.#files.canPrepare || this.#fileRetry !== null))
    if (isHalfFull && this.#files.canRelease(this.#writer.flushedPlace.generation)) this.#checkpointSoon()
    if (this.#writer.idle) this.#waitForQuiet()
  }

  #prepare(): void {
    if (this.#files.next !== null || !this.#files.canPrepare) return
    if (this.#fileRetry !== null && !this.#files.hasFree) return
    this.#files.prepare().then(
      () => {
        this.#failures = 0
        this.#writer.pump()
        this.#changed()
      },
      (error) => {
        this.#troubles.warn('there is no new file for the journal', { error: messageOf(error) })
        // A checkpoint may give one back, and says so when it cannot.
        if (!this.#files.canRelease(this.#writer.flushedPlace.generation)) this.#refuseIfFull(error)
        this.#fileRetry ??= this.#later(() => {
          this.#fileRetry = null
        })
        this.#changed()
      },
    )
  }

  #checkpointSoon(): void {
    const isBusy = this.#checkpointing !== null || this.#checkpointRetry !== null
    if (isBusy || this.#host === null || this.#closing) return
    this.checkpoint().then(
      () => this.#changed(),
      (error) => {
        this.#troubles.warn('the journal keeps its files: what they hold cannot be stored elsewhere', {
          error: messageOf(error),
        })
        this.#refuseIfFull(error)
        this.#checkpointRetry ??= this.#later(() => {
          this.#checkpointRetry = null
        })
      },
    )
  }

  /** Whoever appends is not kept waiting for a file that cannot be had. */
  #refuseIfFull(cause: unknown): void {
    if (!this.#writer.waitsForFile || this.#files.hasFree || this.#files.next !== null) return
    if (++this.#failures < 2) return
    const code = cause instanceof EngineError && cause.code === 'diskFull' ? 'diskFull' : 'queueFull'
    const message = `the journal is full and cannot get another file: ${messageOf(cause)}`
    this.#writer.refuse(new EngineError(code, message, { cause }))
  }

  /** Writes go on where they were: nothing of them was lost. */
  #resumeLater(error: EngineError): void {
    if (this.#resumption !== null || this.#closing) return
    this.#troubles.warn('the journal waits for the disk', { error: messageOf(error) })
    this.#resumption = this.#later(() => {
      this.#resumption = null
      this.#writer.resume()
    })
  }

  #later(again: () => void): Timer {
    const timer = this.#runtime.clock.setTimer(retryMs, () => {
      again()
      this.#changed()
    })
    timer.detach?.()
    return timer
  }

  #tell(): void {
    this.#writer.tell()
    if (!this.#writer.idle) return
    // There is no room for it in this file.
    this.#prepare()
    this.#waitForQuiet()
  }

  #waitForQuiet(): void {
    if (this.#timer !== null || this.#closing) return
    const isTold = !this.#writer.hasUntold
    const isStored = this.#host === null || this.#checkpoint.replayFrom.sequence >= this.#writer.nextSequence
    if (isTold && isStored) return
    this.#timerSequence = this.#writer.nextSequence
    this.#timer = this.#runtime.clock.setTimer(isTold ? this.#quietMs : this.#idleMs, () => {
      this.#timer = null
      if (!this.#writer.idle || this.#writer.nextSequence !== this.#timerSequence) this.#waitForQuiet()
      else if (isTold) this.#checkpointSoon()
      else this.#tell()
    })
    this.#timer.detach?.()
  }
}
