import { importsOf } from './imports.ts'
import type { SourceFile } from './sources.ts'

const belowBroker = [
  'coordinator',
  'controller',
  'replica',
  'raft',
  'segment',
  'protocol',
  'runtime',
  'model',
]
const belowReplica = ['segment', 'protocol', 'runtime', 'model']

/**
 * What each folder of `src` may import besides itself; `null` for the composition roots, which may import
 * anything. A folder that is not named here may not exist.
 */
export const arrows: Readonly<Record<string, readonly string[] | null>> = {
  model: [],
  runtime: ['model'],
  'runtime/node': ['runtime', 'model'],
  zerocopy: ['runtime', 'runtime/node', 'model'],
  protocol: ['runtime', 'model'],
  segment: ['protocol', 'runtime', 'model'],
  raft: ['model'],
  replica: ['raft', ...belowReplica],
  controller: ['replica', 'raft', ...belowReplica],
  coordinator: ['replica', ...belowReplica],
  broker: belowBroker,
  engine: ['replica', 'raft', ...belowReplica],
  // The simulator takes what is pure of the portable implementation: checksums, names of errors.
  testing: ['runtime/node', 'engine', 'broker', ...belowBroker],
  cli: null,
  index: null,
  worker: null,
}

/** The packages that a folder may import. */
const packages: Readonly<Record<string, readonly string[]>> = {
  cli: ['commander', 'prom-client'],
  'runtime/node': ['piscina'],
  testing: ['fast-check'],
}

/** The folder that a path below `src` belongs to: a key of `arrows` where there is one. */
export function folderOf(path: string): string {
  if (path.startsWith('src/runtime/node/')) return 'runtime/node'
  const [, first = ''] = path.split('/')
  return first.replace(/\.ts$/, '')
}

/** Imports that point up or sideways, and imports of packages that the folder may not use. */
export function wrongImports(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) => {
    const folder = folderOf(file.path)
    const allowed = arrows[folder]
    if (allowed === undefined) return [`${file.path}: no rule says what the folder "${folder}" may import`]
    return importsOf(file).flatMap(({ line, specifier, target }) => {
      const where = `${file.path}:${line}`
      if (target === null) {
        if (specifier.startsWith('node:') || packages[folder]?.includes(specifier)) return []
        return [`${where}: ${folder} may not import the package ${specifier}`]
      }
      if (target.startsWith('native/') && folder !== 'zerocopy') {
        return [`${where}: ${folder} may not import the addon`]
      }
      if (!target.startsWith('src/') || allowed === null) return []
      if (!/\.[jt]s$/.test(specifier)) return [`${where}: an import of a source ends with .ts`]
      const other = folderOf(target)
      return other === folder || allowed.includes(other)
        ? []
        : [`${where}: ${folder} may not import ${other}`]
    })
  })
}

/** Sources that nothing reaches from `roots`. */
export function unusedFiles(files: readonly SourceFile[], roots: readonly string[]): readonly string[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const reached = new Set<string>()
  const waiting = [...roots]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const file = byPath.get(path)
    if (file === undefined || reached.has(path)) continue
    reached.add(path)
    for (const { target } of importsOf(file)) if (target !== null) waiting.push(target)
  }
  return files
    .filter(({ path }) => !reached.has(path))
    .map(({ path }) => `${path}: nothing that is shipped imports it`)
}
