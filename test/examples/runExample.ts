import { type ChildProcess, spawn } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { onTestFinished } from 'vitest'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** An example that runs in a process of its own. */
export interface RunningExample {
  readonly child: ChildProcess
  /** Resolves once standard output holds `text`, with all of it; rejects when the program ends without it. */
  printed(text: string): Promise<string>
  /** Resolves with the exit code and all that was printed. */
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>
}

/** Bundles an example together with the sources, as a program; returns its path. */
export async function bundled(example: string): Promise<string> {
  const directory = temporaryDirectory()
  const bundle = await rolldown({
    input: join(root, 'examples', example),
    platform: 'node',
    logLevel: 'silent',
    external: ['piscina'],
    resolve: { alias: { cordwood: join(root, 'src/index.ts') } },
  })
  await bundle.write({ dir: join(directory, 'dist'), format: 'esm', entryFileNames: 'program.mjs' })
  await bundle.close()
  for (const name of ['native', 'node_modules']) symlinkSync(join(root, name), join(directory, name))
  return join(directory, 'dist', 'program.mjs')
}

/** Runs a bundled example until the test ends, at the latest. */
export function run(program: string, parameters: readonly string[]): RunningExample {
  const child = spawn(process.execPath, [program, ...parameters], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  let wake: (() => void)[] = []
  let hasEnded = false
  const changed = (): void => {
    for (const each of wake.splice(0)) each()
  }
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text
    changed()
  })
  const ended = new Promise<{ code: number | null; output: string }>((resolve) => {
    child.on('close', (code) => {
      hasEnded = true
      resolve({ code, output })
      changed()
    })
  })
  return {
    child,
    ended,
    async printed(text) {
      while (!output.includes(text)) {
        if (hasEnded) throw new Error(`the program ended without printing "${text}": ${output}`)
        await new Promise<void>((resolve) => wake.push(resolve))
      }
      wake = []
      return output
    },
  }
}
