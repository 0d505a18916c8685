// What a record of the chaos run holds: who wrote it, as which number of which partition, and a checksum of that.
import { createHash } from 'node:crypto'

/** What Java's values begin with, which its producer wants to be a number; a dot and the record's number follow. */
export const javaPrefix = 77

/** The value of the record with this number of a writer in a partition. */
export function textOf(writer, partition, number) {
  const text = `${writer}-${partition}-${number}`
  return `${text}-${createHash('sha1').update(text).digest('hex').slice(0, 12)}`
}

/** Who wrote `text`; null when it is not what `textOf` makes. */
export function writtenBy(text) {
  const ofJava = new RegExp(`^${javaPrefix}\\.(\\d+)$`).exec(text)
  // It counts over all partitions, and adds no checksum.
  if (ofJava !== null) return { writer: 'java', partition: null, number: Number(ofJava[1]) }
  const match = /^(\w+)-(\d+)-(\d+)-[0-9a-f]{12}$/.exec(text)
  if (match === null) return null
  const [, writer = '', partition, number] = match
  const isWhole = textOf(writer, partition, number) === text
  return isWhole ? { writer, partition: Number(partition), number: Number(number) } : null
}
