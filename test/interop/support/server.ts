import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { accepts, freePort } from './ports.ts'
import { peersDirectory, repositoryRoot, run, until } from './run.ts'

/** A server under test: cordwood's own process, or real Kafka for comparison. */
export interface Server {
  /** `host:port`. */
  readonly bootstrap: string
  /** The directory that holds `TOPIC-PARTITION` directories. */
  readonly logDirectory: string
  /** What the server printed so far. */
  output(): string
  /** Ends the process with SIGKILL and waits until it is gone. */
  kill(): Promise<void>
  /** Starts it again on the same port and data; resolves when it accepts connections. */
  restart(): Promise<void>
  /** Ends it for good and removes its data. */
  stop(): Promise<void>
}

const external = process.env.CORDWOOD_INTEROP_BOOTSTRAP
const kind = process.env.CORDWOOD_INTEROP_SERVER ?? 'cordwood'

/** Whether the suite runs the server itself, so that it may kill it and look at its files. */
export const ownsServer = external === undefined

/** Whether the server under test is cordwood, for the few cases that speak about its own configuration. */
export const isCordwood = ownsServer && kind === 'cordwood'

/**
 * Starts the server under test. `CORDWOOD_INTEROP_SERVER=kafka` starts real Kafka instead, and
 * `CORDWOOD_INTEROP_BOOTSTRAP=host:port` uses a server that is running already: a case that passes on
 * both is what "unchanged clients" means.
 */
export async function startServer(flags: readonly string[] = []): Promise<Server> {
  if (external !== undefined) {
    const impossible = () => Promise.reject(new Error('this server belongs to somebody else'))
    return {
      bootstrap: external,
      logDirectory: '',
      output: () => '',
      kill: impossible,
      restart: impossible,
      stop: async () => {},
    }
  }
  const directory = mkdtempSync(join(tmpdir(), 'cordwood-interop-'))
  return kind === 'kafka' ? await startKafka(directory) : await startCordwood(directory, flags)
}

async function startCordwood(directory: string, flags: readonly string[]): Promise<Server> {
  const port = await freePort()
  const output = join(directory, 'output.txt')
  const data = join(directory, 'data')
  const main = join(repositoryRoot, 'dist/cli/main.js')
  let child: ChildProcess | null = null
  let gone: Promise<unknown> = Promise.resolve()

  const restart = async (): Promise<void> => {
    const file = openSync(output, 'a')
    const settings = ['log.retention.check.interval.ms=500', 'group.initial.rebalance.delay.ms=0']
    const more = [...settings.flatMap((setting) => ['--set', setting]), ...flags]
    const args = [main, 'serve', '--listen', `127.0.0.1:${port}`, '--directory', data, ...more]
    const started = spawn(process.execPath, args, { stdio: ['ignore', file, file] })
    closeSync(file)
    child = started
    gone = new Promise((resolve) => started.once('exit', resolve))
    await until(`cordwood to listen on port ${port}`, async () => {
      if (started.exitCode !== null) throw new Error(`it exited with ${started.exitCode}`)
      return await accepts(port)
    }).catch((error: unknown) => {
      throw new Error(`cordwood did not start:\n${readFileSync(output, 'utf8').slice(-4000)}`, {
        cause: error,
      })
    })
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child?.kill(signal)
    await gone
    child = null
  }
  await restart()
  return {
    bootstrap: `127.0.0.1:${port}`,
    logDirectory: data,
    output: () => readFileSync(output, 'utf8'),
    kill: () => end('SIGKILL'),
    restart,
    stop: async () => {
      await end('SIGKILL')
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function startKafka(directory: string): Promise<Server> {
  const port = await freePort(100)
  const script = (name: string) => join(repositoryRoot, 'bench/peers/kafka', name)
  const env = {
    PEERS_DIR: peersDirectory,
    KAFKA_PORT: `${port}`,
    KAFKA_DATA: join(directory, 'data'),
    KAFKA_RUN: join(directory, 'run'),
    FIRST_PRODUCE: '0',
  }
  const start = async (keep: readonly string[]): Promise<number> => {
    // A short session, or a killed broker is not let in again for nine seconds.
    const conf = [
      '--conf',
      'broker.session.timeout.ms=1000',
      'broker.heartbeat.interval.ms=300',
      'offsets.topic.num.partitions=8',
      'log.retention.check.interval.ms=500',
    ]
    const { stdout } = await run(script('start.sh'), [...keep, ...conf], { env })
    return (JSON.parse(stdout) as { pids: number[] }).pids[0]!
  }
  let pid = await start([])
  return {
    bootstrap: `127.0.0.1:${port}`,
    logDirectory: join(directory, 'data/n1'),
    output: () => readFileSync(join(directory, 'run/n1.log'), 'utf8'),
    kill: async () => {
      process.kill(pid, 'SIGKILL')
      await until('Kafka to be gone', async () => !(await accepts(port)))
    },
    restart: async () => {
      pid = await start(['--keep'])
    },
    stop: async () => {
      await run(script('stop.sh'), [], { env })
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
