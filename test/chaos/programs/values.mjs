// What a record of the chaos run holds: who wrote it, as which number of which partition, and a checksum of that.
import { createHash } from 'node:crypto'

/** The value of the record with this number of a writer in a partition. */
export function textOf(writer, partition, number) {
  const text = `${writer}-${partition}-${number}`
  return `${text}-${createHash('sha1').update(text).digest('hex').slice(0, 12)}`
}

/** Who wrote `text`; null when it is not what `textOf` makes. */
export function writtenBy(text) {
  const match = /^(\w+)-(\d+)-(\d+)-[0-9a-f]{12}$/.exec(text)
  if (match === null) return null
  const [, writer = '', partition, number] = match
  const isWhole = textOf(writer, partition, number) === text
  return isWhole ? { writer, partition: Number(partition), number: Number(number) } : null
}
