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

/** How many spots were damaged in which way. */
export interface Damage {
  readonly flips: number
  readonly cuts: number
  readonly swaps: number
}

/** Damages `spots` places in segments of a topic on a disk that nobody uses: flipped bits, cut files, exchanged files. */
export function damageSegments(data: string, topic: string, spots: number, random: () => number): Damage {
  const done = { flips: 0, cuts: 0, swaps: 0 }
  for (let spot = 0; spot < spots; spot++) {
    const files = segments(data, topic)
    const file = files[Math.floor(random() * files.length)]
    if (file === undefined) break
    const { size } = statSync(file)
    const kind = random()
    if (kind < 0.8 && size > 0) {
      flip(file, Math.floor(random() * size), Math.floor(random() * 8))
      done.flips += 1
    } else if (kind < 0.9 && size > 1) {
      truncateSync(file, Math.floor(random() * size))
      done.cuts += 1
    } else if (files.length > 1) {
      const other = files[(files.indexOf(file) + 1) % files.length]!
      swap(file, other)
      done.swaps += 1
    }
  }
  // What was verified lately would not be looked at again for a week.
  rmSync(join(data, '.scrub'), { force: true })
  return done
}

/** Lines of `cordwood verify` that speak of damage, for a data directory that may be in use. */
export async function damageIn(data: string, isInUse: boolean): Promise<readonly string[]> {
  const args = [main, 'verify', '--json', '--quiet', ...(isInUse ? ['--no-lock'] : []), data]
  const { stdout } = await run(process.execPath, args, { mayFail: true })
  const found = stdout.split('\n').filter((line) => line.includes('"severity":"damage"'))
  return found.map((line) => {
    const { file, position, expected, found: seen } = JSON.parse(line) as Record<string, unknown>
    return `${file} at ${position}: expected ${expected}, found ${seen}`
  })
}

/** The bytes of a partition's segments, one after the other; null when the directory does not hold it. */
export function partitionBytes(data: string, name: string): Buffer | null {
  const directory = join(data, name)
  if (!existsSync(directory)) return null
  const files = readdirSync(directory).filter((file) => file.endsWith('.log'))
  return Buffer.concat(files.sort().map((file) => readFileSync(join(directory, file))))
}

function segments(data: string, topic: string): string[] {
  if (!existsSync(data)) return []
  return readdirSync(data)
    .filter((name) => name.startsWith(`${topic}-`))
    .sort()
    .flatMap((name) =>
      readdirSync(join(data, name))
        .filter((file) => file.endsWith('.log'))
        .sort()
        .map((file) => join(data, name, file)),
    )
}

function flip(path: string, position: number, bit: number): void {
  const file = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(file, byte, 0, 1, position)
  byte[0]! ^= 1 << bit
  writeSync(file, byte, 0, 1, position)
  closeSync(file)
}

function swap(one: string, other: string): void {
  const aside = `${one}.aside`
  copyFileSync(one, aside)
  renameSync(other, one)
  renameSync(aside, other)
}
