import { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { SnapshotId } from '../raft.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { SnapshotHead } from './snapshotContent.ts'
import { parseSnapshotFileName, partFileName, snapshotFileName } from './snapshotNames.ts'
import { SnapshotReader } from './snapshotReader.ts'
import { publish, type SnapshotWorld, SnapshotWriter } from './snapshotWriter.ts'

/** A snapshot that the leader is sending. */
interface Receiving {
  readonly id: SnapshotId
  readonly file: DiskFile
  /** Bytes so far. */
  sizeBytes: number
  written: Promise<void>
}

/** The snapshots of one log, in its directory, in Kafka's format. Source: KIP-630. */
export class SnapshotFiles {
  readonly #world: SnapshotWorld
  readonly #directory: string
  readonly #logger: Logger
  #ids: SnapshotId[]
  #receiving: Receiving | null = null
  #taking: readonly string[] = []

  private constructor(world: SnapshotWorld, directory: string, logger: Logger, ids: SnapshotId[]) {
    this.#world = world
    this.#directory = directory
    this.#logger = logger
    this.#ids = ids
  }

  /** Looks for the snapshots in the directory of a log and removes what a crash has left of unfinished ones. */
  static async open(world: SnapshotWorld, directory: string, logger: Logger): Promise<SnapshotFiles> {
    const ids: SnapshotId[] = []
    // The directory of a damaged log may be gone.
    if ((await world.disk.stat(directory)) === null) return new SnapshotFiles(world, directory, logger, ids)
    for (const { name, kind } of await world.disk.list(directory)) {
      const found = kind === 'file' ? parseSnapshotFileName(name) : null
      if (found === null) continue
      if (found.isPart) await world.disk.remove(`${directory}/${name}`)
      else ids.push(found.id)
    }
    return new SnapshotFiles(world, directory, logger, ids.sort(compare))
  }

  /** The snapshots that are there, oldest first. Their names are durable; `head` tells whether one is damaged. */
  get ids(): readonly SnapshotId[] {
    return this.#ids
  }

  /** The one that holds most; null when there is none. */
  get latest(): SnapshotId | null {
    return this.#ids.at(-1) ?? null
  }

  /**
   * Writes a snapshot, durable when this resolves. `chunks` may be large: they are taken one by one. Throws what they throw,
   * `duplicateResource` while this one is being written, `diskFull`, `diskFailed`; nothing is left then.
   */
  async write(
    id: SnapshotId,
    head: SnapshotHead,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const name = snapshotFileName(id)
    if (this.#taking.includes(name)) throw new EngineError('duplicateResource', `${name} is being written`)
    this.#taking = [...this.#taking, name]
    const writer = new SnapshotWriter(this.#world, id, this.#part(id, 'taken'), this.path(id))
    try {
      await writer.begin(head)
      for await (const chunk of chunks) await writer.add(chunk)
      await writer.finish()
    } catch (error) {
      await writer.discard().catch(() => {})
      throw error
    } finally {
      this.#taking = this.#taking.filter((each) => each !== name)
    }
    this.#add(id)
  }

  /** Reads and checks all of a snapshot; what stands before its data. Throws `CorruptionError`, `notFound`. */
  async head(id: SnapshotId): Promise<SnapshotHead> {
    return this.#check(this.path(id), id)
  }

  /** The data of a snapshot as it was written, checked on the way. Throws as `head`, also at the end. */
  chunks(id: SnapshotId): AsyncIterable<Uint8Array> {
    return new SnapshotReader(this.#world.disk, this.#world.checksum, this.path(id), id).chunks()
  }

  /** The file of a snapshot, to be sent. Throws `snapshotNotFound`. */
  async part(id: SnapshotId): Promise<{ readonly file: DiskFile; readonly sizeBytes: number }> {
    if (!this.#ids.some((known) => compare(known, id) === 0)) {
      throw new EngineError('snapshotNotFound', `there is no ${snapshotFileName(id)}`)
    }
    const file = this.#world.disk.file(this.path(id))
    return { file, sizeBytes: await file.size() }
  }

  /** Stores bytes of the leader's snapshot. They come in order; another snapshot, or position 0, begins anew. */
  async receive(id: SnapshotId, position: number, bytes: Uint8Array): Promise<void> {
    if (position === 0 || this.#receiving === null || compare(this.#receiving.id, id) !== 0) {
      const before = this.#receiving
      const file = this.#world.disk.file(this.#part(id, 'fetched'))
      this.#receiving = { id, file, sizeBytes: 0, written: this.#drop(before, file) }
    }
    const receiving = this.#receiving
    if (position !== receiving.sizeBytes) {
      throw new EngineError(
        'positionOutOfRange',
        `bytes ${position} of a snapshot after ${receiving.sizeBytes}`,
      )
    }
    receiving.sizeBytes += bytes.length
    const { file } = receiving
    const copy = Uint8Array.from(bytes)
    receiving.written = receiving.written.then(() =>
      this.#world.disk.submit([{ file, position, parts: [copy], sync: 'none' }]),
    )
    await receiving.written
  }

  /**
   * All bytes have come: checks them and gives the snapshot its name, durably. Throws `CorruptionError` and what the disk says,
   * with nothing left.
   */
  async received(id: SnapshotId): Promise<SnapshotHead> {
    const receiving = this.#receiving
    if (receiving === null || compare(receiving.id, id) !== 0) {
      throw new EngineError('snapshotNotFound', `${snapshotFileName(id)} is not being fetched`)
    }
    try {
      await receiving.written
      const head = await this.#check(receiving.file.path, id)
      if (this.#receiving !== receiving)
        throw new EngineError('snapshotNotFound', 'another one is being fetched')
      await publish(this.#world.disk, receiving.file, this.path(id))
      this.#receiving = null
      this.#add(id)
      return head
    } catch (error) {
      await this.discard(id)
      throw error
    }
  }

  /** Forgets what has come of a snapshot. One that has its name stays. */
  async discard(id: SnapshotId): Promise<void> {
    const receiving = this.#receiving
    if (receiving === null || compare(receiving.id, id) !== 0) return
    this.#receiving = null
    await this.#drop(receiving, receiving.file)
  }

  /** Removes the snapshots before `id`. What cannot be removed stays until the next time. */
  async removeBefore(id: SnapshotId): Promise<void> {
    for (const old of this.#ids.filter((known) => compare(known, id) < 0)) await this.remove(old)
  }

  /** Removes one snapshot, as a damaged one. */
  async remove(id: SnapshotId): Promise<void> {
    this.#ids = this.#ids.filter((known) => compare(known, id) !== 0)
    try {
      await this.#world.disk.remove(this.path(id))
    } catch (error) {
      this.#logger.warn('an old snapshot could not be removed', {
        file: this.path(id),
        error: String(error),
      })
    }
  }

  /** Where a snapshot is. */
  path(id: SnapshotId): string {
    return `${this.#directory}/${snapshotFileName(id)}`
  }

  #part(id: SnapshotId, origin: 'taken' | 'fetched'): string {
    return `${this.#directory}/${partFileName(id, origin)}`
  }

  async #drop(receiving: Receiving | null, next: DiskFile): Promise<void> {
    const files = receiving === null ? [next] : [receiving.file, next]
    await receiving?.written.catch(() => {})
    for (const file of files) {
      await file.close()
      await this.#world.disk.remove(file.path)
    }
  }

  async #check(path: string, id: SnapshotId): Promise<SnapshotHead> {
    const reader = new SnapshotReader(this.#world.disk, this.#world.checksum, path, id)
    for await (const _ of reader.chunks()) void _
    return reader.head!
  }

  #add(id: SnapshotId): void {
    this.#ids = [...this.#ids.filter((known) => compare(known, id) !== 0), id].sort(compare)
  }
}

function compare(a: SnapshotId, b: SnapshotId): number {
  return a.endOffset - b.endOffset || a.epoch - b.epoch
}
