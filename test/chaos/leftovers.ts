import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sweepDisks } from '../faults/support/disks.ts'
import { forgetMaker, isLeftBehind } from '../faults/support/maker.ts'

/** What the directories of runs begin with, in the system's temporary directory; six letters and digits follow. */
export const runPrefix = 'cordwood-chaos-'
/** Where groups of processes are made whose disks are throttled. */
export const throttles = '/sys/fs/cgroup/blkio'

/** What the names of a run's namespaces begin with, given its directory. */
export const networkPrefix = (directory: string): string => `cw${runOf(directory)}`

/** The group of the processes of a node of a run whose disk is throttled. */
export const throttleGroup = (directory: string, node: string): string =>
  join(throttles, `${runPrefix}${runOf(directory)}-${node}`)

/**
 * Ends and removes what runs have left behind that were killed: processes, namespaces, groups, mounts, loop devices. Only of those
 * whose maker lives no longer. What nodes and clients have said stays. Resolves with a line for each run or disk.
 */
export async function sweepLeftovers(): Promise<readonly string[]> {
  const swept: string[] = []
  for (const name of readdirSync(tmpdir()).filter((each) => each.startsWith(runPrefix))) {
    const directory = join(tmpdir(), name)
    if (!isLeftBehind(directory)) continue
    const namespaces = namespacesOf(directory)
    await endThoseIn(namespaces)
    for (const namespace of namespaces) spawnSync('ip', ['netns', 'del', namespace])
    for (const group of groupsOf(directory)) removeGroup(group)
    forgetMaker(directory)
    swept.push(`${namespaces.length} namespaces of ${name}, which was killed`)
  }
  // Behind those that used them.
  return [...swept, ...sweepDisks().map((name) => `the disk ${name}, whose maker was killed`)]
}

function runOf(directory: string): string {
  return basename(directory).slice(runPrefix.length)
}

function namespacesOf(directory: string): readonly string[] {
  const pattern = new RegExp(`^${networkPrefix(directory)}(sw|[nc]\\d+)$`)
  return existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => pattern.test(name)) : []
}

function groupsOf(directory: string): readonly string[] {
  const start = basename(throttleGroup(directory, ''))
  if (!existsSync(throttles)) return []
  return readdirSync(throttles)
    .filter((name) => name.startsWith(start))
    .map((name) => join(throttles, name))
}

function removeGroup(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // Somebody is still in it; it throttles nobody else.
  }
}

/** Ends every process in the namespaces; resolves once none is left, or after ten seconds. */
async function endThoseIn(namespaces: readonly string[]): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const pids = namespaces.flatMap((namespace) =>
      spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' })
        .stdout.split('\n')
        .filter((line) => line !== '')
        .map(Number),
    )
    if (pids.length === 0) return
    for (const pid of pids) end(pid)
    await delay(100)
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It was faster.
  }
}
