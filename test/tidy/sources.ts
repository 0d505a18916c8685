import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** One file of the repository; `path` is relative to its root, with slashes. */
export interface SourceFile {
  readonly path: string
  readonly text: string
}

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Every TypeScript file below `folder`, sorted by path. */
export function typescriptFiles(folder: string): readonly SourceFile[] {
  return readdirSync(`${root}${folder}`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(root.length).replaceAll('\\', '/'))
    .sort()
    .map(readSource)
}

/** Every text file that git tracks. */
export function trackedFiles(): readonly SourceFile[] {
  const listed = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })
  return listed
    .split('\0')
    .filter((path) => path !== '' && existsSync(`${root}${path}`))
    .map(readSource)
    .filter(({ text }) => !text.includes('\0'))
}

/** What `package.json` names as entry points, as the sources that they are built from. */
export function entryPoints(): readonly string[] {
  const { bin, exports, main } = JSON.parse(readSource('package.json').text)
  const found = JSON.stringify([bin, exports, main]).matchAll(/"(?:\.\/)?dist\/([^"]+?)(?:\.d\.ts|\.js)"/g)
  return [...new Set([...found].map((match) => `src/${match[1]}.ts`))]
}

function readSource(path: string): SourceFile {
  return { path, text: readFileSync(`${root}${path}`, 'utf8') }
}
