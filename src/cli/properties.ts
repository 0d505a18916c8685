import { UsageError } from './failure.ts'

/** One line of a properties file. */
export interface Property {
  readonly name: string
  readonly value: string
  /** The line that it begins on, from 1. */
  readonly line: number
}

/**
 * The settings in the text of a Kafka properties file, in order. Comments begin with `#` or `!`; `=`, `:` or blanks
 * separate name and value; a backslash at the end of a line continues it.
 * Throws `UsageError` naming the line. Source: java.util.Properties.
 */
export function parseProperties(text: string, file: string): readonly Property[] {
  const properties: Property[] = []
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/)
  for (let index = 0; index < lines.length; index++) {
    const lineNumber = index + 1
    let line = lines[index]!.trimStart()
    if (line === '' || line.startsWith('#') || line.startsWith('!')) continue
    while (/(?:^|[^\\])(?:\\\\)*\\$/.test(line) && index + 1 < lines.length) {
      index += 1
      line = line.slice(0, -1) + lines[index]!.trimStart()
    }
    const match = /^((?:\\.|[^\s=:\\])+)\s*[=:\s]\s*(.*)$/s.exec(line)
    if (match === null) throw new UsageError(`${file}:${lineNumber}: expected name=value, found "${line}"`)
    const value = withoutEscapes(match[2]!).trimEnd()
    properties.push({ name: withoutEscapes(match[1]!), value, line: lineNumber })
  }
  return properties
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f' }

function withoutEscapes(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/gs, (_, hex: string | undefined, letter: string) =>
    hex === undefined ? (escapes[letter] ?? letter) : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
