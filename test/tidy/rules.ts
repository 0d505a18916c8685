import { folderOf } from './arrows.ts'
import { importsOf } from './imports.ts'
import type { SourceFile } from './sources.ts'
import { blank, lineAt } from './sourceText.ts'

/** The folders that touch the world; everything else is handed a `Runtime`. */
const seam = ['runtime/node', 'zerocopy', 'cli', 'index', 'worker']

/** A global name that is no property, member or key. */
const globalName = (names: string): RegExp =>
  new RegExp(`(?<![.\\w$#])(?:${names})\\b(?!\\s*(?:\\(|\\??:))`, 'g')

const worldly: readonly RegExp[] = [
  globalName('process|performance|crypto|globalThis|console'),
  /(?<![.\w$#])(?:Date|setTimeout|setInterval|setImmediate|clearTimeout|clearInterval|clearImmediate)\b/g,
  /\bMath\s*\.\s*random\b/g,
  /\brandomUUID\b/g,
  // A call of the global function, which handlers and methods of that name are not.
  /(?<=(?:\bawait|\breturn|\bvoid|=>|[=(,?:&|])\s*)fetch\s*\(/g,
]

/** Uses of the world, by module or by global name, outside the seam. */
export function worldOutsideSeam(files: readonly SourceFile[]): readonly string[] {
  return files
    .filter(({ path }) => !seam.includes(folderOf(path)))
    .flatMap((file) => {
      const imports = importsOf(file)
        .filter(({ specifier }) => specifier.startsWith('node:'))
        .map(({ line, specifier }) => `${file.path}:${line}: ${specifier} outside the seam`)
      const declared = new Set(
        [
          ...blank(file.text).matchAll(/\b(?:function|const|let|class)\s+(\w+)|import\b[^'"]*?\bfrom\b/g),
        ].flatMap((match) => (match[1] === undefined ? match[0].match(/\w+/g)! : [match[1]])),
      )
      const words = worldly
        .flatMap((pattern) => occurrences(file, pattern))
        .filter(({ word }) => !declared.has(word.replace(/\s*\($/, '')))
        .map(({ line, word }) => `${file.path}:${line}: "${word}" outside the seam`)
      return [...imports, ...words]
    })
}

/** Waiting, time and platform inside the Raft core, which is a pure function of its events. */
export function waitingInRaft(files: readonly SourceFile[]): readonly string[] {
  return files
    .filter(({ path }) => folderOf(path) === 'raft')
    .flatMap((file) =>
      report(file, /\b(?:async|await|Promise|queueMicrotask|Date|Intl|Buffer|Worker)\b/g, 'in the pure core'),
    )
}

/** Constructs that the house style does without. */
export function bannedConstructs(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) => [
    ...report(file, /\bexport\s+default\b|\bas\s+default\b/g, 'is a default export'),
    ...report(file, /^\s*(?:export\s+|declare\s+)*(?:const\s+)?enum\s+\w+/gm, 'is an enum'),
    ...report(file, /^\s*(?:export\s+|declare\s+)*namespace\s+\w+/gm, 'is a namespace'),
    ...report(
      file,
      /\bconstructor\s*\([^)]*?(?<=[(,]\s*)(?:(?:public|private|protected|readonly)\s+)+\w+\s*\??:/g,
      'has a parameter property',
    ),
    ...(file.path === 'src/index.ts' ? [] : report(file, /^\s*export\s+\*/gm, 'makes a barrel')),
  ])
}

/** Exports without a docstring right before them; an overload has that of its first signature. */
export function undocumentedExports(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) => {
    const lines = file.text.split('\n')
    const seen = new Set<string>()
    return occurrences(
      file,
      /^export\s+(?:declare\s+|async\s+|abstract\s+)*(?:function\*?|const|let|class|interface|type)\s+\w+/gm,
    ).flatMap(({ line, word }) => {
      const name = word.split(/\s+/).at(-1)!
      let above = line - 2
      while (lines[above]?.trim().startsWith('//')) above--
      const isFirst = !seen.has(name)
      seen.add(name)
      return !isFirst || endsDocstring(lines, above) ? [] : [`${file.path}:${line}: ${name} has no docstring`]
    })
  })
}

/** Files of more lines than `most`; `exceptions` says how many lines each exception may have. */
export function longFiles(
  files: readonly SourceFile[],
  most: number,
  exceptions: Readonly<Record<string, number>>,
): readonly string[] {
  return files.flatMap(({ path, text }) => {
    const count = text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
    const allowed = exceptions[path] ?? most
    return count > allowed ? [`${path}: ${count} lines, ${allowed} are allowed`] : []
  })
}

/** Exceptions that no file needs any more: the list only gets shorter. */
export function idleExceptions(
  files: readonly SourceFile[],
  most: number,
  exceptions: Readonly<Record<string, number>>,
): readonly string[] {
  const long = new Set(longFiles(files, most, {}).map((text) => text.split(':')[0]))
  return Object.keys(exceptions).filter((path) => !long.has(path))
}

const machinePath = /(?<![\w.\-/])\/(?:work|root|Users|home\/\w+)\/[\w.]/g
const registryHost =
  /(?:https?:)?\/\/(?!github\.com)[\w.-]*(?:registry|artifactory|nexus|verdaccio|mirror|proxy|npmjs|crates\.io|pypi)[\w.-]*/gi

/** Paths of one machine and hosts of package registries: a clone elsewhere has neither. */
export function machineTraces(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(({ path, text }) =>
    [machinePath, registryHost].flatMap((pattern) =>
      [...text.matchAll(pattern)].map((match) => `${path}:${lineAt(text, match.index)}: "${match[0]}"`),
    ),
  )
}

/** Tests that are left out, left for later, or that leave out the others. */
export function testsLeftOut(files: readonly SourceFile[]): readonly string[] {
  const chained = /\b(?:test|it|describe|suite|bench)(?:\s*\.\s*\w+)*?\s*\.\s*(?:skip|only|todo)\b/g
  return files.flatMap((file) => [
    ...report(file, chained, 'leaves tests out'),
    ...report(file, /(?<![.\w$])(?:xit|xtest|xdescribe|fit|fdescribe|ftest)\s*\(/g, 'leaves tests out'),
  ])
}

function endsDocstring(lines: readonly string[], above: number): boolean {
  if (!lines[above]?.trim().endsWith('*/')) return false
  let first = above
  while (first > 0 && !lines[first]!.trim().startsWith('/*')) first--
  return lines[first]!.trim().startsWith('/**')
}

interface Occurrence {
  readonly line: number
  readonly word: string
}

function occurrences(file: SourceFile, pattern: RegExp): readonly Occurrence[] {
  const code = blank(file.text)
  return [...code.matchAll(pattern)].map((match) => {
    const word = match[0].trim()
    return { line: lineAt(code, match.index + match[0].indexOf(word)), word: word.replace(/\s+/g, ' ') }
  })
}

function report(file: SourceFile, pattern: RegExp, what: string): readonly string[] {
  return occurrences(file, pattern).map(({ line, word }) => `${file.path}:${line}: "${word}" ${what}`)
}
