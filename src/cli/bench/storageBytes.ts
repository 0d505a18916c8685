import { readFileSync, statSync } from 'node:fs'

const sectorBytes = 512

/**
 * Bytes that have been written: to the disk of `directory`, by whomever, or, where the system does not tell that, by this
 * process to anything. Null where it tells neither. (`write_bytes` of /proc/self/io is of no use: it counts whole folios
 * when a page of them is overwritten, several times what reaches the disk.)
 */
export function storageBytes(directory: string): number | null {
  return deviceBytes(directory) ?? processBytes()
}

/** Bytes written to the block device that holds `directory`. */
function deviceBytes(directory: string): number | null {
  try {
    const { dev } = statSync(directory)
    const minor = (dev % 0x100) + (Math.floor(dev / 0x10_0000) % 0x1000) * 0x100
    const major = Math.floor(dev / 0x100) % 0x1000
    const fields = readFileSync(`/sys/dev/block/${major}:${minor}/stat`, 'utf8').trim().split(/\s+/)
    const sectors = Number(fields[6])
    return Number.isFinite(sectors) ? sectors * sectorBytes : null
  } catch {
    return null
  }
}

function processBytes(): number | null {
  try {
    const found = /^wchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))
    return found === null ? null : Number(found[1])
  } catch {
    return null
  }
}
