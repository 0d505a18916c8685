// What the kernel says about processes and the machine. Linux only, as the comparison is.
import { readFileSync } from 'node:fs'

const ticksPerSecond = 100 // USER_HZ; the same on every Linux that Node runs on.

/** The fields of /proc/PID/stat after the command's name; index 0 is the state. */
function statFields(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** CPU seconds (user and system, all threads) that a process has used so far. */
export function cpuSeconds(pid) {
  const fields = statFields(pid)
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** CPU seconds of this process's children that have ended. */
export function childrenCpuSeconds() {
  const fields = statFields('self')
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond
}

/** Milliseconds since a process was started, in steps of 10. */
export function ageMs(pid) {
  const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
  return (uptime - Number(statFields(pid)[19]) / ticksPerSecond) * 1000
}

/** Memory of a process in MiB: what is its own (anonymous and shared memory), and the resident set with mapped files. */
export function memoryMib(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) / 1024
  return { ownMib: field('RssAnon') + field('RssShmem'), residentMib: field('VmRSS') }
}

/** Busy and total CPU seconds of the whole machine so far. */
export function machineCpuSeconds() {
  const [, ...values] = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/)
  const ticks = values.slice(0, 8).map(Number)
  const total = ticks.reduce((sum, value) => sum + value, 0)
  return { busy: (total - ticks[3] - ticks[4]) / ticksPerSecond, total: total / ticksPerSecond }
}
