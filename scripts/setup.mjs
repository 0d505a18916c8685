// Brings a working copy to where it can run: packages, compiled TypeScript, the native addon. Does only what is
// missing, and needs nothing but Node itself. What has been done is remembered by the hash of what it was made
// from, not by times, so that changing branches or copying the directory costs nothing.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const oldestNode = [20, 19]

/** An error that is told in one line. */
class SetupError extends Error {}

const say = (text) => process.stderr.write(`cordwood: ${text}\n`)
const path = (...names) => join(root, ...names)

/** Sets up everything. Throws `SetupError` with a sentence that says what to do. */
async function setup() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
    throw new SetupError(`Node ${oldestNode.join('.')} or later is needed, this is ${process.versions.node}`)
  }
  await installPackages()
  // The addon's build writes the types that the compiler reads.
  await buildAddon()
  await compile()
}

async function installPackages() {
  const stamp = path('node_modules', '.cordwood-stamp')
  const wanted = hashOf([path('package-lock.json')])
  if (readText(stamp) === wanted) return
  if (!packagesMatch()) {
    say('installing packages (npm ci) …')
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    await run(npm, ['ci', '--no-audit', '--no-fund'], 'npm ci failed; its messages are above')
  }
  writeStamp(stamp, wanted)
}

/** Whether what npm has installed is what package-lock.json asks for. */
function packagesMatch() {
  const installed = readText(path('node_modules', '.package-lock.json'))
  if (installed === null) return false
  const have = JSON.parse(installed).packages
  const want = JSON.parse(readFileSync(path('package-lock.json'), 'utf8')).packages
  return Object.entries(want).every(
    ([name, { version, optional, link }]) =>
      name === '' || optional || link || have[name]?.version === version,
  )
}

async function compile() {
  const stamp = path('dist', '.cordwood-stamp')
  const wanted = hashOf([
    path('tsconfig.json'),
    path('rolldown.config.js'),
    path('package-lock.json'),
    path('native', 'index.d.ts'),
    ...filesUnder(path('src')),
  ])
  if (readText(stamp) === wanted) return
  say('compiling TypeScript …')
  // Built aside and put into place whole: an error leaves the last build, and no file of it outlives the next.
  const next = path('dist.next')
  rmSync(next, { recursive: true, force: true })
  const tsc = path('node_modules', 'typescript', 'bin', 'tsc')
  const rolldown = path('node_modules', 'rolldown', 'bin', 'cli.mjs')
  await Promise.all([
    run(
      process.execPath,
      [tsc, '-p', path('tsconfig.json'), '--outDir', next],
      'the TypeScript compiler found errors; they are above',
    ),
    run(
      process.execPath,
      [rolldown, '-c', path('rolldown.config.js'), '-d', next],
      'the sources could not be bundled',
    ),
  ])
  chmodSync(join(next, 'cli', 'main.js'), 0o755)
  writeStamp(join(next, '.cordwood-stamp'), wanted)
  rmSync(path('dist'), { recursive: true, force: true })
  renameSync(next, path('dist'))
}

async function buildAddon() {
  if (process.env.CORDWOOD_NATIVE === '0' || process.platform !== 'linux') return
  const stamp = path('native', '.stamp')
  const names = ['Cargo.toml', 'Cargo.lock', 'build.rs'].map((name) => path('native', name))
  const wanted = `${hashOf([...names, ...filesUnder(path('native', 'src'))])} ${process.arch}`
  const found = readText(stamp)
  const built = readdirSync(path('native')).some((name) => name.endsWith('.node'))
  if (found === wanted && built) return
  const cargo = cargoDirectory()
  if (cargo === null) {
    const missing = `${wanted} without cargo`
    if (found === missing) return
    say('cargo is not installed, so the slower portable implementation will run (https://rustup.rs has it)')
    writeStamp(stamp, missing)
    return
  }
  say('building the native addon, about a minute the first time …')
  rmSync(stamp, { force: true })
  const napi = path('node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
  // Built aside and moved into place: a process that runs with the old addon keeps it whole.
  const output = path('native', 'target', 'addon')
  const shape = ['--platform', '--release', '--no-js', '--dts', '../../index.d.ts', '--output-dir', output]
  await run(
    process.execPath,
    [napi, 'build', ...shape, '--manifest-path', path('native', 'Cargo.toml'), '--', '--locked'],
    'cargo could not build the addon, its messages are above; with CORDWOOD_NATIVE=0 everything runs without it',
    { PATH: `${process.env.PATH}${delimiter}${cargo}` },
  )
  for (const name of readdirSync(output)) {
    if (name.endsWith('.node')) renameSync(join(output, name), path('native', name))
  }
  writeStamp(stamp, wanted)
}

/** The directory that cargo is in, or null. */
function cargoDirectory() {
  const home = process.env.CARGO_HOME ?? join(homedir(), '.cargo')
  for (const directory of [...(process.env.PATH ?? '').split(delimiter), join(home, 'bin')]) {
    try {
      accessSync(join(directory, 'cargo'), constants.X_OK)
      return directory
    } catch {
      // Not here.
    }
  }
  return null
}

/** Runs a program; what it prints goes to standard error, and only if it fails. */
function run(program, parameters, failure, environment = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, {
      cwd: root,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const printed = []
    child.stdout.on('data', (chunk) => printed.push(chunk))
    child.stderr.on('data', (chunk) => printed.push(chunk))
    child.on('error', (error) => reject(new SetupError(`${program} cannot be started: ${error.message}`)))
    child.on('close', (code) => {
      if (code === 0) {
        resolve()
        return
      }
      process.stderr.write(Buffer.concat(printed))
      reject(new SetupError(failure))
    })
  })
}

function filesUnder(directory) {
  const files = []
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const name = join(directory, entry.name)
    if (entry.isDirectory()) files.push(...filesUnder(name))
    else if (entry.isFile()) files.push(name)
  }
  return files.sort()
}

function hashOf(files) {
  const hash = createHash('sha256')
  for (const file of files) {
    const bytes = readFileSync(file)
    hash.update(`${file.slice(root.length)} ${bytes.length}\n`).update(bytes)
  }
  return hash.digest('hex')
}

function readText(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

function writeStamp(file, text) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

try {
  await setup()
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  say(error.message)
  process.exit(1)
}
