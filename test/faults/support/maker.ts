import { existsSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A process that makes what outlives it: mounts, namespaces. */
interface Maker {
  /** Of the kernel that it runs on. */
  readonly boot: string
  /** Where its number counts. */
  readonly numbering: string
  readonly pid: number
  /** When it was started, in ticks since the boot: numbers of processes are used again. */
  readonly startedTicks: number
}

const fileName = 'maker'

/** Notes in `directory` that this process has made what belongs to it, and will remove that. */
export function noteMaker(directory: string): void {
  const maker: Maker = { ...here(), pid: process.pid, startedTicks: startOf(process.pid)! }
  writeFileSync(join(directory, fileName), `${JSON.stringify(maker)}\n`)
}

/** Takes the note back: what belonged to the directory is removed. */
export function forgetMaker(directory: string): void {
  rmSync(join(directory, fileName), { force: true })
}

/**
 * Whether what belongs to `directory` was left behind: its maker lives no longer. Not so where nobody is noted, or
 * somebody of whom this process cannot know.
 */
export function isLeftBehind(directory: string): boolean {
  const path = join(directory, fileName)
  if (!existsSync(path)) return false
  let maker: Maker
  try {
    maker = JSON.parse(readFileSync(path, 'utf8')) as Maker
  } catch {
    // It is being written, or removed.
    return false
  }
  const { boot, numbering } = here()
  if (maker.boot !== boot) return true
  return maker.numbering === numbering && startOf(maker.pid) !== maker.startedTicks
}

function here(): Pick<Maker, 'boot' | 'numbering'> {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return { boot, numbering: readlinkSync('/proc/self/ns/pid') }
}

/** When a process was started, in ticks since the boot; null when it has ended, also when nobody has asked for its exit code yet. */
function startOf(pid: number): number | null {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return null
  }
  // Behind the command, which may hold anything: the state is the third field, the start the 22nd.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? null : Number(fields[19])
}
