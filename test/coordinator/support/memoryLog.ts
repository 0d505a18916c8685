import type { OffsetsLog, ReadRanges } from '../../../src/coordinator/offsetsLog.ts'
import { EngineError } from '../../../src/model/errors.ts'
import type { Disk, DiskFile, DiskWrite } from '../../../src/runtime/disk.ts'
import { BatchHeader, setBaseOffset } from '../../../src/segment/recordBatch.ts'
import { readRecords, type StoredRecord } from '../../../src/segment/records.ts'
import type { WriteGroup } from '../../../src/segment/writeGroup.ts'

/** The bytes of one file: what writes that have ended put there. */
class MemoryFile {
  readonly path: string
  bytes = Buffer.alloc(0)

  constructor(path: string) {
    this.path = path
  }

  write(position: number, parts: readonly Uint8Array[]): void {
    const added = Buffer.concat(parts)
    const grown = Buffer.alloc(Math.max(this.bytes.length, position + added.length))
    this.bytes.copy(grown)
    added.copy(grown, position)
    this.bytes = grown
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    return this.bytes.copy(target, 0, position)
  }
}

interface Submitted {
  readonly writes: readonly DiskWrite[]
  readonly resolve: () => void
  readonly reject: (error: EngineError) => void
}

/** A disk in memory whose writes end when the test says so, or at once. */
export class MemoryDisk {
  readonly files = new Map<string, MemoryFile>()
  autoFlush = true
  queuedBytes = 0
  maxQueuedBytes = 64 * 1024 * 1024
  /** Groups of writes that were ever submitted. */
  submits = 0
  #waiting: Submitted[] = []

  file(path: string): DiskFile {
    let file = this.files.get(path)
    if (file === undefined) this.files.set(path, (file = new MemoryFile(path)))
    return file as unknown as DiskFile
  }

  submit(writes: readonly DiskWrite[]): Promise<void> {
    this.submits++
    const copied = writes.map((write) => ({
      ...write,
      parts: write.parts.map((part) => new Uint8Array(part)),
    }))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ writes: copied, resolve, reject })
      if (this.autoFlush) this.flush()
    })
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Ends all writes. */
  flush(): void {
    for (const { writes, resolve } of this.#waiting.splice(0)) {
      for (const { file, position, parts } of writes) (file as unknown as MemoryFile).write(position, parts)
      resolve()
    }
  }

  /** Fails all writes that wait. */
  fail(error: EngineError): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  /** The process dies: writes that have not ended never happened. */
  crash(): void {
    this.#waiting.length = 0
  }

  asDisk(): Disk {
    return this as unknown as Disk
  }
}

/** A log of one file on a `MemoryDisk`, with the manners of the segment layer's `Log`. */
export class MemoryLog implements OffsetsLog {
  readonly config = { maxMessageBytes: 1024 * 1024 }
  readonly file: MemoryFile
  logStartOffset = 0
  logEndOffset = 0
  flushedOffset = 0
  offline: EngineError | null = null
  #sizeBytes = 0
  /** Where each batch lies. */
  #batches: {
    readonly baseOffset: number
    readonly lastOffset: number
    readonly position: number
    readonly sizeBytes: number
  }[] = []

  /** Opens what the disk has under `path`. */
  constructor(disk: MemoryDisk, path: string, logStartOffset = 0) {
    this.file = disk.file(path) as unknown as MemoryFile
    this.logStartOffset = logStartOffset
    while (this.#sizeBytes < this.file.bytes.length) {
      const header = new BatchHeader(this.file.bytes, this.#sizeBytes)
      this.#note(header.baseOffset, header.lastOffset, header.sizeBytes)
    }
    this.flushedOffset = this.logEndOffset
  }

  append(
    header: BatchHeader,
    bytes: Uint8Array,
    _leaderEpoch: number,
    group: WriteGroup,
  ): { lastOffset: number } {
    if (this.offline !== null) throw new EngineError('kafkaStorageError', 'the log is offline')
    setBaseOffset(bytes, this.logEndOffset)
    const lastOffset = this.logEndOffset + header.lastOffsetDelta
    group.add(this.file as unknown as DiskFile, this.#sizeBytes, bytes, 'data')
    this.#note(this.logEndOffset, lastOffset, bytes.length)
    group.listen({
      written: () => {
        this.flushedOffset = Math.max(this.flushedOffset, lastOffset + 1)
      },
      failed: (error) => {
        this.offline = error
      },
    })
    return { lastOffset }
  }

  async whenFlushed(endOffset: number): Promise<void> {
    if (this.flushedOffset < endOffset) throw new EngineError('diskFailed', 'written, but not flushed')
  }

  #note(baseOffset: number, lastOffset: number, sizeBytes: number): void {
    this.#batches.push({ baseOffset, lastOffset, position: this.#sizeBytes, sizeBytes })
    this.#sizeBytes += sizeBytes
    this.logEndOffset = lastOffset + 1
  }

  read(offset: number, maxBytes: number, endOffset: number): ReadRanges | null {
    const first = this.#batches.findIndex((batch) => batch.lastOffset >= offset)
    if (first < 0) return null
    let lengthBytes = 0
    for (const batch of this.#batches.slice(first)) {
      if (batch.baseOffset >= endOffset || (lengthBytes > 0 && lengthBytes + batch.sizeBytes > maxBytes))
        break
      lengthBytes += batch.sizeBytes
    }
    return {
      ranges: [{ file: this.file, position: this.#batches[first]!.position, lengthBytes }],
      lengthBytes,
    }
  }

  async deleteRecordsBefore(offset: number): Promise<void> {
    this.logStartOffset = Math.max(this.logStartOffset, offset)
  }

  /** Bytes that the log's records from its start on take. */
  get liveBytes(): number {
    return this.#batches
      .filter((batch) => batch.lastOffset >= this.logStartOffset)
      .reduce((sum, batch) => sum + batch.sizeBytes, 0)
  }

  /** Every record that is on the disk, from the log's start on. */
  records(): StoredRecord[] {
    const found: StoredRecord[] = []
    for (const { position, sizeBytes, lastOffset } of this.#batches) {
      if (lastOffset < this.logStartOffset || position + sizeBytes > this.file.bytes.length) continue
      found.push(...readRecords(this.file.bytes.subarray(position, position + sizeBytes)))
    }
    return found
  }
}
