// npm run check:package: packs the package as it would be published, then looks at it from outside: publint and attw read
// the tarball; an empty project installs it, runs a program and the examples, and compiles the examples against the
// types under both ways of resolving modules. Exits with 1, and says what is wrong.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const directory = mkdtempSync(join(tmpdir(), 'cordwood-package-'))
const project = join(directory, 'project')
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'

/** Runs a program and returns what it prints; when it fails, throws with what it said. */
function run(program, parameters, cwd) {
  try {
    const stdio = ['ignore', 'pipe', 'pipe']
    return execFileSync(program, parameters, { cwd, encoding: 'utf8', stdio, timeout: 600_000 })
  } catch (error) {
    throw new Error(
      `${program} ${parameters.join(' ')}\n${error.stdout ?? ''}${error.stderr ?? error.message}`,
    )
  }
}

const tool = (name, file, ...parameters) =>
  run(process.execPath, [join(root, 'node_modules', name, file), ...parameters], root)

const program = `
import { openEngine } from 'cordwood'
const engine = await openEngine({ directory: './data' })
const orders = await engine.log('orders')
const { survives } = await orders.append([{ key: 'k', value: 'v' }])
for await (const record of orders.read()) console.log(survives, record.offset, record.keyText(), record.text())
await engine.close()
`

const compilerOptions = {
  target: 'es2023',
  lib: ['es2023'],
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  allowJs: true,
  checkJs: true,
  noEmit: true,
}

const resolutions = {
  nodenext: { module: 'nodenext', moduleResolution: 'nodenext' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
}

/** The name of a check, and what it does; it throws when something is wrong. */
const checks = [
  ['publint', (tarball) => tool('publint', 'src/cli.js', 'run', tarball, '--strict')],
  [
    'are the types wrong',
    (tarball) => tool('@arethetypeswrong/cli', 'dist/index.js', tarball, '--profile', 'esm-only'),
  ],
  [
    'an empty project installs it',
    (tarball) => {
      mkdirSync(project)
      writeFileSync(join(project, 'package.json'), '{ "type": "module", "private": true }\n')
      run(npm, ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball], project)
    },
  ],
  [
    'a program runs',
    () => {
      writeFileSync(join(project, 'program.js'), program)
      const printed = run(process.execPath, ['program.js'], project)
      if (printed !== 'powerLoss 0 k v\n') throw new Error(`the program printed ${JSON.stringify(printed)}`)
    },
  ],
  [
    'the examples run',
    () => {
      cpSync(join(project, 'node_modules', 'cordwood', 'examples'), join(project, 'examples'), {
        recursive: true,
      })
      for (const [example, expected] of [
        ['event-store/accounts.js', '{ alice: 700, bob: 100 }\n'],
        [
          'outbox/shop.js',
          '3 mails, the last: {"to":"customer@example.org","body":"order 2 is on its way"}\n',
        ],
      ]) {
        const printed = run(process.execPath, [join('examples', example)], project)
        if (printed !== expected) throw new Error(`${example} printed ${JSON.stringify(printed)}`)
      }
      for (const example of ['custom-broker/broker.js', 'replicated-counter/counter.js'])
        run(process.execPath, ['--check', join('examples', example)], project)
    },
  ],
  [
    'the command runs',
    () => {
      const printed = run(npm, ['exec', '--offline', '--', 'cordwood', '--version'], project)
      if (!/\d+\.\d+\.\d+/.test(printed))
        throw new Error(`cordwood --version printed ${JSON.stringify(printed)}`)
    },
  ],
  ...Object.entries(resolutions).map(([name, resolution]) => [
    `the examples compile under ${name}`,
    () => {
      const types = join(project, 'node_modules', '@types')
      cpSync(join(root, 'node_modules', '@types', 'node'), join(types, 'node'), { recursive: true })
      cpSync(join(root, 'node_modules', 'undici-types'), join(project, 'node_modules', 'undici-types'), {
        recursive: true,
      })
      // What an example needs beside this package.
      for (const name of ['fast-check', 'pure-rand']) {
        cpSync(join(root, 'node_modules', name), join(project, 'node_modules', name), { recursive: true })
      }
      const settings = {
        compilerOptions: { ...compilerOptions, ...resolution },
        include: ['examples', 'program.js'],
      }
      writeFileSync(join(project, `tsconfig.${name}.json`), JSON.stringify(settings))
      tool('typescript', 'bin/tsc', '-p', join(project, `tsconfig.${name}.json`))
    },
  ]),
]

try {
  // Whoever packs a clone that was never built must get one that works: packing builds, as publishing does.
  const packed = JSON.parse(run(npm, ['pack', '--json', '--silent', '--pack-destination', directory], root))
  const { filename, size, files } = packed[0] ?? Object.values(packed)[0]
  console.log(`${filename}: ${files.length} files, ${(size / 1024).toFixed(0)} KiB`)
  const tarball = join(directory, filename)
  for (const [name, check] of checks) {
    check(tarball)
    console.log(`ok ${name}`)
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}
