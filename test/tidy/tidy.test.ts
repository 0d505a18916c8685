import { describe, expect, test } from 'vitest'
import { unusedFiles, wrongImports } from './arrows.ts'
import {
  bannedConstructs,
  idleExceptions,
  longFiles,
  machineTraces,
  testsLeftOut,
  undocumentedExports,
  waitingInRaft,
  worldOutsideSeam,
} from './rules.ts'
import { entryPoints, type SourceFile, trackedFiles, typescriptFiles } from './sources.ts'

const sources = typescriptFiles('src')
const tests = typescriptFiles('test')

/** What is not shipped and runs from a working copy: the scripts behind `npm run crash` and `npm run planted`. */
const developers = ['src/testing/crash/main.ts', 'src/testing/plantedMain.ts']

/** Files are to stay under 350 lines; nobody has to split one for the last few. */
const mostLines = 400
/** Files that are longer with a reason: tables, one row or paragraph after the other. */
const longWithReason: Readonly<Record<string, number>> = {}

const file = (path: string, text: string): SourceFile => ({ path, text })

describe('the sources', () => {
  test('import along the arrows only, and packages only where they are meant to be', () => {
    expect(wrongImports(sources)).toEqual([])
  })

  test('touch clock, randomness, files and processes in the seam only', () => {
    expect(worldOutsideSeam(sources)).toEqual([])
  })

  test('never wait inside the Raft core', () => {
    expect(waitingInRaft(sources)).toEqual([])
  })

  test('have no default exports, enums, namespaces, parameter properties or barrels', () => {
    expect(bannedConstructs(sources)).toEqual([])
  })

  test('are all reachable from an entry point', () => {
    const roots = ['src/index.ts', 'src/cli/main.ts', 'src/worker.ts', ...developers, ...entryPoints()]
    expect(unusedFiles(sources, roots)).toEqual([])
  })

  test('document every export', () => {
    expect(undocumentedExports(sources)).toEqual([])
  })

  test('keep to one idea a file', () => {
    expect(longFiles(sources, mostLines, longWithReason)).toEqual([])
    expect(idleExceptions(sources, mostLines, longWithReason)).toEqual([])
  })
})

describe('the repository', () => {
  test('names no path of a machine and no package registry', () => {
    expect(machineTraces(trackedFiles())).toEqual([])
  })

  test('leaves no test out', () => {
    expect(tests.length).toBeGreaterThan(0)
    expect(testsLeftOut(tests)).toEqual([])
  })
})

describe('the rule for imports', () => {
  test.each([
    ['src/model/a.ts', "import { b } from '../runtime/b.ts'", 'model may not import runtime'],
    ['src/protocol/a.ts', "import type { B } from '../segment/b.ts'", 'protocol may not import segment'],
    [
      'src/coordinator/a.ts',
      "export { b } from '../controller/b.ts'",
      'coordinator may not import controller',
    ],
    ['src/segment/a.ts', "const b = await import('../broker/b.ts')", 'segment may not import broker'],
    ['src/broker/a.ts', "import '../runtime/node/b.ts'", 'broker may not import runtime/node'],
    ['src/broker/a.ts', "import {\n  b,\n} from '../zerocopy/b.ts'", 'broker may not import zerocopy'],
    ['src/raft/a.ts', "import { b } from '../protocol/b.ts'", 'raft may not import protocol'],
    ['src/runtime/a.ts', "new URL('./node/b.ts', import.meta.url)", 'runtime may not import runtime/node'],
    ['src/broker/a.ts', "import x from 'commander'", 'broker may not import the package commander'],
    ['src/cli/a.ts', "import { b } from '../../native/index.js'", 'cli may not import the addon'],
    ['src/broker/a.ts', "import { b } from './b'", 'an import of a source ends with .ts'],
    ['src/utils/a.ts', '', 'no rule says what the folder "utils" may import'],
  ])('refuses in %s: %s', (path, text, what) => {
    expect(wrongImports([file(path, text)])).toEqual([expect.stringContaining(what)])
  })

  test('allows what points down, and anything at the top', () => {
    const allowed = [
      file('src/broker/a.ts', "import { b } from '../coordinator/b.ts'\nimport { c } from './handlers/c.ts'"),
      file('src/cli/a.ts', "import { b } from '../zerocopy/b.ts'\nimport { c } from 'commander'"),
      file('src/segment/a.ts', "// import { b } from '../broker/b.ts'\nconst c = `from '../broker/b.ts'`"),
    ]
    expect(wrongImports(allowed)).toEqual([])
  })
})

describe('the rule for the seam', () => {
  test.each([
    "import { readFile } from 'node:fs'",
    'const { pid } = process',
    'const now = new Date()',
    'const now = Date.now()',
    'const now = performance.now()',
    'setTimeout(run, 5)',
    'const timer = setInterval(run, 5)',
    'setImmediate(run)',
    'const dice = Math.random()',
    'const id = crypto.randomUUID()',
    "const page = await fetch('http://a')",
    'globalThis.setTimeout(run, 5)',
    "console.error('no')",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the code that is looked at has the template.
    'const text = `${Date.now()}`',
  ])('refuses outside of it: %s', (text) => {
    expect(worldOutsideSeam([file('src/segment/a.ts', text)])).not.toEqual([])
    expect(worldOutsideSeam([file('src/runtime/node/a.ts', text)])).toEqual([])
  })

  test.each([
    '/** Like `Date.now()`, but from the Runtime; never setTimeout. */',
    "const text = 'process.exit in Date'",
    'const pattern = /setTimeout|Date/',
    'const wait = clock.setTimeout(5)',
    'import { fetch } from "./fetch.ts"\nconst answer = await fetch(request)',
    'class Handler {\n  async fetch(request: Request): Promise<void> {}\n}',
    'interface Config { process: string; readonly performance?: number }',
    'const bytes = Buffer.alloc(4)',
  ])('allows outside of it: %s', (text) => {
    expect(worldOutsideSeam([file('src/segment/a.ts', text)])).toEqual([])
  })
})

describe('the rules for constructs', () => {
  test('finds waiting in the Raft core only', () => {
    const text = 'async function step(): Promise<void> { await nothing }'
    expect(waitingInRaft([file('src/raft/a.ts', text)])).toHaveLength(3)
    expect(waitingInRaft([file('src/replica/a.ts', text)])).toEqual([])
    const others = 'const now = Date.now()\nqueueMicrotask(step)\nconst bytes = Buffer.alloc(4)'
    expect(waitingInRaft([file('src/raft/a.ts', others)])).toHaveLength(3)
  })

  test('lets the Raft core import words shared by all, and nothing else', () => {
    const allowed = [
      "import { assert } from '../model/assert.ts'",
      "import type { Effect } from './effects.ts'",
    ]
    expect(wrongImports([file('src/raft/a.ts', allowed.join('\n'))])).toEqual([])
    for (const target of [
      '../runtime/random.ts',
      '../segment/log.ts',
      '../replica/driver.ts',
      'fast-check',
    ]) {
      expect(wrongImports([file('src/raft/a.ts', `import { b } from '${target}'`)]), target).toHaveLength(1)
    }
    expect(worldOutsideSeam([file('src/raft/a.ts', "import { join } from 'node:path'")])).toHaveLength(1)
  })

  test.each([
    'export default function a() {}',
    'export { a as default }',
    'enum A { B }',
    'export const enum A { B }',
    'namespace A {}',
    'class A {\n  constructor(\n    private readonly b: number,\n  ) {}\n}',
    "export * from './b.ts'",
  ])('refuses: %s', (text) => {
    expect(bannedConstructs([file('src/model/a.ts', text)])).not.toEqual([])
  })

  test('allows words that only look like them', () => {
    const text =
      "// enum A\nconst a = 'export default'\nconst enumerate = { default: 1 }\nswitch (a) { default: }"
    expect(bannedConstructs([file('src/model/a.ts', text)])).toEqual([])
  })
})

test('the rule for unused files follows imports and worker files, and finds what they miss', () => {
  const files = [
    file('src/index.ts', "export { b } from './model/b.ts'"),
    file('src/model/b.ts', "new Worker(new URL('./worker.ts', import.meta.url))"),
    file('src/model/worker.ts', ''),
    file('src/model/forgotten.ts', "import { b } from './b.ts'"),
  ]
  expect(unusedFiles(files, ['src/index.ts'])).toEqual([expect.stringContaining('src/model/forgotten.ts')])
})

describe('the rule for docstrings', () => {
  test.each([
    'export function a(): void {}',
    'const b = 1\n\nexport const a = 2',
    '// A comment of the other kind.\nexport class A {}',
    '/* Not a docstring. */\nexport interface A {}',
    '/** Too far away. */\n\nexport type A = number',
    '/** The first. */\nexport const a = 1\nexport const b = 2',
  ])('refuses: %s', (text) => {
    expect(undocumentedExports([file('src/model/a.ts', text)])).toHaveLength(1)
  })

  test('allows a docstring right above, one for all overloads, and re-exports', () => {
    const text = [
      '/** One. */\nexport function a(b: number): void',
      'export function a(b: string): void',
      '/**\n * Two.\n */\n// biome-ignore lint: a reason.\nexport async function* c() {}',
      "export { d } from './d.ts'",
    ].join('\n')
    expect(undocumentedExports([file('src/model/a.ts', text)])).toEqual([])
  })
})

test('the rule for length counts lines, knows exceptions, and finds those that nobody needs', () => {
  const long = file('src/model/a.ts', 'x\n'.repeat(401))
  const short = file('src/model/b.ts', 'x\n'.repeat(400))
  expect(longFiles([long, short], 400, {})).toEqual(['src/model/a.ts: 401 lines, 400 are allowed'])
  expect(longFiles([long], 400, { 'src/model/a.ts': 401 })).toEqual([])
  expect(idleExceptions([long, short], 400, { 'src/model/a.ts': 401, 'src/model/b.ts': 500 })).toEqual([
    'src/model/b.ts',
  ])
})

describe('the rule for traces of a machine', () => {
  // Put together here, so that this file has none itself.
  const slash = '/'
  test.each([
    `see ${slash}work/checkout/src`,
    `cache = "${slash}root/.npm"`,
    `${slash}home/somebody/cordwood`,
    `"resolved": "https:${slash}${slash}registry.example/a.tgz"`,
    `index = "http:${slash}${slash}mirror.example:8080/simple"`,
  ])('refuses: %s', (text) => {
    expect(machineTraces([file('a.json', `{}\n${text}`)])).toEqual([expect.stringContaining('a.json:2')])
  })

  test('allows addresses of projects and relative paths', () => {
    const text =
      'https://github.com/rust-lang/crates.io-index and https://kafka.apache.org, ./network/root/file'
    expect(machineTraces([file('Cargo.lock', text)])).toEqual([])
  })
})

describe('the rule for tests', () => {
  test.each([
    "test.skip('a', () => {})",
    "describe.only('a', () => {})",
    "it.todo('a')",
    "test.concurrent.only('a', () => {})",
    "xtest('a', () => {})",
  ])('refuses: %s', (text) => {
    expect(testsLeftOut([file('test/a.test.ts', text)])).toHaveLength(1)
  })

  test('allows the words elsewhere', () => {
    const text = "test('never skip', () => { reader.skip(4) }) // test.only"
    expect(testsLeftOut([file('test/a.test.ts', text)])).toEqual([])
  })
})
