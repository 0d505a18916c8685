import { type ChildProcess, spawn } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { onTestFinished } from 'vitest'
import { temporaryDirectory } from './temporaryDirectory.ts'

/**
 * Bundles a TypeScript file and runs it in a process of its own, which ends with the test at the latest and may
 * have at most `maxDescriptors`. The program talks through `process.send`.
 */
export async function startProgram(
  entry: URL,
  parameters: readonly string[],
  maxDescriptors = 1024,
): Promise<ChildProcess> {
  const directory = temporaryDirectory()
  const bundle = await rolldown({ input: entry.pathname, platform: 'node', logLevel: 'silent' })
  await bundle.write({ dir: join(directory, 'dist'), format: 'esm', entryFileNames: 'program.mjs' })
  await bundle.close()
  // The addon is looked for beside the folder of the bundle, as in the package.
  symlinkSync(fileURLToPath(new URL('../../native', import.meta.url)), join(directory, 'native'))
  const command = `ulimit -n ${maxDescriptors}; exec "$0" "$@"`
  const program = join(directory, 'dist', 'program.mjs')
  const child = spawn('sh', ['-c', command, process.execPath, program, ...parameters], {
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
