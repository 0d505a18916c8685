import { type EngineError, toEngineError } from '../model/errors.ts'
import { acksBesideJournal, type FlushPolicy, isDurable, type Survives } from '../model/flushPolicy.ts'
import { planted } from '../model/planted.ts'
import { BackgroundSync, type SyncTarget, type UnsyncedFiles } from './backgroundSync.ts'
import type { ClosedLog } from './closedLog.ts'
import type { JournalEntry } from './journal/entries.ts'
import type { LogJournal } from './logJournal.ts'
import type { LogState } from './logState.ts'
import { provenEndState } from './ownStates.ts'
import { pause, whenRoom } from './patiently.ts'
import type { PendingWrite } from './pendingWrite.ts'
import { captureResume, closedResume, type ResumePoint } from './resumePoint.ts'
import type { Segment } from './segment.ts'
import { SoloWrites } from './soloWrites.ts'
import { Unsynced } from './unsynced.ts'

/** More than an append takes in the journal beside its bytes. */
const entryOverheadBytes = 128

/** Segments that are being synced, and those of them whose names were not durable. */
interface UnderWay {
  readonly segments: readonly Segment[]
  readonly nameless: ReadonlySet<Segment>
  readonly ended: Promise<void>
  /** It has ended, and if it has failed what could be done about it is done. */
  end(): void
}

/** How one log's appends become durable, as its flush policy says: with their group, or behind it. */
export class LogSync implements SyncTarget {
  readonly #state: LogState
  readonly #journal: LogJournal | null
  readonly #failed: (error: Error) => void
  readonly #rewrite: (error: Error) => Promise<void>
  readonly #background: BackgroundSync
  readonly #unsynced: Unsynced
  /** Syncs that are under way beside the groups: nobody may count on them before they have ended. */
  readonly #underWay = new Set<UnderWay>()
  #solo: SoloWrites | null = null
  /** The journal knows that the log lags behind it, and takes what is unsynced before it forgets that. */
  #isLagging = false
  /** Exclusive end of the last append that is in the journal. */
  #journaledEnd = -1
  /** Whether the name of the log's directory has been made durable. */
  #isNamed = false
  /** How often the log had another end by then: since then that offset may have been another record's. */
  #journaledEnds = 0
  /** Exclusive end of what lies below that beside the journal, until the journal knows that it is durable; -1 once it does. */
  #besideEnd = -1
  #stopped = false
  /** Where recovery may begin instead of at the beginning of a segment; never beyond `syncedOffset`. */
  #resume: ResumePoint | null = null
  /** `LogState.shape` when that was captured. */
  #resumeShape = 0

  /**
   * `failed` is called when a sync has failed and nobody has the bytes elsewhere, `rewrite` when the journal has all of
   * them.
   */
  constructor(state: LogState, failed: (error: Error) => void, rewrite: (error: Error) => Promise<void>) {
    this.#state = state
    this.#journal = state.options.journal ?? null
    this.#failed = failed
    this.#rewrite = rewrite
    this.#background = state.options.backgroundSync ?? new BackgroundSync(state.runtime, state.directory)
    this.#unsynced = new Unsynced(state.runtime.clock, () => this.#background.request(this))
  }

  /** Adds an append's write to its group, with the sync that the policy wants before the acknowledgement. */
  add(
    pending: PendingWrite,
    segment: Segment,
    position: number,
    bytes: Uint8Array,
    baseOffset: number,
    lastOffset: number,
  ): Survives {
    const { options } = this.#state
    const { flush } = this.#state.config
    const { group } = pending
    const records = lastOffset + 1 - baseOffset
    const journal = this.#journal
    if (
      flush === 'journal' &&
      journal !== null &&
      bytes.length + entryOverheadBytes <= journal.writer.maxEntryBytes
    ) {
      pending.isDurable = true
      pending.isSynced = false
      group.add(segment.file, position, bytes, 'none')
      const { logId, logIdBytes } = journal
      const ends = this.#state.cuts + this.#state.undos
      if (baseOffset !== this.#journaledEnd || ends !== this.#journaledEnds) this.#besideEnd = baseOffset
      this.#journaledEnd = lastOffset + 1
      this.#journaledEnds = ends
      // In the same frame, where that can be said already.
      const proof = this.#proof()
      if (proof !== null) group.addEntry(journal.writer, proof)
      const segmentBaseOffset = segment.baseOffset
      group.addEntry(journal.writer, {
        type: 'append',
        logId,
        segmentBaseOffset,
        position,
        baseOffset,
        lastOffset,
        bytes,
        logIdBytes,
      })
      this.#unsynced.add(segment, bytes.length, records, flush)
      if (!this.#isLagging) {
        this.#isLagging = true
        journal.lags(this)
      }
      return 'powerLoss'
    }
    // Once something of a group is synced, what follows it in the same group costs nothing more.
    if (!isDurable(flush) && !pending.isDurable && !this.#unsynced.reaches(flush, bytes.length, records)) {
      group.add(segment.file, position, bytes, 'none')
      this.#unsynced.add(segment, bytes.length, records, flush)
      return 'processKill'
    }
    // Replay makes a lost directory again, but not what is in it; under other policies its name is durable from the creation on.
    if (flush === 'journal' && options.syncName !== undefined && !this.#isNamed)
      this.#holdUntil([this.#syncName()], 0)
    pending.isDurable = true
    pending.isSynced = true
    const sync = planted('ackBeforeSync') ? 'none' : this.#nameSync(segment)
    if (flush === 'append') {
      this.#solo ??= new SoloWrites(this.#state.runtime.disk)
      group.addAlone(this.#solo, segment.file, position, bytes, sync)
    } else {
      group.add(segment.file, position, bytes, sync)
    }
    for (const earlier of this.#unstored()) {
      if (earlier !== segment) group.addSync(earlier.file, earlier.sizeBytes, this.#nameSync(earlier))
    }
    return 'powerLoss'
  }

  /** The policy was replaced. What was acknowledged before is synced before anything durable is acknowledged. */
  policyChanged(before: FlushPolicy, after: FlushPolicy): void {
    if (!isDurable(after)) this.#unsynced.schedule(after)
    const { flush, logEndOffset, options } = this.#state
    const isBehind = isDurable(after) && !isDurable(before) && flush.durableOffset < logEndOffset
    const isNameless = acksBesideJournal(after) && !acksBesideJournal(before)
    if ((!isBehind && !isNameless) || planted('raisePolicyWithoutSync')) return
    const waits: Promise<unknown>[] = []
    // Syncs of files are worth nothing while their directory may go.
    if (options.syncName !== undefined) waits.push(this.#syncName())
    if (isBehind) {
      // What one turn has appended may not be handed over yet: its sync would come before it.
      flush.submitPending()
      for (const segment of this.#take()) segment.isNameSynced = true
      waits.push(this.#state.syncWritten())
    }
    this.#holdUntil(waits, isBehind ? logEndOffset : 0)
  }

  /** Nothing that asked for a sync counts before `waits` are over; then everything below `endOffset` is synced. */
  #holdUntil(waits: readonly Promise<unknown>[], endOffset: number): void {
    const { flush } = this.#state
    const synced = Promise.all([flush.barrier, ...waits]).then(() => {})
    synced.catch((cause) => this.#failed(toEngineError(cause, 'diskFailed', 'a sync failed')))
    flush.holdUntil(synced, endOffset)
  }

  /** More of the log is durable: the journal is told of what lies beside it, for nothing may be appended any more that could say it. */
  prove(): void {
    const proof = this.#besideEnd < 0 || this.#stopped ? null : this.#proof()
    if (proof !== null) this.#journal!.writer.commit([proof]).catch(() => {})
  }

  /** Once what came before the journal's entries is durable, without it: without this a replay could not tell whether it must be there. */
  #proof(): JournalEntry | null {
    const endOffset = this.#besideEnd
    if (endOffset < 0 || this.#state.flush.durableOffset < endOffset) return null
    this.#besideEnd = -1
    return { type: 'state', logId: this.#journal!.logId, ...provenEndState(endOffset) }
  }

  /**
   * Whether records below `offset` are not durable. They must be before they are deleted: what a crash took of them would look
   * like damage if the policy is a durable one by then.
   */
  lacks(offset: number): boolean {
    return this.#state.flush.durableOffset < offset
  }

  /** Makes everything below `endOffset`, which is flushed, durable. Rejects when the log is offline. */
  async sync(endOffset: number): Promise<void> {
    const { flush, cuts } = this.#state
    if (flush.durableOffset >= endOffset) return
    const underWay = this.#begin(this.#take())
    try {
      await this.#syncName()
      await this.#state.syncWritten()
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', 'a sync failed')
      this.#failed(error)
      throw error
    } finally {
      underWay.end()
    }
    // What was appended in the place of what was cut meanwhile is not synced.
    if (this.#state.cuts === cuts) flush.synced(endOffset)
  }

  takeUnsynced(): UnsyncedFiles | null {
    this.#isLagging = false
    const { flush, logEndOffset, directory, segments, sealer, offline } = this.#state
    // A sync that succeeds after one has failed proves nothing.
    if (this.#stopped || offline !== null) return null
    flush.submitPending()
    const isDirty = this.#take().length > 0 || flush.syncedOffset < logEndOffset
    if (!isDirty) return null
    // All that are not finished: another sync of some of them may be under way and not be done when this one is.
    const unfinished = [...sealer.segments(), segments.active].filter(({ isNew }) => !isNew)
    const isNameless = unfinished.some(({ isNameDurable }) => !isNameDurable)
    const underWay = this.#begin(unfinished)
    const resume = captureResume(this.#state)
    const { cuts, undos, shape } = this.#state
    const { flushedOffset } = flush
    return {
      files: unfinished.map(({ file }) => file),
      directories: isNameless ? [directory] : [],
      written: flush.written(),
      synced: () => {
        underWay.end()
        for (const segment of unfinished) segment.isNameDurable = true
        if (this.#state.cuts !== cuts) return
        // What was appended in the place of what was undone meanwhile may not be synced.
        flush.synced(this.#state.undos === undos ? logEndOffset : flushedOffset)
        if (resume === null) return
        this.#resume = resume
        this.#resumeShape = shape
      },
      failed: async (error) => {
        const { isClosing, undos: undosNow } = this.#state
        // Files may be gone with what was undone.
        const isGone = error.code === 'notFound' && undosNow !== undos
        if (!this.#stopped && !isClosing && (isUntried(error) || isGone)) {
          await pause(this.#state)
          // Whoever asks for these files meanwhile syncs them, too.
          const again = this.takeUnsynced()
          underWay.end()
          return again
        }
        if (!this.#stopped && this.isJournaled) await this.#rewrite(error)
        else if (!this.#stopped) this.#failed(error)
        underWay.end()
        return null
      },
    }
  }

  /** Whether the journal, or a sync that has succeeded, has everything that was acknowledged. */
  get isJournaled(): boolean {
    const { flush, options } = this.#state
    return Boolean(options.journal) && flush.durableOffset >= flush.flushedOffset
  }

  /** Appends were undone, and with them perhaps the syncs that they asked for: nothing that is not finished counts as synced. */
  distrust(): void {
    const { sealer, segments } = this.#state
    const unfinished = [...sealer.segments(), segments.active]
    for (const segment of unfinished) segment.isNameSynced = segment.isNameDurable = false
    this.#unsynced.distrust(unfinished)
  }

  /** Where recovery may begin, as late as is known; null for the beginning of the recovery point's segment. */
  resumePoint(): ResumePoint | null {
    const { flush, shape } = this.#state
    if (this.#resume !== null && this.#resume.offset > flush.syncedOffset) this.#resume = null
    // The log may have grown beyond it again, and be another one below.
    if (this.#resumeShape !== shape) this.#resume = null
    // Its segment may be finished by now: it holds until there is a later one, which a log that grows all the time may not have for
    // a while. Without any the checkpoint would know no segment's batches.
    const firstOffset = this.#state.segments.all[0]!.baseOffset
    if (this.#resume !== null && this.#resume.segmentBaseOffset < firstOffset) this.#resume = null
    if (this.#stopped) return this.#resume
    const isBehind = (this.#resume?.offset ?? -1) < flush.flushedOffset
    if (isBehind && flush.syncedOffset >= flush.flushedOffset)
      this.#resume = captureResume(this.#state) ?? this.#resume
    this.#resumeShape = shape
    return this.#resume
  }

  /** The log was taken up with files that may lag behind what it has acknowledged. */
  adopt(): void {
    const { flush, logEndOffset, options, config, offline } = this.#state
    if (offline !== null) return
    if (flush.syncedOffset >= logEndOffset) return
    // What a process left in the page cache are names, too.
    this.distrust()
    this.#unsynced.schedule(config.flush)
    options.journal?.lags(this)
  }

  /** The log was closed cleanly. */
  closed(state: ClosedLog): void {
    this.#resume = closedResume(this.#state, state)
    this.#resumeShape = this.#state.shape
  }

  /** Nothing is synced behind any more. */
  stop(): void {
    this.#stopped = true
    this.#unsynced.stop()
  }

  /** A sync of `segments` and their names begins. */
  #begin(segments: readonly Segment[]): UnderWay {
    const nameless = new Set(segments.filter(({ isNameDurable }) => !isNameDurable))
    for (const segment of segments) segment.isNameSynced = true
    let resolveEnded = (): void => {}
    const ended = new Promise<void>((resolve) => {
      resolveEnded = resolve
    })
    const end = (): void => {
      this.#underWay.delete(underWay)
      resolveEnded()
    }
    const underWay: UnderWay = { segments, nameless, ended, end }
    this.#underWay.add(underWay)
    return underWay
  }

  /** Resolves when no sync is under way beside the groups. */
  async idle(): Promise<void> {
    for (const { ended } of this.#underWay) await ended
  }

  /** Makes the name of the log's directory durable. */
  async #syncName(): Promise<void> {
    await whenRoom(this.#state, async () => this.#state.options.syncName?.())
    this.#isNamed = true
  }

  /** What no sync that has ended covers: what nobody has asked for yet, and what is under way. */
  #unstored(): Iterable<Segment> {
    const taken = this.#take()
    if (this.#underWay.size === 0) return taken
    const all = new Set(taken)
    const unfinished = this.#state.sealer.segments()
    for (const { segments } of this.#underWay) {
      for (const segment of segments) if (unfinished.includes(segment)) all.add(segment)
    }
    return all
  }

  /** The sync that `segment` needs with its next write; from now on its name counts as synced. */
  #nameSync(segment: Segment): 'data' | 'dataAndName' {
    let isNameless = !segment.isNameSynced
    for (const { nameless } of this.#underWay) isNameless ||= nameless.has(segment)
    segment.isNameSynced = true
    return isNameless && !planted('ackBeforeName') ? 'dataAndName' : 'data'
  }

  /** What has to be synced; segments that are finished, or gone, need nothing. */
  #take(): Segment[] {
    const { segments, sealer } = this.#state
    const unfinished = sealer.segments()
    return this.#unsynced
      .take()
      .filter((segment) => segment === segments.active || unfinished.includes(segment))
  }
}

/**
 * Whether a sync was not even begun, for want of a descriptor or behind a write that found no room: nothing is lost, and the
 * same may succeed later. One that the disk had no room for is `diskFailed`.
 */
function isUntried({ code }: EngineError): boolean {
  return code === 'diskFull'
}
