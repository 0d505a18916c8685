import { EngineError } from '../model/errors.ts'
import { planted } from '../model/planted.ts'
import type { SnapshotId } from '../raft.ts'
import type { Disk, DiskFile } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { encodeChunks, encodeFooter, encodeHead, type SnapshotHead } from './snapshotContent.ts'

/** Bytes of chunks that share a batch; a larger chunk has one of its own. */
const batchBytes = 256 << 10
/** The largest chunk. */
const maxChunkBytes = 64 << 20

/** What a writer of snapshots needs of the world. */
export type SnapshotWorld = Pick<Runtime, 'disk' | 'checksum' | 'clock'>

/** Writes one snapshot under the name of a part; `finish` gives it its own. */
export class SnapshotWriter {
  readonly #world: SnapshotWorld
  readonly #id: SnapshotId
  readonly #file: DiskFile
  readonly #path: string
  readonly #timestampMs: number
  #position = 0
  #nextOffset = 0
  #chunks: Uint8Array[] = []
  #chunkBytes = 0

  /** Writes to `partPath`, which is to become `path`. */
  constructor(world: SnapshotWorld, id: SnapshotId, partPath: string, path: string) {
    this.#world = world
    this.#id = id
    this.#file = world.disk.file(partPath)
    this.#path = path
    this.#timestampMs = world.clock.wallMs()
  }

  /** Begins the file. To be called first, once. */
  async begin(head: SnapshotHead): Promise<void> {
    await this.#world.disk.remove(this.#file.path)
    const { bytes, nextOffset } = encodeHead(head, this.#id, this.#timestampMs, this.#world.checksum)
    this.#nextOffset = nextOffset
    await this.#write(bytes)
  }

  /** Adds a chunk; resolves when there is room for the next. Throws `messageTooLarge` above 64 MiB, `malformed`. */
  async add(chunk: Uint8Array): Promise<void> {
    checkChunk(chunk)
    if (this.#chunkBytes > 0 && this.#chunkBytes + chunk.length > batchBytes) await this.#writeChunks()
    // The caller may use its memory again.
    this.#chunks.push(Uint8Array.from(chunk))
    this.#chunkBytes += chunk.length
    if (this.#chunkBytes >= batchBytes || this.#chunks.length >= 10_000) await this.#writeChunks()
  }

  /** Ends the file and gives it its name, durably. */
  async finish(): Promise<void> {
    await this.#writeChunks()
    await this.#write(encodeFooter(this.#nextOffset, this.#id, this.#timestampMs, this.#world.checksum))
    await publish(this.#world.disk, this.#file, this.#path)
  }

  /** Removes what was written. */
  async discard(): Promise<void> {
    await this.#file.close()
    await this.#world.disk.remove(this.#file.path)
  }

  async #writeChunks(): Promise<void> {
    if (this.#chunks.length === 0) return
    const chunks = this.#chunks
    this.#chunks = []
    this.#chunkBytes = 0
    const bytes = encodeChunks(chunks, this.#nextOffset, this.#id, this.#timestampMs, this.#world.checksum)
    this.#nextOffset += chunks.length
    await this.#write(bytes)
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { disk } = this.#world
    await disk.room()
    const position = this.#position
    this.#position += bytes.length
    await disk.submit([{ file: this.#file, position, parts: [bytes], sync: 'none' }])
  }
}

/**
 * Makes a file durable and gives it its name, in this order: a name never stands for bytes that a crash can take. The name of
 * the log's directory is made durable too: replay would make a lost one again, but not what was in it.
 */
export async function publish(disk: Disk, part: DiskFile, path: string): Promise<void> {
  if (!planted('snapshotRenamedBeforeSync')) await part.sync()
  await part.close()
  await disk.rename(part.path, path)
  const directory = path.slice(0, path.lastIndexOf('/'))
  await disk.syncDirectory(directory)
  await disk.syncDirectory(directory.slice(0, directory.lastIndexOf('/')))
}

/** `chunk`, if it can be one of a snapshot. Throws `malformed`, `messageTooLarge` above 64 MiB. */
export function checkChunk(chunk: Uint8Array): Uint8Array {
  if (!(chunk instanceof Uint8Array)) {
    throw new EngineError('malformed', `a snapshot consists of Uint8Arrays, not of ${typeof chunk}`)
  }
  if (chunk.length > maxChunkBytes) {
    throw new EngineError('messageTooLarge', `a chunk of ${chunk.length} bytes; at most ${maxChunkBytes}`)
  }
  return chunk
}
