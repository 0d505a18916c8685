import { blockStampBytes, type Checksum } from '../../runtime/checksum.ts'
import { readInt64, readUint32, writeInt32, writeInt64 } from '../integers.ts'
import { blockBytes, readStamp } from './blocks.ts'

const magic = 0x43_57_4a_31 // "CWJ1"
const namePattern = /^journal-(\d{8,10})$/

/** What the first block of a journal file says. */
export interface FileHeader {
  readonly directoryId: Uint8Array
  readonly journalId: Uint8Array
  readonly number: number
  readonly fileBytes: number
  /** Counts the uses of files: the blocks that this use writes carry it. */
  readonly generation: number
}

/** The name of a journal file. */
export function journalFileName(number: number): string {
  return `journal-${String(number).padStart(8, '0')}`
}

/** The number in the name of a journal file; null for other names. */
export function journalFileNumber(name: string): number | null {
  const match = namePattern.exec(name)
  return match === null ? null : Number(match[1])
}

/** The first block of a file. */
export function encodeFileHeader(header: FileHeader, checksum: Checksum): Uint8Array {
  const block = new Uint8Array(blockBytes)
  const bytes = block.subarray(blockStampBytes)
  writeInt32(bytes, 0, magic)
  bytes.set(header.directoryId, 4)
  bytes.set(header.journalId, 20)
  writeInt32(bytes, 36, header.number)
  writeInt64(bytes, 40, header.fileBytes)
  checksum.sealBlocks(block, header.generation, 0)
  return block
}

/** What the first block of a file says; null when it is not whole or something else. */
export function decodeFileHeader(block: Uint8Array, checksum: Checksum): FileHeader | null {
  const stamp = readStamp(block, 0, checksum)
  const bytes = block.subarray(blockStampBytes)
  if (stamp === null || readUint32(bytes, 0) !== magic) return null
  return {
    directoryId: bytes.slice(4, 20),
    journalId: bytes.slice(20, 36),
    number: readUint32(bytes, 36),
    fileBytes: readInt64(bytes, 40),
    generation: stamp.generation,
  }
}
