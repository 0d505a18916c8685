/** A 128-bit id as Kafka writes it: base64url without padding, 22 characters. */
export type Uuid = string

/** The id that means "none". */
export const zeroUuid: Uuid = 'AAAAAAAAAAAAAAAAAAAAAA'

/** The topic id of `__cluster_metadata`. */
export const metadataTopicId: Uuid = 'AAAAAAAAAAAAAAAAAAAAAQ'

/** The text form of 16 bytes. */
export function uuidFromBytes(bytes: Uint8Array): Uuid {
  return Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('base64url')
}

/** The 16 bytes of an id. Throws `RangeError` for text that is not one. */
export function uuidToBytes(uuid: Uuid): Uint8Array {
  const bytes = Buffer.from(uuid, 'base64url')
  if (uuid.length !== 22 || bytes.length !== 16) throw new RangeError(`"${uuid}" is not a 22-character id`)
  return bytes
}

/** The id as 32 hexadecimal digits. */
export function hexOf(uuid: Uuid): string {
  return Buffer.from(uuid, 'base64url').toString('hex')
}

/**
 * A new version 4 id from 16 bytes of the given source. Never starts with "-" (so that it is safe on a
 * command line) and never equals a reserved one, as Kafka's `Uuid.randomUuid`.
 */
export function randomUuid(random: { fill(target: Uint8Array): void }): Uuid {
  const bytes = new Uint8Array(16)
  for (;;) {
    random.fill(bytes)
    bytes[6] = (bytes[6]! & 0x0f) | 0x40
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    const uuid = uuidFromBytes(bytes)
    if (!uuid.startsWith('-')) return uuid
  }
}
