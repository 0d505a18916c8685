import { assert } from '../../model/assert.ts'
import { EngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import type { DiskFile } from '../../runtime/disk.ts'
import type { Runtime } from '../../runtime/runtime.ts'
import { blockBytes, fillerGeneration } from './blocks.ts'
import { encodeFileHeader, journalFileName } from './fileHeader.ts'
import { writeInPieces } from './writeInPieces.ts'

/** A file of the journal that is in use, waits for its use, or may be used again. */
export interface JournalFile {
  readonly number: number
  readonly path: string
  readonly file: DiskFile
  readonly generation: number
  readonly sizeBytes: number
}

/** What `JournalFiles` is made from. */
export interface JournalFilesOptions {
  readonly directory: string
  readonly directoryId: Uint8Array
  readonly journalId: Uint8Array
  readonly fileBytes: number
  /** How many files there may be. */
  readonly maxFiles: number
  readonly logger: Logger
}

/** What the start has found. */
export interface FoundFiles {
  /** Files that hold what may have to be replayed, in the order of their generations. */
  readonly live: readonly JournalFile[]
  readonly free: readonly JournalFile[]
  readonly lastGeneration: number
  readonly lastNumber: number
}

/** How much of a new file is in memory. */
const pieceBytes = 1 << 20

/**
 * The files of the journal. A file is made full of blocks of generation 0 and synced before it is used, so that a
 * sync of what is written to it waits for no metadata; later it is used again under the next generation.
 */
export class JournalFiles {
  readonly #runtime: Runtime
  readonly #options: JournalFilesOptions
  #live: JournalFile[]
  #free: JournalFile[]
  #next: JournalFile | null = null
  #preparing: Promise<void> | null = null
  #lastGeneration: number
  #lastNumber: number
  /** A file that may have got the header of a generation and cannot be used: it must be gone for good before a later one is. */
  #spoilt: string | null = null

  constructor(runtime: Runtime, options: JournalFilesOptions, found: FoundFiles) {
    this.#runtime = runtime
    this.#options = options
    this.#live = [...found.live]
    this.#free = [...found.free]
    this.#lastGeneration = found.lastGeneration
    this.#lastNumber = found.lastNumber
  }

  get fileBytes(): number {
    return this.#options.fileBytes
  }

  /** The generation that the next use of a file has at the least. */
  get nextGeneration(): number {
    return this.#next?.generation ?? this.#lastGeneration + 1
  }

  /** The files that hold what a start would replay, in the order of their generations. */
  get live(): readonly JournalFile[] {
    return this.#live
  }

  /** Bytes of the files that hold what a start would replay, the one that is written among them. */
  get liveBytes(): number {
    return this.#live.length * this.#options.fileBytes
  }

  /** Bytes of all files. */
  get totalBytes(): number {
    return this.#count * this.#options.fileBytes
  }

  /** The file that is to be written next; null until `prepare` has made it ready. */
  get next(): JournalFile | null {
    return this.#next
  }

  /** Whether a file can be used again at once. */
  get hasFree(): boolean {
    return this.#free.length > 0 && this.#spoilt === null
  }

  /** Whether a file can be had without waiting for a checkpoint. */
  get canPrepare(): boolean {
    return this.#free.length > 0 || this.#count < this.#options.maxFiles
  }

  /** Whether `release` of this generation would let go of a file. */
  canRelease(generation: number): boolean {
    return this.#live.some((file) => file.generation < generation)
  }

  /** Whether there is one file only: once it is full, nothing can say any more that something may be let go of. */
  get isSingle(): boolean {
    return this.#count === 1
  }

  get #count(): number {
    return this.#live.length + this.#free.length + (this.#next === null ? 0 : 1)
  }

  /** Begins to use `next`. */
  take(): JournalFile {
    const file = this.#next
    assert(file !== null, 'the next file is ready')
    this.#next = null
    this.#live.push(file)
    return file
  }

  /** Files whose generation is below that of a checkpoint are free. */
  release(generation: number): void {
    const isFree = (file: JournalFile): boolean => file.generation < generation
    this.#free.push(...this.#live.filter(isFree))
    this.#live = this.#live.filter((file) => !isFree(file))
    // A smaller bound than at earlier times: what is there beyond it is given back.
    while (this.#count > this.#options.maxFiles) {
      const file = this.#free.pop()
      if (file === undefined) return
      this.#runtime.disk.remove(file.path).catch((error: unknown) => {
        this.#options.logger.warn('a file of the journal could not be removed', { file: file.path, error })
      })
    }
  }

  /** Makes `next` ready, once for all who ask meanwhile. Rejects when there is no room for it. */
  prepare(): Promise<void> {
    this.#preparing ??= this.#prepare().finally(() => {
      this.#preparing = null
    })
    return this.#preparing
  }

  /** Resolves when no preparation is under way. */
  async settled(): Promise<void> {
    await this.#preparing?.catch(() => {})
  }

  async #prepare(): Promise<void> {
    if (this.#next !== null) return
    await this.#removeSpoilt()
    const generation = ++this.#lastGeneration
    const free = await this.#takeFree()
    if (free !== undefined) {
      try {
        await this.#stamp({ ...free, generation })
        return
      } catch (error) {
        // What it holds is not needed, and what the failed sync left behind is not to be trusted.
        this.#options.logger.warn('a file of the journal cannot be used again', { file: free.path, error })
        this.#spoilt = free.path
        await this.#removeSpoilt()
      }
    }
    await this.#create(generation)
  }

  async #removeSpoilt(): Promise<void> {
    if (this.#spoilt === null) return
    const { disk } = this.#runtime
    await disk.remove(this.#spoilt)
    await disk.syncDirectory(this.#options.directory)
    this.#spoilt = null
  }

  /** A file that may be used again; those of another size, which an earlier setting has left, are removed. */
  async #takeFree(): Promise<JournalFile | undefined> {
    for (;;) {
      const free = this.#free.shift()
      if (free === undefined || free.sizeBytes === this.#options.fileBytes) return free
      await this.#runtime.disk.remove(free.path)
    }
  }

  async #stamp(file: JournalFile): Promise<void> {
    await writeInPieces(this.#runtime.disk, file.file, 0, this.#header(file), 'data')
    this.#next = file
  }

  async #create(generation: number): Promise<void> {
    const { disk } = this.#runtime
    const { directory, fileBytes, maxFiles } = this.#options
    if (this.#count >= maxFiles) throw new EngineError('queueFull', 'every file of the journal is in use')
    const number = this.#lastNumber + 1
    const path = `${directory}/${journalFileName(number)}`
    const file: JournalFile = { number, path, file: disk.file(path), generation, sizeBytes: fileBytes }
    const unfinished = `${path}.tmp`
    try {
      await this.#fill(disk.file(unfinished), file)
      await disk.rename(unfinished, path)
    } catch (error) {
      // What is there of it takes room that others may need.
      await disk.remove(unfinished).catch(() => {})
      throw error
    }
    this.#lastNumber = number
    await disk.syncDirectory(directory)
    this.#next = file
  }

  async #fill(target: DiskFile, file: JournalFile): Promise<void> {
    const { disk } = this.#runtime
    const { fileBytes } = this.#options
    const piece = this.#filler(Math.min(pieceBytes, fileBytes))
    for (let at = 0; at < fileBytes; at += piece.length) {
      await writeInPieces(disk, target, at, piece.subarray(0, fileBytes - at), 'none')
    }
    await writeInPieces(disk, target, 0, this.#header(file), 'data')
  }

  #header({ number, generation }: JournalFile): Uint8Array {
    const { directoryId, journalId, fileBytes } = this.#options
    return encodeFileHeader({ directoryId, journalId, number, fileBytes, generation }, this.#runtime.checksum)
  }

  #filler(bytes: number): Uint8Array {
    const block = new Uint8Array(blockBytes)
    this.#runtime.checksum.sealBlocks(block, fillerGeneration, 0)
    const piece = new Uint8Array(bytes)
    for (let at = 0; at < bytes; at += blockBytes) piece.set(block, at)
    return piece
  }
}
