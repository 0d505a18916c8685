// node scripts/run.mjs dist/FILE.js ARGUMENTS: sets the working copy up, then runs the file in this process.
import { dirname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

await import('./setup.mjs')
const [file, ...parameters] = process.argv.slice(2)
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const program = resolve(root, file)
process.argv.splice(1, process.argv.length - 1, program, ...parameters)
await import(pathToFileURL(program).href)
