import { BatchHeader, batchHeaderBytes, sequenceAfter } from '../../src/segment/recordBatch.ts'
import { writtenBy } from './programs/values.mjs'

/** A value that was read at two places of a partition. */
export interface Repeated {
  readonly value: string
  readonly partition: number
  readonly offset: number
  /** The place of the copy before it. */
  readonly before: number
}

/** The headers of a partition's batches that an idempotent producer wrote, in order, from the bytes of its segments. Ends at what is no whole batch. */
export function batchesOf(bytes: Uint8Array): readonly BatchHeader[] {
  const batches: BatchHeader[] = []
  for (let at = 0; at + batchHeaderBytes <= bytes.length; ) {
    const batch = new BatchHeader(bytes, at)
    if (batch.sizeBytes < batchHeaderBytes || at + batch.sizeBytes > bytes.length) break
    if (batch.producerId >= 0 && !batch.isControl) batches.push(batch)
    at += batch.sizeBytes
  }
  return batches
}

/**
 * What no broker may have let in, whatever clients do: within an epoch of a producer every sequence is there once and the next one follows, and no
 * epoch is followed by an earlier one. `name` is the partition's.
 */
export function brokenSequences(name: string, batches: readonly BatchHeader[]): readonly string[] {
  const last = new Map<number, BatchHeader>()
  const broken: string[] = []
  for (const batch of batches) {
    const { producerId, producerEpoch, baseSequence, baseOffset } = batch
    const before = last.get(producerId)
    last.set(producerId, batch)
    if (before === undefined) continue
    const isSame = before.producerEpoch === producerEpoch
    const expected = isSame ? sequenceAfter(before.lastSequence, 1) : 0
    if (producerEpoch < before.producerEpoch || baseSequence !== expected) {
      broken.push(
        `${name}/${baseOffset} has sequence ${baseSequence} of epoch ${producerEpoch} of producer ${producerId}, behind ${before.lastSequence} of epoch ${before.producerEpoch}`,
      )
    }
  }
  return broken
}

/**
 * Whose mistake a repeated value is. Null when it is the client's: Java gives a batch up after its delivery.timeout and may then send
 * what was behind it again, in a new epoch, without knowing whether the old copy will be let in. As long as nothing before it was given
 * up, a broker has refused what it should have known. `givenUp` are the numbers of Java's records that it gave up.
 */
export function blameFor(
  { value, partition, offset, before }: Repeated,
  batches: readonly BatchHeader[],
  givenUp: readonly number[],
): string | null {
  const holding = (place: number): BatchHeader | undefined =>
    batches.find(({ baseOffset, lastOffset }) => baseOffset <= place && place <= lastOffset)
  const [first, second] = [holding(before), holding(offset)]
  const where = `${value} is at ${partition}/${before} and at ${partition}/${offset}`
  if (first === undefined || second === undefined) return where
  if (first.producerId !== second.producerId) return `${where}, of two producers`
  if (first.producerEpoch === second.producerEpoch) return `${where}, in one epoch of its producer`
  const written = writtenBy(value)
  const isExcused = written?.writer === 'java' && givenUp.some((number) => number < written.number)
  return isExcused ? null : `${where}, in two epochs of a producer that had given nothing up before it`
}
