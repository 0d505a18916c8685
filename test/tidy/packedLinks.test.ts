import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Paths of all files that are published, without what the build adds. */
function packedFiles(): string[] {
  const parameters = ['pack', '--dry-run', '--ignore-scripts', '--json']
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const printed = execFileSync(npm, parameters, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [packed] = JSON.parse(printed) as [{ files: { path: string }[] }]
  return packed.files.map(({ path }) => path)
}

test('every link of a document that is published leads to something that is published, too', () => {
  const files = packedFiles()
  const documents = files.filter((path) => path.endsWith('.md') && !path.startsWith('dist/'))
  expect(documents).toContain('README.md')
  const broken = documents.flatMap((path) => {
    const links = [...readFileSync(root + path, 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(
      ([, link]) => link!,
    )
    const paths = links
      .filter((link) => !/^[a-z]+:/.test(link))
      .map((link) => posix.join(posix.dirname(path), link))
    return paths
      .filter((target) => !files.some((file) => file === target || file.startsWith(`${target}/`)))
      .map((target) => `${path}: ${target}`)
  })
  expect(broken).toEqual([])
})
