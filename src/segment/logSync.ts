import { toEngineError } from '../model/errors.ts'
import { type FlushPolicy, isDurable, type Survives } from '../model/flushPolicy.ts'
import { BackgroundSync, type SyncTarget, type UnsyncedFiles } from './backgroundSync.ts'
import type { LogState } from './logState.ts'
import type { PendingWrite } from './pendingWrite.ts'
import type { Segment } from './segment.ts'
import { SoloWrites } from './soloWrites.ts'
import { Unsynced } from './unsynced.ts'

/** How one log's appends become durable, as its flush policy says: with their group, or behind it. */
export class LogSync implements SyncTarget {
  readonly #state: LogState
  readonly #failed: (error: Error) => void
  readonly #background: BackgroundSync
  readonly #unsynced: Unsynced
  #solo: SoloWrites | null = null
  #stopped = false

  /** `failed` is called when a sync behind an acknowledgement has failed. */
  constructor(state: LogState, failed: (error: Error) => void) {
    this.#state = state
    this.#failed = failed
    this.#background = state.options.backgroundSync ?? new BackgroundSync(state.runtime, state.directory)
    this.#unsynced = new Unsynced(state.runtime.clock, () => this.#background.request(this))
  }

  /** Adds an append's write to its group, with the sync that the policy wants before the acknowledgement. */
  add(
    pending: PendingWrite,
    segment: Segment,
    position: number,
    bytes: Uint8Array,
    records: number,
  ): Survives {
    const { flush } = this.#state.config
    const { group } = pending
    // Once something of a group is synced, what follows it in the same group costs nothing more.
    if (!isDurable(flush) && !pending.isDurable && !this.#unsynced.reaches(flush, bytes.length, records)) {
      group.add(segment.file, position, bytes, 'none')
      this.#unsynced.add(segment, bytes.length, records, flush)
      return 'processKill'
    }
    pending.isDurable = true
    const sync = nameSync(segment)
    if (flush === 'append') {
      this.#solo ??= new SoloWrites(this.#state.runtime.disk)
      group.addAlone(this.#solo, segment.file, position, bytes, sync)
    } else {
      group.add(segment.file, position, bytes, sync)
    }
    for (const earlier of this.#take()) {
      if (earlier !== segment) group.addSync(earlier.file, earlier.sizeBytes, nameSync(earlier))
    }
    return 'powerLoss'
  }

  /** The policy was replaced. What was acknowledged before is synced before anything durable is acknowledged. */
  policyChanged(before: FlushPolicy, after: FlushPolicy): void {
    if (!isDurable(after)) {
      this.#unsynced.schedule(after)
      return
    }
    const { flush, logEndOffset } = this.#state
    if (isDurable(before) || flush.durableOffset === logEndOffset) return
    for (const segment of this.#take()) segment.isNameSynced = true
    const synced = this.#state.syncWritten()
    synced.catch((cause) => this.#failed(toEngineError(cause, 'diskFailed', 'a sync failed')))
    flush.holdUntil(synced, logEndOffset)
  }

  /** Makes everything below `endOffset`, which is flushed, durable. Rejects when the log is offline. */
  async sync(endOffset: number): Promise<void> {
    const { flush } = this.#state
    if (flush.durableOffset >= endOffset) return
    for (const segment of this.#take()) segment.isNameSynced = true
    try {
      await this.#state.syncWritten()
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', 'a sync failed')
      this.#failed(error)
      throw error
    }
    flush.durableOffset = Math.max(flush.durableOffset, Math.min(endOffset, flush.flushedOffset))
  }

  takeUnsynced(): UnsyncedFiles | null {
    if (this.#stopped) return null
    const segments = this.#take()
    if (segments.length === 0) return null
    const { flush, logEndOffset, directory } = this.#state
    const isNameless = segments.some(({ isNameSynced }) => !isNameSynced)
    for (const segment of segments) segment.isNameSynced = true
    return {
      files: segments.map(({ file }) => file),
      directories: isNameless ? [directory] : [],
      written: flush.written(),
      synced: () => {
        flush.durableOffset = Math.max(flush.durableOffset, Math.min(logEndOffset, flush.flushedOffset))
      },
      failed: (error) => {
        if (!this.#stopped) this.#failed(error)
      },
    }
  }

  /** Appends were undone, and with them perhaps a sync: nothing of `segment` counts as synced. */
  distrust(segment: Segment): void {
    segment.isNameSynced = false
    this.#unsynced.distrust([segment])
  }

  /** Nothing is synced behind any more. */
  stop(): void {
    this.#stopped = true
    this.#unsynced.stop()
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

/** The sync that `segment` needs with its next write; from now on its name counts as synced. */
function nameSync(segment: Segment): 'data' | 'dataAndName' {
  if (segment.isNameSynced) return 'data'
  segment.isNameSynced = true
  return 'dataAndName'
}
