import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { onTestFinished } from 'vitest'
import { temporaryDirectory } from './temporaryDirectory.ts'

/**
 * Bundles a TypeScript file and runs it in a process of its own, which ends with the test at the latest. The
 * program talks through `process.send`.
 */
export async function startProgram(entry: URL, parameters: readonly string[]): Promise<ChildProcess> {
  const directory = temporaryDirectory()
  const bundle = await rolldown({ input: entry.pathname, platform: 'node', logLevel: 'silent' })
  await bundle.write({ dir: directory, format: 'esm', entryFileNames: 'program.mjs' })
  await bundle.close()
  const child = fork(join(directory, 'program.mjs'), parameters, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  return child
}

/** The next message of a program. Rejects when the program ends without one. */
export function nextMessage(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', (code, signal) => reject(new Error(`the program ended with ${code ?? signal}`)))
  })
}

/** Ends a program by a signal that it cannot catch, and resolves when it is gone. */
export function killed(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })
}
