import type { EngineError } from '../model/errors.ts'
import type { LogState } from './logState.ts'
import { whenRoom } from './patiently.ts'
import type { PendingWrite } from './pendingWrite.ts'
import { emptyMark, type Segment } from './segment.ts'
import type { WriteGroup } from './writeGroup.ts'

/** Takes back appends that found no room on the disk. Appends are refused until that is done. */
export class AppendUndo {
  readonly #state: LogState
  /** Groups whose writes may still be on their way, and segments that are not to be. */
  readonly #groups = new Set<WriteGroup>()
  readonly #dropped = new Set<Segment>()
  #running: Promise<void> | null = null

  constructor(state: LogState) {
    this.#state = state
  }

  /**
   * Takes back `lost`, which is all there is from its first one on and not empty: in memory at once, then in the files.
   * Once at a time: what is lost meanwhile is taken back with it. Rejects when the files cannot be cut.
   */
  undo(lost: readonly PendingWrite[]): Promise<void> {
    const state = this.#state
    this.#takeBack(lost)
    for (const { group } of lost) this.#groups.add(group)
    // What found the disk's queue full was not written; the journal's queue may be full when the files have it.
    const isUnwritten = lost.every(({ group, error }) => !group.isJournaled && error?.code === 'queueFull')
    if (isUnwritten && this.#running === null) {
      this.#groups.clear()
      state.refusal = null
      return Promise.resolve()
    }
    this.#running ??= this.#cutFiles()
    return this.#running
  }

  /** In memory. */
  #takeBack(lost: readonly PendingWrite[]): void {
    const state = this.#state
    const { startOffset, error } = lost[0]!
    let { startSegment, startMark } = lost[0]!
    if (state.isFinished(startSegment)) {
      // It was full, and has been finished meanwhile, or even compacted.
      startSegment = state.segments.all[state.segments.indexFor(startOffset)]!
      startMark = emptyMark
    }
    for (const pending of lost.toReversed()) {
      pending.restoreProducers((producerId, before) => state.producers.restore(producerId, before))
    }
    const dropped = state.segments.makeActive(startSegment)
    for (const segment of dropped) this.#dropped.add(segment)
    state.sealer.drop(startSegment)
    startSegment.restore(startMark, startOffset)
    state.recent.truncate(dropped.length > 0 ? 0 : startMark.sizeBytes)
    state.undos++
    state.logEndOffset = startOffset
    if (state.epochs.truncateFromEnd(startOffset)) state.epochsChanged = true
    if (startMark.sizeBytes === 0) startSegment.isNew = true
    const fields = { directory: state.directory, logEndOffset: startOffset, error: error!.message }
    const message = 'appends are undone while there is no room for them; told once for all logs'
    state.troubles.warn(message, fields, error!.code)
  }

  /** Cuts the files where the log ends by now, until nothing was taken back meanwhile. */
  async #cutFiles(): Promise<void> {
    const state = this.#state
    const { disk } = state.runtime
    let isJournaled = false
    try {
      do {
        const groups = [...this.#groups]
        this.#groups.clear()
        isJournaled ||= groups.some((group) => group.isJournaled)
        await Promise.all(groups.map((group) => group.written))
        await this.#whenFilesTell()
        if (this.#groups.size > 0) continue
        for (const segment of this.#dropped) {
          this.#dropped.delete(segment)
          await disk.remove(segment.file.path)
        }
        if (this.#groups.size > 0) continue
        await whenRoom(state, () => this.#cutActive())
        if (this.#groups.size > 0 || !isJournaled) continue
        isJournaled = false
        await forgetInJournal(state, state.logEndOffset, state.segments.active)
      } while (this.#groups.size > 0)
      state.refusal = null
    } finally {
      this.#running = null
    }
  }

  /** Cuts the file that appends go on in, unless more has been taken back meanwhile. */
  async #cutActive(): Promise<void> {
    const { runtime, segments } = this.#state
    const { active } = segments
    const { path } = active.file
    // A file that was to be made may not be there.
    if (active.isNew) await runtime.disk.remove(path)
    // A file that nothing was written to may be one that could not be opened, and cannot now.
    else if ((await runtime.disk.stat(path))?.sizeBytes !== active.sizeBytes && this.#groups.size === 0) {
      await active.file.truncate(active.sizeBytes)
    }
  }

  /** Resolves when the files have what comes before what was taken back, or that was taken back, too. */
  async #whenFilesTell(): Promise<void> {
    const { flush } = this.#state
    await flush.written()
    // What found no room either may be told of later: a file that is to be cut may not have come to be.
    if (!flush.isWritten) await flush.settled()
  }
}

/** Whether there was only no room: nothing is broken, and the same may succeed later. */
export function isRoomError(error: EngineError): boolean {
  return error.code === 'diskFull' || error.code === 'queueFull'
}

/** Keeps a later start from replaying what was undone, or asking for it: some of it may be in the journal. */
export async function forgetInJournal(state: LogState, endOffset: number, segment: Segment): Promise<void> {
  const { journal } = state.options
  if (!journal) return
  // Nothing but a descriptor can be missing: the same sync may be asked for again.
  if (!segment.isNew) await whenRoom(state, () => segment.file.sync())
  const { logId, writer } = journal
  const { baseOffset: segmentBaseOffset, sizeBytes: position } = segment
  await writer.commit([
    { type: 'truncate', logId, endOffset, segmentBaseOffset, position },
    { type: 'truncated', logId },
  ])
}
