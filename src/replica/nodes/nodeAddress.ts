import { type Uuid, uuidFromBytes } from '../../model/uuid.ts'

/** Where a node is. */
export interface NodeAddress {
  readonly id: number
  readonly host: string
  readonly port: number
}

/** How a node gets to know the others. */
export type Membership =
  | { readonly type: 'static'; readonly voters: readonly NodeAddress[] }
  | { readonly type: 'bootstrap' }
  | { readonly type: 'join'; readonly others: readonly NodeAddress[] }

/**
 * The id of a cluster that begins with these voters: the same on each of them, without anybody having to ask. Not a secret,
 * only unlikely to be that of other voters.
 */
export function clusterIdOf(voters: readonly NodeAddress[]): Uuid {
  const text = Buffer.from(voters.map(({ id, host, port }) => `${id}@${host}:${port}`).join(','))
  const words = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]
  // The text goes in twice, so that its last byte reaches every word.
  for (const byte of Buffer.concat([text, text])) {
    for (let index = 0; index < 4; index++) {
      const mixed = Math.imul(words[index]! ^ byte, 0x9e37_79b1) ^ words[(index + 1) & 3]!
      words[index] = (mixed << 13) | (mixed >>> 19)
    }
  }
  const bytes = Buffer.alloc(16)
  for (let index = 0; index < 4; index++) bytes.writeInt32BE(words[index]! | 0, index * 4)
  bytes[0]! &= 0x7f // Never a leading dash.
  return uuidFromBytes(bytes)
}
