// Starts and ends the two servers that are compared, and says how long each took to listen.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ageMs } from './processes.mjs'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const peers = process.env.PEERS_DIR ?? join(homedir(), '.peers')

const ports = { cordwood: 29392, kafka: 29492 }

/** ApiVersions v0, correlation id 1, no client id. */
const apiVersions = Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])

/** Resolves once the port answers ApiVersions; asks every few milliseconds until `isAlive` says no. */
export async function answers(port, isAlive) {
  for (;;) {
    const answered = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1')
      const done = (value) => {
        socket.destroy()
        resolve(value)
      }
      socket.setTimeout(2000, () => done(false))
      socket.once('error', () => done(false))
      socket.once('connect', () => socket.write(apiVersions))
      socket.once('data', () => done(true))
      socket.once('end', () => done(false))
    })
    if (answered) return
    if (!isAlive()) throw new Error('the server ended before it listened')
    await sleep(2)
  }
}

/**
 * Starts a server with an empty data directory below `directory`.
 * `policy` is `none` (Kafka's defaults) or one that syncs before the answer (Kafka: log.flush.interval.messages=1).
 * `flags` are more of cordwood's.
 */
export async function startServer(system, policy, directory, flags = []) {
  const data = mkdtempSync(join(directory, `bench-${system}-`))
  const remove = () => rmSync(data, { recursive: true, force: true })
  try {
    return system === 'kafka'
      ? await startKafka(policy, data, remove)
      : await startCordwood(policy, data, remove, flags)
  } catch (error) {
    remove()
    throw error
  }
}

async function startCordwood(policy, data, remove, more) {
  const port = ports.cordwood
  const main = join(root, 'dist/cli/main.js')
  const flags = [
    '--listen',
    `127.0.0.1:${port}`,
    '--directory',
    join(data, 'data'),
    '--flush',
    policy,
    ...more,
  ]
  const started = performance.now()
  const child = spawn(process.execPath, [main, 'serve', ...flags], { stdio: ['ignore', 'ignore', 'inherit'] })
  const gone = once(child, 'exit')
  await answers(port, () => child.exitCode === null)
  const listeningMs = performance.now() - started
  const stop = async () => {
    child.kill('SIGTERM')
    await gone
    remove()
  }
  return {
    system: 'cordwood',
    pid: child.pid,
    bootstrap: `127.0.0.1:${port}`,
    listeningMs,
    formatMs: 0,
    stop,
  }
}

async function startKafka(policy, data, remove) {
  const port = ports.kafka
  const script = (name) => join(root, 'bench/peers/kafka', name)
  const places = { KAFKA_DATA: join(data, 'data'), KAFKA_RUN: join(data, 'run'), KAFKA_PORT: `${port}` }
  const env = { ...process.env, PEERS_DIR: peers, FIRST_PRODUCE: '0', ...places }
  const flags = policy !== 'none' ? ['--conf', 'log.flush.interval.messages=1'] : []
  const started = performance.now()
  const child = spawn(script('start.sh'), flags, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const out = []
  child.stdout.on('data', (bytes) => out.push(bytes))
  const exited = once(child, 'exit')
  await answers(port, () => child.exitCode === null || child.exitCode === 0)
  const answeredMs = performance.now()
  const [code] = await exited
  if (code !== 0) throw new Error(`start.sh exited with ${code}`)
  const [pid] = JSON.parse(Buffer.concat(out).toString()).pids
  // The script formats the data directory first; the process itself is younger than the script.
  const listeningMs = ageMs(pid) - (performance.now() - answeredMs)
  const formatMs = answeredMs - started - listeningMs
  const stop = async () => {
    spawnSync(script('stop.sh'), { env, stdio: 'ignore' })
    remove()
  }
  return { system: 'kafka', pid, bootstrap: `127.0.0.1:${port}`, listeningMs, formatMs, stop }
}
