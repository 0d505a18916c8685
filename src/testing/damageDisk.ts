import type { DamageKind } from './fault.ts'
import { blockBytes, sectorBytes } from './fileData.ts'
import type { SimFileSystem } from './simFileSystem.ts'
import type { SimRandom } from './simRandom.ts'

/** Files that an operator has to restore, and the lock, which holds nothing. */
const spared = ['/.lock', '/meta.properties']

/** Changes what is stored in one file that `random` draws, as a disk does that rots; nobody is told. Gives its path, null when there is none. */
export function damageDisk(fs: SimFileSystem, kind: DamageKind, random: SimRandom): string | null {
  const paths = filesBelow(fs, '').filter(
    (path) => !spared.some((name) => path.endsWith(name)) && fs.contentOf(path).length > 0,
  )
  if (paths.length === 0) return null
  const path = random.pick(paths)
  if (kind === 'swapped') {
    // Of one log: what lies where another log's bytes belong, offsets and epochs and all, nobody can tell from its own.
    const alike = paths.filter(
      (other) =>
        other !== path && directoryOf(other) === directoryOf(path) && suffixOf(other) === suffixOf(path),
    )
    if (alike.length === 0) return null
    const other = random.pick(alike)
    const [mine, theirs] = [fs.contentOf(path), fs.contentOf(other)]
    fs.damage(path, () => theirs)
    fs.damage(other, () => mine)
    return path
  }
  fs.damage(path, (bytes) => changed(bytes, kind, random))
  return path
}

/** Has a few blocks of a complete segment fail to be read, until they are written. Gives its path, null when there is none. */
export function spoilSectors(fs: SimFileSystem, random: SimRandom): string | null {
  const segments = filesBelow(fs, '').filter((path) => path.endsWith('.log'))
  const complete = segments.filter((path) =>
    segments.some((other) => directoryOf(other) === directoryOf(path) && other > path),
  )
  if (complete.length === 0) return null
  const path = random.pick(complete)
  const { length } = fs.contentOf(path)
  const at = random.below(length + 1)
  fs.failReads(path, at, Math.min(length, at + 1 + random.below(3 * blockBytes)))
  return path
}

function changed(whole: Uint8Array, kind: Exclude<DamageKind, 'swapped'>, random: SimRandom): Uint8Array {
  const bytes = whole.slice()
  const { length } = bytes
  switch (kind) {
    case 'bits':
      for (let flips = 1 + random.below(64); flips > 0; flips--) {
        const at = random.below(length)
        bytes[at] = bytes[at]! ^ (1 << random.below(8))
      }
      return bytes
    case 'zeroSector':
    case 'lostWrite': {
      const unit = kind === 'zeroSector' ? sectorBytes : blockBytes
      const at = random.below(Math.ceil(length / unit)) * unit
      return bytes.fill(0, at, at + unit)
    }
    case 'cutTail':
      return bytes.slice(0, random.below(length))
    case 'misdirected': {
      const blocks = Math.ceil(length / blockBytes)
      const from = random.below(blocks) * blockBytes
      bytes.set(
        whole.subarray(from, Math.min(length, from + blockBytes)).slice(0, length - random.below(length)),
        0,
      )
      return bytes
    }
  }
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

/** What is left of a name without numbers. */
function suffixOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replaceAll(/\d+/g, 'N')
}

function filesBelow(fs: SimFileSystem, directory: string): string[] {
  return fs.list(directory === '' ? '/' : directory).flatMap(({ name, kind }) => {
    const path = `${directory}/${name}`
    return kind === 'file' ? [path] : filesBelow(fs, path)
  })
}
