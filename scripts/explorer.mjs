// Loads the crash explorer from the sources, bundled: Node 20 does not run TypeScript, and what is shipped has no
// part of it.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { removeLeftBundles } from './leftBundles.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The explorer, and the file it was loaded from: for other processes of the same run. */
export async function loadExplorer(bundle) {
  const path = bundle ?? (await makeBundle())
  const { crashExplorer } = await import(pathToFileURL(path).href)
  return { path, explorer: crashExplorer }
}

async function makeBundle() {
  const { build } = await import('rolldown')
  const directory = join(root, '.stamps/explorer')
  mkdirSync(directory, { recursive: true })
  removeLeftBundles(directory)
  const file = join(directory, `explorer-${process.pid}.mjs`)
  await build({
    input: join(root, 'src/testing/crash/main.ts'),
    platform: 'node',
    external: [/^[^./]/],
    logLevel: 'warn',
    output: { file, format: 'esm', sourcemap: 'inline' },
  })
  return file
}
