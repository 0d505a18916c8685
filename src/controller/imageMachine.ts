import type { MetadataRecord } from '../protocol/metadataRecords/metadataRecord.ts'
import { decodeMetadataRecord, encodeMetadataRecord } from '../protocol/metadataRecords/metadataRecord.ts'
import type { BatchMachine } from '../replica/machineRunner.ts'
import type { BatchHeader } from '../segment/recordBatch.ts'
import { ChangeReader } from './changes.ts'
import { DeltaBuilder } from './delta.ts'
import { type MetadataDelta, type MetadataImage, MutableImage } from './image.ts'
import { imageRecords, replaceImage } from './imageRecords.ts'
import { replay } from './replay.ts'

/** The image of a cluster's metadata, which follows the committed records of its log: each change once, whole, in order. */
export class ImageMachine implements BatchMachine {
  readonly #image: MutableImage
  readonly #changes = new ChangeReader()
  readonly #changed: (delta: MetadataDelta) => void

  /** `changed` is told of each change right after the image has it. */
  constructor(clusterId: string, changed: (delta: MetadataDelta) => void) {
    this.#image = new MutableImage(clusterId)
    this.#changed = changed
  }

  get image(): MetadataImage {
    return this.#image
  }

  /** Whether a transaction has begun of which nobody has written the end yet. */
  get isInTransaction(): boolean {
    return this.#changes.open !== null
  }

  /** Everything below `offset` has been applied, what takes no place in the image included. */
  reached(offset: number): void {
    this.#image.nextOffset = Math.max(this.#image.nextOffset, offset)
  }

  apply(header: BatchHeader, bytes: Uint8Array): readonly unknown[] {
    const records = this.#changes.take(bytes)
    this.#image.nextOffset = header.lastOffset + 1
    if (records.length === 0) return []
    const delta = new DeltaBuilder()
    for (const record of records) replay(this.#image, record, delta)
    const built = delta.build()
    if (built !== null) this.#changed(built)
    return []
  }

  /** A transaction that is open goes along, as it stands in the log: what follows may end it. */
  *snapshot(): Generator<Uint8Array> {
    for (const record of imageRecords(this.#image)) yield encodeMetadataRecord(record)
    const { open } = this.#changes
    if (open === null) return
    yield encodeMetadataRecord({ type: 'beginTransactionRecord', version: 0, name: 'change' })
    for (const record of open) yield encodeMetadataRecord(record)
  }

  async restore(chunks: AsyncIterable<Uint8Array>, endOffset: number): Promise<void> {
    const restored = new MutableImage(this.#image.clusterId)
    const changes = new ChangeReader()
    const ignored = new DeltaBuilder()
    let count = 0
    for await (const chunk of chunks) {
      const effective: MetadataRecord[] = []
      changes.takeRecord(decodeMetadataRecord(chunk), count++, effective)
      for (const record of effective) replay(restored, record, ignored)
    }
    // From here on without a pause: nobody sees half of it.
    restored.nextOffset = endOffset
    const delta = replaceImage(this.#image, restored)
    this.#changes.resume(changes.open)
    if (delta !== null) this.#changed(delta)
  }
}
