import { assert } from '../model/assert.ts'
import { CorruptionError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Effect, RaftEvent, RaftNode, RaftResponse, SnapshotId } from '../raft.ts'
import { handOver } from './handOver.ts'
import type { SnapshotHead } from './snapshotContent.ts'
import type { SnapshotFiles } from './snapshotFiles.ts'

/** The snapshots that a replica sends and gets. */
export class GroupSnapshots {
  readonly #files: SnapshotFiles
  readonly #node: RaftNode
  readonly #step: (event: RaftEvent) => void
  readonly #logger: Logger
  /** The one that came last, whole. */
  #received: { readonly id: SnapshotId; readonly head: SnapshotHead } | null = null

  constructor(files: SnapshotFiles, node: RaftNode, step: (event: RaftEvent) => void, logger: Logger) {
    this.#files = files
    this.#node = node
    this.#step = step
    this.#logger = logger
  }

  /** Stores a part that has come; after the last one the core is told what became of the whole. */
  write({ snapshotId, position, bytes, isLast }: Extract<Effect, { type: 'writeSnapshot' }>): void {
    this.#store(snapshotId, position, bytes, isLast).catch((error) => {
      this.#logger.warn('a snapshot of the leader is of no use', {
        file: this.#files.path(snapshotId),
        error: String(error),
      })
      this.#step({ type: 'snapshotFailed', snapshotId })
    })
  }

  /** Forgets what has come of a snapshot. */
  discard(id: SnapshotId): void {
    this.#files.discard(id).catch((error) => {
      this.#logger.warn('parts of a snapshot stay until the next start', { error: String(error) })
    })
  }

  /** What the snapshot says that came last. */
  headOf(id: SnapshotId): SnapshotHead {
    const received = this.#received
    assert(
      received !== null && received.id.endOffset === id.endOffset && received.id.epoch === id.epoch,
      'a snapshot is installed after it has been received',
    )
    return received.head
  }

  /** An answer with the bytes of a snapshot from a position on. Throws what the disk says. */
  async part(
    response: Extract<RaftResponse, { type: 'fetchSnapshot' }>,
    read: { readonly snapshotId: SnapshotId; readonly position: number },
    maxBytes: number,
  ): Promise<RaftResponse> {
    const { snapshotId, position } = read
    if (
      !this.#files.ids.some(
        ({ endOffset, epoch }) => endOffset === snapshotId.endOffset && epoch === snapshotId.epoch,
      )
    ) {
      return { ...response, error: 'snapshotNotFound' }
    }
    // Whoever fetches it would find out at its end only, again and again.
    if (position === 0 && !(await this.#isWhole(snapshotId)))
      return { ...response, error: 'kafkaStorageError' }
    const { file, sizeBytes } = await this.#files.part(snapshotId)
    if (position > sizeBytes) return { ...response, error: 'positionOutOfRange' }
    const bytes = new Uint8Array(Math.min(maxBytes, sizeBytes - position))
    const count = await file.read(bytes, position)
    return { ...response, size: sizeBytes, bytes: bytes.subarray(0, count) }
  }

  /** Whether a snapshot can be given; where it is damaged, somebody else is to lead who has one. */
  async #isWhole(id: SnapshotId): Promise<boolean> {
    try {
      await this.#files.head(id)
      return true
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      this.#logger.error('a snapshot that others need is damaged: another replica is to lead', {
        file: this.#files.path(id),
        error: error.message,
      })
      handOver(this.#step)
      return false
    }
  }

  async #store(id: SnapshotId, position: number, bytes: Uint8Array, isLast: boolean): Promise<void> {
    await this.#files.receive(id, position, bytes)
    if (!isLast) return
    const head = await this.#files.received(id)
    this.#received = { id, head }
    // A static voter set stands in no snapshot.
    const voters = head.voters.length > 0 ? head.voters : this.#node.voters.voters.voters
    this.#step({ type: 'snapshotReceived', snapshotId: id, voters, votersVersion: head.votersVersion })
  }
}
