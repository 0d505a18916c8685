/** Bytes that a zigzag varint of `value` takes. */
export function varlongBytes(value: number): number {
  let zigzag = value >= 0 ? value * 2 : -value * 2 - 1
  let count = 1
  while (zigzag >= 0x80) {
    zigzag = Math.floor(zigzag / 128)
    count++
  }
  return count
}

/** Writes a zigzag varint at `at`; returns where it ends. */
export function writeVarlong(target: Uint8Array, at: number, value: number): number {
  let zigzag = value >= 0 ? value * 2 : -value * 2 - 1
  while (zigzag >= 0x80) {
    target[at++] = (zigzag % 128) | 0x80
    zigzag = Math.floor(zigzag / 128)
  }
  target[at++] = zigzag
  return at
}
