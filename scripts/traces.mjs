// Loads the recorder of traces (test/raft/traces) from the sources, bundled: Node 20 does not run TypeScript.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { removeLeftBundles } from './leftBundles.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The exports of test/raft/traces/worlds.ts. */
export async function loadTraces() {
  const { build } = await import('rolldown')
  const directory = join(root, '.stamps/traces')
  mkdirSync(directory, { recursive: true })
  removeLeftBundles(directory)
  const file = join(directory, `traces-${process.pid}.mjs`)
  await build({
    input: join(root, 'test/raft/traces/worlds.ts'),
    platform: 'node',
    external: [/^node:/],
    logLevel: 'warn',
    output: { file, format: 'esm' },
  })
  return await import(pathToFileURL(file).href)
}
