import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'rolldown/utils'

/** Compiles TypeScript as Node loads it. */
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context)
  const path = fileURLToPath(url)
  const { code, errors } = transformSync(path, await readFile(path, 'utf8'))
  if (errors.length > 0) throw new Error(`${path} cannot be compiled: ${errors[0].message}`)
  return { format: 'module', source: code, shortCircuit: true }
}
