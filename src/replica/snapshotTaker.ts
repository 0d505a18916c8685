import { EngineError, toEngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { SnapshotId } from '../raft.ts'
import type { ProducerEntry } from '../segment/producerState.ts'
import type { MachineGroup, RunnerOptions } from './machineRunner.ts'
import type { SnapshotHead } from './snapshotContent.ts'

/** What is known of a log at the end of a snapshot. */
export interface SnapshotPlace {
  readonly endOffset: number
  readonly lastTimestampMs: number
  readonly producers: readonly ProducerEntry[]
}

/** Writes snapshots beside the work of a group, one at a time, and has the log cut behind them. */
export class SnapshotTaker {
  readonly #group: MachineGroup
  readonly #options: RunnerOptions
  #taking: Promise<SnapshotId | null> | null = null

  constructor(group: MachineGroup, options: RunnerOptions) {
    this.#group = group
    this.#options = options
  }

  /** The one under way. */
  get taking(): Promise<SnapshotId | null> | null {
    return this.#taking
  }

  /**
   * Writes `chunks` as the state at `place`, which is of now; null when a snapshot of the leader was faster. Rejects when they or
   * the disk fail: the log stays as it is then.
   */
  take(
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    place: SnapshotPlace,
  ): Promise<SnapshotId | null> {
    const { endOffset } = place
    const id = { endOffset, epoch: this.#group.epochBefore(endOffset) }
    const taking = this.#write(id, this.#headOf(id, place), chunks)
    this.#taking = taking
    taking.then(
      () => {
        this.#taking = null
        this.#options.snapshotTaken?.(id, null)
      },
      (cause) => {
        this.#taking = null
        this.failed(endOffset, cause)
      },
    )
    return taking
  }

  /** Says that there is no snapshot of `endOffset`, and why. */
  failed(endOffset: number, cause: unknown): EngineError {
    const { snapshotTaken, logger, name } = this.#options
    const error = toEngineError(cause, 'machineFailed', `no snapshot of ${name} could be taken`)
    logger.error('a snapshot could not be taken; the log is kept', {
      name,
      endOffset,
      error: error.message,
    })
    snapshotTaken?.({ endOffset, epoch: this.#group.epochBefore(endOffset) }, error)
    return error
  }

  async #write(
    id: SnapshotId,
    head: SnapshotHead,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<SnapshotId | null> {
    const { snapshots, log } = this.#group
    const { keptRecords } = this.#options
    const logStartOffset = Math.max(log.logStartOffset, id.endOffset - keptRecords)
    if (planted('snapshotDeletesLogFirst')) await this.#group.snapshotTaken(id, logStartOffset)
    await snapshots.write(id, head, chunks)
    const { latest } = snapshots
    if (latest === null || latest.endOffset > id.endOffset) {
      await snapshots.remove(id)
      return null
    }
    await this.#group.snapshotTaken(id, Math.max(log.logStartOffset, logStartOffset))
    await snapshots.removeBefore(id)
    return id
  }

  #headOf({ endOffset, epoch }: SnapshotId, place: SnapshotPlace): SnapshotHead {
    const { kind, name } = this.#options
    const { voters, version, offset } = this.#group.votersAt(endOffset)
    if (endOffset <= 0) throw new EngineError('invalidRequest', `${name} has nothing to take a snapshot of`)
    return {
      lastTimestampMs: place.lastTimestampMs,
      // A static set stands in no record.
      kraftVersion: kind === 'partition' || offset >= 0 ? 1 : 0,
      voters: kind === 'partition' || offset >= 0 ? voters.voters : [],
      votersVersion: version,
      partition:
        kind === 'metadata'
          ? null
          : {
              epochStarts: epoch === 0 ? [] : [{ epoch, startOffset: endOffset - 1, votersVersion: version }],
              producers: place.producers,
            },
    }
  }
}
