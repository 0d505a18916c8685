import { assert } from '../../model/assert.ts'
import { planted } from '../../model/planted.ts'
import type { Checksum } from '../../runtime/checksum.ts'
import type { DiskFile } from '../../runtime/disk.ts'
import { readUint32 } from '../integers.ts'
import { BlockReader } from './blockReader.ts'
import { blockBytes, readStamp } from './blocks.ts'
import { chainOf, type FrameHeader, followsHeader, frameBlocks, readFrameHeader } from './frames.ts'
import type { JournalPlace } from './nodeCheckpoint.ts'
import type { ReadPatience } from './readPatience.ts'

/** A file that may hold frames to replay. */
export interface ScannedFile {
  readonly path: string
  readonly number: number
  readonly file: DiskFile
  readonly generation: number
  /** What the file's header says; its length may be less. */
  readonly fileBytes: number
  readonly sizeBytes: number
}

/** Frames that were durable and cannot be read. They are never cut: what the journal says is missing them. */
export interface FaultyRange {
  readonly file: string
  /** Bytes from the start of the file. */
  readonly position: number
  /** Both inclusive. */
  readonly fromSequence: number
  readonly toSequence: number
}

/**
 * How the journal ends. `clean`: behind the last frame nothing was ever written. `tear`: the writes of the last moments
 * are not whole, and blocks of an earlier generation prove that they were never durable. `tearUnproven`: nothing
 * proves it, so what is cut may have been acknowledged.
 */
export type JournalEnd = 'clean' | 'tear' | 'tearUnproven'

/** What a scan has found. */
export interface JournalVerdict {
  readonly end: JournalEnd
  readonly rot: readonly FaultyRange[]
}

/** A frame that is whole and in its place. `blocks` are valid until the next one is asked for. */
export interface FoundFrame {
  readonly header: FrameHeader
  readonly file: ScannedFile
  readonly blocks: Uint8Array
}

/** Where the frames end: the sequence and chain of the next one. */
export interface ScanEnd {
  readonly sequence: number
  readonly chain: number
  readonly life: number
  readonly verdict: JournalVerdict
}

/** What is known of everything behind the first frame that is missing. */
interface Survey {
  /** The first sequence of each life. */
  readonly lives: ReadonlyMap<number, number>
  /** How far the journal was durable, as any frame says. */
  readonly flushedSequence: number
  /** Per file, the last block that was written in its generation. */
  readonly lastOwn: ReadonlyMap<ScannedFile, number>
  /** Files whose first block was written in their generation and is not whole. */
  readonly broken: ReadonlySet<ScannedFile>
}

/** Where a walk is. */
interface Step {
  sequence: number
  life: number
  /** Null behind a faulty range. */
  chain: number | null
  index: number
  position: number
}

/** Walks through the frames of a journal in order, in bounded memory, and tells a tear from rot. Source: fault-model section 3. */
export class JournalScan {
  readonly #files: readonly ScannedFile[]
  readonly #from: JournalPlace
  readonly #flushedBefore: number
  readonly #journalId: Uint8Array
  readonly #checksum: Checksum
  readonly #patience: ReadPatience
  #survey: Survey | null = null
  /** Files with a frame that counts. */
  readonly #walked = new Set<ScannedFile>()
  #end: ScanEnd | null = null
  #memory: Uint8Array | null = null
  #reader: { readonly file: ScannedFile; readonly blocks: BlockReader } | null = null

  /**
   * `files` in the order of their generations. The walk begins at `from`; every frame up to `flushedBefore` was
   * durable.
   */
  constructor(
    files: readonly ScannedFile[],
    from: JournalPlace,
    flushedBefore: number,
    journalId: Uint8Array,
    checksum: Checksum,
    patience: ReadPatience,
  ) {
    this.#files = files
    this.#from = from
    this.#flushedBefore = flushedBefore
    this.#journalId = journalId
    this.#checksum = checksum
    this.#patience = patience
  }

  /** What the first walk has found; null before its end. */
  get end(): ScanEnd | null {
    return this.#end
  }

  /** The latest life that any frame belongs to. */
  get latestLife(): number {
    return Math.max(this.#from.life, this.#end?.life ?? 0, ...(this.#survey?.lives.keys() ?? []))
  }

  /** Whether the file has been written in its generation. */
  isUsed(file: ScannedFile): boolean {
    return this.#survey === null || this.#walked.has(file) || this.#survey.lastOwn.has(file)
  }

  /** Every frame that counts, in order; one walk at a time. The first walk goes to the end and finds it; later ones stop there. */
  async *frames(): AsyncGenerator<FoundFrame, void, undefined> {
    const { sequence, life, chain, generation, position } = this.#from
    // Whoever walked before may have changed what was read.
    this.#memory = this.#reader?.blocks.window ?? this.#memory
    this.#reader = null
    const rot: FaultyRange[] = []
    const step: Step = { sequence, life, chain, index: 0, position }
    // A file that is not there, unless nothing was ever written to it.
    let isMissing = this.#goTo(step, generation, position) && position !== blockBytes
    for (;;) {
      if (this.#end !== null && step.sequence >= this.#end.sequence) return
      const frame = isMissing ? null : await this.#frameAt(step.index, step.position)
      if (frame !== null && this.#continues(frame.header, step)) {
        const { header, blocks } = frame
        step.chain = chainOf(blocks, header.chain, this.#checksum)
        step.sequence++
        step.position += blocks.length
        this.#walked.add(frame.file)
        if (header.nextGeneration > 0) {
          isMissing = this.#goTo(step, header.nextGeneration, blockBytes)
          const next = this.#files[step.index]
          // Used again it could not be told from one that is lost.
          if (next !== undefined && !isMissing) this.#walked.add(next)
        }
        yield frame
        continue
      }
      const place = { index: step.index, position: step.position }
      const end = await this.#resume(step, rot)
      if (end === null) {
        isMissing = false
        continue
      }
      const verdict = end === 'unknown' ? await this.#verdict(step, isMissing, place) : end
      this.#end ??= {
        sequence: step.sequence,
        chain: step.chain ?? 0,
        life: step.life,
        verdict: { end: verdict, rot },
      }
      return
    }
  }

  /** Goes to the file of a generation, or the one after it, and says whether that is missing. */
  #goTo(step: Step, generation: number, position: number): boolean {
    const index = this.#files.findIndex((file) => file.generation >= generation)
    step.index = index === -1 ? this.#files.length : index
    const isMissing = this.#files[index]?.generation !== generation
    step.position = isMissing ? blockBytes : position
    return isMissing
  }

  #continues({ sequence, life, chain }: FrameHeader, step: Step): boolean {
    if (planted('staleGenerationReplayed') && sequence < step.sequence) return true
    return sequence === step.sequence && life === step.life && (step.chain === null || chain === step.chain)
  }

  /**
   * Goes to the next frame that counts: the first one of a later life, which proves an earlier cut, or the one behind a
   * faulty range. Returns null then, else how the journal ends.
   */
  async #resume(step: Step, rot: FaultyRange[]): Promise<JournalEnd | 'unknown' | null> {
    this.#survey ??= await this.#lookAhead(step)
    const flushed = Math.max(this.#flushedBefore, this.#survey.flushedSequence)
    const next = await this.#seek(step)
    if (next !== null && next.sequence === step.sequence) {
      step.life = next.life
      step.index = next.index
      step.position = next.position
      return null
    }
    if (step.sequence > flushed || planted('journalCutAtRot')) return 'unknown'
    const last = Math.min(next === null ? flushed : next.sequence - 1, flushed)
    const file = this.#files[step.index]?.path ?? this.#files.at(-1)?.path ?? ''
    rot.push({ file, position: step.position, fromSequence: step.sequence, toSequence: last })
    step.chain = null
    step.sequence = last + 1
    if (next === null || next.sequence > last + 1) return 'tearUnproven'
    step.life = next.life
    step.index = next.index
    step.position = next.position
    return null
  }

  /** The first frame from here on that counts and is not the one before. */
  async #seek(
    step: Step,
  ): Promise<{ sequence: number; life: number; index: number; position: number } | null> {
    let position = step.position
    for (let index = step.index; index < this.#files.length; index++) {
      const { fileBytes } = this.#files[index]!
      while (position + blockBytes <= fileBytes) {
        const frame = await this.#ownFrameAt(index, position)
        if (frame === null) {
          position += blockBytes
          continue
        }
        const { sequence, life, chain } = frame.header
        const isFirstOfLife = sequence === step.sequence && life !== step.life
        const fits = step.chain === null || chain === step.chain
        if (
          life === this.#lifeAt(sequence, step.life) &&
          (sequence > step.sequence || (isFirstOfLife && fits))
        ) {
          return { sequence, life, index, position }
        }
        position += frame.blocks.length
      }
      position = blockBytes
    }
    return null
  }

  /** The life whose frame with this sequence counts. */
  #lifeAt(sequence: number, current: number): number {
    let latest = current
    for (const [life, start] of this.#survey!.lives) if (start <= sequence && life > latest) latest = life
    return latest
  }

  async #lookAhead(step: Step): Promise<Survey> {
    const lives = new Map<number, number>()
    const lastOwn = new Map<ScannedFile, number>()
    const broken = new Set<ScannedFile>()
    let flushedSequence = 0
    let position = step.position
    for (let index = step.index; index < this.#files.length; index++) {
      const file = this.#files[index]!
      while (position + blockBytes <= file.fileBytes) {
        const frame = await this.#ownFrameAt(index, position)
        if (frame !== null) {
          const { header, blocks } = frame
          lives.set(header.life, header.lifeStart)
          flushedSequence = Math.max(flushedSequence, header.flushedSequence)
          position += blocks.length
          lastOwn.set(file, position - blockBytes)
          continue
        }
        const stamp = await this.#stampAt(index, position)
        if (stamp?.generation === file.generation) lastOwn.set(file, position)
        if (stamp === null && position === blockBytes && (await this.#isOwn(index, position)))
          broken.add(file)
        position += blockBytes
      }
      position = blockBytes
    }
    return { lives, flushedSequence, lastOwn, broken }
  }

  /** How the journal ends at `place`, where the frame of `step` should begin. */
  async #verdict(
    step: Step,
    isMissing: boolean,
    place: { readonly index: number; readonly position: number },
  ): Promise<JournalEnd> {
    const { index, position } = place
    const file = this.#files[index]
    if (file === undefined) return isMissing ? 'tearUnproven' : 'clean'
    if (isMissing) return 'tearUnproven'
    const first = await this.#stampAt(index, position)
    if (first !== null && first.generation < file.generation) {
      if (this.#wroteBehind(place)) return 'tear'
      // The only frame of a later life, torn or rotten: nothing behind it tells which.
      const isBroken = this.#files.slice(index + 1).some((later) => this.#survey!.broken.has(later))
      return isBroken ? 'tearUnproven' : 'clean'
    }
    const end = await this.#endOfFrame(step.sequence, index, position)
    for (let at = position + blockBytes; at < end; at += blockBytes) {
      const stamp = await this.#stampAt(index, at)
      if (stamp !== null && stamp.generation < file.generation) return 'tear'
    }
    return 'tearUnproven'
  }

  #wroteBehind({ index, position }: { readonly index: number; readonly position: number }): boolean {
    const { lastOwn } = this.#survey!
    const last = lastOwn.get(this.#files[index]!)
    if (last !== undefined && last >= position) return true
    return this.#files.slice(index + 1).some((file) => lastOwn.has(file))
  }

  /** Where the torn frame at `position` would end, as far as its own blocks tell. */
  async #endOfFrame(sequence: number, index: number, position: number): Promise<number> {
    const { fileBytes } = this.#files[index]!
    const header = await this.#headerAt(index, position)
    if (header !== null && header.sequence === sequence) {
      return Math.min(position + frameBlocks(header.payloadBytes) * blockBytes, fileBytes)
    }
    let end = position + blockBytes
    for (let at = end; at + blockBytes <= fileBytes; at += blockBytes) {
      const stamp = await this.#stampAt(index, at)
      if (stamp === null || stamp.generation !== this.#files[index]!.generation) continue
      if (stamp.sequence !== sequence) break
      end = at + blockBytes
    }
    return end
  }

  async #frameAt(index: number, position: number): Promise<FoundFrame | null> {
    const file = this.#files[index]
    if (file === undefined) return null
    const header = await this.#headerAt(index, position)
    if (header === null || header.position !== position) return null
    // Before anything of that length is read.
    const length = frameBlocks(header.payloadBytes) * blockBytes
    if (position + length > file.fileBytes) return null
    const blocks = await this.#blocksOf(file).read(position, length)
    return followsHeader(blocks, header, this.#checksum) ? { header, file, blocks } : null
  }

  async #headerAt(index: number, position: number): Promise<FrameHeader | null> {
    const file = this.#files[index]!
    const block = await this.#blocksOf(file).read(position, blockBytes)
    const header = readFrameHeader(block, 0, this.#journalId, this.#checksum)
    return header?.generation === file.generation || planted('staleGenerationReplayed') ? header : null
  }

  /** `#frameAt`, without a checksum for blocks that were obviously not written in this use of the file. */
  async #ownFrameAt(index: number, position: number): Promise<FoundFrame | null> {
    return (await this.#isOwn(index, position)) ? this.#frameAt(index, position) : null
  }

  /** Whether the block says that it was written in this use of the file, whole or not. */
  async #isOwn(index: number, position: number): Promise<boolean> {
    const file = this.#files[index]!
    return readUint32(await this.#blocksOf(file).read(position, blockBytes), 4) === file.generation
  }

  async #stampAt(index: number, position: number): Promise<ReturnType<typeof readStamp>> {
    const file = this.#files[index]!
    if (position + blockBytes > file.fileBytes) return null
    return readStamp(await this.#blocksOf(file).read(position, blockBytes), 0, this.#checksum)
  }

  #blocksOf(file: ScannedFile): BlockReader {
    if (this.#reader?.file !== file) {
      this.#memory = this.#reader?.blocks.window ?? this.#memory
      this.#reader = {
        file,
        blocks: new BlockReader(file.file, file.sizeBytes, this.#patience, this.#memory),
      }
      assert(file.fileBytes >= blockBytes, 'a journal file has a block')
    }
    return this.#reader.blocks
  }
}
