import type { ChildProcess } from 'node:child_process'

/** Ends a process, unless it has ended, by a signal that it cannot catch, and resolves when it is gone. */
export async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}
