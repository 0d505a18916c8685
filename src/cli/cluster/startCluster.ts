import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { EngineError } from '../../model/errors.ts'
import { randomUuid } from '../../model/uuid.ts'
import type { DiskLock } from '../../runtime/disk.ts'
import { lockDirectory } from '../../runtime/node/lock.ts'
import { createNodeRuntime } from '../../runtime/node/nodeRuntime.ts'
import { ExitCode, ExitWith, UsageError } from '../failure.ts'
import { unlessAborted } from '../interrupt.ts'
import { formatAddress } from '../options.ts'
import { serveSettings } from '../serveSettings.ts'
import { gatherSettings } from '../settings.ts'
import type { Terminal } from '../terminal.ts'
import type { StartOptions } from './cluster.ts'
import {
  type ClusterFile,
  clusterFileName,
  nodeProperties,
  parseClusterFile,
  plannedNodes,
} from './clusterPlan.ts'
import { NodeProcess } from './nodeProcess.ts'
import { checkPorts, freeNodePorts } from './ports.ts'
import { RunningCluster } from './runningCluster.ts'

const defaults = { nodes: 3, host: '127.0.0.1', basePort: 9092 } as const

/** Runs a local cluster until it is interrupted. Throws `UsageError` for what does not fit, and `EngineError`. */
export async function startCluster(options: StartOptions, terminal: Terminal): Promise<void> {
  const directory = resolve(options.directory)
  makeDirectory(directory)
  const lock = await lockCluster(directory)
  try {
    await run(options, directory, terminal)
  } finally {
    await lock.release()
  }
}

async function run(options: StartOptions, directory: string, terminal: Terminal): Promise<void> {
  const [problem] = gatherSettings({
    file: null,
    environment: {},
    set: options.set ?? [],
    flags: [],
  }).problems
  if (problem !== undefined) throw new UsageError(problem)
  const cluster = await settle(options, directory)
  const nodes = plannedNodes(cluster, directory)
  await checkPorts(cluster.host, nodes)
  for (const node of nodes) {
    writeFileSync(node.configFile, nodeProperties(cluster, node, options.set ?? []))
    serveSettings({ config: node.configFile }, {})
  }
  const stop = terminal.interruptible()
  const width = String(cluster.nodes).length
  // While they start, nodes miss each other, and say so: of interest when they do not find each other in the end.
  let held: string[] | null = options.logLevel === undefined ? [] : null
  const show = (id: number, text: string): void => {
    const line = `node ${String(id).padStart(width)} | ${text}`
    if (held !== null && !text.startsWith('cordwood ')) held.push(line)
    else terminal.note(line)
  }
  const showHeld = (isWanted: boolean): void => {
    const lines = held ?? []
    held = null
    if (isWanted) for (const line of lines) terminal.note(line)
  }
  const running = new RunningCluster(
    nodes.map(
      (node) =>
        new NodeProcess(terminal.program, node, {
          flags: ['--log-level', options.logLevel ?? 'warn'],
          environment: withoutSettings(terminal.environment),
          line: (text) => show(node.id, text),
        }),
    ),
    terminal,
  )
  try {
    const joined = await unlessAborted(stop, running.ready(cluster))
    showHeld(false)
    if (joined !== null) {
      const bootstrap = nodes.map(({ port }) => formatAddress({ host: cluster.host, port })).join(',')
      await terminal.write(
        `the cluster is ready after ${Math.round(performance.now())} ms: ${cluster.nodes} nodes, ` +
          `controller ${joined}, directory ${directory}\nbootstrap: ${bootstrap}\n`,
      )
      await unlessAborted(stop, running.allEnded())
    }
  } catch (error) {
    // Who did not start has said why; who does not find others shows it in what it says.
    showHeld(error instanceof EngineError && error.code === 'brokerNotAvailable')
    await running.stop()
    throw error
  }
  await running.stop()
  if (!stop.aborted) {
    terminal.note('cordwood: every node has ended')
    throw new ExitWith(ExitCode.failure)
  }
}

/** What the directory has, or what it gets: then the file is written. */
async function settle(options: StartOptions, directory: string): Promise<ClusterFile> {
  const path = join(directory, clusterFileName)
  const known = readKnown(path)
  if (known === null) {
    if (readdirSync(directory).some((name) => !name.startsWith('.'))) {
      throw new UsageError(`${directory} has something else in it; choose an empty --directory`)
    }
    const { nodes = defaults.nodes, host = defaults.host, basePort = defaults.basePort } = options
    const made = { clusterId: randomUuid(createNodeRuntime().random), nodes, host, basePort }
    const nodePorts = await freeNodePorts(host, basePort, nodes)
    return write(path, { ...made, nodePorts, ...metricsOf(options.metricsBasePort) })
  }
  if (options.nodes !== undefined && options.nodes !== known.nodes) {
    throw new UsageError(
      `the cluster in ${directory} has ${known.nodes} nodes, not ${options.nodes}; leave --nodes out, or choose another --directory`,
    )
  }
  if (options.host !== undefined && options.host !== known.host) {
    throw new UsageError(
      `the cluster in ${directory} is at ${known.host}, which its nodes have written down; leave --host out, or choose another --directory`,
    )
  }
  const { metricsBasePort: metricsBefore, ...before } = known
  const { basePort = known.basePort, metricsBasePort = metricsBefore } = options
  if (basePort === known.basePort && metricsBasePort === metricsBefore) return known
  return write(path, { ...before, basePort, ...metricsOf(metricsBasePort) })
}

function metricsOf(basePort: number | undefined): Pick<ClusterFile, 'metricsBasePort'> {
  return basePort === undefined || basePort === 0 ? {} : { metricsBasePort: basePort }
}

function readKnown(path: string): ClusterFile | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`)
  }
  return parseClusterFile(text, path)
}

function write(path: string, cluster: ClusterFile): ClusterFile {
  writeFileSync(`${path}.new`, `${JSON.stringify(cluster, null, 2)}\n`)
  renameSync(`${path}.new`, path)
  return cluster
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true })
  } catch (error) {
    throw new UsageError(`cannot make ${directory}: ${(error as Error).message}`)
  }
}

async function lockCluster(directory: string): Promise<DiskLock> {
  try {
    return await lockDirectory(join(directory, '.lock'), `process ${process.pid}`)
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'directoryLocked') throw error
    throw new EngineError(
      'directoryLocked',
      `the cluster in ${directory} is running already (${readFileSync(join(directory, '.lock'), 'utf8').trim()})`,
      { cause: error },
    )
  }
}

/** The environment without settings: those of the nodes are in their files. */
function withoutSettings(environment: Terminal['environment']): Terminal['environment'] {
  const own = /^CORDWOOD_(?:DEBUG|NATIVE|LOG_FORMAT)$/
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => own.test(name) || !/^(?:CORDWOOD|KAFKA)_/.test(name)),
  )
}
