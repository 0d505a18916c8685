// What every comparison needs around a load: figures of the server's process, calm before it, and where it was measured.
import { spawnSync } from 'node:child_process'
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { arch, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { childrenCpuSeconds, cpuSeconds, machineCpuSeconds } from './processes.mjs'

const gib = 2 ** 30

/** Waits until a server has done what making or removing partitions left it to do: under a tenth of a core for a second. */
export async function settled(pid, partitions) {
  if (partitions === 1) return await sleep(200)
  for (let second = 0; second < 30; second++) {
    const before = cpuSeconds(pid)
    await sleep(1000)
    if (cpuSeconds(pid) - before < 0.1) return
  }
}

/** Runs a load and adds the server's CPU seconds per GiB and the share of the machine that neither client nor server used. */
export async function measured(pid, load) {
  const [machineBefore, serverBefore, clientBefore] = [
    machineCpuSeconds(),
    cpuSeconds(pid),
    childrenCpuSeconds(),
  ]
  const figures = await load()
  const machineAfter = machineCpuSeconds()
  const server = cpuSeconds(pid) - serverBefore
  const client = childrenCpuSeconds() - clientBefore
  const other = machineAfter.busy - machineBefore.busy - server - client
  const otherCpuPercent = Math.max(0, (100 * other) / (machineAfter.total - machineBefore.total))
  return { ...figures, cpuSeconds: server, cpuSecondsPerGib: (server * gib) / figures.bytes, otherCpuPercent }
}

/** Memory that is touched for the first time costs ten times as much: writes a file as large as the test and removes it. */
export function warmMemory(directory, bytes) {
  console.error(`warming ${bytes / gib} GiB of memory`)
  const path = join(directory, `bench-warm-${process.pid}`)
  const chunk = Buffer.alloc(16 * 2 ** 20, 1)
  const file = openSync(path, 'w')
  try {
    for (let written = 0; written < bytes; written += chunk.length) writeSync(file, chunk)
    fsyncSync(file)
  } finally {
    closeSync(file)
    rmSync(path)
  }
}

/** Where this was measured. */
export function machine(directory) {
  const fileSystems = {
    61267: 'ext4',
    1481003842: 'xfs',
    2435016766: 'btrfs',
    16914836: 'tmpfs',
    2035054128: 'overlay',
  }
  const versionOf = (command, ...args) => {
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
    return `${stdout}${stderr}`.split('\n')[0].trim()
  }
  return {
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / gib),
    kernel: `Linux ${release()} ${arch()}`,
    fileSystem: fileSystems[statfsSync(directory).type] ?? 'another file system',
    node: process.version,
    java: versionOf('java', '-version'),
    kafka: process.env.KAFKA_VERSION ?? '4.3.1',
    date: new Date().toISOString().slice(0, 10),
  }
}
