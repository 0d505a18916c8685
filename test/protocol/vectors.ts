import { readFileSync } from 'node:fs'

/** One message as Kafka 4.4 encodes it. */
export interface Vector {
  readonly name: string
  readonly version: number
  readonly bytes: Uint8Array
}

/** The lines of fixtures/vectors.txt: name, version and bytes in hex, four per message and version. */
export function readVectors(): Vector[] {
  const text = readFileSync(new URL('./fixtures/vectors.txt', import.meta.url), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [name = '', version = '', hex = ''] = line.split(' ')
      return { name, version: Number(version), bytes: Uint8Array.from(Buffer.from(hex, 'hex')) }
    })
}
