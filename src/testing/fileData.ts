/** The unit that the page cache and the medium keep or lose as a whole. */
export const blockBytes = 4096
/** The unit that a write which the power cut short is torn at. */
export const sectorBytes = 512

/** Bytes of one block, never changed once made; null stands for zeros. */
export type Block = Uint8Array | null

/**
 * The bytes of a file at one moment. Never changed, so a snapshot costs nothing: a write makes a new one that shares
 * every block it did not touch. Bytes of the last block beyond the end are zero.
 */
export interface FileData {
  readonly sizeBytes: number
  readonly blocks: readonly Block[]
}

/** A file of no bytes. */
export const emptyFile: FileData = { sizeBytes: 0, blocks: [] }

/** The number of blocks that `sizeBytes` take. */
export function blockCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / blockBytes)
}

/** Copies from `position` on until `target` is full or the file ends; returns the number of bytes. */
export function readData(data: FileData, target: Uint8Array, position: number): number {
  const count = Math.max(0, Math.min(target.length, data.sizeBytes - position))
  for (let done = 0; done < count; ) {
    const at = position + done
    const inside = at % blockBytes
    const length = Math.min(blockBytes - inside, count - done)
    const block = data.blocks[(at - inside) / blockBytes] ?? null
    if (block === null) target.fill(0, done, done + length)
    else target.set(block.subarray(inside, inside + length), done)
    done += length
  }
  return count
}

/** All bytes of a file. */
export function wholeFile(data: FileData): Uint8Array {
  const bytes = new Uint8Array(data.sizeBytes)
  readData(data, bytes, 0)
  return bytes
}

/**
 * The file with `bytes` at `position`; what lies between its end and `position` reads as zeros. `bytes` may not change
 * afterwards: whole blocks of them become the file's.
 */
export function writeData(data: FileData, position: number, bytes: Uint8Array): FileData {
  if (bytes.length === 0) return data
  const sizeBytes = Math.max(data.sizeBytes, position + bytes.length)
  const blocks = data.blocks.slice()
  while (blocks.length < blockCount(sizeBytes)) blocks.push(null)
  for (let done = 0; done < bytes.length; ) {
    const at = position + done
    const inside = at % blockBytes
    const index = (at - inside) / blockBytes
    const length = Math.min(blockBytes - inside, bytes.length - done)
    const part = bytes.subarray(done, done + length)
    if (length === blockBytes) blocks[index] = part
    else {
      const old = blocks[index]
      const block = new Uint8Array(blockBytes)
      if (old) block.set(old)
      block.set(part, inside)
      blocks[index] = block
    }
    done += length
  }
  return { sizeBytes, blocks }
}

/** The file cut to, or filled with zeros up to, `sizeBytes`. */
export function resizeData(data: FileData, sizeBytes: number): FileData {
  const blocks = data.blocks.slice(0, blockCount(sizeBytes))
  while (blocks.length < blockCount(sizeBytes)) blocks.push(null)
  clearBeyond(blocks, sizeBytes)
  return { sizeBytes, blocks }
}

/** `next` of a block that lay as `before` on the medium, when only its first `sectors` sectors got there. */
export function tornBlock(before: Block, next: Block, sectors: number): Block {
  const torn = new Uint8Array(blockBytes)
  if (before !== null) torn.set(before)
  const length = sectors * sectorBytes
  if (next === null) torn.fill(0, 0, length)
  else torn.set(next.subarray(0, length))
  return torn
}

/** Zeroes what the last block holds beyond the end of the file. */
function clearBeyond(blocks: Block[], sizeBytes: number): void {
  const inside = sizeBytes % blockBytes
  const last = blocks[blocks.length - 1]
  if (inside === 0 || !last) return
  const cut = new Uint8Array(blockBytes)
  cut.set(last.subarray(0, inside))
  blocks[blocks.length - 1] = cut
}
