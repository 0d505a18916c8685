import { nodeChecksum } from '../runtime/node/nodeChecksum.ts'

/** A hash over what happens in a world, in its order. Source: Austin Appleby, "MurmurHash3" (mixing). */
export class EventHash {
  #a = 0x9747_b28c
  #b = 0x51ed_270b

  number(value: number): void {
    const low = value | 0
    const high = Math.floor(value / 2 ** 32) | 0
    this.#a = mix(this.#a, low)
    this.#b = mix(this.#b, high ^ Math.imul(low, 0x85eb_ca6b))
  }

  event(atMs: number, kind: number, node: number): void {
    this.number(Math.round(atMs * 1000) * 8 + kind)
    this.number(node)
  }

  bytes(label: number, bytes: Uint8Array): void {
    this.number(label + bytes.length * 4096)
    this.number(nodeChecksum.crc32c(bytes))
  }

  get text(): string {
    const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0')
    return hex(this.#a) + hex(this.#b)
  }
}

function mix(hash: number, value: number): number {
  let k = Math.imul(value, 0xcc9e_2d51)
  k = Math.imul((k << 15) | (k >>> 17), 0x1b87_3593)
  const h = hash ^ k
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe654_6b64) | 0
}
