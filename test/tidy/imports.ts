import type { SourceFile } from './sources.ts'
import { blank, lineAt } from './sourceText.ts'

/** One import, re-export or worker file that a source names. */
export interface Import {
  readonly from: string
  readonly line: number
  readonly specifier: string
  /** The path of the source that a relative specifier means, else null. */
  readonly target: string | null
}

const patterns = [
  /^\s*(?:import|export)\b[^'"()]*?\bfrom\s*(['"])(?<specifier>[^'"]+)\1/gm,
  /^\s*import\s*(['"])(?<specifier>[^'"]+)\1/gm,
  /\bimport\s*\(\s*(['"])(?<specifier>[^'"]+)\1/g,
  /\bnew URL\(\s*(['"])(?<specifier>\.[^'"]+\.[jt]s)\1\s*,\s*import\.meta\.url/g,
]

/** Everything that `file` names, however it does. */
export function importsOf(file: SourceFile): readonly Import[] {
  const text = blank(file.text, { strings: true })
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match): Import => {
      const specifier = match.groups!.specifier!
      // The match may begin with blanks on lines before.
      const position = match.index + match[0].length
      return {
        from: file.path,
        line: lineAt(text, position),
        specifier,
        target: resolve(file.path, specifier),
      }
    }),
  )
}

function resolve(from: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null
  const parts = from.split('/').slice(0, -1)
  for (const part of specifier.replace(/\.js$/, '.ts').split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}
