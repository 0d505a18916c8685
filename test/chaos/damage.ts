import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { run } from '../interop/support/run.ts'

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname

/** One place that was damaged, with what was there before. */
export interface Spot {
  readonly kind: 'flip' | 'cut' | 'swap'
  /** The directory of the log below the data directory. */
  readonly log: string
  /** The file, below the data directory. */
  readonly file: string
  /** The first byte that is not as it was. */
  readonly position: number
  /** What was there, from `position` on. */
  readonly bytes: Buffer
}

/** Of so many damages two are cut files and two exchanged ones; the others are flipped bits. */
const ofTen = 10

/**
 * Damages `wanted` places in segments of a topic on a disk that nobody uses: flipped bits, cut files, exchanged files. A file that is cut or exchanged
 * is damaged in no other way, and bits of a file are flipped far apart. Fewer where there are not enough files. An exchange counts once, for two files.
 */
export function damageSegments(
  data: string,
  topic: string,
  wanted: number,
  random: () => number,
): readonly Spot[] {
  const below = (bound: number): number => Math.floor(random() * bound)
  const files = segments(data, topic).filter((file) => statSync(join(data, file)).size > 1)
  const take = (): string => files.splice(below(files.length), 1)[0]!
  const spots: Spot[] = []
  const note = (kind: Spot['kind'], file: string, position: number, bytes: Buffer): void => {
    spots.push({ kind, log: file.split('/')[0]!, file, position, bytes })
  }
  for (let count = 0; count < wanted; count++) {
    const kind = below(ofTen)
    // At least one file stays for flipped bits.
    if (kind < 2 && files.length > 1) {
      const file = take()
      const whole = readFileSync(join(data, file))
      const position = below(whole.length)
      truncateSync(join(data, file), position)
      note('cut', file, position, whole.subarray(position))
    } else if (kind < 4 && files.length > 2) {
      const [one, other] = [take(), take()]
      const [mine, theirs] = [readFileSync(join(data, one)), readFileSync(join(data, other))]
      if (mine.equals(theirs)) continue
      swap(join(data, one), join(data, other))
      note('swap', one, 0, mine)
      note('swap', other, 0, theirs)
    } else if (files.length > 0) {
      const file = files[below(files.length)]!
      const position = below(statSync(join(data, file)).size)
      if (spots.some((spot) => spot.file === file && spot.position === position)) continue
      note('flip', file, position, flip(join(data, file), position, below(8)))
    }
  }
  // What was verified lately would not be looked at again for a week.
  rmSync(join(data, '.scrub'), { force: true })
  return spots
}

/** How many damages that is: an exchange is one, of two files. */
export function countOf(spots: readonly Spot[], kind: Spot['kind']): number {
  const { length } = spots.filter((spot) => spot.kind === kind)
  return kind === 'swap' ? length / 2 : length
}

/** Whether a place has again what it had. */
export function isAsItWas(data: string, { file, position, bytes }: Spot): boolean {
  const path = join(data, file)
  if (!existsSync(path)) return false
  const found = Buffer.alloc(bytes.length)
  const opened = openSync(path, 'r')
  try {
    return readSync(opened, found, 0, bytes.length, position) === bytes.length && found.equals(bytes)
  } finally {
    closeSync(opened)
  }
}

/** Lines of `cordwood verify` that speak of damage, for a data directory that may be in use. */
export async function damageIn(data: string, isInUse: boolean): Promise<readonly string[]> {
  const args = [main, 'verify', '--json', '--quiet', ...(isInUse ? ['--no-lock'] : []), data]
  const { code, stdout, stderr } = await run(process.execPath, args, { mayFail: true, timeoutMs: 180_000 })
  if (!stdout.includes('"type":"summary"')) return [`verify has ended with ${code}: ${stderr.slice(-500)}`]
  const found = stdout.split('\n').filter((line) => line.includes('"severity":"damage"'))
  return found.map((line) => {
    const { file, position, expected, found: seen } = JSON.parse(line) as Record<string, unknown>
    return `${file} at ${position}: expected ${expected}, found ${seen}`
  })
}

/** The bytes of a partition's segments, one after the other; null when the directory does not hold it. It may be in use. */
export function partitionBytes(data: string, name: string): Buffer | null {
  const directory = join(data, name)
  if (!existsSync(directory)) return null
  const files = readdirSync(directory).filter((file) => file.endsWith('.log'))
  return Buffer.concat(files.sort().map((file) => readFileSync(join(directory, file))))
}

/** Directories of partitions of a topic, below the data directory. */
export function logsOf(data: string, topic: string): readonly string[] {
  if (!existsSync(data)) return []
  const pattern = new RegExp(`^${topic}-\\d+$`)
  return readdirSync(data)
    .filter((name) => pattern.test(name))
    .sort()
}

/** Segments of a topic, below the data directory. */
function segments(data: string, topic: string): string[] {
  return logsOf(data, topic).flatMap((name) =>
    readdirSync(join(data, name))
      .filter((file) => file.endsWith('.log'))
      .sort()
      .map((file) => `${name}/${file}`),
  )
}

/** Flips a bit; what the byte was. */
function flip(path: string, position: number, bit: number): Buffer {
  const file = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(file, byte, 0, 1, position)
  const was = Buffer.from(byte)
  byte[0]! ^= 1 << bit
  writeSync(file, byte, 0, 1, position)
  closeSync(file)
  return was
}

function swap(one: string, other: string): void {
  const aside = `${one}.aside`
  copyFileSync(one, aside)
  renameSync(other, one)
  renameSync(aside, other)
}
