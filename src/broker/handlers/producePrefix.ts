import type { Uuid } from '../../model/uuid.ts'
import { apiKeys } from '../../protocol/apiKeys.ts'
import { isFlexible } from '../../protocol/codec.ts'
import { skipTagged } from '../../protocol/headers.ts'
import { malformed, Reader } from '../../protocol/reader.ts'

/** Topics come by their ids from here on. Source: KIP-516. */
export const firstVersionById = 13

/** What a Produce request says before its records. */
export interface ProduceTerms {
  readonly transactionalId: string | null
  /** 0, 1 or -1 (all). */
  readonly acks: number
  readonly timeoutMs: number
}

/** One partition of a Produce request; of the topic's name and id the one that the version has. */
interface ArrivedPartition {
  readonly name: string
  readonly topicId: Uuid | null
  readonly index: number
  readonly records: Uint8Array | null
}

/**
 * Reads the partitions of a Produce request as they arrive. It gives what the schema would, in the same order, as far as that
 * is there; what cannot be read is taken for not there yet, and left to whoever reads the whole request.
 */
export class ProducePrefix {
  /** Null until it has arrived. */
  terms: ProduceTerms | null = null
  readonly #reader: Reader
  readonly #isFlexible: boolean
  readonly #hasTopicIds: boolean
  /** Where the next thing begins. */
  #position: number
  #topicsLeft = 0
  #partitionsLeft = 0
  #isFirstTopic = true
  #name = ''
  #topicId: Uuid | null = null

  /** `bytes` is the request, whose body begins at `bodyPosition`; all of it need not be there. */
  constructor(bytes: Uint8Array, bodyPosition: number, apiVersion: number) {
    this.#reader = new Reader(bytes)
    this.#position = bodyPosition
    this.#isFlexible = isFlexible(apiKeys.produce.request, apiVersion)
    this.#hasTopicIds = apiVersion >= firstVersionById
  }

  /** The next partition of which all bytes lie below `arrivedBytes`; null when there is none, for now or at all. */
  next(arrivedBytes: number): ArrivedPartition | null {
    const reader = this.#reader
    reader.position = this.#position
    reader.end = arrivedBytes
    try {
      if (this.terms === null) this.#readTerms(reader)
      while (this.#partitionsLeft === 0) {
        if (this.#topicsLeft === 0) return null
        this.#readTopic(reader)
      }
      return this.#readPartition(reader)
    } catch {
      return null
    }
  }

  #readTerms(reader: Reader): void {
    const length = this.#isFlexible ? reader.uvarint() - 1 : reader.int16()
    const transactionalId = length < 0 ? null : reader.text(length)
    const acks = reader.int16()
    const timeoutMs = reader.int32()
    this.#topicsLeft = this.#count(reader)
    this.terms = { transactionalId, acks, timeoutMs }
    this.#position = reader.position
  }

  #readTopic(reader: Reader): void {
    if (!this.#isFirstTopic && this.#isFlexible) skipTagged(reader)
    const topicId = this.#hasTopicIds ? reader.uuid() : null
    const name = this.#hasTopicIds
      ? ''
      : reader.text(this.#isFlexible ? reader.uvarint() - 1 : reader.int16())
    this.#partitionsLeft = this.#count(reader)
    this.#topicId = topicId
    this.#name = name
    this.#isFirstTopic = false
    this.#topicsLeft -= 1
    this.#position = reader.position
  }

  #readPartition(reader: Reader): ArrivedPartition {
    const index = reader.int32()
    const length = this.#isFlexible ? reader.uvarint() - 1 : reader.int32()
    const records = length < 0 ? null : reader.view(length)
    if (this.#isFlexible) skipTagged(reader)
    this.#partitionsLeft -= 1
    this.#position = reader.position
    return { name: this.#name, topicId: this.#topicId, index, records }
  }

  #count(reader: Reader): number {
    const count = this.#isFlexible ? reader.uvarint() - 1 : reader.int32()
    if (count < 0) throw malformed('an array is missing')
    return count
  }
}
