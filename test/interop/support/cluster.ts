import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { repositoryRoot, until } from './run.ts'

/** One node of a cluster: a process of its own that is controller and broker. */
export interface InteropNode {
  readonly nodeId: number
  /** `host:port` for clients. */
  readonly address: string
  /** Where the node keeps everything. */
  readonly directory: string
  /** Its settings, as a file of properties. */
  readonly config: string
  /** What it printed so far. */
  output(): string
  /** Ends it with SIGKILL and waits until it is gone. */
  kill(): Promise<void>
  /** Ends it with SIGTERM, in order, and waits until it is gone; the exit code. */
  stop(): Promise<number | null>
  /** Starts it again; resolves when it serves clients. */
  start(): Promise<void>
}

/** A cluster of cordwood processes on this machine. */
export interface InteropCluster {
  readonly nodes: readonly InteropNode[]
  /** All addresses, as clients are given them. */
  readonly bootstrap: string
  node(nodeId: number): InteropNode
  /** What the nodes have printed last, for whoever looks for what went wrong. */
  outputs(): string
  /** Ends all of it and removes the data. */
  close(): Promise<void>
}

/** Starts `count` nodes with the ids from 1 on; resolves when all of them serve clients. */
export async function startCluster(count = 3, settings: readonly string[] = []): Promise<InteropCluster> {
  const directory = mkdtempSync(join(tmpdir(), 'cordwood-interop-cluster-'))
  const ports: { readonly client: number; readonly node: number }[] = []
  for (let index = 0; index < count; index++) ports.push({ client: await freePort(), node: await freePort() })
  const voters = ports.map(({ node }, index) => `${index + 1}@127.0.0.1:${node}`).join(',')
  const nodes = ports.map(({ client, node }, index) =>
    newNode(index + 1, client, join(directory, `node-${index + 1}`), [
      'process.roles=broker,controller',
      `node.id=${index + 1}`,
      `listeners=PLAINTEXT://127.0.0.1:${client},CONTROLLER://127.0.0.1:${node}`,
      'controller.listener.names=CONTROLLER',
      `controller.quorum.voters=${voters}`,
      'default.replication.factor=3',
      'min.insync.replicas=2',
      'offsets.topic.num.partitions=8',
      'group.initial.rebalance.delay.ms=0',
      'group.min.session.timeout.ms=1000',
      'cordwood.journal.bytes=67108864',
      ...settings,
    ]),
  )
  const close = async (): Promise<void> => {
    await Promise.all(nodes.map((each) => each.kill()))
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await Promise.all(nodes.map((each) => each.start()))
  } catch (error) {
    await close()
    throw error
  }
  return {
    nodes,
    bootstrap: nodes.map(({ address }) => address).join(','),
    node: (nodeId) => nodes[nodeId - 1]!,
    outputs: () => nodes.map(({ nodeId, output }) => `node ${nodeId}:\n${output().slice(-3000)}`).join('\n'),
    close,
  }
}

function newNode(nodeId: number, port: number, directory: string, settings: readonly string[]): InteropNode {
  mkdirSync(directory, { recursive: true })
  const outputFile = join(directory, 'output.txt')
  const main = join(repositoryRoot, 'dist/cli/main.js')
  const config = join(directory, 'server.properties')
  writeFileSync(config, [...settings, `log.dirs=${join(directory, 'data')}`, ''].join('\n'))
  let child: ChildProcess | null = null
  let gone: Promise<number | null> = Promise.resolve(null)

  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child?.kill(signal)
    const code = await gone
    child = null
    return code
  }
  return {
    nodeId,
    address: `127.0.0.1:${port}`,
    directory,
    config,
    output: () => readFileSync(outputFile, 'utf8'),
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
    start: async () => {
      const file = openSync(outputFile, 'a')
      const lengthBefore = readFileSync(outputFile, 'utf8').length
      const printed = (): string => readFileSync(outputFile, 'utf8').slice(lengthBefore)
      const started = spawn(process.execPath, [main, 'serve', '--config', config], {
        stdio: ['ignore', file, file],
      })
      closeSync(file)
      child = started
      gone = new Promise((resolve) => started.once('exit', (code) => resolve(code)))
      // It listens before it is one of the cluster's brokers, and lets clients wait.
      await until(`node ${nodeId} to be ready`, async () => {
        if (started.exitCode !== null) throw new Error(`it exited with ${started.exitCode}`)
        return printed().includes('cordwood is ready')
      }).catch((error: unknown) => {
        throw new Error(`node ${nodeId} did not start:\n${printed().slice(-4000)}`, { cause: error })
      })
    },
  }
}
