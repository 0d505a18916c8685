import { EngineError, messageOf, toEngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import { planted } from '../../model/planted.ts'
import type { DiskWrite } from '../../runtime/disk.ts'
import type { Runtime } from '../../runtime/runtime.ts'
import { WriteBudget } from '../../runtime/writeBudget.ts'
import { blockBytes } from './blocks.ts'
import { entryBytes, type JournalEntry } from './entries.ts'
import { type Flight, Flights } from './flights.ts'
import { FramePool, type StagedFrame } from './framePool.ts'
import { chainOf } from './frames.ts'
import type { JournalFile, JournalFiles } from './journalFiles.ts'
import { JournalStats } from './journalStats.ts'
import type { JournalPlace } from './nodeCheckpoint.ts'

/** What the writer is made from. */
export interface JournalWriterOptions {
  readonly logger: Logger
  readonly journalId: Uint8Array
  readonly maxQueuedBytes: number
  /** How many frames are under way while the next one fills up; more of those that are full. */
  readonly depth: number
  /** Notes durably that a file of this generation is the first one of this life. */
  readonly begin: (generation: number) => Promise<void>
  /** Told that the disk had no room for a frame: `resume` tries again. */
  readonly refused: (error: EngineError) => void
  /** Told when a frame is durable, or the writer waits for a file, or has failed. */
  readonly changed: () => void
}

/** A frame takes no further entry beyond this many bytes: its memory stays bounded. */
const largestFrameBytes = 1 << 20
/** Full frames gain nothing by waiting: so much of them is under way at once, and is written and synced together. */
const mostUnderWayBytes = 8 << 20

/**
 * Puts what is committed into frames, one for each turn of the event loop or, while `depth` frames are under way, one for
 * everything that comes meanwhile.
 */
export class JournalWriter {
  readonly stats: JournalStats = new JournalStats()
  readonly #runtime: Runtime
  readonly #files: JournalFiles
  readonly #options: JournalWriterOptions
  readonly #budget: WriteBudget
  readonly #pool: FramePool
  readonly #fullFrameBytes: number
  #filling: StagedFrame
  /** Frames that are full and wait for their turn. */
  #waiting: StagedFrame[] = []
  readonly #flights: Flights
  #file: JournalFile | null = null
  /** Where the next frame begins. */
  #place: JournalPlace
  readonly #lifeStart: number
  #flushedSequence: number
  /** The last frame that has entries, and the `flushedSequence` that the last frame carries. */
  #lastUsedSequence = 0
  #toldFlushedSequence: number
  #turnEnds = false
  /** `pump` is called once the disk takes more. */
  #awaitsDisk = false
  #failed: EngineError | null = null
  /** Why appends are refused until a frame has landed. */
  #refusal: EngineError | null = null
  /** The disk has refused something since a frame has landed. */
  #isInTrouble = false
  #closed = false
  #settleWaiters: (() => void)[] = []

  /** `place` is where the first frame goes: the first block of a file of this generation or a later one. */
  constructor(runtime: Runtime, files: JournalFiles, place: JournalPlace, options: JournalWriterOptions) {
    this.#runtime = runtime
    this.#pool = new FramePool(runtime.disk)
    this.#files = files
    this.#options = options
    this.#budget = new WriteBudget(options.maxQueuedBytes)
    this.#fullFrameBytes = Math.min(largestFrameBytes, files.fileBytes / 4)
    this.#place = place
    this.#lifeStart = place.sequence
    this.#flushedSequence = place.sequence - 1
    this.#toldFlushedSequence = place.sequence - 1
    this.#filling = this.#pool.take()
    this.#flights = new Flights(runtime, this.stats, {
      landed: (flight) => this.#landed(flight),
      changed: () => this.#changed(),
      refused: (error) => {
        // The next try may succeed; whoever appends waits for one, not for ever.
        if (this.#isInTrouble) this.refuse(error)
        this.#isInTrouble = true
        options.refused(error)
        this.#wakeSettled()
      },
      failed: (error) => this.fail(error),
    })
  }

  /** Every frame up to here is durable. */
  get flushedSequence(): number {
    return this.#flushedSequence
  }

  /** The sequence of the next frame. */
  get nextSequence(): number {
    return this.#place.sequence
  }

  get failed(): EngineError | null {
    return this.#failed
  }

  /** Bytes that are committed and not durable. */
  get queuedBytes(): number {
    return this.#budget.queuedBytes
  }

  get maxQueuedBytes(): number {
    return this.#budget.maxQueuedBytes
  }

  /** The most bytes that one entry may have in a frame. */
  get maxEntryBytes(): number {
    return this.#files.fileBytes / 2 - 2 * blockBytes
  }

  /** Whether nothing waits or is under way. */
  get idle(): boolean {
    return this.#flights.count === 0 && this.#waiting.length === 0 && this.#filling.builder.entryCount === 0
  }

  /** Whether the last durable frames are not yet known as such by a later one. */
  get hasUntold(): boolean {
    return this.#lastUsedSequence > this.#toldFlushedSequence
  }

  /** Whether appends are refused for now. */
  get isRefusing(): boolean {
    return this.#refusal !== null
  }

  /** Whether the disk has refused what is under way. */
  get isStuck(): boolean {
    return this.#flights.isStuck
  }

  /** Whether frames wait for a file. */
  get waitsForFile(): boolean {
    return this.#canSend && !this.idle && !this.#hasRoom(this.#nextFrame())
  }

  /** Whether the next file should be made ready: part of this one is used up. */
  get wantsNext(): boolean {
    return this.#file !== null && this.#place.position >= this.#files.fileBytes / 4
  }

  /** The place of the first frame that is not durable: what a start has to replay from if all before is elsewhere. */
  get flushedPlace(): JournalPlace {
    return this.#flights.first?.place ?? this.#place
  }

  /** Resolves once less than half of the bound is queued. */
  room(): Promise<void> {
    return this.#budget.room()
  }

  /** Resolves when nothing waits or is under way, or nothing goes on without a file, or the writer has failed. */
  async settled(): Promise<void> {
    while (
      !this.idle &&
      !this.isStuck &&
      this.#failed === null &&
      !(this.#flights.count === 0 && this.waitsForFile)
    ) {
      await new Promise<void>((wake) => this.#settleWaiters.push(wake))
    }
  }

  /** Sends what the disk has refused once more. */
  resume(): void {
    this.#flights.again()
    this.pump()
  }

  /** Rejects what waits for a file; what is under way goes on. */
  abandon(error: EngineError): void {
    for (const frame of [...this.#waiting.splice(0), this.#filling]) {
      frame.reject(error)
      this.#budget.give(frame.bytes)
    }
    this.#filling = this.#pool.take()
  }

  /** Copies the entries into the frame that is being filled. See `Journal.commit`. */
  commit(entries: readonly JournalEntry[]): Promise<void> {
    if (entries.length === 0) return Promise.resolve()
    const isRefusable = entries.some(({ type }) => type === 'append' || type === 'create')
    const refused = (isRefusable ? this.#refusal : null) ?? this.#add(entries)
    return refused === null ? this.#filling.flushed(isRefusable) : Promise.reject(refused)
  }

  /**
   * Nothing can be written for now: rejects appends and creations, those that wait and those that come, until a frame
   * has landed. What has been taken stays, and may become durable.
   */
  refuse(error: EngineError): void {
    if (this.#failed !== null) return
    this.#refusal = error
    const underWay = [...this.#flights.flights()].map(({ frame }) => frame)
    for (const frame of [...underWay, ...this.#waiting, this.#filling]) {
      frame.refuse(error)
      this.#budget.give(frame.bytes)
      frame.bytes = 0
    }
  }

  /** Writes a frame without entries, which tells how far the journal is durable. */
  tell(): void {
    if (this.#failed !== null || this.#closed || !this.idle || !this.hasUntold) return
    this.#pool.trim()
    if (this.#canSend && this.#hasRoom(this.#filling) && this.#diskHasRoom(this.#filling))
      this.#send(this.#filling)
  }

  /** Takes nothing any more. */
  close(): void {
    this.#closed = true
  }

  /** Hands frames over as far as files and `depth` allow. To be called when a file has become ready. */
  readonly pump = (): void => {
    this.#turnEnds = false
    while (this.#failed === null && this.#canSend) {
      const frame = this.#nextFrame()
      if (frame.builder.entryCount === 0) return
      if (!this.#hasRoom(frame)) {
        this.#options.changed()
        return
      }
      if (!this.#diskHasRoom(frame)) return
      this.#send(frame)
    }
  }

  #add(entries: readonly JournalEntry[]): EngineError | null {
    if (this.#failed !== null) return this.#failed
    if (this.#closed) return new EngineError('closed', 'the journal is closed')
    let bytes = 0
    for (const entry of entries) {
      const size = entryBytes(entry)
      if (size > this.maxEntryBytes) {
        const limit = `an entry of the journal has at most ${this.maxEntryBytes} bytes`
        return new EngineError('messageTooLarge', `${limit}, not ${size}`)
      }
      bytes += size
    }
    try {
      // What is not an append is small, and many a log could not go on without it.
      if (entries.some(({ type }) => type === 'append')) this.#budget.take(bytes)
      else this.#budget.force(bytes)
    } catch (error) {
      return toEngineError(error, 'queueFull', 'the journal is full')
    }
    for (const entry of entries) {
      const { builder } = this.#filling
      if (builder.entryCount > 0 && builder.payloadBytes + entryBytes(entry) > this.#fullFrameBytes) {
        this.#waiting.push(this.#filling)
        this.#filling = this.#pool.take()
      }
      this.#filling.builder.add(entry)
      this.#filling.bytes += entryBytes(entry)
    }
    if (!this.#turnEnds) {
      this.#turnEnds = true
      queueMicrotask(this.pump)
    }
    return null
  }

  get #canSend(): boolean {
    const takesMore = this.#waiting.length > 0 && this.#flights.bytes < mostUnderWayBytes
    return !this.#flights.isRefused && (takesMore || this.#flights.count < this.#options.depth)
  }

  #nextFrame(): StagedFrame {
    return this.#waiting[0] ?? this.#filling
  }

  #hasRoom(frame: StagedFrame): boolean {
    // One block is kept for the frame that closes the file.
    const end = this.#place.position + frame.builder.sizeBytes + blockBytes
    return (this.#file !== null && end <= this.#files.fileBytes) || this.#files.next !== null
  }

  /** Whether the disk takes so many bytes now. If not it is asked to tell when it does. */
  #diskHasRoom(frame: StagedFrame): boolean {
    const { disk } = this.#runtime
    const bytes = frame.builder.sizeBytes + blockBytes
    if (disk.queuedBytes === 0 || disk.queuedBytes + bytes <= disk.maxQueuedBytes) return true
    if (!this.#awaitsDisk) {
      this.#awaitsDisk = true
      void disk.room().then(() => {
        this.#awaitsDisk = false
        this.pump()
      })
    }
    return false
  }

  /** Hands a frame to the disk. */
  #send(frame: StagedFrame): void {
    if (this.#waiting[0] === frame) this.#waiting.shift()
    else this.#filling = this.#pool.take()
    let place = this.#place
    const writes: DiskWrite[] = []
    let begin: Flight['begin'] = null
    let closing: StagedFrame | null = null
    const current = this.#file
    if (current === null || place.position + frame.builder.sizeBytes + blockBytes > this.#files.fileBytes) {
      const next = this.#files.take()
      if (current !== null) {
        closing = this.#pool.take()
        writes.push(this.#write(current, closing, next.generation))
      }
      this.#file = next
      this.#place = { ...this.#place, generation: next.generation, position: blockBytes }
      if (current === null) {
        place = this.#place
        begin = () => this.#options.begin(next.generation)
      }
    }
    if (frame.builder.entryCount > 0) this.#lastUsedSequence = this.#place.sequence
    writes.push(this.#write(this.#file!, frame, 0))
    this.#toldFlushedSequence = this.#flushedSequence
    this.#flights.send({ place, lastSequence: this.#place.sequence - 1, frame, closing, writes, begin })
  }

  #write(file: JournalFile, { builder }: StagedFrame, nextGeneration: number): DiskWrite {
    const { checksum } = this.#runtime
    const { sequence, position, chain, life } = this.#place
    const blocks = builder.seal(
      {
        generation: file.generation,
        sequence,
        chain,
        life,
        lifeStart: this.#lifeStart,
        flushedSequence: planted('flushedSequenceTooHigh') ? sequence : this.#flushedSequence,
        nextGeneration,
        position,
      },
      this.#options.journalId,
      checksum,
    )
    this.#place = {
      sequence: sequence + 1,
      generation: file.generation,
      position: position + blocks.length,
      chain: chainOf(blocks, chain, checksum),
      life,
    }
    const sync = planted('journalAckBeforeSync') ? 'none' : 'data'
    return { file: file.file, position, parts: [blocks], sync }
  }

  #landed({ frame, closing, lastSequence }: Flight): void {
    this.#flushedSequence = lastSequence
    this.#refusal = null
    this.#isInTrouble = false
    this.#budget.give(frame.bytes)
    frame.resolve()
    this.#pool.give(frame)
    if (closing !== null) this.#pool.give(closing)
  }

  #changed(): void {
    this.pump()
    this.#wakeSettled()
    this.#options.changed()
  }

  /** Nothing that is not durable by now will ever be said to be; the sync is not tried again. */
  fail(cause: unknown): void {
    if (this.#failed !== null) return
    const reason = messageOf(cause)
    const error = new EngineError('diskFailed', `the journal cannot be written: ${reason}`, { cause })
    this.#failed = error
    this.#options.logger.error('the journal has failed', { error: reason })
    for (const { frame } of this.#flights.drop()) {
      frame.reject(error)
      this.#budget.give(frame.bytes)
    }
    this.abandon(error)
    this.#wakeSettled()
    this.#options.changed()
  }

  #wakeSettled(): void {
    for (const wake of this.#settleWaiters.splice(0)) wake()
  }
}
