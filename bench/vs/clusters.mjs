// Starts three brokers of either system on the loopback, with RF 3 and two in-sync replicas wanted, and ends them.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { answers, peers, root } from './servers.mjs'

const ports = { cordwood: 29592, kafka: 29692 }
const ids = [1, 2, 3]

/** A cluster with empty data directories below `directory`; `settings` are more of cordwood's. */
export async function startCluster(system, directory, settings = {}) {
  const data = mkdtempSync(join(directory, `bench-cluster-${system}-`))
  return system === 'kafka' ? await startKafka(data) : await startCordwood(data, settings)
}

async function startCordwood(data, more) {
  const base = ports.cordwood
  const main = join(root, 'dist/cli/main.js')
  const children = new Map()
  const settings = (id) => ({
    'node.id': id,
    'process.roles': 'broker,controller',
    listeners: `PLAINTEXT://127.0.0.1:${base + id - 1},CONTROLLER://127.0.0.1:${base + 10 + id}`,
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.voters': ids.map((each) => `${each}@127.0.0.1:${base + 10 + each}`).join(','),
    'log.dirs': join(data, `n${id}`),
    'default.replication.factor': 3,
    'min.insync.replicas': 2,
    'group.initial.rebalance.delay.ms': 0,
    ...more,
  })
  const start = (id) => {
    const set = Object.entries(settings(id)).flatMap(([name, value]) => ['--set', `${name}=${value}`])
    children.set(
      id,
      spawn(process.execPath, [main, 'serve', ...set], { stdio: ['ignore', 'ignore', 'inherit'] }),
    )
  }
  const end = async (id, signal) => {
    const child = children.get(id)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
  for (const id of ids) start(id)
  for (const id of ids) await answers(base + id - 1, () => children.get(id).exitCode === null)
  return {
    system: 'cordwood',
    bootstrap: ids.map((id) => `127.0.0.1:${base + id - 1}`).join(','),
    pid: (id) => children.get(id).pid,
    pids: () => ids.map((id) => children.get(id).pid),
    start,
    end,
    stop: async () => {
      await Promise.all(ids.map((id) => end(id, 'SIGTERM')))
      rmSync(data, { recursive: true, force: true })
    },
  }
}

async function startKafka(data) {
  const port = ports.kafka
  const script = (name) => join(root, 'bench/peers/kafka', name)
  const places = { KAFKA_DATA: join(data, 'data'), KAFKA_RUN: join(data, 'run'), KAFKA_PORT: `${port}` }
  const env = { ...process.env, PEERS_DIR: peers, FIRST_PRODUCE: '0', ...places }
  const { status, stdout } = spawnSync(script('start.sh'), ['--nodes', '3'], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`start.sh exited with ${status}`)
  const pids = JSON.parse(stdout).pids
  const start = (id) => {
    const flags = ['-Xms1g', '-Xmx1g', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20']
    const log = `-Dlog4j2.configurationFile=${join(root, 'bench/peers/kafka/log4j2-broker.properties')}`
    const program = ['-cp', join(peers, 'kafka/libs/*'), 'kafka.Kafka', join(data, `run/n${id}.properties`)]
    pids[id - 1] = spawn('java', [...flags, log, ...program], { stdio: 'ignore' }).pid
  }
  const end = async (id, signal) => {
    const pid = pids[id - 1]
    process.kill(pid, signal)
    while (isAlive(pid)) await sleep(20)
  }
  return {
    system: 'kafka',
    bootstrap: ids.map((id) => `127.0.0.1:${port + id - 1}`).join(','),
    pid: (id) => pids[id - 1],
    pids: () => pids,
    start,
    end,
    stop: async () => {
      spawnSync(script('stop.sh'), { env, stdio: 'ignore' })
      for (const id of ids) if (isAlive(pids[id - 1])) await end(id, 'SIGKILL')
      rmSync(data, { recursive: true, force: true })
    },
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
