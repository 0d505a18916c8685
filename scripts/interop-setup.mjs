// Installs the clients that the interop tests and the benchmarks drive:
// kcat (apt-get), Kafka's Java tools (Maven), a small franz-go client (Go), confluent-kafka and kafka-python (pip).
// Heavy files go to $PEERS_DIR (default $HOME/.peers). What is there already is left alone, so a warm run takes a moment.
// Everything that is missing is named, with the command that failed; the exit code is then 1.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const peers = process.env.PEERS_DIR ?? join(homedir(), '.peers')
const version = process.env.KAFKA_VERSION ?? '4.3.1'
const failures = []

/**
 * Runs a command without stdin; returns whether it exited with 0. Its output is shown only when it fails. What downloads may
 * hang for good: it is ended after four minutes.
 */
function run(command, args, options = {}) {
  const result = spawnSync(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: 240_000,
    killSignal: 'SIGKILL',
    ...options,
  })
  if (result.status === 0) return true
  const said = `${result.error?.message ?? ''}${result.stdout ?? ''}${result.stderr ?? ''}`.trim()
  console.error(
    `interop-setup: ${command} ${args.join(' ')} failed (${result.status ?? 'not started'})\n${said}`,
  )
  return false
}

function has(command, args = ['--version']) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

function need(what, present, install, hint) {
  if (present()) return
  console.log(`interop-setup: installing ${what}`)
  install()
  if (!present()) failures.push(`${what} is missing: ${hint}`)
}

/** Newest modification time below a directory, in milliseconds; 0 when it is not there. */
function newest(directory) {
  if (!existsSync(directory)) return 0
  let latest = 0
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    latest = Math.max(latest, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs)
  }
  return latest
}

need(
  'kcat',
  () => has('kcat', ['-V']),
  () => {
    if (process.getuid?.() !== 0) return
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const install = () =>
      spawnSync('apt-get', ['install', '-y', '-q', 'kcat'], {
        stdio: 'ignore',
        env: environment,
        timeout: 240_000,
      })
    if (install().status === 0) return
    run('apt-get', ['update', '-q'], { env: environment })
    run('apt-get', ['install', '-y', '-q', 'kcat'], { env: environment })
  },
  'install it with your package manager (Debian: apt-get install kcat)',
)

need(
  "Kafka's Java tools",
  () =>
    ['kafka_2.13', 'kafka-tools', 'kafka-clients'].every((name) =>
      existsSync(join(peers, `kafka/libs/${name}-${version}.jar`)),
    ),
  () => run('bash', [join(root, 'bench/peers/kafka/setup.sh')]),
  'Java 17 or newer, Maven and a Maven repository are needed (bench/peers/kafka/setup.sh)',
)

need(
  'the franz-go clients',
  () => {
    const built = ['kgo-bench', 'kgo-cat'].map((name) => join(peers, 'bin', name))
    const source = newest(join(root, 'bench/peers/kgo-bench'))
    return built.every((path) => existsSync(path) && statSync(path).mtimeMs >= source)
  },
  () => run('bash', [join(root, 'bench/peers/kgo-bench/build.sh')]),
  'Go is needed (bench/peers/kgo-bench/build.sh)',
)

const python = join(peers, 'python/bin/python')
need(
  'the Python clients',
  () => existsSync(python) && has(python, ['-c', 'import confluent_kafka, kafka']),
  () => {
    if (!existsSync(python) && !run('python3', ['-m', 'venv', join(peers, 'python')])) return
    run(python, [
      '-m',
      'pip',
      'install',
      '-q',
      '--disable-pip-version-check',
      'confluent-kafka',
      'kafka-python',
    ])
  },
  'Python 3 with venv and pip is needed',
)

for (const failure of failures) console.error(`interop-setup: ${failure}`)
process.exit(failures.length === 0 ? 0 : 1)
